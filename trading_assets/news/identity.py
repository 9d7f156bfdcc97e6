"""Who a story is: one identity over all fetches, so that the same story is stored once."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

from trading_assets.domain.clock import require_utc
from trading_assets.domain.identities import digest

#: What publishers and mailers add to an address to see where a reader came from. Only names that mean nothing else.
_TRACKING = re.compile(
    r"(?:utm_\w+|(?:fb|g|d|msc|tw|y)clid|gclsrc|wbraid|gbraid|mc_[ce]id|cmpid|xtor|yptr|soc_(?:src|trk)|guccounter|"
    r"guce_referrer(?:_\w+)?|echobox|_hs(?:enc|mi)|at_(?:medium|campaign))=.*",
    re.IGNORECASE,
)
_FILING = re.compile(r"//(?:www\.)?sec\.gov/Archives/edgar/.*?(\d{10}-\d{2}-\d{6})", re.IGNORECASE)


def event_uid(guid: str | None, link: str | None, title: str, published_at: datetime | None) -> str:
    """SHA-256 (64 hex digits) of the guid, else of the link, else of title and publication time.

    Guid and link share one name space on purpose: a permalink used as guid in one feed and as plain link in another is
    the same story. White space around them is not significant, nor is what a link carries for tracking only
    (``page_of``); a guid is taken as it is. A story with none of the three, no words in its title and no date, has no
    identity and raises ``ValueError``.
    """
    for key in (guid, page_of(link)):
        if key is not None and key.strip():
            return hashlib.sha256(key.strip().encode()).hexdigest()
    words = " ".join(title.split())
    if not words and published_at is None:
        raise ValueError("a story without guid, link, title and date has no identity")
    when = "" if published_at is None else require_utc(published_at).isoformat()
    return digest("story", words, when)


def page_of(link: str | None) -> str | None:
    """``link`` without what only tells where its reader came from; None for none.

    Everything else stays as it is written, letter for letter: a query or a fragment may name the story.
    """
    if link is None or not (link := link.strip()):
        return None
    page, hash_sign, fragment = link.partition("#")
    page, question_mark, query = page.partition("?")
    kept = _without_tracking(query)
    if question_mark and (kept or not query):
        page += "?" + kept
    anchor = _without_tracking(fragment)
    return page + "#" + anchor if hash_sign and (anchor or not fragment) else page


def _without_tracking(parameters: str) -> str:
    if "=" not in parameters:
        return parameters
    return "&".join(each for each in parameters.split("&") if not _TRACKING.fullmatch(each))


def filing_of(link: str | None) -> str | None:
    """The accession number of the filing on EDGAR that an address leads to; None for any other address."""
    found = _FILING.search(link) if link is not None and "/edgar/" in link.casefold() else None
    return found.group(1) if found is not None else None
