"""Features, watchlist and decisions over whole days: nothing sees the future, order is no input, missing is not zero.

The same claims over real minutes (marked ``recorded``) and over random ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.market.config import FeatureConfig
from trading_assets.market.features import compute_features, compute_features_over
from trading_assets.market.frames import FEATURES, INSTANT, MARKET_CONTEXT, SENTIMENT, conform, empty
from trading_assets.market.sessions import MINUTE, Session
from trading_assets.strategy.config_signals import NewsViewConfig, SignalConfig, TradeMode, WatchlistConfig
from trading_assets.strategy.signals import decide
from trading_assets.strategy.watchlist import grid, watchlist_over
from trading_assets_tests.market.bars_factory import daily_bars, minute_bars, sessions_ending
from trading_assets_tests.market.recorded_bars import recorded_days
from trading_assets_tests.market.test_splits import raw, split

DAY = date(2026, 3, 11)
#: A short history leaves the one-hour trend unknown, but the five-minute and the 15-minute trend known.
WARM_UP = 3
SECONDS = timedelta(seconds=5)
#: Lower thresholds than the default ones: a few tickers over one day are to give signals.
EAGER = SignalConfig(
    mode=TradeMode.HYBRID, day_confidence=0.45, swing_confidence=0.35, stock_confidence=0.3, min_volume_ratio=1.0
)
RECORDED = [("2018", ("AAPL", "AMD", "MSFT", "BAC", "CRM")), ("2026", ("AAPL", "NVDA", "AMD", "TSLA"))]


@dataclass(frozen=True)
class Day:
    bars: pl.DataFrame
    daily: pl.DataFrame
    sessions: list[Session]

    @property
    def open(self) -> datetime:
        return self.sessions[-1].open

    def instants(self) -> list[datetime]:
        """Five seconds after the end of each minute: the bars are known by then."""
        return [self.open + MINUTE * (n + 1) + SECONDS for n in range(self.sessions[-1].minutes)]


@dataclass(frozen=True)
class Outcome:
    features: pl.DataFrame
    watchlist: pl.DataFrame
    decisions: pl.DataFrame

    def until(self, instant: datetime) -> Outcome:
        return Outcome(*(frame.filter(pl.col("as_of") <= instant) for frame in self.frames()))

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        return self.features, self.watchlist, self.decisions

    def require_equal(self, other: Outcome) -> None:
        for ours, theirs in zip(self.frames(), other.frames(), strict=True):
            assert ours.equals(theirs)


def outcome(day: Day, as_ofs: Sequence[datetime], bars: pl.DataFrame | None = None) -> Outcome:
    session = day.sessions[-1]
    features = compute_features(
        day.bars if bars is None else bars, day.daily, sessions=day.sessions, as_ofs=as_ofs, config=FeatureConfig()
    )
    return decided(features, as_ofs, grid(as_ofs, session, WatchlistConfig()))


def decided(
    features: pl.DataFrame, as_ofs: Sequence[datetime], listed: Sequence[datetime], afresh: Sequence[datetime] = ()
) -> Outcome:
    news, signals = NewsViewConfig(), EAGER
    watchlist = watchlist_over(
        features,
        empty(SENTIMENT),
        as_ofs=listed,
        previous=None,
        config=WatchlistConfig(),
        signals=signals,
        news=news,
        afresh=afresh,
    )
    decisions = decide(
        features,
        watchlist,
        empty(SENTIMENT),
        context(as_ofs),
        as_ofs=as_ofs,
        recent=None,
        config=signals,
        news=news,
        config_hash="test",
        live=False,
    )
    return Outcome(features, watchlist, decisions)


def context(as_ofs: Sequence[datetime]) -> pl.DataFrame:
    rows = pl.DataFrame({"as_of": list(as_ofs)}, schema={"as_of": INSTANT}).with_columns(
        pl.lit(1 if name == "index_trend_1d" else None, dtype).alias(name)
        for name, dtype in MARKET_CONTEXT.items()
        if name != "as_of"
    )
    return conform(rows, MARKET_CONTEXT, "context")


def random_day(seed: int, gap_share: float = 0.05) -> Day:
    sessions = sessions_ending(DAY, WARM_UP + 1)
    bars = minute_bars(["AAA", "BBB", "CCC"], sessions, seed=seed, gap_share=gap_share, drift=2e-5)
    return Day(bars, daily_bars(["AAA", "BBB", "CCC"], sessions[-2].day, 80, seed=seed), sessions)


@pytest.fixture(scope="module", params=RECORDED, ids=lambda recording: recording[0])
def real_day(request: pytest.FixtureRequest, recorded_data: Path) -> Day:
    name, tickers = request.param
    bars, daily, sessions = recorded_days(recorded_data, name, tickers, WARM_UP + 1)
    return Day(bars, daily, sessions)


# --- splits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("new", "old"), [(2, 1), (16, 1), (1, 8)])
def test_a_split_this_morning_changes_no_decision(seed: int, new: int, old: int) -> None:
    """Powers of two, so that the same numbers come out to the last digit."""
    day = random_day(seed)
    whole = (pl.col("volume") // 16 * 16).alias("volume")
    day = Day(day.bars.with_columns(whole), day.daily.with_columns(whole), day.sessions)
    expected = outcome(day, day.instants())
    assert expected.decisions.filter(pl.col("action") != "HOLD").height
    taped = [raw(frame, DAY, new / old) for frame in (day.bars, day.daily)]

    def decided_with(splits: pl.DataFrame | None) -> Outcome:
        features = compute_features(
            *taped, sessions=day.sessions, as_ofs=day.instants(), config=FeatureConfig(), splits=splits
        )
        return decided(features, day.instants(), grid(day.instants(), day.sessions[-1], WatchlistConfig()))

    expected.require_equal(decided_with(split(DAY, new, old)))
    assert not expected.decisions.equals(decided_with(None).decisions), "the claim is not empty"


# --- no look-ahead ----------------------------------------------------------------------------------------------------


def require_prefixes(day: Day, whole: Outcome, minutes: Sequence[int]) -> None:
    for minute in minutes:
        now = day.instants()[minute]
        known = day.bars.filter(pl.col("known_at") <= now)
        prefix = outcome(day, day.instants()[: minute + 1], known)
        prefix.require_equal(whole.until(now))


@pytest.mark.recorded
def test_a_real_day_known_so_far_is_decided_as_the_whole_day_was_up_to_then(real_day: Day) -> None:
    whole = outcome(real_day, real_day.instants())
    assert whole.features.height > 1100 and whole.decisions.height > 500
    assert whole.decisions["action"].n_unique() > 1  # some of it would be traded
    require_prefixes(real_day, whole, (0, 30, 101, 301))


@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), minute=st.integers(0, 389), gap_share=st.sampled_from([0.0, 0.1, 0.4]))
def test_a_random_day_known_so_far_is_decided_as_the_whole_day_was_up_to_then(
    seed: int, minute: int, gap_share: float
) -> None:
    day = random_day(seed, gap_share)
    require_prefixes(day, outcome(day, day.instants()), [minute])


# --- order ------------------------------------------------------------------------------------------------------------


@pytest.mark.recorded
def test_the_order_of_a_real_days_rows_is_no_input(real_day: Day) -> None:
    whole = outcome(real_day, real_day.instants())
    for seed in (1, 2):
        shuffled = Day(
            real_day.bars.sample(fraction=1, shuffle=True, seed=seed),
            real_day.daily.sample(fraction=1, shuffle=True, seed=seed),
            real_day.sessions,
        )
        outcome(shuffled, real_day.instants()).require_equal(whole)


def test_the_names_of_tickers_are_no_input() -> None:
    day = random_day(5)
    renamed = {"AAA": "ZZZ", "BBB": "MMM", "CCC": "CCC"}  # the first becomes the last
    other = Day(
        day.bars.with_columns(pl.col("ticker").replace_strict(renamed)),
        day.daily.with_columns(pl.col("ticker").replace_strict(renamed)),
        day.sessions,
    )
    plain = compute_features(
        day.bars, day.daily, sessions=day.sessions, as_ofs=day.instants(), config=FeatureConfig()
    ).with_columns(pl.col("ticker").replace_strict(renamed))
    again = compute_features(
        other.bars, other.daily, sessions=day.sessions, as_ofs=day.instants(), config=FeatureConfig()
    )
    assert plain.sort("as_of", "ticker").equals(again)


# --- half days --------------------------------------------------------------------------------------------------------


def test_a_half_day_is_a_full_day_that_ends_earlier() -> None:
    # What is counted from the open (VWAP, gap, completed bars) must not know how long the session is going to be.
    half = sessions_ending(date(2025, 11, 28), WARM_UP + 1)
    full = sessions_ending(date(2025, 11, 26), WARM_UP + 1)
    assert half[-1].minutes == 210 and full[-1].minutes == 390
    bars = minute_bars(["AAA", "BBB"], full, seed=9, gap_share=0.05)
    daily = daily_bars(["AAA", "BBB"], full[-2].day, 80)
    position = {session.day: index for index, session in enumerate(full)}
    moved_bars = pl.concat(
        bars.filter(pl.col("ts").is_between(old.open, old.close, closed="left")).with_columns(
            pl.col("ts", "known_at") + (new.open - old.open)
        )
        for old, new in zip(full, half, strict=True)
    ).filter(pl.col("ts") < half[-1].close)
    days = {old.day: new.day for old, new in zip(full, half, strict=True)}
    moved_daily = daily.filter(pl.col("session").is_in(list(position))).with_columns(
        pl.col("session").replace_strict(days, return_dtype=pl.Date())
    )
    kept_daily = daily.filter(pl.col("session").is_in(list(position)))
    instants = [half[-1].open + MINUTE * n + SECONDS for n in range(1, 211)]
    before = compute_features(
        bars,
        kept_daily,
        sessions=full,
        as_ofs=[full[-1].open + MINUTE * n + SECONDS for n in range(1, 211)],
        config=FeatureConfig(),
    )
    after = compute_features(moved_bars, moved_daily, sessions=half, as_ofs=instants, config=FeatureConfig())
    assert before.height == after.height > 390
    step = half[-1].open - full[-1].open
    shifted = before.with_columns(pl.col("ts", "as_of") + step)
    # At the close the half day's last slots are complete, though shorter: the hour from 12:30 ends at 13:00.
    open_until = pl.col("as_of") < half[-1].close
    assert after.filter(open_until).equals(shifted.filter(open_until))
    at_close = after.filter(~open_until)
    assert at_close.height == 2 and at_close.drop("trend_1h", "mtf_alignment").equals(
        shifted.filter(~open_until).drop("trend_1h", "mtf_alignment")
    )


# --- missing is not zero ----------------------------------------------------------------------------------------------

#: Values that a bar's volume or its mere presence enters, somewhere in the hours after it.
TOUCHED = ["sma20", "sma50", "rsi14", "atr14", "macd", "macd_signal", "bollinger_upper", "bollinger_lower"]
TOUCHED += ["volume_ratio", "return_vol_30", "return_vol_120", "return_60"]


def without_and_invented(day: Day, missing: pl.Expr, first: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Features of ``day`` without its ``missing`` bars, and with what a careless feed would send in their place.

    That is the last price before ``first``, the start of the hole, and no volume.
    """
    before = day.bars.filter(pl.col("ts") == first - MINUTE).select("ticker", pl.col("close").alias("last"))
    prices = ("open", "high", "low", "close", "vwap")
    invented = day.bars.join(before, on="ticker").with_columns(
        *(pl.when(missing).then(pl.col("last")).otherwise(pl.col(name)).alias(name) for name in prices),
        volume=pl.when(missing).then(0).otherwise(pl.col("volume")),
    )
    absent, zero = (
        compute_features(bars, day.daily, sessions=day.sessions, as_ofs=day.instants(), config=FeatureConfig())
        for bars in (day.bars.filter(~missing), invented.select(day.bars.columns))
    )
    assert absent.filter(missing).is_empty() and not zero.filter(missing).is_empty()
    return absent, zero


