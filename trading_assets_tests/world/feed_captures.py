"""Captures of feeds as a person would have recorded them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

STAMP = "%Y%m%dT%H%M%SZ"


def rss(*stories: tuple[str, datetime]) -> str:
    """An RSS document of titles and when they were published."""
    items = "".join(
        f"<item><title>{title}</title><guid isPermaLink='false'>{title}</guid>"
        f"<link>https://news.example/{number}</link><pubDate>{format_datetime(at, usegmt=True)}</pubDate></item>\n"
        for number, (title, at) in enumerate(stories)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel><title>t</title>\n{items}</channel></rss>'
    )


def json_feed(*stories: tuple[str, datetime]) -> str:
    """The same as a JSON Feed."""
    items = [{"id": title, "title": title, "date_published": at.isoformat()} for title, at in stories]
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "t", "items": items})


def capture(folder: Path, feed: str, at: datetime, body: str, suffix: str = ".xml") -> Path:
    """Write ``body`` as the capture of ``feed`` at ``at``."""
    path = folder / feed / (at.strftime(STAMP) + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body)
    return path


def growing(folder: Path, feed: str, first: datetime, titles: list[str], every: timedelta) -> None:
    """A feed that shows one title more with every capture, each published a minute before its first capture."""
    stories = [(title, first + every * number - timedelta(minutes=1)) for number, title in enumerate(titles)]
    for number in range(len(stories)):
        capture(folder, feed, first + every * number, rss(*stories[: number + 1]))
