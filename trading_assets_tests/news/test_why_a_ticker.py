"""Why a story was taken for a ticker: stored with the score, shown in the frame, and scored by its own words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, select

from trading_assets.ledger import news as store
from trading_assets.ledger.news import Story
from trading_assets.ledger.news_tables import inbound_events_classified
from trading_assets.news.classify import classify_pending, mentions_of
from trading_assets.news.frames import sentiment_frame
from trading_assets.news.identity import event_uid
from trading_assets.news.lexicon import LexiconModel
from trading_assets.news.per_company import PerCompanyModel
from trading_assets.news.sentiment import SentimentModel
from trading_assets.news.tickers import TickerExtractor, universe_of
from trading_assets_tests.news.conftest import SetClock

DAY = date(2026, 3, 12)
FOLLOWED = ["NVDA", "AMD", "INTC", "TSLA", "MSFT"]
EXTRACTOR = TickerExtractor(universe_of(FOLLOWED), universe_of([*FOLLOWED, "AAPL", "F"]))
MODEL = LexiconModel()


def story(title: str, at: datetime, summary: str | None = None, symbols: tuple[str, ...] = ()) -> Story:
    uid = event_uid(title, None, title, None)
    return Story(uid, uid, "wire", "Wire", title, None, summary, at, at, symbols)


def rows(
    engine: Engine, clock: SetClock, *stories: Story, model: SentimentModel = MODEL, **more: Any
) -> list[dict[str, Any]]:
    with engine.begin() as connection:
        store.add_stories(connection, stories)
    classify_pending(engine, model, EXTRACTOR, clock, **more)
    return sentiment_frame(engine, DAY, model.name, model.revision, clock.now()).to_dicts()


def test_every_ticker_of_a_story_says_by_which_words_it_was_found(ledger: Engine, clock: SetClock) -> None:
    told = story(
        "Nvidia soars; chips from $AMD sell", clock.now(), "Tesla (NASDAQ: TSLA) waits.", ("MSFT", "NVDA", "F")
    )
    found = {row["ticker"]: (row["how"], row["matched"]) for row in rows(ledger, clock, told)}
    assert found == {
        "NVDA": ("name", "Nvidia"),
        "AMD": ("cashtag", "$AMD"),
        "TSLA": ("exchange_tag", "NASDAQ: TSLA"),
        "MSFT": ("source", None),
    }
    fields = {
        mention["symbol"]: (mention.get("field"), mention.get("position")) for mention in mentions_of(told, EXTRACTOR)
    }
    assert fields == {"NVDA": ("title", 0), "AMD": ("title", 25), "TSLA": ("summary", 7), "MSFT": (None, None)}


def test_what_a_source_or_a_model_says_counts_only_for_followed_and_listed_companies(
    ledger: Engine, clock: SetClock
) -> None:
    asked: list[str] = []

    class Infer:
        model = "some.model"

        def __call__(self, stories: Sequence[Story]) -> dict[str, list[str]]:
            asked.extend(each.title for each in stories)
            return {each.event_uid: ["ZZZZ", "aapl", "intc", "INTC"] for each in stories}

    named, nameless = (
        story("Tesla falls", clock.now()),
        story("Chip maker rallies", clock.now(), None, ("AAPL", "QQQQ")),
    )
    found = {(row["title"], row["ticker"], row["how"]) for row in rows(ledger, clock, named, nameless, infer=Infer())}
    assert found == {("Tesla falls", "TSLA", "name"), ("Chip maker rallies", "INTC", "inferred")}
    assert asked == ["Chip maker rallies"]
    with ledger.connect() as connection:
        told = [each for kept in connection.scalars(select(inbound_events_classified.c.mentions)) for each in kept]
    assert {"symbol": "INTC", "how": "inferred", "model": "some.model"} in told


def test_a_story_of_two_companies_is_scored_for_each_by_its_own_words(ledger: Engine, clock: SetClock) -> None:
    model = PerCompanyModel(MODEL)
    assert model.revision != MODEL.revision
    told = story("Nvidia soars to record high as Intel plunges on weak outlook", clock.now())
    lone = story("Tesla plunges, and the market soars to a record high", clock.now())
    found = {row["ticker"]: row for row in rows(ledger, clock, told, lone, model=model)}
    assert found["NVDA"]["clause"] == "Nvidia soars to record high"
    assert found["INTC"]["clause"] == "Intel plunges on weak outlook"
    assert found["NVDA"]["score"] > 0.5
    assert found["INTC"]["score"] < -0.5
    assert (found["NVDA"]["label"], found["INTC"]["label"]) == ("positive", "negative")
    assert found["NVDA"]["score"] == pytest.approx(MODEL.score(["Nvidia soars to record high"])[0].signed)
    whole = MODEL.score(["Tesla plunges, and the market soars to a record high"])[0]
    assert (found["TSLA"]["clause"], found["TSLA"]["score"]) == (None, pytest.approx(whole.signed))


def test_a_company_that_is_not_followed_keeps_its_words_to_itself(ledger: Engine, clock: SetClock) -> None:
    told = story("Apple plunges on weak outlook while Microsoft soars", clock.now())
    (row,) = rows(ledger, clock, told, model=PerCompanyModel(MODEL))
    assert (row["ticker"], row["clause"], row["label"]) == ("MSFT", "Microsoft soars", "positive")


def test_without_the_option_every_ticker_has_the_score_of_the_whole(ledger: Engine, clock: SetClock) -> None:
    title = "Nvidia soars to record high as Intel plunges on weak outlook"
    whole = MODEL.score([title])[0].signed
    found = rows(ledger, clock, story(title, clock.now()))
    assert [row["score"] for row in found] == pytest.approx([whole, whole])
    assert {row["clause"] for row in found} == {None}
