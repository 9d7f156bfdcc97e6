"""The texts of articles in the ledger: written once, with the reason where there is none. Queries only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, literal, select
from sqlalchemy.dialects.postgresql import insert

from trading_assets.ledger.feeds import turn_of_story
from trading_assets.ledger.news_tables import article_texts, inbound_events_raw


@dataclass(frozen=True, slots=True)
class ArticleText:
    """The one attempt at an article: its ``text``, or the ``error`` that says why there is none."""

    event_uid: str
    attempted_at: datetime
    text: str | None
    error: str | None = None


def links_without_attempt(connection: Connection, since: datetime) -> list[tuple[str, str]]:
    """``event_uid`` and web address of stories fetched at or after ``since`` that were not tried: the newest of each
    feed, then the second of each, and so on."""
    raw = inbound_events_raw.c
    tried = select(literal(1)).where(article_texts.c.event_uid == raw.event_uid).exists()
    rows = connection.execute(
        select(raw.event_uid, raw.link)
        .where(raw.fetched_at >= since, raw.link.regexp_match("^https?://"), ~tried)
        .order_by(turn_of_story(), raw.fetched_at.desc(), raw.published_at.desc().nulls_last(), raw.event_uid)
    )
    return [(uid, link) for uid, link in rows]


def add_article_texts(connection: Connection, texts: Sequence[ArticleText]) -> None:
    """Store attempts; the first one at an article stands."""
    if texts:
        connection.execute(insert(article_texts).on_conflict_do_nothing(), [asdict(each) for each in texts])


def texts_of(connection: Connection, uids: Collection[str], as_of: datetime) -> dict[str, str]:
    """The texts of these stories that were known at ``as_of``; a story without one is left out."""
    if not uids:
        return {}
    rows = connection.execute(
        select(article_texts.c.event_uid, article_texts.c.text).where(
            article_texts.c.event_uid.in_(list(uids)),
            article_texts.c.text.is_not(None),
            article_texts.c.attempted_at <= as_of,
        )
    )
    return {row.event_uid: row.text for row in rows}
