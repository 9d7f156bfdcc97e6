"""A story counts from when it was fetched and scored: a whole day of late, lost and old stories, minute by minute."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from sqlalchemy import Engine

from trading_assets.ledger import news as store
from trading_assets.news.classify import classify_pending
from trading_assets.news.config import ClusterConfig
from trading_assets.news.frames import sentiment_frame
from trading_assets.news.lexicon import LexiconModel
from trading_assets.news.sentiment import Score, ScoringError
from trading_assets.news.storing import Arrival, store_arrivals
from trading_assets.news.tickers import TickerExtractor, curated_companies
from trading_assets.strategy.config_signals import NewsViewConfig
from trading_assets.strategy.news_view import aggregate_sentiment
from trading_assets_tests.news.conftest import SetClock
from trading_assets_tests.news.knowledge import canonical, facts, views

DAY = date(2026, 3, 12)
START = datetime(2026, 3, 12, 13, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ROUNDS = 48
_SAID = (
    "{name} (NASDAQ: {symbol}) beats estimates and raises outlook",
    "{name} (NASDAQ: {symbol}) misses estimates, shares plunge",
    "{name} (NASDAQ: {symbol}) opens office in Austin",
    "Regulators open fraud probe into {name} (NASDAQ: {symbol})",
)
_NAMES = (("Nvidia", "NVDA"), ("Apple", "AAPL"), ("Tesla", "TSLA"), ("Microsoft", "MSFT"))
#: Prompt, seconds late, minutes, an hour, hours: longer than a story counts.
_LATE = (0.0, 20.0, 700.0, 3_900.0, 12_000.0)


class Stumbling:
    """The lexicon, which at times cannot score: a story then waits for the next round."""

    def __init__(self, chance: random.Random) -> None:
        self._model, self._chance = LexiconModel(), chance
        self.name, self.revision = self._model.name, self._model.revision

    def score(self, texts: Sequence[str]) -> list[Score]:
        if self._chance.random() < 0.3:
            raise ScoringError("not now")
        return self._model.score(texts)


def _stories(chance: random.Random) -> list[tuple[datetime, Arrival]]:
    """Articles with the instant from which on their feed shows them; two feeds tell some of the same events."""
    found = []
    for number in range(90):
        name, symbol = chance.choice(_NAMES)
        published = START + timedelta(seconds=chance.uniform(-5 * 3600, 4.2 * 3600))
        title = f"{chance.choice(_SAID).format(name=name, symbol=symbol)} {chance.randrange(12)}"
        for feed in chance.choice((("one",), ("two",), ("one", "two"))):
            late = timedelta(seconds=chance.choice(_LATE))
            arrival = Arrival(feed, feed, f"{feed}-{number}", None, title, None, published)
            found.append((published + late, arrival))
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_each_minute_sees_a_story_only_once_it_was_fetched_and_scored_and_the_day_recomputed_is_the_day_lived(
    ledger: Engine, seed: int
) -> None:
    chance = random.Random(seed)
    stories, extractor, clock = _stories(chance), TickerExtractor(curated_companies()), SetClock(START)
    model, config, clusters = Stumbling(chance), NewsViewConfig(), ClusterConfig()
    lived: list[pl.DataFrame] = []
    as_ofs: list[datetime] = []

    def look() -> None:
        """Decide now, by what is stored now."""
        known = sentiment_frame(ledger, DAY, model.name, model.revision, clock.now())
        lived.append(aggregate_sentiment(known, [clock.now()], config))
        as_ofs.append(clock.now())

    waiting = sorted(stories, key=lambda each: each[0])
    for number in range(ROUNDS):
        clock.instant = START + number * 5 * MINUTE
        due = [arrival for shown, arrival in waiting if shown <= clock.now()]
        waiting = [each for each in waiting if each[0] > clock.now()]
        with ledger.begin() as connection:
            store.lock_store(connection)
            store_arrivals(connection, due, clock.now(), clusters)
        clock.advance(seconds=10)
        look()
        clock.advance(seconds=20)
        classify_pending(ledger, model, extractor, clock)
        look()
    whole = sentiment_frame(ledger, DAY, model.name, model.revision, clock.now())
    recomputed = aggregate_sentiment(whole, as_ofs, config)
    assert canonical(recomputed) == canonical(pl.concat(lived))

    told = facts(ledger)
    assert {row["event_uid"]: row["known_at"] for row in whole.to_dicts()} == {fact.uid: fact.known for fact in told}
    early, late, old = 0, 0, 0
    for as_of, seen in zip(as_ofs, lived, strict=True):
        expected = views(told, as_of)
        assert {row["ticker"]: row["news_count"] for row in seen.to_dicts()} == {
            ticker: view.count for ticker, view in expected.items()
        }
        for row in seen.to_dicts():
            assert row["sentiment"] == pytest.approx(expected[row["ticker"]].sentiment, abs=1e-12)
        counted = {voice.uid for view in expected.values() for voice in view.voices}
        out = [fact for fact in told if fact.published is not None and fact.published <= as_of]
        early += sum(fact.fetched > as_of for fact in out)
        late += sum(fact.fetched <= as_of < fact.scored for fact in out)
        old += sum(fact.known == as_of and as_of - fact.published > 180 * MINUTE for fact in out if fact.published)
        assert not counted & {fact.uid for fact in out if fact.known > as_of}
    assert early > 100 and late > 10 and old > 5, "the day must have tempted: published before, known later, or too old"
