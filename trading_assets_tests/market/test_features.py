"""Features: worked numbers, windows over gaps and sessions, and that nothing from later ever shows earlier."""

from __future__ import annotations

import math
import statistics
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.market.config import FeatureConfig, TimeframeWeights
from trading_assets.market.features import compute_features, deciding_bar
from trading_assets.market.frames import BARS, DAILY_BARS, FEATURES, conform, empty
from trading_assets.market.sessions import MINUTE, Session
from trading_assets_tests.market.bars_factory import daily_bars, minute_bars, sessions_ending

CONFIG = FeatureConfig()
DAY = date(2026, 3, 11)
TICKERS = ["AAA", "BBB", "CCC"]


def every_minute(session: Session, seconds: int = 5) -> list[datetime]:
    return [session.open + MINUTE * n + timedelta(seconds=seconds) for n in range(1, session.minutes + 1)]


def features(bars: pl.DataFrame, daily: pl.DataFrame, sessions: list[Session], as_ofs: list[datetime]) -> pl.DataFrame:
    return compute_features(bars, daily, sessions=sessions, as_ofs=as_ofs, config=CONFIG)


def at(minute: int, sessions: list[Session], seconds: int = 5) -> datetime:
    """The decision instant that the ``minute``-th bar (from 0) of the last session decides."""
    return sessions[-1].open + MINUTE * (minute + 1) + timedelta(seconds=seconds)


def one(frame: pl.DataFrame) -> dict[str, object]:
    assert frame.height == 1
    return frame.to_dicts()[0]


# --- shape ------------------------------------------------------------------------------------------------------------


def test_a_full_history_leaves_nothing_unknown() -> None:
    sessions = sessions_ending(DAY, 11)
    seen = features(
        minute_bars(TICKERS, sessions), daily_bars(TICKERS, sessions[-2].day, 300), sessions, every_minute(sessions[-1])
    )
    assert seen.schema == FEATURES
    assert seen.height == 3 * 390
    assert sum(seen.null_count().row(0)) == 0
    assert seen["rsi14"].is_between(0, 100).all() and seen["mtf_alignment"].is_between(-1, 1).all()
    assert seen["rv_rank"].is_between(0, 1).all() and (seen["rv_rank_sessions"] == 252).all()


def test_no_bars_and_no_instants_give_no_rows() -> None:
    sessions = sessions_ending(DAY, 2)
    bars = minute_bars(["AAA"], sessions)
    assert features(bars, empty(DAILY_BARS), sessions, []).equals(empty(FEATURES))
    assert features(empty(BARS), empty(DAILY_BARS), sessions, [at(5, sessions)]).equals(empty(FEATURES))


@pytest.mark.parametrize(
    "as_ofs",
    [
        [datetime(2026, 3, 11, 15, 0)],
        [datetime(2026, 3, 11, 15, 1, tzinfo=UTC), datetime(2026, 3, 11, 15, 0, tzinfo=UTC)],
        [datetime(2026, 3, 10, 15, 0, tzinfo=UTC)],
        [datetime(2026, 3, 12, 15, 0, tzinfo=UTC)],
    ],
)
def test_naive_unordered_or_foreign_instants_are_refused(as_ofs: list[datetime]) -> None:
    sessions = sessions_ending(DAY, 2)
    with pytest.raises(ValueError):
        features(minute_bars(["AAA"], sessions), empty(DAILY_BARS), sessions, as_ofs)


def test_only_the_bar_of_the_minute_before_decides() -> None:
    sessions = sessions_ending(DAY, 2)
    bars = minute_bars(["AAA"], sessions)
    assert deciding_bar(at(30, sessions)) == sessions[-1].open + 30 * MINUTE
    seen = features(bars, empty(DAILY_BARS), sessions, [at(30, sessions), at(30, sessions, 50), at(31, sessions)])
    assert seen["ts"].to_list() == [sessions[-1].open + n * MINUTE for n in (30, 30, 31)]
    gap = bars.filter(pl.col("ts") != sessions[-1].open + 30 * MINUTE)
    assert features(gap, empty(DAILY_BARS), sessions, [at(30, sessions)]).is_empty()


