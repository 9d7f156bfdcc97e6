"""RSS: one feed per headline source, showing what was published so far, with ETag and Last-Modified honoured."""

from __future__ import annotations

import hashlib
from datetime import date
from email.utils import format_datetime, parsedate_to_datetime
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trading_assets.exchange.http import answer
from trading_assets.exchange.market_port import Headline
from trading_assets.exchange.venue import Venue

#: Items that a feed shows, newest first.
_ITEMS = 50


class RssRoutes:
    """The news of one venue. Reading needs no credentials, as with any public feed."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
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
        return sum(len(self._visible(feed)) for feed in self._feeds)

    async def index(self, request: Request) -> Response:
        """Names and addresses of the feeds."""
        return answer({"feeds": [{"name": name, "path": f"/rss/{name}.xml"} for name in sorted(self._feeds)]})

    async def feed(self, request: Request) -> Response:
        """One feed, or 304 if the client's copy is current."""
        name = request.path_params["feed"]
        if name not in self._feeds:
            return Response("no such feed\n", 404, media_type="text/plain")
        visible = self._visible(name)[-_ITEMS:][::-1]
        body = _document(name, visible).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if visible:
            headers["Last-Modified"] = format_datetime(visible[0].published_at.replace(microsecond=0), usegmt=True)
        if _is_current(request, etag, visible):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="application/rss+xml")

    def _visible(self, name: str) -> list[Headline]:
        now = self._venue.world.now
        return [headline for headline in self._feeds[name] if headline.published_at <= now]


def _is_current(request: Request, etag: str, visible: list[Headline]) -> bool:
    """If-None-Match decides alone where it is sent; else If-Modified-Since."""
    match = request.headers.get("If-None-Match")
    if match is not None:
        return etag in (part.strip().removeprefix("W/") for part in match.split(","))
    since = request.headers.get("If-Modified-Since")
    if since is None or not visible:
        return False
    try:
        return visible[0].published_at.replace(microsecond=0) <= parsedate_to_datetime(since)
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
