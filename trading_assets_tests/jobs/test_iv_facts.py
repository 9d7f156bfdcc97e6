"""A weighing ranks the volatility it would buy within the archive, as far as the archive was known by then."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from trading_assets.automation.sensors import fresh_signals
from trading_assets.domain.values import Strategy
from trading_assets.jobs.weighing import weigh
from trading_assets.market.frames import IV_HISTORY
from trading_assets.market.sessions import MINUTE, shift
from trading_assets.strategy.signals import to_signal
from trading_assets_tests.e2e.playground import ONE_ACCOUNT, Playground, playground

pytestmark = pytest.mark.patient
SECOND = timedelta(seconds=1)


def _archive(world: Playground, back: int, iv: float) -> None:
    """The figure of every followed ticker for the session so many sessions ago (0 is the current one, as of now)."""
    session = shift(world.session.day, -back)
    at = world.desk.clock.now() if back == 0 else session.close
    rows = [
        {"ticker": ticker, "session": session.day, "iv": iv, "spot": 100.0, "contracts": 12}
        | {"chain_at": at, "quote_at": at, "known_at": at}
        for ticker in world.desk.universe
    ]
    world.desk.frames.append("iv_history", session.key, pl.DataFrame(rows, schema=IV_HISTORY), at)


def test_the_rank_is_the_archives_once_today_has_a_figure_of_its_own(world_home: Path) -> None:
    with playground(world_home, accounts=ONE_ACCOUNT) as world:
        for back in range(70, 0, -1):
            _archive(world, back, 0.20 + 0.002 * (back % 50))
        world.until_a_signal()
        desk, session = world.desk, world.session
        rows = fresh_signals(desk, session, desk.clock.now())
        features = desk.frames.read("features", [session.key]).select(pl.exclude("ts"))
        joined = rows.join(features, on=["ticker", "as_of"], how="left", suffix="_feature")
        options = [row for row in joined.to_dicts() if row["strategy"] != Strategy.STOCK.value]
        assert options, "the day's first signals ask for options"
        signal = to_signal(options[0], session.day)

        # The minute run may have stored a figure of the day just now: this one is newer.
        desk.clock.wait_until(desk.clock.now() + SECOND)
        _archive(world, 0, 0.249)
        first = weigh(desk, "large", signal, session).selection
        assert first is not None
        assert (first.iv_rank.source, first.iv_rank.observations) == ("iv", 70)
        assert first.iv_rank.value == pytest.approx((0.249 - 0.20) / (0.298 - 0.20))

        desk.clock.wait_until(desk.clock.now() + MINUTE)
        _archive(world, 0, 0.31)
        second = weigh(desk, "large", signal, session).selection
        assert second is not None
        assert second.iv_rank.value == pytest.approx(1.0)
        assert second.chosen is None and second.reason.startswith("iv_rank: 1.00 (iv) exceeds")
