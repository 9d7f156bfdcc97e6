"""Splits: earlier bars in the shares of the deciding session, and features that do not notice a split."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from trading_assets.market.config import FeatureConfig
from trading_assets.market.features import compute_features
from trading_assets.market.frames import FEATURES, INSTANT
from trading_assets.market.sessions import MINUTE, Session, require_session
from trading_assets.market.splits import SPLITS, adjusted
from trading_assets.market.volatility import daily_state
from trading_assets_tests.market.bars_factory import daily_bars, minute_bars, sessions_ending

DAY = date(2026, 3, 11)
TICKERS = ["AAA", "BBB"]
PRICES = ("open", "high", "low", "close")
IN_DOLLARS = {"close", "sma20", "sma50", "atr14", "macd", "macd_signal", "macd_histogram", "bollinger_upper"}
IN_DOLLARS |= {"bollinger_lower", "vwap", "donchian_high20", "donchian_low20", "atr14_5m"}


def split(
    day: date, new: float, old: float = 1, *, ticker: str = "AAA", known_at: datetime | None = None
) -> pl.DataFrame:
    known = known_at or require_session(day).open - timedelta(days=2)
    return pl.DataFrame([(ticker, day, new, old, known)], schema=SPLITS, orient="row")


def raw(bars: pl.DataFrame, day: date, ratio: float) -> pl.DataFrame:
    """What the tape of AAA says if ``bars`` are in the shares after a split at ``day``."""
    its_day = pl.col("session") if "session" in bars.columns else pl.col("ts").dt.date()
    before = (pl.col("ticker") == "AAA") & (its_day < day)
    prices = [name for name in (*PRICES, "vwap") if name in bars.columns]
    return bars.with_columns(
        *(pl.when(before).then(pl.col(name) * ratio).otherwise(pl.col(name)).alias(name) for name in prices),
        pl.when(before).then(pl.col("volume") / ratio).otherwise(pl.col("volume")).cast(pl.Int64).alias("volume"),
    )


def features(
    bars: pl.DataFrame, daily: pl.DataFrame, sessions: list[Session], splits: pl.DataFrame | None
) -> pl.DataFrame:
    instants = [sessions[-1].open + MINUTE * n + timedelta(seconds=5) for n in range(1, 391, 3)]
    return compute_features(bars, daily, sessions=sessions, as_ofs=instants, config=FeatureConfig(), splits=splits)


def market(count: int) -> tuple[pl.DataFrame, pl.DataFrame, list[Session]]:
    """Bars whose volumes divide by 20, so that no share is lost in a split."""
    sessions = sessions_ending(DAY, count)
    whole = (pl.col("volume") // 20 * 20).alias("volume")
    daily = daily_bars(TICKERS, sessions[-2].day, 120)
    return minute_bars(TICKERS, sessions, gap_share=0.05).with_columns(whole), daily.with_columns(whole), sessions


def require_alike(seen: pl.DataFrame, expected: pl.DataFrame, scale: float = 1.0) -> None:
    """Equal to 1e-9; AAA's prices ``scale`` times as high and its volume as much lower."""
    assert seen.height == expected.height > 200
    assert seen.null_count().equals(expected.null_count())
    own = pl.col("ticker") == "AAA"
    for name, dtype in FEATURES.items():
        if not dtype.is_numeric():
            assert seen[name].equals(expected[name]), name
            continue
        factor = scale if name in IN_DOLLARS else 1 / scale if name == "volume" else 1.0
        target = expected.select(pl.when(own).then(pl.col(name) * factor).otherwise(pl.col(name))).to_series()
        apart = (seen[name] - target).abs() / target.abs().clip(lower_bound=1e-6)
        assert not (apart > (1e-6 if name.startswith("macd") else 1e-9)).any(), name


