"""One practice day with prompt feeds and again with late ones: what each minute's decision saw of the news.

The exchange serves the same headlines both times; only when its feeds show them differs. What the decisions stored is
compared with what the ledger's own facts allow, worked out a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trading_assets.assets import signals, watchlist
from trading_assets.assets.scope import Kind, Scope
from trading_assets.news.frames import sentiment_frame
from trading_assets_tests.e2e.playground import ONE_ACCOUNT, SESSION, Playground, playground
from trading_assets_tests.news.knowledge import AGE, Fact, canonical, facts, views

MINUTE = timedelta(minutes=1)
#: Instants of the grid: the first looks at a backlog, the last ones at feeds that were opened in between.
STEPS = (20, 40, 60, 75, 90, 105, 120)
#: One feed is minutes late, with stragglers that come hours late; one shows nothing until 100 minutes after the open.
LATE: Mapping[str, Mapping[str, Any]] = {
    "market-wire": {"seconds": 900, "straggler_one_in": 3, "straggler_seconds": 12_000},
    "street-desk": {"opens_at": "2026-03-11T15:10:00+00:00"},
}


@dataclass(frozen=True)
class Day:
    """What a world had decided, and the facts that its ledger holds."""

    told: tuple[Fact, ...]
    watchlist: pl.DataFrame
    signals: pl.DataFrame
    sentiment: pl.DataFrame
    from_ledger: pl.DataFrame
    recomputed: Mapping[str, pl.DataFrame]


def lived(home: Path, delays: Mapping[str, Mapping[str, Any]] | None) -> Day:
    """Play the steps, close the session, recompute."""
    with playground(home, history=3, accounts=ONE_ACCOUNT, feed_delays=delays) as world:
        for step in STEPS:
            world.minute(world.session.open + step * MINUTE + timedelta(seconds=5))
        return _finished(world)


def _finished(world: Playground) -> Day:
    desk, key = world.desk, SESSION.isoformat()
    desk.clock.wait_until(world.session.close + 10 * MINUTE)
    read = desk.frames.read
    stored = {name: read(name, [key]) for name in ("watchlist", "signals", "sentiment")}
    scope = Scope(key, Kind.PAST, desk.clock.now())
    recomputed = {}
    for name, module in (("watchlist", watchlist), ("signals", signals)):
        found = module._rebuild(desk, scope, stored[name]["as_of"].unique().sort().to_list())
        recomputed[name] = found.rows
    model = desk.model
    from_ledger = sentiment_frame(desk.ledger, SESSION, model.name, model.revision, desk.clock.now())
    return Day(
        tuple(facts(desk.ledger)),
        stored["watchlist"],
        stored["signals"],
        stored["sentiment"],
        from_ledger,
        recomputed,
    )


@pytest.fixture(scope="module")
def prompt(module_world_home: Path) -> Day:
    return lived(module_world_home / "prompt", None)


@pytest.fixture(scope="module")
def late(module_world_home: Path) -> Day:
    return lived(module_world_home / "late", LATE)


def _bytes(frame: pl.DataFrame) -> bytes:
    order = [column for column in ("as_of", "ticker", "preset", "rule_set") if column in frame.columns]
    kept = frame.drop([column for column in ("live",) if column in frame.columns]).sort(order)
    return canonical(kept)


def _moments(day: Day) -> Iterator[tuple[datetime, list[dict[str, Any]]]]:
    for (as_of,), rows in day.signals.group_by("as_of", maintain_order=True):
        assert isinstance(as_of, datetime)
        yield as_of, rows.to_dicts()


@pytest.mark.patient
def test_every_minute_decides_by_the_stories_that_were_fetched_and_scored_by_then(prompt: Day, late: Day) -> None:
    for day in (prompt, late):
        weighed = 0
        for as_of, rows in _moments(day):
            allowed = views(day.told, as_of)
            for row in rows:
                view = allowed.get(row["ticker"])
                seen = (row["news_count"], row["sentiment"])
                if view is None:
                    assert seen == (None, None), (as_of, row["ticker"])
                    continue
                assert seen == (view.count, pytest.approx(view.sentiment, abs=1e-12)), (as_of, row["ticker"])
                assert all(max(voice.fetched, voice.scored) <= as_of for voice in view.voices)
                weighed += 1
        assert weighed, "no decision had any news to weigh"
        now = pl.col("last_feature_at") == pl.col("as_of")
        for row in day.watchlist.filter(now & pl.col("direction").is_in(["BULLISH", "BEARISH"])).to_dicts():
            view = views(day.told, row["as_of"]).get(row["ticker"])
            sign = 1 if row["direction"] == "BULLISH" else -1
            factor = 0.5 if view is None else 0.5 + 0.5 * sign * view.sentiment
            assert row["sentiment_factor"] == pytest.approx(factor, abs=1e-9), (row["as_of"], row["ticker"])


@pytest.mark.patient
def test_the_same_article_counts_from_its_own_fetch_time_on_in_each_world(prompt: Day, late: Day) -> None:
    at_once, later = ({fact.uid: fact for fact in day.told} for day in (prompt, late))
    delayed = [uid for uid in at_once.keys() & later.keys() if later[uid].fetched > at_once[uid].fetched]
    assert delayed, "no article was late"
    seen_before_known, tempted = 0, 0
    for uid in delayed:
        early, fact = at_once[uid], later[uid]
        assert (early.published, early.title) == (fact.published, fact.title)
        for as_of, rows in _moments(late):
            named = {row["ticker"] for row in rows} & set(fact.tickers)
            counts = any(fact in view.voices for ticker in named if (view := views(late.told, as_of).get(ticker)))
            assert not (counts and as_of < fact.fetched)
            # Had the date of publication decided, it would have been in this minute's number.
            if named and fact.published is not None and fact.published <= as_of < fact.fetched:
                tempted += as_of - fact.published < AGE
            seen_before_known += counts and as_of < fact.known
    assert tempted and not seen_before_known
    numbers = [
        {(row["as_of"], row["ticker"]): row["news_count"] for row in day.signals.to_dicts()} for day in (prompt, late)
    ]
    both = numbers[0].keys() & numbers[1].keys()
    assert any(numbers[0][each] != numbers[1][each] for each in both), "being late must have mattered"


@pytest.mark.patient
def test_a_story_from_a_backlog_that_is_older_than_three_hours_never_counts(late: Day) -> None:
    old = [fact for fact in late.told if fact.published is not None and fact.fetched - fact.published > AGE]
    assert [fact for fact in old if fact.feed == "street-desk"], "the backlog of the feed that was opened late"
    for as_of in {as_of for as_of, _ in _moments(late)}:
        counted = {voice.uid for view in views(late.told, as_of).values() for voice in view.voices}
        assert not counted & {fact.uid for fact in old}


@pytest.mark.patient
def test_the_day_recomputed_from_what_was_stored_is_the_day_that_was_lived_byte_for_byte(
    prompt: Day, late: Day
) -> None:
    for day in (prompt, late):
        assert _bytes(day.recomputed["watchlist"]) == _bytes(day.watchlist)
        assert _bytes(day.recomputed["signals"]) == _bytes(day.signals)
        order = ["event_uid", "ticker"]
        assert day.from_ledger.sort(order).equals(day.sentiment.sort(order))
        odd = day.sentiment.filter(pl.col("known_at") != pl.max_horizontal("fetched_at", "scored_at"))
        assert day.sentiment.height and odd.is_empty()
