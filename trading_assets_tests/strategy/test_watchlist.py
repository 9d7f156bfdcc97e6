"""The watchlist: the score and its factors, entering and leaving, and the five-minute grid."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from trading_assets.market.frames import SENTIMENT, WATCHLIST, conform, empty
from trading_assets.market.sessions import require_session
from trading_assets.strategy.config_signals import NewsViewConfig, SignalConfig, WatchlistConfig
from trading_assets.strategy.news_view import aggregate_sentiment
from trading_assets.strategy.watchlist import grid, is_due, update_watchlist, watchlist_over
from trading_assets_tests.strategy.signal_builders import AS_OF, MINUTE, feature, features, listed, stories, story

CONFIG, SIGNALS, NEWS = WatchlistConfig(), SignalConfig(), NewsViewConfig()
MIRROR: dict[str, Any] = {
    "close": 99.2,
    "sma50": 100.4,
    "distance_sma20": -0.008,
    "trend_state": -1,
    "mtf_alignment": -0.9,
}


def update(
    rows: list[dict[str, Any]],
    previous: pl.DataFrame | None = None,
    news: list[dict[str, Any]] | None = None,
    as_of: datetime = AS_OF,
    config: WatchlistConfig = CONFIG,
) -> dict[str, dict[str, Any]]:
    seen = update_watchlist(
        features(rows),
        aggregate_sentiment(stories(news or []), [as_of], NEWS),
        empty(WATCHLIST) if previous is None else previous,
        as_of,
        config,
        SIGNALS,
    )
    conform(seen, WATCHLIST, "watchlist")
    return {row["ticker"]: row for row in seen.to_dicts()}


def scoring(ticker: str, score: float, **changes: Any) -> dict[str, Any]:
    """A feature row that scores ``score`` (0.22 to 0.74) without news and without a return."""
    volume = (score - 0.4 * 0.735 - 0.2 * 0.5 - 0.1 * 0.5) / 0.3 * 3
    plain: dict[str, Any] = {"ticker": ticker, "volume_ratio": max(volume, 0.0), "return_60": 0.0}
    if volume < 0:
        # Without volume the technical factor has to be weaker: first its timeframes, then its trend and volatility.
        technical = (score - 0.15) / 0.4
        weak = technical < 0.375
        plain |= {"sma50": 100.0, "vol_ratio": 1.5} if weak else {}
        plain["mtf_alignment"] = (technical - (0.15 if weak else 0.375)) / 0.4
    return feature(**(plain | changes))


def test_the_score_is_the_weighted_sum_of_its_four_stored_factors() -> None:
    row = update([feature(volume_ratio=1.5, return_60=0.005)], news=[story(score=0.6)])["AAA"]
    assert row["technical"] == pytest.approx(0.735)
    assert row["volume_factor"] == pytest.approx(0.5)
    assert row["sentiment_factor"] == pytest.approx(0.8)
    assert row["performance_factor"] == pytest.approx(0.75)
    assert row["score"] == pytest.approx(0.4 * 0.735 + 0.3 * 0.5 + 0.2 * 0.8 + 0.1 * 0.75)
    assert row["direction"] == "BULLISH" and row["member"] and row["entered_at"] == AS_OF


def test_a_falling_ticker_is_scored_in_its_own_direction() -> None:
    row = update([feature(**MIRROR, return_60=-0.005)], news=[story(score=-0.6)])["AAA"]
    assert row["direction"] == "BEARISH"
    assert row["technical"] == pytest.approx(0.735)
    assert row["sentiment_factor"] == pytest.approx(0.8) and row["performance_factor"] == pytest.approx(0.75)


def test_factors_are_clipped_and_no_news_is_a_half() -> None:
    row = update([feature(volume_ratio=30.0, return_60=0.5)])["AAA"]
    assert (row["volume_factor"], row["sentiment_factor"], row["performance_factor"]) == (1, 0.5, 1)
    assert update([feature(return_60=-0.5)])["AAA"]["performance_factor"] == 0


def test_a_ticker_without_direction_is_scored_neutrally() -> None:
    row = update([feature(trend_state=0, return_60=0.01)], news=[story(score=0.9)])["AAA"]
    assert row["direction"] == "NONE"
    assert row["technical"] == pytest.approx(0.735 - 0.36)
    assert row["sentiment_factor"] == 0.5 and row["performance_factor"] == 0.5


@pytest.mark.parametrize("name", ["volume_ratio", "return_60", "atr14", "vol_ratio", "mtf_alignment", "trend_state"])
def test_an_unknown_factor_leaves_no_score_instead_of_a_zero(name: str) -> None:
    unknown: dict[str, Any] = {name: None}
    row = update([feature(**unknown)])["AAA"]
    assert row["score"] is None and not row["member"] and "unknown" in row["reason"]


def test_scoring_helper_scores_what_it_says() -> None:
    seen = update([scoring(f"T{n}", n / 100) for n in range(22, 74)])
    assert all(seen[f"T{n}"]["score"] == pytest.approx(n / 100) for n in range(22, 74))


@pytest.mark.parametrize(
    ("before", "score", "member"),
    [(False, 0.31, True), (False, 0.29, False), (True, 0.29, True), (True, 0.26, True), (True, 0.24, False)],
)
def test_entering_needs_more_than_staying(before: bool, score: float, member: bool) -> None:
    previous = listed({"AAA": 0.5}, AS_OF - 5 * MINUTE) if before else None
    row = update([scoring("AAA", score)], previous)["AAA"]
    assert row["score"] == pytest.approx(score) and row["member"] is member
    assert row["reason"]


def test_who_stays_keeps_the_instant_of_entering() -> None:
    entered = AS_OF - 45 * MINUTE
    row = update([scoring("AAA", 0.4)], listed({"AAA": 0.5}, AS_OF - 5 * MINUTE).with_columns(entered_at=entered))
    assert row["AAA"]["entered_at"] == entered


def test_the_best_thirty_are_members_in_order_of_score_then_ticker() -> None:
    seen = update([scoring(f"T{n:02d}", 0.70 - 0.01 * (n // 2)) for n in range(40)])
    ranked = sorted(seen.values(), key=lambda row: row["rank"])
    assert [row["rank"] for row in ranked] == list(range(1, 41))
    assert [row["ticker"] for row in ranked] == [f"T{n:02d}" for n in range(40)]
    assert [row["member"] for row in ranked] == [True] * 30 + [False] * 10
    assert "30 better ones" in ranked[30]["reason"]


@pytest.mark.parametrize("silence", ["no row", "a row without a volume ratio"])
def test_a_silent_member_stays_for_less_than_half_an_hour_with_its_last_score(silence: str) -> None:
    rows = [] if silence == "no row" else [feature(volume_ratio=None)]
    for minutes, member in ((5, True), (29, True), (30, False), (45, False)):
        row = update(rows, listed({"AAA": 0.5}, AS_OF - minutes * MINUTE))["AAA"]
        assert row["member"] is member and row["score"] == 0.5, minutes
        assert row["last_feature_at"] == AS_OF - minutes * MINUTE
        assert f"{minutes} min" in row["reason"]


def test_silence_is_counted_from_the_last_feature_over_several_decisions() -> None:
    first = AS_OF
    state = pl.DataFrame(list(update([scoring("AAA", 0.6)]).values()), schema=WATCHLIST)
    for step in range(1, 7):
        row = update([], state, as_of=first + 5 * step * MINUTE)["AAA"]
        assert row["member"] is (step < 6)
        state = pl.DataFrame([row], schema=WATCHLIST)


def test_every_member_has_a_score_and_a_rank() -> None:
    previous = listed({"AAA": 0.5, "BBB": 0.4, "CCC": 0.3}, AS_OF - 5 * MINUTE)
    seen = update([feature(volume_ratio=None), scoring("BBB", 0.45)], previous)
    members = [row for row in seen.values() if row["member"]]
    assert len(members) == 3
    assert all(row["score"] is not None and row["rank"] is not None for row in members)


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [scoring(f"T{n}", 0.2 + 0.01 * n) for n in range(3, 45)]
    previous = listed({f"T{n}": 0.3 for n in range(5, 20)}, AS_OF - 5 * MINUTE)
    assert update(rows, previous) == update(rows[::-1], previous.reverse())


SESSION = require_session(date(2026, 3, 11))


def test_decisions_fall_on_the_first_run_of_each_five_minutes() -> None:
    runs = [SESSION.open + timedelta(minutes=n, seconds=5) for n in (1, 2, 4, 5, 6, 9, 11, 12, 16, 20)]
    chosen = [int((moment - SESSION.open) / MINUTE) for moment in grid(runs, SESSION, CONFIG)]
    assert chosen == [1, 5, 11, 16, 20]
    assert is_due(None, runs[0], SESSION, CONFIG)
    assert [is_due(runs[3], moment, SESSION, CONFIG) for moment in runs[4:7]] == [False, False, True]


def test_deciding_one_after_the_other_equals_deciding_the_day_at_once() -> None:
    moments = [AS_OF + 5 * n * MINUTE for n in range(12)]
    rows = [
        scoring(f"T{k}", 0.22 + 0.5 * ((3 * k + 5 * n) % 11) / 11, as_of=moment)
        for n, moment in enumerate(moments)
        for k in range(6)
        if (k + n) % 4
    ]
    told = stories([story("T1", ago=-7, score=0.9), story("T2", ago=-31, score=-0.9)])
    frame = features(rows)
    whole = watchlist_over(frame, told, as_ofs=moments, previous=None, config=CONFIG, signals=SIGNALS, news=NEWS)
    grown = empty(WATCHLIST)
    for moment in moments:
        step = watchlist_over(
            frame.filter(pl.col("as_of") <= moment),
            told.filter(pl.col("known_at") <= moment),
            as_ofs=[moment],
            previous=grown,
            config=CONFIG,
            signals=SIGNALS,
            news=NEWS,
        )
        grown = pl.concat([grown, step])
    assert whole.equals(grown)
    assert 0 < whole["member"].sum() < whole.height


def test_no_instants_give_no_rows() -> None:
    nothing = watchlist_over(
        features([feature()]), empty(SENTIMENT), as_ofs=[], previous=None, config=CONFIG, signals=SIGNALS, news=NEWS
    )
    assert nothing.equals(empty(WATCHLIST))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"weight_technical": 0.5}, "add up to 1.1"),
        ({"leave_score": 0.4}, "exceeds enter_score"),
        ({"size": 0}, "greater than or equal to 1"),
        ({"sise": 30}, "Extra inputs"),
    ],
)
def test_a_wrong_configuration_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        WatchlistConfig.model_validate(values)


# --- many at once -----------------------------------------------------------------------------------------------------


def plain_rule(
    scored: dict[str, float | None], before: dict[str, dict[str, Any]], as_of: datetime, size: int
) -> dict[str, dict[str, Any]]:
    """Membership at one instant, ticker by ticker, as the rule is told."""
    told: dict[str, dict[str, Any]] = {}
    for ticker in sorted(scored.keys() | before.keys()):
        score, was = scored.get(ticker), before.get(ticker)
        if score is not None:
            member = score >= (CONFIG.enter_score if was is None else CONFIG.leave_score)
            told[ticker] = {"score": score, "member": member, "seen": as_of, "since": was["since"] if was else as_of}
        elif was is not None:
            stays = as_of - was["seen"] < timedelta(minutes=CONFIG.retention_minutes)
            told[ticker] = {**was, "member": stays}
        else:
            told[ticker] = {"score": None, "member": False, "seen": as_of, "since": as_of}
    order = sorted(told, key=lambda t: (not told[t]["member"], -(told[t]["score"] or 0.0), t))
    for rank, ticker in enumerate(order, start=1):
        told[ticker] = {**told[ticker], "rank": rank, "member": told[ticker]["member"] and rank <= size}
    return told


@pytest.mark.parametrize("seed", range(6))
def test_a_day_at_once_follows_the_rule_told_ticker_by_ticker(seed: int) -> None:
    random = Random(seed)
    config = CONFIG.model_copy(update={"size": random.choice([3, 8])})
    moments = [AS_OF + n * MINUTE * 5 for n in range(14)]
    rows = [
        feature(
            moment,
            ticker=f"T{number:02d}",
            volume_ratio=None if random.random() < 0.15 else random.uniform(0, 1.6),
            return_60=random.uniform(-0.02, 0.01),
            mtf_alignment=random.uniform(-0.8, 0.6),
        )
        for moment in moments
        for number in range(14)
        if random.random() < 0.7
    ]
    frame = features(rows)
    seen = watchlist_over(frame, stories([]), as_ofs=moments, previous=None, config=config, signals=SIGNALS, news=NEWS)
    before: dict[str, dict[str, Any]] = {}
    met = set()
    for moment in moments:
        now = frame.filter(pl.col("as_of") == moment)
        alone = update_watchlist(
            now, aggregate_sentiment(stories([]), [moment], NEWS), empty(WATCHLIST), moment, config, SIGNALS
        )
        told = plain_rule(dict(alone.select("ticker", "score").iter_rows()), before, moment, config.size)
        ours = seen.filter(pl.col("as_of") == moment).to_dicts()
        assert {row["ticker"]: row["member"] for row in ours} == {t: row["member"] for t, row in told.items()}
        for row in ours:
            expected = told[row["ticker"]]
            assert (row["rank"], row["score"]) == (expected["rank"], expected["score"])
            assert row["last_feature_at"] == expected["seen"]
            assert row["entered_at"] == (expected["since"] if row["member"] else None)
            met.add(row["reason"].split(" ")[0].rstrip(":"))
        before = {ticker: row for ticker, row in told.items() if row["member"]}
    assert {"entered", "stays", "rank", "score"} <= met


def test_one_row_alone_has_the_same_last_digit_as_among_many() -> None:
    ratios = [0.1 + 0.0713 * n for n in range(40)]
    many = update([feature(ticker=f"T{n:02d}", volume_ratio=ratio) for n, ratio in enumerate(ratios)])
    for number, ratio in enumerate(ratios):
        alone = update([feature(ticker=f"T{number:02d}", volume_ratio=ratio)])[f"T{number:02d}"]
        assert alone["volume_factor"] == many[f"T{number:02d}"]["volume_factor"]