def test_the_last_bar_of_a_half_day_decides_and_the_auction_bar_after_it_does_not() -> None:
    half = sessions_ending(date(2025, 11, 28), 11)
    assert half[-1].minutes == 210
    bars = minute_bars(["AAA"], half)
    auction = bars.filter(pl.col("ts") == half[-1].close - MINUTE).with_columns(
        ts=pl.lit(half[-1].close), close=pl.col("close") * 2, known_at=pl.lit(half[-1].close + MINUTE)
    )
    seen = features(
        pl.concat([bars, conform(auction, BARS, "bars")]),
        daily_bars(["AAA"], half[-2].day, 300),
        half,
        [half[-1].close + timedelta(seconds=5), half[-1].close + timedelta(seconds=125)],
    )
    row = one(seen)
    assert row["ts"] == half[-1].close - MINUTE
    # The hour from 12:30 ends with the session at 13:00: all four intraday trends are complete.
    assert row["trend_1h"] is not None and row["trend_15m"] is not None


# --- numbers ----------------------------------------------------------------------------------------------------------


def plain_reference(bars: pl.DataFrame, sessions: list[Session], ts: datetime) -> dict[str, float | None]:
    """The windowed features of one ticker, worked out bar by bar with plain Python."""
    slots: dict[datetime, int] = {}
    for session in sessions:
        for n in range(session.minutes):
            slots[session.open + n * MINUTE] = len(slots)
    rows = [row for row in bars.sort("ts").to_dicts() if row["ts"] <= ts]
    slot = [slots[row["ts"]] for row in rows]
    close = [row["close"] for row in rows]
    day = [row["ts"].date() for row in rows]
    today = [row for row, its_day in zip(rows, day, strict=True) if its_day == ts.date()]

    def mean(values: list[float], window: int) -> float | None:
        wide = len(rows) < window or slot[-1] - slot[-window] >= 3 * window
        return None if wide else statistics.fmean(values[-window:])

    def deviation(window: int) -> float | None:
        moves = [(slot[n], close[n] / close[n - 1] - 1) for n in range(1, len(rows)) if day[n] == day[n - 1]]
        wide = len(moves) < window or slot[-1] - moves[-window][0] >= 3 * window
        return None if wide else statistics.stdev(move for _, move in moves[-window:])

    before = rows[-21:-1] if len(rows) > 20 and slot[-1] - slot[-21] <= 60 else None
    short, long = deviation(30), deviation(120)
    traded = sum(row["volume"] for row in today)
    return {
        "sma20": mean(close, 20),
        "sma50": mean(close, 50),
        "volume_ratio": rows[-1]["volume"] / statistics.fmean(r["volume"] for r in before) if before else None,
        "donchian_high20": max(r["high"] for r in before) if before else None,
        "donchian_low20": min(r["low"] for r in before) if before else None,
        "return_vol_30": short,
        "return_vol_120": long,
        "vol_ratio": short / long if short is not None and long is not None else None,
        "return_60": close[-1] / close[-61] - 1 if len(rows) > 60 and slot[-1] - slot[-61] < 183 else None,
        "vwap": sum(row["vwap"] * row["volume"] for row in today) / traded,
    }


@pytest.mark.parametrize("gap_share", [0.0, 0.1, 0.6, 0.72])
def test_windows_agree_with_a_plain_calculation_with_and_without_gaps(gap_share: float) -> None:
    sessions = sessions_ending(DAY, 3)
    bars = minute_bars(["AAA"], sessions, seed=11, gap_share=gap_share)
    decisions = features(bars, empty(DAILY_BARS), sessions, every_minute(sessions[-1]))
    unknown = 0
    for row in decisions.gather_every(7).to_dicts():
        for name, value in plain_reference(bars, sessions, row["ts"]).items():
            assert row[name] == (None if value is None else pytest.approx(value, rel=1e-9)), (name, row["ts"])
            unknown += value is None
    assert (unknown > 0) == (gap_share > 0.65)


