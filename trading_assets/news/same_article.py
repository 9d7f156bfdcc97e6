"""One article, told by the broker and by a feed: the same address makes it one story, whoever was first.

The broker's guid is a number of its own, so that a changed headline or address stays the same article. What a feed
calls its guid is never that number; the address is all that both have in common. Within one feed the address says
nothing: there are feeds whose items all lead to the same page. And where the publishers differ the headline must be the
same, too: nobody's feed can keep the broker's article out by naming its address first.
"""

from __future__ import annotations

from collections import defaultdict
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
    # By page and by who it is: the publisher's name or the headline.
    told: dict[bool, dict[str, set[str]]] = {True: defaultdict(set), False: defaultdict(set)}
    for held in stories_linked(connection, links):
        told[held.feed == WIRE][page_of(held.link) or ""] |= _names(held.source, held.title)
    kept = []
    for uid, arrival in fresh:
        page, by_wire = page_of(arrival.link), arrival.feed == WIRE
        if page is not None and _leads(page):
            names = _names(arrival.source, arrival.title)
            if not told[not by_wire][page].isdisjoint(names):
                continue
            told[by_wire][page] |= names
        kept.append((uid, arrival))
    return kept


def words_said(title: str) -> str:
    """A headline as it is compared: neither case nor white space makes another one."""
    return " ".join(title.split()).casefold()


def publisher(source: str) -> str:
    """A publisher's name as it is compared: the broker writes it its own way."""
    return source.casefold()


def _names(source: str, title: str) -> set[str]:
    return {f"by {publisher(source)}", f"said {words_said(title)}"}


def _leads(link: str) -> bool:
    """Whether the address is one article's: a front page is shared by many."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return bool(parts.path.strip("/") or parts.query)
