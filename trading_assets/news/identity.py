"""Who a story is: one identity over all fetches, so that the same story is stored once."""

from __future__ import annotations

import hashlib
from datetime import datetime

from trading_assets.domain.clock import require_utc
from trading_assets.domain.identities import digest


def event_uid(guid: str | None, link: str | None, title: str, published_at: datetime | None) -> str:
    """SHA-256 (64 hex digits) of the guid, else of the link, else of title and publication time.

    Guid and link share one name space on purpose: a permalink used as guid in one feed and as plain link in another is
    the same story. White space around them is not significant. A story with none of the three, no words in its title
    and no date, has no identity and raises ``ValueError``.
    """
    for key in (guid, link):
        if key is not None and key.strip():
            return hashlib.sha256(key.strip().encode()).hexdigest()
    words = " ".join(title.split())
    if not words and published_at is None:
        raise ValueError("a story without guid, link, title and date has no identity")
    when = "" if published_at is None else require_utc(published_at).isoformat()
    return digest("story", words, when)
