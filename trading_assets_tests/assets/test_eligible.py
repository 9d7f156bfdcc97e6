"""Nothing is decided on a ticker before it was discovered, or because something is open in it, live or rebuilt."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import polars as pl
import pytest
from sqlalchemy import Engine

from trading_assets.assets import signals, watchlist
from trading_assets.assets.scope import Kind, Scope
from trading_assets.market.sessions import MINUTE, require_session
from trading_assets.presets import Preset
from trading_assets.resources.desk import Desk
from trading_assets.strategy_config import StrategyConfig
from trading_assets.world.frames import FrameStore
from trading_assets_tests.ledger.factory import position, register
from trading_assets_tests.resources.test_following import add
from trading_assets_tests.resources.test_following import desk_of as following
from trading_assets_tests.strategy.signal_builders import feature, features

DAY = require_session(date(2026, 3, 11))
FOUND_AT = DAY.open + timedelta(hours=4, minutes=30)


@pytest.mark.parametrize("mode", ["fixed", "discovered"])
def test_a_day_that_is_rebuilt_decides_on_nobody_who_was_not_to_be_entered_then(
    tmp_path: Path, ledger: Engine, mode: str
) -> None:
    """AMD is discovered at 14:00 and IBM held all day: both have features from the open on, as a rebuild makes them."""
    follows = following(ledger, mode=mode)
    follows.write_down("first minute", DAY.open)
    if mode == "discovered":
        add(ledger, "at two", FOUND_AT, "AMD", "KO")
    with ledger.begin() as connection:
        register(connection, "tiny")
        position(connection, "p1", underlying="IBM", symbol="IBM", created_at=DAY.open - timedelta(days=1))
    assert "IBM" in follows.universe_in(DAY.day)
    store = FrameStore(tmp_path)
    moments = [DAY.open + MINUTE * number for number in range(60, 390, 5)]
    rows = [feature(at, ticker=ticker) for at in moments for ticker in ("AAPL", "AMD", "IBM", "KO")]
    store.replace("features", DAY.key, features(rows), DAY.close)
    strategy = StrategyConfig()
    settings = SimpleNamespace(
        strategy=strategy,
        preset=lambda _: strategy,
        config_hashes={Preset.DEFAULT: "hash"},
        followed={Preset.DEFAULT: ("momentum",)},
    )
    desk = cast("Desk", SimpleNamespace(frames=store, settings=settings, eligible_in=follows.eligible_in))
    scope = Scope(DAY.key, Kind.PAST, DAY.close + MINUTE)
    for module, name in ((watchlist, "watchlist"), (signals, "signals")):
        rebuilt = module._rebuild(desk, scope, moments)
        store.replace(name, DAY.key, rebuilt.rows, DAY.close)
        seen = {ticker: _first(rebuilt.rows, ticker) for ticker in ("AAPL", "AMD", "IBM", "KO")}
        assert seen["AAPL"] == seen["KO"] == moments[0], name
        assert seen["IBM"] is None, name
        assert seen["AMD"] == (None if mode == "fixed" else FOUND_AT), name
        if mode == "discovered":
            left = rebuilt.rows.filter((pl.col("ticker") == "AAPL") & (pl.col("as_of") >= FOUND_AT))
            assert name == "watchlist" or left.is_empty(), "who left the universe is decided on no more"
            assert not left.filter(pl.col("as_of") >= FOUND_AT + 31 * MINUTE).height, name
    follows.ledger.dispose()


def _first(rows: pl.DataFrame, ticker: str) -> datetime | None:
    return cast("datetime | None", rows.filter(pl.col("ticker") == ticker)["as_of"].min())
