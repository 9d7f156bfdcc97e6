"""A recording becomes part of a world: read once from a person's file, brought into one form, kept beside the exchange.

The world is complete in its own directory: the file may move or change afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from trading_assets.domain.errors import ConfigurationError
from trading_assets.market.recordings import LABELS, RecordingError, RecordingFormat, composite, normalise
from trading_assets.market.sessions import shift

BARS_FILE, COUNTS_FILE = "recording.parquet", "recording.json"


@dataclass(frozen=True, slots=True)
class Recording:
    """A person's recording: where it is and how it is written."""

    path: Path
    form: RecordingFormat

    def as_json(self) -> dict[str, Any]:
        """What identifies it among a world's arguments: the content, not the place."""
        return {
            "sha256": _digest(self.path),
            "columns": dict(self.form.columns),
            "zone": self.form.zone,
            "label": self.form.label,
            "ticker": self.form.ticker,
        }


def parse_recording(path: Path, columns: str | None, zone: str | None, label: str, ticker: str | None) -> Recording:
    """A recording from what was said on the command line; raises ``ConfigurationError`` for what makes no sense.

    ``columns`` reads ``ts=timestamp,volume=vol``: our name, then the recording's.
    """
    if not path.is_file():
        raise ConfigurationError(f"there is no file {path}", where="--bars", mend="Name a Parquet or CSV file.")
    mapping: dict[str, str] = {}
    for part in (columns or "").split(",") if columns else ():
        ours, sign, theirs = part.partition("=")
        if not sign or not ours.strip() or not theirs.strip():
            raise ConfigurationError(
                f"{part!r} maps no column", where="--bars-columns", mend="Write ours=theirs, such as ts=timestamp."
            )
        mapping[ours.strip()] = theirs.strip()
    if label not in LABELS:
        raise ConfigurationError(f"{label!r} is no label", where="--bars-label", mend="Use start or end.")
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(
            f"{zone!r} is no time zone", where="--bars-tz", mend="Use an IANA name such as America/New_York."
        ) from None
    return Recording(path, RecordingFormat(mapping, zone or "UTC", label, ticker))


def keep(recording: Recording, directory: Path, sessions: Sequence[date], index: str) -> dict[str, Any]:
    """Bring the recording into ``directory`` in one form, unless it is there; its counts.

    Where it lacks the ``index`` that decisions look at, a composite of its names stands in, and the counts say so.
    Raises ``ConfigurationError`` if it cannot be read, is no recording of minute bars, or lacks one of ``sessions``.
    """
    kept = directory / COUNTS_FILE
    if kept.exists():
        counts: dict[str, Any] = json.loads(kept.read_text())
        return counts
    try:
        bars, found = normalise(_read(recording.path), recording.form)
    except RecordingError as error:
        raise ConfigurationError(
            f"the recording cannot be used: {error}",
            where=str(recording.path),
            mend="Say what its columns mean with --bars-columns, --bars-tz, --bars-label and --bars-ticker.",
        ) from None
    days = set(bars["ts"].dt.convert_time_zone("America/New_York").dt.date().unique())
    lacking = [day.isoformat() for day in sessions if day not in days]
    if lacking:
        raise ConfigurationError(
            f"the recording has no bar of {', '.join(lacking)}",
            where=str(recording.path),
            mend=f"It reaches from {found.first_session} to {found.last_session}.",
        )
    lacks_index = index not in set(bars["ticker"].unique())
    if lacks_index:
        bars = pl.concat([bars, composite(bars, index)]).sort("ticker", "ts")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(directory / BARS_FILE, bars.write_parquet)
    counts = {
        "name": recording.path.name,
        **found.as_json(),
        "composite_index": index if lacks_index else None,
    }
    _write(kept, lambda path: path.write_text(json.dumps(counts, indent=2) + "\n"))
    return counts


def counts_of(directory: Path) -> dict[str, Any] | None:
    """The counts of the recording that a world plays, or None if it plays none."""
    path = directory / COUNTS_FILE
    if not path.exists():
        return None
    counts: dict[str, Any] = json.loads(path.read_text())
    return counts


def tickers(directory: Path, first: date) -> tuple[str, ...]:
    """The names that the kept recording has in the session ``first``, sorted."""
    bars = pl.read_parquet(directory / BARS_FILE, columns=["ticker", "ts"])
    day = pl.col("ts").dt.convert_time_zone("America/New_York").dt.date()
    return tuple(sorted(bars.filter(day == first)["ticker"].unique().to_list()))


def sessions_from(directory: Path, first: date) -> int:
    """How many sessions in a row from ``first`` on the kept recording has bars of. A session without one ends it."""
    bars = pl.read_parquet(directory / BARS_FILE, columns=["ts"])
    days = set(bars["ts"].dt.convert_time_zone("America/New_York").dt.date().unique())
    count = 0
    while shift(first, count).day in days:
        count += 1
    return count


def begins(directory: Path) -> dict[str, date]:
    """The first session of every name of the kept recording: its daily bars before that are modelled."""
    bars = pl.scan_parquet(directory / BARS_FILE).group_by("ticker").agg(pl.col("ts").min()).collect()
    first = bars["ts"].dt.convert_time_zone("America/New_York").dt.date()
    return dict(zip(bars["ticker"].to_list(), first.to_list(), strict=True))


def _read(path: Path) -> pl.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, try_parse_dates=False, infer_schema_length=10_000)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise RecordingError(f"it is neither Parquet nor CSV: {str(error).splitlines()[0]}") from None


def _write(path: Path, write: Any) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    write(temporary)
    temporary.replace(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
