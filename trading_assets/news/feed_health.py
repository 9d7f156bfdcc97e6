"""How the configured feeds do, as a person reads it: one line per feed, and one sentence about those that fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from trading_assets.domain.clock import NEW_YORK
from trading_assets.ledger import feeds as memory
from trading_assets.news.config import NewsConfig
from trading_assets.news.feed_schedule import configured, is_gone

#: Failing feeds that are named in one sentence: it is written every minute, and one template may stand for thousands.
_NAMED = 20


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """One configured feed. Without a ``last_attempt_at`` it was never asked at this address. ``waiting`` counts its new
    stories for which there was no room yet."""

    feed: str
    last_attempt_at: datetime | None
    last_success_at: datetime | None
    error_count: int
    last_error: str | None
    next_attempt_at: datetime | None
    gone: bool
    waiting: int = 0

    @property
    def failing(self) -> bool:
        """Whether its last attempt failed."""
        return self.error_count > 0

    @property
    def condition(self) -> str:
        """One word for a table: new, well, flooding, failing or gone."""
        if self.gone:
            return "gone"
        if self.failing:
            return "failing"
        if self.waiting:
            return "flooding"
        return "new" if self.last_attempt_at is None else "well"

    def sentence(self) -> str:
        """Why it fails, since when, and when it is asked again."""
        since = f"last read {_at(self.last_success_at)}" if self.last_success_at else "never read"
        following = f"asked again {_at(self.next_attempt_at)}" if self.next_attempt_at else "asked again next round"
        gone = "; it is gone: remove it from news.feeds or correct its address" if self.gone else ""
        return f"{self.feed} ({self.error_count} times: {self.last_error}; {since}; {following}{gone})"


def feed_health(engine: Engine, config: NewsConfig, tickers: Sequence[str] = ()) -> list[FeedHealth]:
    """Every configured feed, those that fail first, without what is remembered of others or of other addresses."""
    with engine.connect() as connection:
        states = memory.feed_states(connection)
    found = []
    for feed in configured(config.feeds, tickers):
        state = states.get(feed.name)
        if state is None or state.url != feed.address:
            found.append(FeedHealth(feed.name, None, None, 0, None, None, False))
        else:
            parts = state.last_attempt_at, state.last_success_at, state.error_count, state.last_error
            found.append(FeedHealth(feed.name, *parts, state.next_attempt_at, is_gone(state), state.waiting))
    return sorted(found, key=lambda each: (-each.error_count, -each.waiting))


def failing_sentence(feeds: Sequence[FeedHealth]) -> str | None:
    """The feeds that fail, in one sentence, the first of many by name; None if none does."""
    failing = [feed for feed in feeds if feed.failing]
    if not failing:
        return None
    named = ", ".join(feed.sentence() for feed in failing[:_NAMED])
    more = f", and {len(failing) - _NAMED} more" if len(failing) > _NAMED else ""
    return f"feeds that fail ({len(failing)}): {named}{more}"


def flooding_sentence(feeds: Sequence[FeedHealth]) -> str | None:
    """The feeds that tell more than is stored of them, in one sentence; None if none does."""
    flooding = [feed for feed in feeds if feed.waiting]
    if not flooding:
        return None
    named = ", ".join(f"{feed.feed} ({feed.waiting} new stories wait)" for feed in flooding[:_NAMED])
    more = f", and {len(flooding) - _NAMED} more" if len(flooding) > _NAMED else ""
    return f"feeds that tell more than is stored of one ({len(flooding)}): {named}{more}"


def _at(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"
