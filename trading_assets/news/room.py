"""How many new stories of one feed are stored in one round, and in one day.

A feed that floods, broken or hijacked, must not take the time of the others: no round of news takes longer for it, and
the stories of a day stay as many as can be handled. What has no room waits as if its feed had not told it yet, and is
stored by a later round if the feed shows it still. The newest are stored first: to a decision old ones are no news.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from trading_assets.ledger.feeds import family_of, stored_by_family
from trading_assets.news.config import FetchConfig
from trading_assets.news.storing import Arrival, new_articles

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is not to be stored now: ``arrivals``, and how many new stories those are by the name of the feed."""

    arrivals: frozenset[Arrival] = frozenset()
    by_feed: Counter[str] = field(default_factory=Counter)


def without_room(connection: Connection, arrivals: Sequence[Arrival], at: datetime, config: FetchConfig) -> Waiting:
    """Those of ``arrivals`` that are more than what their feed may add at ``at``; all tickers of one address are one
    feed. The caller holds ``store.lock_store``."""
    told: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        told[family_of(arrival.feed)].append(arrival)
    stored = stored_by_family(connection, at - _DAY) if told else {}
    waiting: set[Arrival] = set()
    by_feed: Counter[str] = Counter()
    for family, some in told.items():
        room = max(0, min(config.stories_per_round, config.stories_per_day - stored.get(family, 0)))
        # Most feeds show less than that, and most of it is stored.
        if len(some) <= room or len(fresh := [arrival for _, arrival in new_articles(connection, some)]) <= room:
            continue
        fresh.sort(key=lambda arrival: _age(arrival, at))
        by_feed.update(arrival.feed for arrival in fresh[room:])
        waiting |= set(some) - set(fresh[:room])
    return Waiting(frozenset(waiting), by_feed)


def _age(arrival: Arrival, at: datetime) -> tuple[bool, timedelta]:
    """The newest first; those without a date, which never count as news, at the end."""
    told = arrival.published_at
    return (True, timedelta()) if told is None else (False, max(at - told, timedelta()))
