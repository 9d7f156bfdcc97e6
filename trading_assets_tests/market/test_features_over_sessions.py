"""Features of many sessions in one pass are those of each session computed alone, whatever is late, thin or split."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from trading_assets.market.config import FeatureConfig
from trading_assets.market.features import compute_features, compute_features_over
from trading_assets.market.frames import FEATURES
from trading_assets.market.sessions import MINUTE, Session
from trading_assets.market.splits import SPLITS
from trading_assets_tests.market.bars_factory import daily_bars, minute_bars, sessions_ending

#: The day before was a half day.
DAY = date(2025, 12, 26)
TICKERS = ["AAA", "BBB", "CCC"]
WARM_UP = 7
SESSIONS = sessions_ending(DAY, 11)
DECIDING = [0, 5, 9, 10]


def moments(numbers: Sequence[int], every: int = 6) -> list[list[datetime]]:
    """Instants five seconds after a minute's end, by session."""
    return [
        [SESSIONS[n].open + MINUTE * k + timedelta(seconds=5) for k in range(1, SESSIONS[n].minutes + 1, every)]
        for n in numbers
    ]


def one_by_one(
    bars: pl.DataFrame, daily: pl.DataFrame, by_session: Sequence[list[datetime]], splits: pl.DataFrame | None = None
) -> pl.DataFrame:
    parts = []
    for group in by_session:
        number = max(n for n, session in enumerate(SESSIONS) if session.open <= group[0])
        window: list[Session] = SESSIONS[max(0, number - WARM_UP) : number + 1]
        before = daily.filter(pl.col("session") < window[-1].day)
        parts.append(
            compute_features(bars, before, sessions=window, as_ofs=group, config=FeatureConfig(), splits=splits)
        )
    return pl.concat(parts)


def at_once(
    bars: pl.DataFrame, daily: pl.DataFrame, by_session: Sequence[list[datetime]], splits: pl.DataFrame | None = None
) -> pl.DataFrame:
    return compute_features_over(
        bars,
        daily,
        sessions=SESSIONS,
        as_ofs=[moment for group in by_session for moment in group],
        config=FeatureConfig(),
        warm_up=WARM_UP,
        splits=splits,
    )


def require_same(ours: pl.DataFrame, theirs: pl.DataFrame) -> None:
    assert ours.height == theirs.height > 0
    for name, dtype in FEATURES.items():
        assert ours[name].is_null().equals(theirs[name].is_null()), name
        if dtype != pl.Float64():
            assert ours[name].equals(theirs[name]), name
            continue
        # Distances and differences are small between large numbers: their ninth digit is the price's.
        scale = theirs["close"] if name.startswith("macd") else 1.0
        apart = (ours[name] - theirs[name]).abs() / (theirs[name].abs() + scale)
        assert not (apart >= 1e-9).any(), name


def bars_of(gap_share: float = 0.05, late_share: float = 0.0, revised_share: float = 0.0) -> pl.DataFrame:
    return minute_bars(
        TICKERS,
        SESSIONS,
        seed=3,
        gap_share=gap_share,
        late_share=late_share,
        revised_share=revised_share,
        drift=2e-5,
    )


DAILY = daily_bars(TICKERS, SESSIONS[-1].day, 330)


def test_a_half_day_and_a_first_session_are_among_those_decided_at_once() -> None:
    assert [session.minutes for session in SESSIONS][-2] == 210
    by_session = moments(DECIDING)
    require_same(at_once(bars_of(), DAILY, by_session), one_by_one(bars_of(), DAILY, by_session))


def test_every_feature_is_known_somewhere_in_what_is_compared() -> None:
    rows = at_once(bars_of(gap_share=0.0), DAILY, moments([10]))
    assert [name for name in FEATURES if rows[name].null_count() == rows.height] == []


def test_late_and_revised_bars_count_from_the_instant_they_are_known_in_each_session() -> None:
    bars = bars_of(late_share=0.002, revised_share=0.002).with_columns(
        # One ticker stays undisturbed: it is computed in one pass beside the others.
        known_at=pl.when(pl.col("ticker") == "CCC").then(pl.col("ts") + MINUTE).otherwise(pl.col("known_at"))
    )
    by_session = moments(DECIDING, every=3)
    require_same(at_once(bars, DAILY, by_session), one_by_one(bars, DAILY, by_session))


