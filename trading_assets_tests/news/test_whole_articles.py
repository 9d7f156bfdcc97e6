"""What is scored of a story: its title and summary, and, where it is configured, the text of its article known then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine

from trading_assets.ledger import news as store
from trading_assets.ledger.article_texts import ArticleText, add_article_texts
from trading_assets.ledger.news import Story
from trading_assets.news.articles_config import ArticlesConfig
from trading_assets.news.classify import classify_pending
from trading_assets.news.config import NewsConfig
from trading_assets.news.identity import event_uid
from trading_assets.news.lexicon import LexiconModel
from trading_assets.news.scoring import scoring_model, scoring_version
from trading_assets.news.tickers import TickerExtractor, curated_companies
from trading_assets.news.tickers_config import TickersConfig
from trading_assets.news.whole_articles import article_text
from trading_assets_tests.news.conftest import SetClock

MODEL = LexiconModel()
EXTRACTOR = TickerExtractor(curated_companies())
BAD = "Profit plunged, the outlook was cut and the shares fell sharply after a fraud probe was opened."
GERMAN = "Der Gewinn ist gesunken, und die Aktie hat nach der Meldung an der Boerse in Frankfurt deutlich verloren."


def test_a_story_is_scored_with_the_text_that_was_known_by_then_and_its_revision_says_so(
    ledger: Engine, clock: SetClock
) -> None:
    now = clock.now()
    stories = []
    for name in ("read", "read later", "in German", "without a text"):
        title = f"Nvidia publishes a report ({name})"
        uid = event_uid(title, None, title, None)
        stories.append(Story(uid, uid, "wire", "Wire", title, None, None, now, now))
    read, later, german, bare = (story.event_uid for story in stories)
    with ledger.begin() as connection:
        store.add_stories(connection, stories)
        add_article_texts(
            connection,
            [
                ArticleText(read, now, BAD),
                ArticleText(later, now + timedelta(minutes=5), BAD),
                ArticleText(german, now, GERMAN),
                ArticleText(bare, now, None, "HTTP 404 Not Found"),
            ],
        )
    config = NewsConfig(articles=ArticlesConfig(enabled=True, scored=True))
    model = scoring_model(MODEL, config)
    clock.advance(minutes=1)
    for each in (MODEL, model):
        report = classify_pending(ledger, each, EXTRACTOR, clock)
        assert (report.scored, report.failed) == (4, 0)
    start, end = now - timedelta(hours=1), now + timedelta(hours=1)
    with ledger.connect() as connection:
        plain, told = (
            {
                each.story.event_uid: each.score
                for each in store.scored_between(connection, start, end, by.name, by.revision, clock.now())
            }
            for by in (MODEL, model)
        )
    assert told[read].score < -0.5 < 0 <= plain[read].score
    assert all(told[uid].score == plain[uid].score for uid in (later, german, bare))
    # Who is named is told by title and summary, whatever a text goes on to mention.
    assert {score.tickers for score in (*plain.values(), *told.values())} == {("NVDA",)}
    assert model.revision == f"{MODEL.revision}+texts-1+clauses-1"
    assert scoring_version(config) == f"{model.name} {model.revision}"


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("per_company", [False, True])
def test_each_way_of_scoring_has_a_revision_of_its_own_that_is_told_without_a_model(
    scored: bool, per_company: bool
) -> None:
    config = NewsConfig(
        articles=ArticlesConfig(enabled=True, scored=scored), tickers=TickersConfig(per_company=per_company)
    )
    model = scoring_model(MODEL, config)
    assert model.revision == MODEL.revision + "+texts-1" * scored + "+clauses-1" * per_company
    assert scoring_version(config) == f"{model.name} {model.revision}"


def test_texts_that_nobody_fetches_cannot_be_scored() -> None:
    with pytest.raises(ValidationError, match="scored needs enabled"):
        ArticlesConfig(scored=True)


def test_the_text_follows_title_and_summary_and_repeats_neither() -> None:
    assert article_text("Nvidia beats", "Sales doubled.", "Sales doubled.  The chip maker raised its outlook.") == (
        "Nvidia beats. Sales doubled.  The chip maker raised its outlook."
    )
    assert article_text("Nvidia beats", "In short.", "Nvidia beats. Much more.") == (
        "Nvidia beats. In short. Nvidia beats. Much more."
    )
    assert article_text("Nvidia beats", None, "Nvidia beats. Much more.") == "Nvidia beats. Much more."
    assert article_text("Nvidia beats", "Sales doubled.", GERMAN) == "Nvidia beats. Sales doubled."


@pytest.mark.parametrize(
    ("title", "summary", "expected"),
    [
        ("Nvidia beats", "Sales doubled.", "Nvidia beats. Sales doubled."),
        ("Will Nvidia beat?", "Perhaps.", "Will Nvidia beat? Perhaps."),
        ("Nvidia beats", None, "Nvidia beats"),
        ("Nvidia beats", "Nvidia beats estimates today", "Nvidia beats estimates today"),
        ("Nvidia beats estimates", "nvidia beats", "Nvidia beats estimates"),
        ("", "Only a summary", "Only a summary"),
        ("", None, ""),
    ],
)
def test_title_and_summary_are_scored_together_without_repeating(
    title: str, summary: str | None, expected: str
) -> None:
    assert article_text(title, summary) == expected
