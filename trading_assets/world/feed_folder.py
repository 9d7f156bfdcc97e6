"""A person's folder of captured feeds: which files are captures, of which feed, and when each was made.

A capture is one answer of one feed, as a file. When it was made stands in its name, in UTC (``20260501T151547Z.xml``,
also with dashes and colons, or seconds since 1970), or in a JSON file beside it: ``<file>.meta.json`` for one file,
``meta.json`` or ``metadata.json`` for all of the folder that have no time in their names. The folder names the feed; in
a folder with captures of several feeds what stands before the time in the name is added.

Nothing is guessed: a capture without an instant is left out, since nobody can say from when on it could be seen.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from trading_assets.domain.errors import ConfigurationError

LAYOUT = (
    "Lay it out as FEED/20260501T151547Z.xml (capture time in UTC), or FEED/feed.xml beside a meta.json with "
    "captured_at."
)
WHERE = "--feeds"
_BODIES = frozenset({".xml", ".rss", ".atom", ".rdf", ".json", ".html", ".htm"})
_FOLDER_META = ("meta.json", "metadata.json")
_FILE_META = ".meta.json"
_STAMP = re.compile(
    r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})[T_ -]?(\d{2})[:_-]?(\d{2})[:_-]?(\d{2})(?:[.,]\d+)?"
    r"(?:Z|UTC|[+-]00:?00)(?![a-z\d])",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"1\d{9}")
#: How far a file's name and what was noted of it may lie apart; else nobody can say when it was captured.
_AGREE = timedelta(minutes=1)
#: The largest body that a fetch may be configured to read.
_LARGEST = 64 * 1024**2
_TIMES = ("captured_at", "recorded_at", "recorded_at_utc", "fetched_at")
_DATE_FOLDER = re.compile(r"[\d-]+")
_NO_NAME = re.compile(r"[^a-z0-9_.-]+")
_NAME_LIMIT = 55
_LEAST_STATUS, _MOST_STATUS = 200, 599
_TYPE_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Found:
    """A capture that says when it was made. ``content_type`` and ``status`` as they were recorded, None if not."""

    feed: str
    at: datetime
    path: Path
    content_type: str | None
    status: int | None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a folder holds: captures by feed and time, captures without an instant, and files that are none."""

    captures: tuple[Found, ...]
    undated: tuple[Path, ...]
    others: int


@dataclass(frozen=True, slots=True)
class _Dated:
    prefix: str
    at: datetime
    path: Path
    meta: Mapping[str, Any]


@dataclass(frozen=True)
class FeedFolder:
    """A person's folder of captures, played ``shift_days`` whole days later than they were made."""

    path: Path
    shift_days: int = 0

    @cached_property
    def contents(self) -> Contents:
        """Its files; raises ``ConfigurationError`` if none is a capture that says when it was made."""
        return _scan(self.path)

    def as_json(self) -> dict[str, Any]:
        """What identifies it among a world's arguments: the content, not the place."""
        digest = hashlib.sha256()
        for found in self.contents.captures:
            line = f"{found.feed} {found.at.isoformat()} {found.content_type} {found.status} "
            digest.update(line.encode() + hashlib.sha256(read_body(found.path)).digest())
        return {"sha256": digest.hexdigest(), "shift_days": self.shift_days}


def read_body(path: Path) -> bytes:
    """The capture's bytes; raises ``ConfigurationError`` if the file cannot be read or is too large for any fetch."""
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise ConfigurationError(
                f"a capture has {size} bytes, more than {_LARGEST}", where=str(path), mend="Take it out of the folder."
            )
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"a capture cannot be read: {error.strerror}", where=str(path), mend="Make it readable, or take it out."
        ) from None