@pytest.mark.parametrize("minute", [40, 150])
def test_a_missing_bar_is_not_a_bar_without_volume(minute: int) -> None:
    day = random_day(3, gap_share=0.0)
    ts = day.open + minute * MINUTE
    # The bar of the minute is missing; it decides nothing, and every window reaches one bar further back.
    absent, zero = without_and_invented(day, pl.col("ts") == ts, ts)
    both = absent.join(zero, on=["ticker", "ts"], suffix="_zero").filter(pl.col("ts") > ts)
    for name in TOUCHED:
        different = both.filter(pl.col(name).ne_missing(pl.col(f"{name}_zero")))
        assert different["ticker"].n_unique() == 3, name
    # Without volume it has no weight in the session's VWAP: there alone the two are the same.
    assert both.select((pl.col("vwap") / pl.col("vwap_zero") - 1).abs().max()).item() < 1e-12


@pytest.mark.parametrize(
    ("minutes", "touched"),
    [
        (5, ["atr14_5m", "trend_5m"]),
        (15, ["trend_15m", "donchian_high20", "donchian_low20"]),
        (60, ["trend_1h", "mtf_alignment"]),
    ],
)
def test_a_longer_bar_in_which_nothing_traded_is_not_one_at_the_last_price(minutes: int, touched: list[str]) -> None:
    sessions, tickers = sessions_ending(DAY, 11), [f"T{number}" for number in range(8)]
    day = Day(minute_bars(tickers, sessions, seed=8), daily_bars(tickers, sessions[-2].day, 80), sessions)
    first = day.open + 60 * MINUTE
    hole = pl.col("ts").is_between(first, first + minutes * MINUTE, closed="left")
    absent, zero = without_and_invented(day, hole, first)
    both = absent.join(zero, on=["ticker", "ts"], suffix="_zero").filter(pl.col("ts") > first)
    for name in touched:
        assert both.filter(pl.col(name).ne_missing(pl.col(f"{name}_zero"))).height > 0, name


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
def test_a_bar_that_lacks_a_number_is_a_missing_bar_and_not_one_with_a_zero(column: str) -> None:
    day = random_day(4, gap_share=0.0)
    here = pl.col("ts") == day.open + 60 * MINUTE
    lacking = day.bars.with_columns(pl.when(~here).then(pl.col(column)).alias(column))
    absent = outcome(day, day.instants(), day.bars.filter(~here))
    outcome(day, day.instants(), lacking).require_equal(absent)
    zeroed = day.bars.with_columns(pl.when(here).then(0).otherwise(pl.col(column)).alias(column))
    zero = outcome(day, day.instants(), zeroed)
    if column == "volume":  # a bar without volume is one: it decides, and lowers the mean volume
        assert zero.features.height == absent.features.height + 3
    else:  # a price of zero is none
        zero.require_equal(absent)