def test_a_bar_that_comes_a_day_late_is_absent_from_the_session_in_between() -> None:
    ts = SESSIONS[9].open + 50 * MINUTE
    tardy = bars_of(gap_share=0.0).with_columns(
        known_at=pl.when((pl.col("ts") == ts) & (pl.col("ticker") == "AAA"))
        .then(pl.lit(SESSIONS[10].open + 30 * MINUTE))
        .otherwise(pl.col("known_at"))
    )
    by_session = moments([9, 10], every=1)
    rows = at_once(tardy, DAILY, by_session)
    assert rows.filter((pl.col("ts") == ts) & (pl.col("ticker") == "AAA")).is_empty()
    require_same(rows, one_by_one(tardy, DAILY, by_session))


def test_daily_bars_that_arrive_during_a_session_count_from_then_on() -> None:
    arrival = SESSIONS[9].open + 100 * MINUTE
    tardy = DAILY.with_columns(
        known_at=pl.when((pl.col("session") == SESSIONS[8].day) & (pl.col("ticker") == "BBB"))
        .then(pl.lit(arrival))
        .otherwise(pl.col("known_at"))
    )
    by_session = moments([8, 9, 10])
    rows = at_once(bars_of(), tardy, by_session)
    own = rows.filter((pl.col("ticker") == "BBB") & (pl.col("as_of") > SESSIONS[9].open))
    assert own.filter(pl.col("as_of") < arrival)["gap"].null_count() > 0
    assert own.filter(pl.col("as_of") >= arrival)["gap"].null_count() == 0
    require_same(rows, one_by_one(bars_of(), tardy, by_session))


def test_missing_daily_bars_leave_the_same_unknown() -> None:
    holes = DAILY.filter(~((pl.col("ticker") == "AAA") & (pl.col("session") == SESSIONS[9].day)))
    holes = holes.filter((pl.col("ticker") != "BBB") & (pl.col("close").hash(seed=1) % 10 > 0))
    by_session = moments([9, 10], every=30)
    require_same(at_once(bars_of(), holes, by_session), one_by_one(bars_of(), holes, by_session))


@pytest.mark.parametrize("gap_share", [0.3, 0.7, 0.95])
def test_a_thin_ticker_is_as_its_own_session_sees_it(gap_share: float) -> None:
    by_session = moments(DECIDING, every=20)
    bars = bars_of(gap_share=gap_share)
    require_same(at_once(bars, DAILY, by_session), one_by_one(bars, DAILY, by_session))


def test_a_split_turns_earlier_bars_into_the_shares_of_each_session() -> None:
    splits = pl.DataFrame(
        {
            "ticker": ["BBB"],
            "ex_session": [SESSIONS[9].day],
            "numerator": [2.0],
            "denominator": [1.0],
            "known_at": [SESSIONS[0].open],
        },
        schema=SPLITS,
    )
    by_session = moments([8, 9, 10], every=20)
    rows = at_once(bars_of(), DAILY, by_session, splits)
    require_same(rows, one_by_one(bars_of(), DAILY, by_session, splits))
    assert not rows["gap"].equals(at_once(bars_of(), DAILY, by_session)["gap"])


def test_the_order_of_rows_does_not_matter() -> None:
    by_session = moments([8, 10], every=20)
    shuffled = at_once(
        bars_of().sample(fraction=1, shuffle=True, seed=1), DAILY.sample(fraction=1, shuffle=True, seed=1), by_session
    )
    assert shuffled.equals(at_once(bars_of(), DAILY, by_session))


@pytest.mark.parametrize(
    "wrong",
    [
        [SESSIONS[0].open - MINUTE],
        [SESSIONS[3].open + timedelta(days=1), SESSIONS[2].open],
        [SESSIONS[1].open, SESSIONS[-1].open + timedelta(days=2)],
        [SESSIONS[1].open.replace(tzinfo=None)],
    ],
)
def test_naive_unordered_or_foreign_instants_are_refused(wrong: list[datetime]) -> None:
    with pytest.raises(ValueError, match=r"as_ofs|timezone|naive"):
        at_once(bars_of(), DAILY, [wrong])
