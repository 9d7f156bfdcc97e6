"""One article, told by the broker and by a feed: the same address makes it one story, whoever was first.

The broker's guid is a number of its own, so that a changed headline or address stays the same article. What a feed
calls its guid is never that number; the address is all that both have in common. Within one feed the address says
nothing: there are feeds whose items all lead to the same page. Nor does it alone say enough between the two. Where the
publishers differ the headline must be the same, too: nobody's feed can keep the broker's article out by naming its
address first. Where they are the same it may have been edited, but a page that its publisher uses again (one that tells
of a day as it goes on) is another article.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy import Connection

from trading_assets.ledger.stories import HeldStory, stories_linked
from trading_assets.ledger.wires import WIRE
from trading_assets.news.headlines import read_headline
from trading_assets.news.identity import page_of

if TYPE_CHECKING:
    from trading_assets.news.storing import Arrival


@dataclass(frozen=True, slots=True)
class _Told:
    """Who said what at a page, with a date or without."""

    publisher: str
    said: str
    dated: bool

    def is_also(self, other: _Told) -> bool:
        """Whether both are one article: the same headline, or one that its own publisher edited."""
        return self.said == other.said or (self.publisher == other.publisher and _edited(self.said, other.said))

    def is_told_by(self, other: _Told) -> bool:
        """Whether ``other`` does for it: without a date it never counts as news, and stands in no dated one's way."""
        return (other.dated or not self.dated) and self.is_also(other)


def without_told(connection: Connection, fresh: Sequence[tuple[str, Arrival]]) -> list[tuple[str, Arrival]]:
    """``fresh`` without those that the other kind of source has brought before, stored or earlier in this list."""
    links = {link for _, each in fresh for link in (each.link, page_of(each.link)) if link is not None and _leads(link)}
    # By whether the broker told it, and by page.
    told: dict[bool, dict[str, list[_Told]]] = {True: defaultdict(list), False: defaultdict(list)}
    for held in stories_linked(connection, links):
        told[held.feed == WIRE][page_of(held.link) or ""].append(_said(held))
    kept = []
    for uid, arrival in fresh:
        page, by_wire = page_of(arrival.link), arrival.feed == WIRE
        if page is not None and _leads(page):
            said = _said(arrival)
            if any(said.is_told_by(other) for other in told[not by_wire][page]):
                continue
            told[by_wire][page].append(said)
        kept.append((uid, arrival))
    return kept


def words_said(title: str) -> str:
    """A headline as it is compared: neither case nor white space makes another one."""
    return " ".join(title.split()).casefold()


def publisher(source: str) -> str:
    """A publisher's name as it is compared: the broker writes it its own way."""
    return source.casefold()


def _said(article: Arrival | HeldStory) -> _Told:
    dated = article.dated if isinstance(article, HeldStory) else article.published_at is not None
    return _Told(publisher(article.source), words_said(article.title), dated)


def _edited(one: str, other: str) -> bool:
    """Whether two headlines share half the words of the shorter one: fewer are left of another article only."""
    ours, theirs = _words(one), _words(other)
    return 2 * len(ours & theirs) >= min(len(ours), len(theirs))


@lru_cache(maxsize=1000)
def _words(said: str) -> frozenset[str]:
    return read_headline(said).words


def _leads(link: str) -> bool:
    """Whether the address is one article's: a front page is shared by many."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return bool(parts.path.strip("/") or parts.query)
