"""JSON Feed (jsonfeed.org, versions 1 and 1.1), brought into the shape in which feedparser gives an entry.

Nothing is guessed of other JSON: what does not call itself a JSON Feed is refused.
"""

from __future__ import annotations

import json
from typing import Any

_VERSION = "https://jsonfeed.org/version/"
_BODIES = ("summary", "content_text", "content_html")


def looks_like_json(text: str) -> bool:
    """Whether the document begins as a JSON object."""
    return text.lstrip()[:1] == "{"


def json_entries(text: str) -> tuple[str, list[dict[str, Any]]]:
    """The version and the items as entries with ``id``, ``link``, ``title``, ``summary``, ``published`` and
    ``updated``.

    Raises ``ValueError`` for broken JSON (also one that breaks off), and for JSON that is no JSON Feed.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"the JSON cannot be parsed: {type(problem).__name__}: {problem}") from None
    version, items = document.get("version"), document.get("items")
    if not isinstance(version, str) or not version.startswith(_VERSION) or not isinstance(items, list):
        raise ValueError("the body is JSON, but no JSON Feed with a version and items")
    return f"json{version.removeprefix(_VERSION).replace('.', '')}", [_entry(item) for item in items]


def _entry(item: object) -> dict[str, Any]:
    if not isinstance(item, dict):
        return {}
    identity = item.get("id")
    return {
        "id": _text(str(identity) if isinstance(identity, int) else identity),
        "link": _text(item.get("url")) or _text(item.get("external_url")),
        "title": _text(item.get("title")),
        "summary": next(filter(None, (_text(item.get(key)) for key in _BODIES)), None),
        "published": _text(item.get("date_published")),
        "updated": _text(item.get("date_modified")),
    }


def _text(value: object) -> str | None:
    """JSON can name half a character, which nothing can store: it becomes a question mark."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None
