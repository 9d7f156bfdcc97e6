"""The broker's articles as arrivals: one meaning for what its interface answers and for what its socket tells.

What does not belong here: asking and listening (the broker's room), and storing (``news.storing``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from trading_assets.ledger.wires import WIRE
from trading_assets.news.parse import LINK_LIMIT, SUMMARY_LIMIT, TITLE_LIMIT
from trading_assets.news.storing import Arrival
from trading_assets.news.text import plain, storable

_SOURCE_LIMIT = 100
_SYMBOL_LIMIT = 32


@dataclass(frozen=True, slots=True)
class WireArticle:
    """One article. ``name`` is its identity at the broker; ``updated_at`` None: the broker does not say when."""

    name: str
    updated_at: datetime | None
    arrival: Arrival


def told_articles(rows: Iterable[Mapping[str, Any]]) -> tuple[list[WireArticle], int]:
    """What can be read of ``rows``, in order, and how many cannot."""
    found = [_article(row) for row in rows]
    good = [article for article in found if article is not None]
    return good, len(found) - len(good)


def _article(row: Mapping[str, Any]) -> WireArticle | None:
    """None without an identity or without any words. Fields that nobody knows are passed over."""
    number = row.get("id")
    if isinstance(number, bool) or not isinstance(number, int | str) or not str(number).strip():
        return None
    title = plain(_text(row.get("headline")), TITLE_LIMIT)
    summary = plain(_text(row.get("summary")), SUMMARY_LIMIT) or None
    if not title and summary is None:
        return None
    name = f"{WIRE}:{str(number).strip()}"
    arrival = Arrival(
        feed=WIRE,
        source=storable(_text(row.get("source")), _SOURCE_LIMIT) or WIRE,
        guid=name,
        link=storable(_text(row.get("url")), LINK_LIMIT) or None,
        title=title,
        summary=summary,
        published_at=instant_or_none(row.get("created_at")),
        symbols=_symbols(row.get("symbols")),
    )
    return WireArticle(name, instant_or_none(row.get("updated_at")), arrival)


def instant_or_none(value: object) -> datetime | None:
    """UTC from RFC 3339 text or from an instant that a codec has read already; None for anything else."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(found, datetime) or found.tzinfo is None:
            return None
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _symbols(value: object) -> tuple[str, ...]:
    """In the order in which they are named, each once."""
    named = value if isinstance(value, list | tuple) else ()
    texts = (storable(symbol, _SYMBOL_LIMIT) for symbol in named if isinstance(symbol, str))
    return tuple(dict.fromkeys(text for text in texts if text))
