"""Captured feeds become part of a world: read once from a person's folder, kept beside its exchange, counted.

What the world can show is kept as it was recorded, broken captures too; what it never could show is left out and
counted by reason. The world is complete in its own directory: the folder may move or change afterwards.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from trading_assets.domain.errors import ConfigurationError
from trading_assets.market.sessions import Session, shift
from trading_assets.world.feed_dates import shift_dates
from trading_assets.world.feed_folder import FeedFolder, Found, read_body
from trading_assets.world.paths import write_private

FEEDS_FILE, BODIES = "feeds.json", "feeds"
#: What the name of a feed ends in that is not played at the time at which it was captured.
SHIFTED = ".shifted"
_SHOWN = 4
_HEAD = 512


class Reading(Protocol):
    """How a body reads: the identities of its items, and what is wrong with it (None: nothing)."""

    @property
    def items(self) -> frozenset[str]: ...
    @property
    def problem(self) -> str | None: ...


Reader = Callable[[bytes, str | None], Reading]


@dataclass(frozen=True, slots=True)
class _Played:
    """A capture at the instant at which the world shows it."""

    at: datetime
    found: Found


def keep(folder: FeedFolder, directory: Path, sessions: Sequence[Session], read: Reader) -> dict[str, Any]:
    """Bring what the world of ``sessions`` can show into ``directory``, unless it is there; its counts.

    Raises ``ConfigurationError`` if the folder holds no dated capture, if all were made after the last session, or if
    none of those that can be shown is a sound feed.
    """
    kept = directory / FEEDS_FILE
    if kept.exists():
        counts: dict[str, Any] = json.loads(kept.read_text())["counts"]
        return counts
    contents = folder.contents
    tally: Counter[str] = Counter()
    by_feed = _by_feed(contents.captures, folder.shift_days, tally)
    refused = _later(by_feed, sessions)
    _require_reach(folder, by_feed, sessions)
    tally["after_session"] += sum(len(by_feed.pop(name)) for name in refused)
    bodies = directory / BODIES
    bodies.mkdir(mode=0o700, parents=True, exist_ok=True)
    problems: list[str] = []
    feeds = []
    instants: list[datetime] = []
    for name, rows in sorted(by_feed.items()):
        shown = _shown(rows, sessions, tally)
        instants += [row.at for row in shown]
        feeds.append(_kept(name, shown, folder, bodies, read, tally, problems))
    captures = sum(len(feed["captures"]) for feed in feeds)
    if len(problems) == captures:
        raise ConfigurationError(
            f"none of the {captures} captures that can be shown is a sound feed: {problems[0]}",
            where=str(folder.path),
            mend="Record the feeds themselves: a log-in, consent or error page may have taken their place.",
        )
    counts = {
        "name": folder.path.resolve().name,
        "files": len(contents.captures) + len(contents.undated),
        "feeds": len(feeds),
        "captures": captures,
        "items": sum(capture["new_items"] for feed in feeds for capture in feed["captures"]),
        "broken": len(problems),
        "broken_first": problems[:_SHOWN],
        "superseded": tally["superseded"],
        "repeated": tally["repeated"],
        "after_session": tally["after_session"],
        "refused_feeds": refused,
        "undated": len(contents.undated),
        "undated_first": [str(path.relative_to(folder.path)) for path in contents.undated[:_SHOWN]],
        "other_files": contents.others,
        "first_capture": min(instants).isoformat(),
        "last_capture": max(instants).isoformat(),
        "within_sessions": sum(any(s.open <= at <= s.close for s in sessions) for at in instants),
        "shift_days": folder.shift_days,
        "dates_not_shifted": tally["dates_not_shifted"],
    }
    write_private(kept, json.dumps({"feeds": feeds, "counts": counts}, indent=1) + "\n")
    return counts


def require_reach(folder: FeedFolder, sessions: Sequence[Session]) -> None:
    """Raise ``ConfigurationError`` if every capture was made after the last of ``sessions``, or none says when."""
    _require_reach(folder, _by_feed(folder.contents.captures, folder.shift_days, Counter()), sessions)


def counts_of(directory: Path) -> dict[str, Any] | None:
    """The counts of the feeds that a world plays, or None if it plays none."""
    path = directory / FEEDS_FILE
    if not path.exists():
        return None
    counts: dict[str, Any] = json.loads(path.read_text())["counts"]
    return counts


def items_until(directory: Path, instant: datetime) -> int:
    """How many different items the kept feeds have shown up to ``instant``."""
    feeds = json.loads((directory / FEEDS_FILE).read_text())["feeds"]
    return sum(
        int(capture["new_items"])
        for feed in feeds
        for capture in feed["captures"]
        if datetime.fromisoformat(capture["at"]) <= instant
    )


def described(counts: Mapping[str, Any]) -> list[str]:
    """What a person should know of the feeds before the world starts, a line each."""
    first, last = (datetime.fromisoformat(counts[key]) for key in ("first_capture", "last_capture"))
    lines = [
        f"{counts['name']}: {counts['feeds']} feeds, {counts['captures']} captures with {counts['items']} items, "
        f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC; left out: {counts['undated']} without a capture time"
        f"{_such_as(counts['undated_first'])}, "
        f"{counts['superseded']} superseded before the first session, {counts['repeated']} at the same instant, "
        f"{counts['after_session']} captured after the last session"
    ]
    if counts["broken"]:
        named = "; ".join(counts["broken_first"])
        more = ", ..." if counts["broken"] > len(counts["broken_first"]) else ""
        lines.append(
            f"{counts['broken']} captures are no sound feed and are served as they were recorded: {named}{more}"
        )
    if counts["refused_feeds"]:
        lines.append(
            "refused, since all their captures were made after the last session: " + ", ".join(counts["refused_feeds"])
        )
    if not counts["within_sessions"]:
        lines.append(
            f"no capture was made within a session that is played; what was captured before, until "
            f"{last:%Y-%m-%d %H:%M} UTC, is shown from the start"
        )
    if counts["shift_days"]:
        stay = (
            f"; {counts['dates_not_shifted']} dates could not be read and stay" if counts["dates_not_shifted"] else ""
        )
        lines.append(
            f"shifted by {counts['shift_days']:+d} days: times of capture and of publication; the feeds' names end in "
            f"{SHIFTED}{stay}"
        )
    return lines


def _such_as(names: Sequence[str]) -> str:
    return f" ({names[0]}{', ...' if len(names) > 1 else ''})" if names else ""


def _by_feed(captures: Iterable[Found], shift_days: int, tally: Counter[str]) -> dict[str, list[_Played]]:
    """Captures by feed and time, moved by the shift. Of several at one instant the first by name counts."""
    found: dict[str, list[_Played]] = defaultdict(list)
    for capture in captures:
        rows = found[capture.feed + (SHIFTED if shift_days else "")]
        at = capture.at + timedelta(days=shift_days)
        if rows and rows[-1].at == at:
            tally["repeated"] += 1
        else:
            rows.append(_Played(at, capture))
    return dict(found)


def _later(by_feed: Mapping[str, Sequence[_Played]], sessions: Sequence[Session]) -> list[str]:
    """The feeds of which nothing was captured before the last session's close."""
    return sorted(name for name, rows in by_feed.items() if rows[0].at >= sessions[-1].close)


