"""One article, told by the broker and by a feed: the same address makes it one story, whoever was first.

The broker's guid is a number of its own, so that a changed headline or address stays the same article. What a feed
calls its guid is never that number; the address is all that both have in common. Within one feed the address says
nothing: there are feeds whose items all lead to the same page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy import Connection

from trading_assets.ledger.stories import stories_linked
from trading_assets.ledger.wires import WIRE
from trading_assets.news.identity import page_of

if TYPE_CHECKING:
    from trading_assets.news.storing import Arrival


def without_told(connection: Connection, fresh: Sequence[tuple[str, Arrival]]) -> list[tuple[str, Arrival]]:
    """``fresh`` without those that the other kind of source has brought before, stored or earlier in this list."""
    links = {link for _, each in fresh for link in (each.link, page_of(each.link)) if link is not None and _leads(link)}
    told: dict[bool, set[str]] = {True: set(), False: set()}
    for held in stories_linked(connection, links):
        told[held.feed == WIRE].add(page_of(held.link) or "")
    kept = []
    for uid, arrival in fresh:
        page, by_wire = page_of(arrival.link), arrival.feed == WIRE
        if page is not None and _leads(page):
            if page in told[not by_wire]:
                continue
            told[by_wire].add(page)
        kept.append((uid, arrival))
    return kept


def _leads(link: str) -> bool:
    """Whether the address is one article's: a front page is shared by many."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return bool(parts.path.strip("/") or parts.query)
