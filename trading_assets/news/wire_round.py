"""One question to the broker's news interface: since when, what came, what is new, and when to ask again.

Stories and what is remembered of the interface are written in one transaction, so that a crash can lose nothing. What
is asked overlaps with what was read before; identity keeps each article once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from trading_assets.domain.clock import Clock
from trading_assets.domain.newswire import AsksNews, WireAnswer
from trading_assets.ledger import news as store
from trading_assets.ledger import wires as remembered
from trading_assets.ledger.wires import WIRE, WireState
from trading_assets.news.config import NewsConfig
from trading_assets.news.storing import store_arrivals
from trading_assets.news.wire_config import WireConfig
from trading_assets.news.wires import WireArticle, told_articles

_ADDRESS = "broker: GET /v1beta1/news"
_ERROR_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class WireRound:
    """What became of one question. ``asked`` False: after a failure it is left alone until ``next_attempt_at``.

    ``stories`` counts those that came, ``new`` those stored now, ``unusable`` those without identity or words;
    ``names`` are the broker's own of all that came. ``complete``: no later one was known to the broker.
    """

    asked: bool
    complete: bool = False
    stories: int = 0
    new: int = 0
    unusable: int = 0
    error: str | None = None
    next_attempt_at: datetime | None = None
    names: frozenset[str] = frozenset()

    def sentence(self) -> str:
        """For a person."""
        if not self.asked:
            return f"the broker's news are not asked before {self.next_attempt_at:%H:%M:%S} UTC"
        came = f"the broker's news: {self.stories} articles, {self.new} of them new"
        return came if self.error is None else f"{came}; failed: {self.error}"


def ask_wire(engine: Engine, config: NewsConfig, clock: Clock, wire: AsksNews, *, at_once: bool = False) -> WireRound:
    """Ask for what changed since the last answer and store what is new. Raises only for database and clock.

    ``at_once`` asks although a failure says to wait: after a connection was lost what was missed must be read.
    """
    limits = config.alpaca
    started = clock.now()
    with engine.connect() as connection:
        known = _as_of(remembered.state(connection, WIRE), started)
    if not at_once and known.next_attempt_at is not None and started < known.next_attempt_at:
        return WireRound(asked=False, next_attempt_at=known.next_attempt_at)
    begun = time.monotonic()
    answer = wire.articles(_since(known, limits, started), limits.max_pages, limits.deadline_seconds)
    elapsed_ms = round((time.monotonic() - begun) * 1000)
    articles, unusable = told_articles(answer.rows)
    error = None if answer.error is None else answer.error[:_ERROR_LIMIT]
    with engine.begin() as connection:
        store.lock_store(connection)
        received = clock.now()
        new = len(store_arrivals(connection, [each.arrival for each in articles], received, config.clusters))
        after = _after(_as_of(remembered.state(connection, WIRE), received), answer, articles, limits, received, error)
        remembered.save(connection, WIRE, _ADDRESS, after, received)
        remembered.note_attempt(
            connection, WIRE, received, stories=len(articles), new=new, elapsed_ms=elapsed_ms, error=error
        )
    names = frozenset(article.name for article in articles)
    unusable += answer.unreadable
    return WireRound(True, answer.complete, len(articles), new, unusable, error, after.next_attempt_at, names)


def store_told(
    engine: Engine, config: NewsConfig, clock: Clock, rows: Iterable[Mapping[str, Any]]
) -> tuple[frozenset[str], int]:
    """Store what the socket told; the broker's names of it, and how many messages could not be read.

    Nothing is remembered of it: what the socket keeps quiet about, the next question finds.
    """
    articles, unusable = told_articles(rows)
    if articles:
        with engine.begin() as connection:
            store.lock_store(connection)
            store_arrivals(connection, [each.arrival for each in articles], clock.now(), config.clusters)
    return frozenset(article.name for article in articles), unusable


def _as_of(known: WireState, now: datetime) -> WireState:
    """What is remembered, without what lies in the future: the clock was set back (a recorded day is played again).

    What came between the two is unknown then, and is asked for as at first.
    """
    if known.last_attempt_at is not None and now < known.last_attempt_at:
        known = replace(known, next_attempt_at=None)
    if known.read_until is not None and now < known.read_until:
        known = replace(known, read_until=None, more=False)
    return known


def _since(known: WireState, limits: WireConfig, now: datetime) -> datetime:
    """What follows a page that was not the last is asked without overlap: a full one would repeat for ever."""
    if known.read_until is None:
        return now - timedelta(hours=limits.first_hours)
    return known.read_until if known.more else known.read_until - timedelta(seconds=limits.overlap_seconds)


def _after(
    known: WireState,
    answer: WireAnswer,
    articles: Iterable[WireArticle],
    limits: WireConfig,
    at: datetime,
    error: str | None,
) -> WireState:
    # A change that lies in the future must not keep what comes until then from being asked for.
    changes = [min(article.updated_at, at) for article in articles if article.updated_at is not None]
    until = max([*changes, *([known.read_until] if known.read_until is not None else [])], default=None)
    more = not answer.complete and (bool(answer.rows) or known.more)
    if error is None:
        return WireState(until, more, last_success_at=at)
    failures = known.error_count + 1
    wait = min(limits.backoff_seconds * 2.0 ** min(failures - 1, 30), limits.longest_backoff_seconds)
    again = at + timedelta(seconds=max(wait, answer.wait_seconds or 0.0))
    return replace(known, read_until=until, more=more, error_count=failures, next_attempt_at=again, last_error=error)