def test_twenty_bars_that_span_more_than_sixty_session_minutes_are_no_window() -> None:
    sessions = sessions_ending(DAY, 2)
    bars = minute_bars(["AAA"], sessions)
    opened = sessions[-1].open
    halted = bars.filter(~pl.col("ts").is_between(opened + 60 * MINUTE, opened + 105 * MINUTE))
    seen = features(halted, empty(DAILY_BARS), sessions, every_minute(sessions[-1]))
    by_minute = {(row["ts"] - opened) / MINUTE: row for row in seen.to_dicts()}
    assert by_minute[59]["sma20"] is not None
    assert by_minute[106]["sma20"] is None and by_minute[106]["volume_ratio"] is None
    # 19 bars from minute 106 on reach back to one bar before the halt: 59 to 124 is 66 minutes, 106 to 125 is 20.
    assert by_minute[124]["sma20"] is None and by_minute[125]["sma20"] is not None
    # An overnight break is no session time at all.
    assert by_minute[0]["sma20"] is not None and by_minute[0]["volume_ratio"] is not None


#: Minute of the first session in which each feature can first be known.
FIRST_KNOWN = {
    "sma20": 19,
    "sma50": 49,
    "rsi14": 14,
    "atr14": 13,
    "macd": 25,
    "macd_signal": 33,
    "bollinger_upper": 19,
    "volume_ratio": 20,
    "return_vol_30": 30,
    "return_vol_120": 120,
    "return_60": 60,
    "vwap": 0,
    "donchian_high20": 20,
    "trend_state": 49,
    "trend_5m": 249,
}


def test_a_short_history_gives_null_and_never_a_shorter_window() -> None:
    sessions = sessions_ending(DAY, 1)
    seen = features(minute_bars(["AAA"], sessions), empty(DAILY_BARS), sessions, every_minute(sessions[-1]))
    first = {
        name: int((seen.filter(pl.col(name).is_not_null())["ts"][0] - sessions[-1].open) / MINUTE)
        for name in FIRST_KNOWN
    }
    assert first == FIRST_KNOWN
    nothing = ("trend_1h", "trend_1d", "gap", "daily_atr_pct", "daily_atr_pct_median60", "rv_rank", "mtf_alignment")
    assert all(seen[name].is_null().all() for name in nothing)
    assert seen["rv_rank_sessions"].to_list() == [0] * 390


def test_the_overnight_jump_is_in_no_return_and_in_no_true_range() -> None:
    sessions = sessions_ending(DAY, 2)
    bars = minute_bars(["AAA"], sessions, seed=3)
    prices = ["open", "high", "low", "close", "vwap"]
    today = pl.col("ts") >= sessions[-1].open
    split = bars.with_columns(pl.when(today).then(pl.col(name) * 3).otherwise(pl.col(name)) for name in prices)
    calm, jumped = (one(features(frame, empty(DAILY_BARS), sessions, [at(0, sessions)])) for frame in (bars, split))
    assert jumped["return_vol_30"] == pytest.approx(calm["return_vol_30"])
    row = split.filter(pl.col("ts") == sessions[-1].open).to_dicts()[0]
    own_range = row["high"] - row["low"]
    yesterday = features(bars, empty(DAILY_BARS), sessions[:-1], [sessions[0].close + timedelta(seconds=5)])
    assert jumped["atr14"] == pytest.approx((yesterday["atr14"][0] * 13 + own_range) / 14)


def test_the_gap_is_the_open_against_the_close_of_the_session_before() -> None:
    sessions = sessions_ending(DAY, 2)
    bars, daily = minute_bars(["AAA"], sessions), daily_bars(["AAA"], sessions[-2].day, 60)
    row = one(features(bars, daily, sessions, [at(200, sessions)]))
    opened = bars.filter(pl.col("ts") == sessions[-1].open)["open"].item()
    assert row["gap"] == pytest.approx(opened / daily["close"][-1] - 1)
    missing = daily.filter(pl.col("session") != sessions[-2].day)
    assert one(features(bars, missing, sessions, [at(200, sessions)]))["gap"] is None


