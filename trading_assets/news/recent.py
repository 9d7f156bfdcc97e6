"""The recent stories of a ledger, ready to be compared: kept by a process that stores more than once.

A round reads only what came since the last one. What is kept, and in which cluster, is compared with the ledger before
each use, under the lock of the store: after a transaction that was rolled back, another process that stored, or a clock
that was set back it is brought up to date or read anew. So the answers are the same as those of a process that has just
started.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

from trading_assets.ledger.stories import fingerprint, recent_fingerprint, recent_stories
from trading_assets.news.clusters import ClusterIndex
from trading_assets.news.config import ClusterConfig
from trading_assets.news.tickers import TickerExtractor, curated_companies


@dataclass(slots=True)
class _Kept:
    config: ClusterConfig
    index: ClusterIndex
    read_until: datetime


_KEPT: WeakKeyDictionary[Engine, _Kept] = WeakKeyDictionary()


def recent_index(connection: Connection, config: ClusterConfig, since: datetime) -> ClusterIndex:
    """The stories fetched at or after ``since``, as this transaction sees them. What the caller assigns is kept too.

    The caller holds the lock of the store until its transaction ends: two threads never use one index at once.
    """
    stored = recent_fingerprint(connection, since)
    kept = _KEPT.get(connection.engine)
    if kept is not None and kept.config == config:
        kept.index.forget(since)
        if fingerprint(kept.index.held) != stored:
            held = frozenset(kept.index.uids)
            newer = recent_stories(connection, max(since, kept.read_until))
            kept.index.load(story for story in newer if story.event_uid not in held)
    if kept is None or kept.config != config or fingerprint(kept.index.held) != stored:
        kept = _Kept(config, ClusterIndex(config, companies_named), since)
        with _collector_at_rest():
            kept.index.load(recent_stories(connection, since))
        kept.index.forget(since)
        _KEPT[connection.engine] = kept
    kept.read_until = kept.index.newest or since
    return kept.index


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Nothing that is read refers to itself, and looking for what does takes as long as reading it."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def companies_named(title: str) -> dict[str, str]:
    """The large companies that a headline names, each as it is written there."""
    return {mention.symbol: mention.matched for mention in _curated_extractor().extract(title)}


@lru_cache(maxsize=1)
def _curated_extractor() -> TickerExtractor:
    return TickerExtractor(curated_companies())
