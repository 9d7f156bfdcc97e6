"""A few rows as a Markdown table, for a person who looks at a materialization. Never the whole of anything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dagster import MarkdownMetadataValue, MetadataValue

from trading_assets.domain.clock import NEW_YORK

LIMIT = 10
_LONGEST = 120
#: Everything by which Markdown or HTML would read a headline or an error as more than text.
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~&:@-])")
#: Of it what begins a picture, a link or a tag, or takes the meaning from these.
_ACTIVE = re.compile(r"([\\\[\]<])")


def as_text(text: str) -> str:
    """``text`` for the description of a check's result, which the UI reads as Markdown, too.

    It may hold words of others, such as a server's reason for an error. A picture in it would be asked for by the
    browser of whoever looks, and the UI's own address answers such a question by doing what it says.
    """
    return _ACTIVE.sub(r"\\\1", text)


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], limit: int = LIMIT) -> MarkdownMetadataValue:
    """The first ``limit`` rows: ``columns`` maps a row's key to its heading. What is null is shown as an empty cell."""
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row.get(key)) for key in columns) + " |" for row in rows[:limit]]
    if len(rows) > limit:
        lines += ["", f"and {len(rows) - limit} more"]
    return MetadataValue.md("\n".join(lines))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(NEW_YORK):%H\\:%M}"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".").replace("-", "\\-")
    text = " ".join(str(value).split())
    shown = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return _SPECIAL.sub(r"\\\1", shown)