def test_volume_is_never_compared_across_feeds() -> None:
    sessions = sessions_ending(DAY, 2)
    bars = minute_bars(["AAA"], sessions)
    switch = sessions[-1].open + 100 * MINUTE
    mixed = bars.with_columns(feed=pl.when(pl.col("ts") >= switch).then(pl.lit("iex")).otherwise(pl.col("feed")))
    seen = features(mixed, empty(DAILY_BARS), sessions, every_minute(sessions[-1]))
    unknown = [int((ts - sessions[-1].open) / MINUTE) for ts in seen.filter(pl.col("volume_ratio").is_null())["ts"]]
    assert unknown == list(range(100, 120))
    assert seen["sma20"].null_count() == 0


def test_a_price_that_stands_still_has_no_volatility_ratio_and_nothing_is_nan() -> None:
    sessions = sessions_ending(DAY, 2)
    flat = minute_bars(["AAA"], sessions).with_columns(
        *(pl.lit(50.0).alias(name) for name in ("open", "high", "low", "close", "vwap")), volume=pl.lit(0, pl.Int64())
    )
    seen = features(flat, empty(DAILY_BARS), sessions, every_minute(sessions[-1]))
    row = seen.to_dicts()[-1]
    assert row["return_vol_30"] == 0 and row["vol_ratio"] is None and row["rsi14"] is None
    assert row["volume_ratio"] is None and row["vwap"] is None and row["trend_state"] == 0
    numbers = [name for name, dtype in FEATURES.items() if dtype == pl.Float64()]
    assert seen.select(pl.any_horizontal(pl.col(numbers).is_nan().any())).item() is False


def test_unusable_rows_never_enter_a_window() -> None:
    sessions = sessions_ending(DAY, 2)
    bars = minute_bars(["AAA"], sessions)
    broken = bars.head(50).with_columns(close=pl.lit(math.nan), known_at=pl.col("known_at") + MINUTE)
    night = bars.tail(1).with_columns(ts=pl.lit(sessions[-1].close).cast(bars.schema["ts"]), close=pl.lit(1.0))
    instants = [at(5, sessions), at(389, sessions)]
    clean = features(bars.slice(50), empty(DAILY_BARS), sessions, instants)
    assert features(pl.concat([bars.slice(50), night]), empty(DAILY_BARS), sessions, instants).equals(clean)
    assert features(pl.concat([bars, broken]), empty(DAILY_BARS), sessions, instants).height == 2


# --- timeframes -------------------------------------------------------------------------------------------------------


def test_only_completed_longer_bars_count() -> None:
    sessions = sessions_ending(DAY, 11)
    tickers = [f"T{n}" for n in range(8)]
    bars, daily = minute_bars(tickers, sessions, seed=5), daily_bars(tickers, sessions[-2].day, 60)
    whole = features(bars, daily, sessions, every_minute(sessions[-1]))
    for name, minutes in (("trend_5m", 5), ("trend_15m", 15), ("trend_1h", 60), ("atr14_5m", 5)):
        changed = (pl.col(name) != pl.col(name).shift(1)).over("ticker")
        changes = whole.sort("ticker", "ts").filter(changed)["ts"]
        ends = {int((ts - sessions[-1].open) / MINUTE) + 1 for ts in changes}
        assert ends and all(end % minutes == 0 for end in ends - {390}), name


def test_a_rising_market_aligns_all_timeframes() -> None:
    sessions = sessions_ending(DAY, 11)
    bars = minute_bars(["AAA"], sessions, drift=0.0006)
    row = one(features(bars, daily_bars(["AAA"], sessions[-2].day, 300, drift=0.03), sessions, [at(380, sessions)]))
    assert [row[name] for name in ("trend_5m", "trend_15m", "trend_1h", "trend_1d")] == [1, 1, 1, 1]
    without = one(features(bars, empty(DAILY_BARS), sessions, [at(380, sessions)]))
    assert without["trend_1d"] is None
    # The unknown day drops out: (7 x 1 + 4 x 1 + 2 x 1 + 1 x state) / 14
    assert without["mtf_alignment"] == pytest.approx((13 + without["trend_state"]) / 14)  # type: ignore[operator]