def _scan(folder: Path) -> Contents:
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}", where=WHERE, mend=LAYOUT)
    # In the order of names: what is found must not depend on the file system.
    inside = folder.resolve()
    files = sorted(
        path
        for path in folder.rglob("*")
        # A link may not lead out of the folder.
        if path.is_file() and not _hidden(path, folder) and path.resolve().is_relative_to(inside)
    )
    dated: dict[tuple[str, ...], list[_Dated]] = defaultdict(list)
    undated, others = [], 0
    for path in files:
        if path.name in _FOLDER_META or path.name.endswith(_FILE_META):
            continue
        prefix, stamp = _stamp(path)
        if stamp is None and path.suffix.lower() not in _BODIES:
            others += 1
            continue
        meta = _meta(path)
        told = _told(meta)
        at = stamp or told
        if at is None or (told is not None and abs(at - told) > _AGREE):
            undated.append(path)
        else:
            dated[_parts(path, folder)].append(_Dated(prefix.strip(" ._-"), at, path, meta))
    captures = []
    named: dict[str, tuple[str, ...]] = {}
    for parts, rows in dated.items():
        several = len({row.prefix for row in rows}) > 1
        for row in rows:
            identity = (*parts, row.prefix) if row.prefix and (several or not parts) else parts
            name = _name(identity or (folder.resolve().name,))
            if named.setdefault(name, identity) != identity:
                raise ConfigurationError(
                    f"two feeds would be called {name!r}: {'/'.join(named[name])} and {'/'.join(identity)}",
                    where=str(folder),
                    mend="Rename one; a feed's name has lower-case ASCII letters, digits, '_', '.' and '-'.",
                )
            captures.append(Found(name, row.at, row.path, _content_type(row.meta), _status(row.meta)))
    if not captures and not undated:
        raise ConfigurationError("the folder holds no capture of a feed", where=str(folder), mend=LAYOUT)
    if not captures:
        raise ConfigurationError(
            f"none of the {len(undated)} captures says when it was made, the first is {undated[0].name}",
            where=str(folder),
            mend=LAYOUT,
        )
    captures.sort(key=lambda found: (found.feed, found.at, str(found.path)))
    return Contents(tuple(captures), tuple(undated), others)


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _stamp(path: Path) -> tuple[str, datetime | None]:
    """What stands before the time in the file's name, and the time; without one the name and None."""
    # A fraction of a second would be taken for a suffix.
    name = path.name
    found = _STAMP.search(name)
    if found is not None:
        try:
            year, month, day, hour, minute, second = map(int, found.groups())
            return name[: found.start()], datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            return path.stem, None
    # Only as the whole name: within one, ten digits may as well be the number of a story.
    if _EPOCH.fullmatch(path.stem):
        return "", datetime.fromtimestamp(int(path.stem), UTC)
    return path.stem, None


def _meta(path: Path) -> Mapping[str, Any]:
    """What JSON files beside a capture say of it; the file's own goes before the folder's."""
    said: dict[str, Any] = {}
    names = (*_FOLDER_META, path.stem + _FILE_META, path.name + _FILE_META)
    for meta in (path.with_name(name) for name in names):
        if not meta.is_file():
            continue
        try:
            content = json.loads(meta.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"what was noted of a capture cannot be read: {type(error).__name__}", where=str(meta), mend=LAYOUT
            ) from None
        if isinstance(content, dict):
            said |= {str(key).lstrip("_"): value for key, value in content.items()}
    return said


def _told(meta: Mapping[str, Any]) -> datetime | None:
    """An instant with a zone; a day alone is none, and neither is a time without a zone."""
    for key in _TIMES:
        written = meta.get(key)
        if not isinstance(written, str):
            continue
        try:
            at = datetime.fromisoformat(written)
        except ValueError:
            continue
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    return None


def _content_type(meta: Mapping[str, Any]) -> str | None:
    headers = meta.get("headers")
    lowered = {str(key).lower(): value for key, value in headers.items()} if isinstance(headers, dict) else {}
    told = lowered.get("content-type") or meta.get("content_type")
    usable = isinstance(told, str) and told.isascii() and told.isprintable() and 0 < len(told) <= _TYPE_LIMIT
    return told if usable else None


def _status(meta: Mapping[str, Any]) -> int | None:
    told = meta.get("status")
    if not isinstance(told, int) or isinstance(told, bool):
        return None
    return told if _LEAST_STATUS <= told <= _MOST_STATUS else None


def _parts(path: Path, folder: Path) -> tuple[str, ...]:
    """The folders that name the feed: those by year, month or day only sort its captures."""
    parts = path.parent.relative_to(folder).parts
    return tuple(part for part in parts if not _DATE_FOLDER.fullmatch(part))


def _name(parts: tuple[str, ...]) -> str:
    text = _NO_NAME.sub("-", ".".join(parts).lower()).strip("-._")[:_NAME_LIMIT]
    return text or "feed"
