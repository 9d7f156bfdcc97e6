"""Market context: regimes, the implied volatility that stands in for the VIX, and what happens when it is unknown."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from trading_assets.domain.values import Regime
from trading_assets.market.config import ContextConfig
from trading_assets.market.context import atm_iv, market_context, regime_of
from trading_assets.market.frames import CHAINS, FEATURES, empty
from trading_assets.market.options import years_to_expiry
from trading_assets.market.sessions import require_session

CONFIG = ContextConfig()
SESSION, PREVIOUS = require_session(date(2026, 3, 11)), require_session(date(2026, 3, 10))
AS_OF = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
NEAR, FAR = date(2026, 4, 2), date(2026, 4, 17)


def quotes(
    ivs: dict[date, float | None], *, spot: float = 600.0, as_of: datetime = AS_OF, underlying: str = "SPY"
) -> pl.DataFrame:
    """A chain with two strikes around the spot, call and put; the price of a pair implies the spot."""
    rows: list[dict[str, Any]] = []
    for expiry, iv in ivs.items():
        for strike in (spot - 5, spot + 5):
            for right, sign in (("call", 1), ("put", -1)):
                mid = 10 + sign * (spot - strike) / 2
                rows.append(
                    dict.fromkeys(CHAINS)
                    | {
                        "underlying": underlying,
                        "symbol": f"{underlying}{expiry}{right}{strike}",
                        "as_of": as_of,
                        "quote_at": as_of,
                        "right": right,
                        "strike": strike,
                        "expiry": expiry,
                        "bid": mid - 0.05,
                        "ask": mid + 0.05,
                        "iv": iv,
                    }
                )
    return pl.DataFrame(rows, schema=CHAINS)


def days(expiry: date, as_of: datetime = AS_OF) -> float:
    return years_to_expiry(expiry, as_of) * 365


@pytest.mark.parametrize(
    ("level", "regime"),
    [
        (11.99, Regime.COMPLACENT),
        (12.0, Regime.NORMAL),
        (19.99, Regime.NORMAL),
        (20.0, Regime.ELEVATED),
        (29.99, Regime.ELEVATED),
        (30.0, Regime.HIGH),
        (39.99, Regime.HIGH),
        (40.0, Regime.EXTREME),
        (85.0, Regime.EXTREME),
        (None, Regime.ELEVATED),
        (math.nan, Regime.ELEVATED),
    ],
)
def test_regimes_begin_at_their_thresholds(level: float | None, regime: Regime) -> None:
    assert regime_of(level, CONFIG) is regime


def test_thresholds_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ValidationError, match="must rise"):
        ContextConfig(elevated_from=35.0)


def test_total_variance_is_interpolated_to_thirty_days() -> None:
    near, far = days(NEAR), days(FAR)
    assert near < 30 < far
    share = (30 - near) / (far - near)
    variance = 0.20**2 * near * (1 - share) + 0.16**2 * far * share
    assert atm_iv(quotes({NEAR: 0.20, FAR: 0.16}), 600.0, AS_OF, CONFIG) == pytest.approx(math.sqrt(variance / 30))


def test_a_flat_surface_has_its_own_level_at_any_maturity() -> None:
    flat = quotes({date(2026, 3, 20): 0.3, NEAR: 0.3, FAR: 0.3, date(2026, 5, 15): 0.3})
    assert atm_iv(flat, 601.7, AS_OF, CONFIG) == pytest.approx(0.3)


def test_between_two_strikes_the_volatility_is_interpolated() -> None:
    chain = quotes({NEAR: 0.2, FAR: 0.2}).with_columns(iv=pl.when(pl.col("strike") > 600).then(0.30).otherwise(0.20))
    assert atm_iv(chain, 597.5, AS_OF, CONFIG) == pytest.approx(0.225)
    assert atm_iv(chain, 595.0, AS_OF, CONFIG) == pytest.approx(0.20)


@pytest.mark.parametrize("iv", [None, math.nan, 0.0, -0.2, math.inf])
def test_a_chain_without_usable_volatilities_has_no_level(iv: float | None) -> None:
    assert atm_iv(quotes({NEAR: iv, FAR: iv}), 600.0, AS_OF, CONFIG) is None


def test_strikes_on_one_side_of_the_price_alone_are_not_at_the_money() -> None:
    assert atm_iv(quotes({NEAR: 0.2, FAR: 0.2}), 700.0, AS_OF, CONFIG) is None


def feature_rows(as_ofs: list[datetime], ticker: str = "SPY") -> pl.DataFrame:
    rows = [
        dict.fromkeys(FEATURES) | {"ticker": ticker, "as_of": as_of, "close": 600.5, "trend_1d": -1, "trend_state": 1}
        for as_of in as_ofs
    ]
    return pl.DataFrame(rows, schema=FEATURES)


def context(features: pl.DataFrame, chains: pl.DataFrame, as_ofs: list[datetime]) -> list[dict[str, Any]]:
    return market_context(
        features, chains, session=SESSION, previous_session=PREVIOUS, as_ofs=as_ofs, config=CONFIG
    ).to_dicts()


def test_the_context_names_the_proxy_the_level_comes_from() -> None:
    (row,) = context(feature_rows([AS_OF]), quotes({NEAR: 0.18, FAR: 0.18}), [AS_OF])
    assert row["vix"] == pytest.approx(18.0) and row["vix_source"] == "spy_atm_iv_30d" and row["vix_at"] == AS_OF
    assert row["regime"] == "normal" and "18.0" in row["regime_reason"]
    assert (row["index_trend_1d"], row["index_trend_1m"], row["index_close"]) == (-1, 1, 600.5)


def test_each_instant_sees_the_newest_chain_known_by_then() -> None:
    early, late = AS_OF - timedelta(minutes=20), AS_OF - timedelta(minutes=5)
    chains = pl.concat([quotes({NEAR: 0.15, FAR: 0.15}, as_of=early), quotes({NEAR: 0.45, FAR: 0.45}, as_of=late)])
    instants = [late - timedelta(seconds=1), late, AS_OF]
    rows = context(feature_rows(instants), chains, instants)
    assert [row["regime"] for row in rows] == ["normal", "extreme", "extreme"]
    assert [row["vix_at"] for row in rows] == [early, late, late]


@pytest.mark.parametrize(
    "chains",
    [
        empty(CHAINS),
        quotes({NEAR: None, FAR: None}),
        quotes({NEAR: 0.15, FAR: 0.15}, underlying="QQQ"),
        quotes({NEAR: 0.15, FAR: 0.15}, as_of=PREVIOUS.close - timedelta(minutes=1)),
        quotes({NEAR: 0.15, FAR: 0.15}, as_of=AS_OF + timedelta(minutes=1)),
    ],
    ids=["no chain", "no volatility", "another underlying", "older than the previous close", "from later"],
)
def test_an_unknown_level_counts_as_elevated_and_says_so(chains: pl.DataFrame) -> None:
    (row,) = context(feature_rows([AS_OF]), chains, [AS_OF])
    assert row["vix"] is None and row["vix_source"] is None and row["vix_at"] is None
    assert row["regime"] == "elevated" and "counted as elevated" in row["regime_reason"]


def test_a_level_of_the_previous_close_still_counts() -> None:
    (row,) = context(feature_rows([AS_OF]), quotes({NEAR: 0.15, FAR: 0.15}, as_of=PREVIOUS.close), [AS_OF])
    assert row["regime"] == "normal"


def test_an_index_without_a_deciding_bar_has_no_trend() -> None:
    (row,) = context(feature_rows([AS_OF], "QQQ"), quotes({NEAR: 0.15, FAR: 0.15}), [AS_OF])
    assert row["index_trend_1d"] is None and row["index_trend_1m"] is None and row["index_close"] is None