def test_weights_of_timeframes_are_configuration() -> None:
    sessions = sessions_ending(DAY, 11)
    bars = minute_bars(["AAA"], sessions, seed=8)
    daily = daily_bars(["AAA"], sessions[-2].day, 300)
    weights = FeatureConfig(timeframe_weights=TimeframeWeights(d1=0, h1=0, m15=3, m5=1, m1=0))
    row = one(compute_features(bars, daily, sessions=sessions, as_ofs=[at(300, sessions)], config=weights))
    assert row["mtf_alignment"] == pytest.approx((3 * row["trend_15m"] + row["trend_5m"]) / 4)  # type: ignore[operator]


# --- knowledge --------------------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    gap_share=st.sampled_from([0.0, 0.05, 0.5]),
    late_share=st.sampled_from([0.0, 0.004, 0.02]),
    revised_share=st.sampled_from([0.0, 0.004, 0.02]),
    minute=st.integers(0, 389),
)
def test_an_instant_alone_and_a_whole_session_give_the_same_bytes(
    seed: int, gap_share: float, late_share: float, revised_share: float, minute: int
) -> None:
    sessions = sessions_ending(DAY, 3)
    bars = minute_bars(
        TICKERS, sessions, seed=seed, gap_share=gap_share, late_share=late_share, revised_share=revised_share
    )
    daily = daily_bars(TICKERS, sessions[-2].day, 80, seed=seed)
    whole = features(bars, daily, sessions, every_minute(sessions[-1]))
    as_of = at(minute, sessions)
    known = bars.filter(pl.col("known_at") <= as_of)
    alone = features(known.sample(fraction=1, shuffle=True, seed=seed), daily.reverse(), sessions, [as_of])
    assert whole.filter(pl.col("as_of") == as_of).equals(alone)


def test_what_comes_later_changes_nothing_that_was_decided() -> None:
    sessions = sessions_ending(DAY, 3)
    bars, daily = minute_bars(TICKERS, sessions), daily_bars(TICKERS, sessions[-2].day, 80)
    until = every_minute(sessions[-1])[:200]
    wild = bars.with_columns(
        close=pl.when(pl.col("known_at") > until[-1]).then(pl.col("high") * 9).otherwise(pl.col("close")),
        high=pl.when(pl.col("known_at") > until[-1]).then(pl.col("high") * 9).otherwise(pl.col("high")),
    )
    # A record of today among the daily bars is the future, too.
    today = daily.group_by("ticker").first().with_columns(session=pl.lit(DAY), close=pl.lit(1e6), high=pl.lit(1e6))
    later = pl.concat([daily, today.select(daily.columns)])
    assert features(bars, daily, sessions, until).equals(features(wild, later, sessions, until))


def test_the_order_of_rows_does_not_matter() -> None:
    sessions = sessions_ending(DAY, 2)
    bars = minute_bars(TICKERS, sessions, gap_share=0.1, revised_share=0.01)
    daily = daily_bars(TICKERS, sessions[-2].day, 80)
    instants = every_minute(sessions[-1])[::13]
    straight = features(bars, daily, sessions, instants)
    shuffled = features(
        bars.sample(fraction=1, shuffle=True, seed=9),
        daily.sample(fraction=1, shuffle=True, seed=9),
        sessions,
        instants,
    )
    assert straight.equals(shuffled)


def test_a_late_bar_enters_the_windows_but_never_decides() -> None:
    sessions = sessions_ending(DAY, 2)
    bars = minute_bars(["AAA"], sessions)
    ts = sessions[-1].open + 50 * MINUTE
    late = bars.with_columns(
        known_at=pl.when(pl.col("ts") == ts).then(pl.lit(ts + 4 * MINUTE)).otherwise(pl.col("known_at"))
    )
    seen = features(late, empty(DAILY_BARS), sessions, every_minute(sessions[-1])[48:60])
    assert ts not in seen["ts"].to_list() and seen.height == 11
    absent = features(bars.filter(pl.col("ts") != ts), empty(DAILY_BARS), sessions, [at(51, sessions)])
    assert seen.filter(pl.col("as_of") == at(51, sessions)).equals(absent)
    present = features(bars, empty(DAILY_BARS), sessions, [at(55, sessions)])
    assert seen.filter(pl.col("as_of") == at(55, sessions)).equals(present)