@pytest.mark.parametrize(("new", "old"), [(2, 1), (5, 2), (20, 1), (1, 10)])
@pytest.mark.parametrize("ago", [0, 1, 3])
def test_a_split_changes_no_feature_of_a_later_session(new: int, old: int, ago: int) -> None:
    bars, daily, sessions = market(6)
    day = sessions[-1 - ago].day
    expected = features(bars, daily, sessions, None)
    taped = raw(bars, day, new / old), raw(daily, day, new / old)
    require_alike(features(*taped, sessions, split(day, new, old)), expected)
    ignored = features(*taped, sessions, None)  # the claim above is not empty
    assert not ignored.filter(pl.col("ticker") == "AAA").equals(expected.filter(pl.col("ticker") == "AAA"))
    assert ignored.filter(pl.col("ticker") == "BBB").equals(expected.filter(pl.col("ticker") == "BBB"))


def test_a_split_of_tomorrow_changes_nothing_today() -> None:
    bars, daily, sessions = market(6)
    tomorrow = date(2026, 3, 12)
    taped = raw(bars, tomorrow, 10), raw(daily, tomorrow, 10)
    today = features(*taped, sessions, split(tomorrow, 10))
    assert today.equals(features(*taped, sessions, None))
    require_alike(today, features(bars, daily, sessions, None), scale=10)


def test_without_splits_every_bar_is_taken_as_stored() -> None:
    bars, daily, sessions = market(3)
    none = pl.DataFrame(schema=SPLITS)
    assert features(bars, daily, sessions, none).equals(features(bars, daily, sessions, None))
    assert adjusted(bars, none, DAY).equals(bars)


def test_a_split_counts_from_the_first_open_at_which_it_is_known() -> None:
    bars, daily, sessions = market(3)
    taped = raw(bars, DAY, 4), raw(daily, DAY, 4)
    late = split(DAY, 4, known_at=sessions[-1].open + MINUTE)
    assert features(*taped, sessions, late).equals(features(*taped, sessions, None))
    in_time = split(DAY, 4, known_at=sessions[-1].open)
    require_alike(features(*taped, sessions, in_time), features(bars, daily, sessions, None))


def test_two_splits_multiply_and_a_corrected_row_replaces_the_first() -> None:
    _, daily, sessions = market(6)
    one, two = sessions[1].day, sessions[3].day
    wrong = split(two, 30).with_columns(pl.col("known_at") - timedelta(days=1))
    seen = adjusted(daily, pl.concat([split(one, 2), wrong, split(two, 3)]), DAY).filter(pl.col("ticker") == "AAA")
    before = daily.filter(pl.col("ticker") == "AAA")
    ratio = (before["close"] / seen["close"]).round(9).to_list()
    days = before["session"].to_list()
    assert ratio == [6.0 if day < one else 3.0 if day < two else 1.0 for day in days]
    shares = (seen["volume"] / before["volume"]).round(9).to_list()
    assert shares == ratio and seen.schema == daily.schema


def test_the_daily_state_takes_splits_too() -> None:
    _, daily, sessions = market(6)
    day = sessions[3].day
    seen = daily_state(raw(daily, day, 5), DAY, FeatureConfig(), split(day, 5)).sort("ticker")
    expected = daily_state(daily, DAY, FeatureConfig()).sort("ticker")
    for name in ("trend_1d", "rv_rank_sessions"):
        assert seen[name].equals(expected[name])
    for name in ("daily_atr_pct", "daily_atr_pct_median60", "rv_rank", "previous_close"):
        assert seen[name].to_list() == pytest.approx(expected[name].to_list(), rel=1e-9)


@pytest.mark.parametrize(("new", "old"), [(0.0, 1.0), (1.0, 0.0), (-2.0, 1.0), (float("nan"), 1.0), (None, 1.0)])
def test_a_ratio_that_is_no_positive_number_is_refused(new: float | None, old: float) -> None:
    bars, _, _ = market(2)
    row = pl.DataFrame(
        [("AAA", DAY, new, old, datetime(2026, 3, 1))], schema=SPLITS | {"known_at": pl.Datetime("us")}, orient="row"
    )
    with pytest.raises(ValueError, match="split of AAA on 2026-03-11"):
        adjusted(bars, row.with_columns(pl.col("known_at").dt.replace_time_zone("UTC").cast(INSTANT)), DAY)