@pytest.mark.parametrize("name", ["previous session", "all"])
def test_missing_daily_bars_leave_their_features_unknown_and_not_zero(name: str) -> None:
    day = random_day(6)
    last = day.sessions[-2].day
    daily = day.daily.filter(pl.col("session") != last) if name == "previous session" else day.daily.clear()
    seen = compute_features(day.bars, daily, sessions=day.sessions, as_ofs=day.instants()[:5], config=FeatureConfig())
    assert seen["gap"].is_null().all()
    if name == "all":
        for column in ("trend_1d", "daily_atr_pct", "daily_atr_pct_median60", "rv_rank"):
            assert seen[column].is_null().all(), column
    assert seen.schema == FEATURES and not seen.is_empty()


# --- many sessions at once --------------------------------------------------------------------------------------------


def require_same_course(bars: pl.DataFrame, daily: pl.DataFrame, sessions: list[Session], warm_up: int) -> None:
    """Sessions after the warm-up decided at once are decided as each one alone."""
    alone = [
        Day(bars, daily.filter(pl.col("session") < last.day), sessions[number : number + warm_up + 1])
        for number, last in enumerate(sessions[warm_up:])
    ]
    one_by_one = [outcome(day, day.instants()) for day in alone]
    every = [moment for day in alone for moment in day.instants()]
    features = compute_features_over(
        bars, daily, sessions=sessions, as_ofs=every, config=FeatureConfig(), warm_up=warm_up
    )
    listed = [moment for day in alone for moment in grid(day.instants(), day.sessions[-1], WatchlistConfig())]
    together = decided(features, every, listed, [day.instants()[0] for day in alone])
    columns = {
        "features": ["ticker", "as_of", "ts"],
        "watchlist": ["as_of", "ticker", "member", "rank", "direction", "entered_at", "last_feature_at"],
        "decisions": ["as_of", "ticker", "action", "strategy", "direction", "confidence", "urgent", "signal_id"],
    }
    for name, chosen in columns.items():
        theirs = pl.concat([getattr(one, name) for one in one_by_one])
        assert getattr(together, name).select(chosen).equals(theirs.select(chosen)), name
    assert together.decisions["signal_id"].n_unique() > len(alone)


@pytest.mark.recorded
@pytest.mark.parametrize("recording", RECORDED[:1], ids=lambda recording: recording[0])
def test_real_sessions_decided_at_once_are_decided_as_each_alone(
    recorded_data: Path, recording: tuple[str, tuple[str, ...]]
) -> None:
    bars, daily, sessions = recorded_days(recorded_data, *recording, 14)
    require_same_course(bars, daily, sessions, warm_up=10)


def test_random_sessions_decided_at_once_are_decided_as_each_alone() -> None:
    sessions = sessions_ending(DAY, 10)
    names = ["AAA", "BBB", "CCC"]
    bars = minute_bars(names, sessions, seed=5, gap_share=0.05, late_share=0.0005, drift=2e-5)
    require_same_course(bars, daily_bars(names, sessions[-1].day, 90), sessions, warm_up=7)