def _require_reach(folder: FeedFolder, by_feed: Mapping[str, Sequence[_Played]], sessions: Sequence[Session]) -> None:
    if len(_later(by_feed, sessions)) < len(by_feed):
        return
    first = min(row.at for rows in by_feed.values() for row in rows)
    days = folder.shift_days + (sessions[0].day - first.date()).days
    raise ConfigurationError(
        f"every capture was made after the last session, {sessions[-1].key}: the first on {first:%Y-%m-%d %H:%M} UTC",
        where=str(folder.path),
        mend=f"Play a session that they cover, or move them with --feeds-shift-days {days}.",
    )


def _shown(rows: Sequence[_Played], sessions: Sequence[Session], tally: Counter[str]) -> list[_Played]:
    """The captures that the world's clock can meet. Of those before its first instant only the newest is ever seen."""
    begin, end = shift(sessions[0].day, -1).close, shift(sessions[-1].day, 1).open
    earlier = [row for row in rows if row.at <= begin]
    shown = [row for row in rows if begin < row.at < end]
    tally["superseded"] += max(len(earlier) - 1, 0)
    tally["after_session"] += sum(row.at >= end for row in rows)
    return [*earlier[-1:], *shown]


def _kept(
    name: str,
    rows: Sequence[_Played],
    folder: FeedFolder,
    bodies: Path,
    read: Reader,
    tally: Counter[str],
    problems: list[str],
) -> dict[str, Any]:
    """One feed as the exchange reads it; the bodies are written on the way, equal ones once."""
    captures: list[dict[str, Any]] = []
    known: set[str] = set()
    readings: dict[tuple[str, str | None], Reading] = {}
    for row in rows:
        body = read_body(row.found.path)
        if folder.shift_days:
            body, left = shift_dates(body, folder.shift_days)
            tally["dates_not_shifted"] += left
        digest = hashlib.sha256(body).hexdigest()
        if not (bodies / digest).exists():
            # Written in place: feeds.json, which comes last, is what makes them count.
            (bodies / digest).write_bytes(body)
        content_type = row.found.content_type or _kind(body)
        key = (digest, content_type)
        reading = readings[key] = readings.get(key) or read(body, content_type)
        status = row.found.status or 200
        problem = f"HTTP {status}" if status != 200 else reading.problem
        items = reading.items - known if status == 200 else frozenset()
        known |= items
        if problem is not None:
            problems.append(f"{row.found.path.relative_to(folder.path)} ({' '.join(problem.split())[:120]})")
        captures.append(
            {
                "at": row.at.isoformat(),
                "body": digest,
                "content_type": content_type,
                "status": status,
                "new_items": len(items),
            }
        )
    return {
        "name": name,
        "json_format": any("json" in capture["content_type"] for capture in captures),
        "captures": captures,
    }


def _kind(body: bytes) -> str:
    """The media type that a server would have named; without a charset, so that the document's own counts."""
    head = body[:_HEAD].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \r\n\t").lower()
    if head.startswith(b"{"):
        return "application/feed+json"
    if head.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if b"<rss" in head:
        return "application/rss+xml"
    return "application/atom+xml" if b"<feed" in head else "application/xml"
