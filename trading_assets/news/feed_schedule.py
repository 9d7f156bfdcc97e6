"""When a feed is asked, and when again: its own interval, and ever longer pauses while it fails.

Pure: everything is computed from what is remembered of a feed. Pauses are spread by the feed's name, so that feeds
that failed together (a network that was down) do not all come back together, and are the same each time.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from trading_assets.ledger.feeds import FeedState
from trading_assets.news.addresses import remembered
from trading_assets.news.config import TICKER, FeedConfig, FetchConfig

#: A feed with an interval may be asked this much early: rounds come once a minute, not to the second.
_EARLY = timedelta(seconds=30)
_NEVER = datetime.min.replace(tzinfo=UTC)
_GONE = 410
_NOT_FOUND = 404
#: So many answers 404 in a row, and none else for a day, are no accident any more.
_MANY = 20
_LONG = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Feed:
    """One address to read. ``zone`` is that of its dates which name none, ``symbols`` are the companies that its
    stories are about because they stand in it. ``turn`` names the template it was made from, of which ``at_once`` are
    asked in one round."""

    name: str
    url: str = field(repr=False)
    source: str
    every_minutes: int = 1
    zone: str | None = None
    symbols: tuple[str, ...] = ()
    turn: str | None = None
    at_once: int = 1

    @property
    def address(self) -> str:
        """Its address as the ledger keeps it."""
        return remembered(self.url)


def configured(feeds: Iterable[FeedConfig], tickers: Sequence[str]) -> list[Feed]:
    """Every address to read, in configured order; a template stands for one feed for each of ``tickers``."""
    found = []
    for feed in feeds:
        if not feed.is_template:
            found.append(Feed(feed.name, feed.url, feed.source, feed.every_minutes, feed.zone))
            continue
        for ticker in tickers:
            url = feed.url.replace(TICKER, quote(ticker, safe=""))
            symbols = (ticker,) if feed.names_ticker else ()
            made = Feed(f"{feed.name}.{ticker}", url, feed.source, feed.every_minutes, feed.zone, symbols)
            found.append(replace(made, turn=feed.name, at_once=feed.tickers_per_round))
    return found


def due(feeds: Iterable[Feed], states: Mapping[str, FeedState], now: datetime) -> list[Feed]:
    """Feeds to ask now, the one that was asked longest ago first: where time is short, and among the tickers of one
    template, they take turns."""
    ready = [feed for feed in feeds if is_due(feed, states.get(feed.name), now)]
    ready.sort(key=lambda feed: state.last_attempt_at if (state := states.get(feed.name)) else _NEVER)
    taken: Counter[str] = Counter()
    asked = []
    for feed in ready:
        if feed.turn is not None:
            taken[feed.turn] += 1
            if taken[feed.turn] > feed.at_once:
                continue
        asked.append(feed)
    return asked


def is_due(feed: Feed, state: FeedState | None, now: datetime) -> bool:
    """Whether the feed is to be asked now: one that was never asked at this address is."""
    if state is None or state.url != feed.address or state.next_attempt_at is None:
        return True
    # A clock that was set back (a recorded day played again) must not silence a feed.
    return now >= state.next_attempt_at or now < state.last_attempt_at


def after_success(feed: Feed, at: datetime) -> datetime | None:
    """When to ask again after an answer; None: in the next round."""
    return at + timedelta(minutes=feed.every_minutes) - _EARLY if feed.every_minutes > 1 else None


def after_failure(state: FeedState, feed: Feed, retry_after_s: int | None, config: FetchConfig) -> datetime:
    """When to ask again a feed that failed for the ``state.error_count``-th time in a row, at its last attempt.

    A minute at first, twice as long each time up to the cap, a quarter of it less at most by the feed's name; never
    sooner than its own interval or than the server asked for, as far as that may be honoured.
    """
    if is_gone(state):
        pause = timedelta(hours=config.gone_pause_h)
    else:
        longest = timedelta(minutes=config.longest_pause_m)
        pause = min(longest, timedelta(minutes=1) * 2 ** min(state.error_count - 1, 20))
    pause *= 1 - 0.25 * _share(feed.name)
    asked = timedelta(seconds=retry_after_s or 0)
    own = timedelta(minutes=feed.every_minutes) - _EARLY
    return state.last_attempt_at + max(pause, own, min(asked, timedelta(hours=config.longest_retry_after_h)))


def is_gone(state: FeedState) -> bool:
    """Whether the feed is no longer there: 410 says so, 404 does when it stays."""
    if state.last_status == _GONE:
        return state.error_count > 0
    recently = state.last_success_at is not None and state.last_attempt_at - state.last_success_at < _LONG
    return state.last_status == _NOT_FOUND and state.error_count >= _MANY and not recently


def _share(name: str) -> float:
    """A number in [0, 1) that belongs to a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
