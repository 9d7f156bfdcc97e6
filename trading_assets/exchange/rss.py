"""RSS: one feed per headline source, showing what was published so far, with ETag and Last-Modified honoured.

The feeds are generated with the market, or recorded ones: a world with recorded feeds makes up no headline.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trading_assets.exchange.config import FeedDelay
from trading_assets.exchange.http import answer
from trading_assets.exchange.market_port import Headline
from trading_assets.exchange.recorded_feeds import RecordedFeeds
from trading_assets.exchange.venue import Venue

#: Items that a feed shows, newest first.
_ITEMS = 50
#: Answers that HTTP gives no body.
_WITHOUT_BODY = (204, 304)


class RssRoutes:
    """The news of one venue. Reading needs no credentials, as with any public feed."""

    def __init__(self, venue: Venue, recorded: RecordedFeeds | None = None) -> None:
        self._venue = venue
        self._recorded = recorded
        self._drawn: tuple[date, dict[str, list[Headline]]] | None = None

    @property
    def _feeds(self) -> dict[str, list[Headline]]:
        """The headlines of the present market by feed; a feed of an earlier session stays, empty if need be."""
        day = self._venue.world.session
        if self._drawn is None or self._drawn[0] != day:
            feeds: dict[str, list[Headline]] = {name: [] for name in (self._drawn[1] if self._drawn else ())}
            for headline in self._venue.market.headlines():
                feeds.setdefault(headline.feed, []).append(headline)
            self._drawn = (day, feeds)
        return self._drawn[1]

    def routes(self) -> list[Route]:
        """The index and every feed."""
        return [Route("/rss/", self.index), Route("/rss/{feed}.xml", self.feed)]

    def published(self) -> int:
        """How many headlines are public now."""
        if self._recorded is not None:
            return self._recorded.published(self._venue.world.now)
        return sum(len(self._visible(feed)) for feed in self._feeds)

    async def index(self, request: Request) -> Response:
        """Names and addresses of the feeds."""
        names = self._recorded.names if self._recorded is not None else sorted(self._feeds)
        return answer({"feeds": [{"name": name, "path": f"/rss/{name}.xml"} for name in names]})

    async def feed(self, request: Request) -> Response:
        """One feed, or 304 if the client's copy is current."""
        name = request.path_params["feed"]
        if name not in (self._recorded.names if self._recorded is not None else self._feeds):
            return Response("no such feed\n", 404, media_type="text/plain")
        if self._recorded is not None:
            shown = self._recorded.at(name, self._venue.world.now)
            if shown.status != 200:
                body = b"" if shown.status in _WITHOUT_BODY else shown.body
                return Response(body, shown.status, headers={"Content-Type": shown.content_type})
            return _conditional(request, shown.body, shown.content_type, shown.since)
        visible = self._visible(name)
        changed = self._shown_at(visible[-1]) if visible else None
        items = visible[-_ITEMS:][::-1]
        return _conditional(request, _document(name, items).encode(), "application/rss+xml", changed)

    def _visible(self, name: str) -> list[Headline]:
        """The items that are shown now, in the order in which they came to be shown."""
        now = self._venue.world.now
        return sorted((item for item in self._feeds[name] if self._shown_at(item) <= now), key=self._shown_at)

    def _shown_at(self, item: Headline) -> datetime:
        delay = self._venue.config.feed_delays.get(item.feed)
        return item.published_at if delay is None else shown_at(delay, item)


def shown_at(delay: FeedDelay, item: Headline) -> datetime:
    """When a late feed shows the item. Its id decides whether it is one of those that come later still."""
    straggles = delay.straggler_one_in is not None and int(item.id[:8], 16) % delay.straggler_one_in == 0
    late = max(delay.seconds, delay.straggler_seconds) if straggles else delay.seconds
    at = item.published_at + timedelta(seconds=late)
    return at if delay.opens_at is None else max(at, delay.opens_at)


def _conditional(request: Request, body: bytes, content_type: str, changed: datetime | None) -> Response:
    """The body with its validators, or 304 if the client's copy is current. ``changed`` None: never yet."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if changed is not None:
        headers["Last-Modified"] = format_datetime(changed.replace(microsecond=0), usegmt=True)
    if _is_current(request, etag, changed):
        return Response(status_code=304, headers=headers)
    # Given as a header, the type is sent as it is: a recorded one may name no charset, or a wrong one.
    return Response(body, headers=headers | {"Content-Type": content_type})


def _is_current(request: Request, etag: str, changed: datetime | None) -> bool:
    """If-None-Match decides alone where it is sent; else If-Modified-Since."""
    match = request.headers.get("If-None-Match")
    if match is not None:
        return etag in (part.strip().removeprefix("W/") for part in match.split(","))
    since = request.headers.get("If-Modified-Since")
    if since is None or changed is None:
        return False
    try:
        return changed.replace(microsecond=0) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False


def _document(name: str, headlines: list[Headline]) -> str:
    items = "".join(
        f"<item><title>{escape(item.title)}</title><link>{escape(item.link)}</link>"
        f"<description>{escape(item.summary)}</description>"
        f'<guid isPermaLink="false">{escape(item.id)}</guid>'
        f"<pubDate>{format_datetime(item.published_at, usegmt=True)}</pubDate></item>\n"
        for item in headlines
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel>'
        f"<title>Practice {escape(name)}</title><link>https://news.practice.example/</link>"
        f"<description>Generated headlines of the practice exchange</description>\n{items}</channel></rss>\n"
    )