def test_a_revised_bar_counts_from_the_instant_it_is_known() -> None:
    sessions = sessions_ending(DAY, 2)
    bars = minute_bars(["AAA"], sessions)
    ts = sessions[-1].open + 50 * MINUTE
    revised = bars.filter(pl.col("ts") == ts).with_columns(
        volume=pl.col("volume") * 1000, known_at=pl.lit(ts + MINUTE + timedelta(seconds=30)).cast(bars.schema["ts"])
    )
    seen = features(pl.concat([bars, revised]), empty(DAILY_BARS), sessions, [at(50, sessions), at(51, sessions)])
    before = features(bars, empty(DAILY_BARS), sessions, [at(50, sessions), at(51, sessions)])
    assert seen["volume"].to_list()[0] == before["volume"].to_list()[0]
    assert seen["volume_ratio"][0] == before["volume_ratio"][0]
    assert seen["volume_ratio"][1] < before["volume_ratio"][1] / 10


def test_daily_bars_that_arrive_during_the_session_count_from_then_on() -> None:
    sessions = sessions_ending(DAY, 2)
    bars, daily = minute_bars(["AAA"], sessions), daily_bars(["AAA"], sessions[-2].day, 80)
    instants = [at(10, sessions), at(20, sessions)]
    tardy = daily.with_columns(
        known_at=pl.when(pl.col("session") == sessions[-2].day)
        .then(pl.lit(at(15, sessions)))
        .otherwise(pl.col("known_at"))
    )
    seen = features(bars, tardy, sessions, instants)
    assert seen["gap"].is_null().to_list() == [True, False]
    assert seen.tail(1).equals(features(bars, daily, sessions, instants[1:]))


def test_a_ticker_does_not_see_another() -> None:
    sessions = sessions_ending(DAY, 2)
    bars, daily = minute_bars(TICKERS, sessions), daily_bars(TICKERS, sessions[-2].day, 80)
    instants = every_minute(sessions[-1])[::29]
    together = features(bars, daily, sessions, instants).filter(pl.col("ticker") == "BBB")
    assert together.equals(features(bars.filter(pl.col("ticker") == "BBB"), daily, sessions, instants))


# --- portions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("portion", [1, 900, 2500])
def test_tickers_worked_on_in_portions_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch, portion: int) -> None:
    sessions = sessions_ending(DAY, 2)
    tickers = [f"T{n}" for n in range(5)]
    bars = minute_bars(tickers, sessions, gap_share=0.1, revised_share=0.002)
    daily = daily_bars(tickers, sessions[-2].day, 80)
    instants = every_minute(sessions[-1])[::7]
    whole = features(bars, daily, sessions, instants)
    monkeypatch.setattr("trading_assets.market.features._PORTION", portion)
    assert features(bars, daily, sessions, instants).equals(whole)
    assert features(bars, daily.sample(fraction=1, shuffle=True, seed=2), sessions, instants).equals(whole)


@pytest.mark.parametrize("seed", range(3))
def test_one_ticker_alone_has_the_same_last_digit_as_among_many(seed: int) -> None:
    sessions = sessions_ending(DAY, 2)
    bars = minute_bars(TICKERS, sessions, seed=seed).with_columns(vwap=pl.lit(None, pl.Float64))
    daily = daily_bars(TICKERS, sessions[-2].day, 80, seed=seed)
    together = features(bars, daily, sessions, [at(0, sessions)])
    for ticker in TICKERS:
        own = pl.col("ticker") == ticker
        assert features(bars.filter(own), daily.filter(own), sessions, [at(0, sessions)]).equals(together.filter(own))
