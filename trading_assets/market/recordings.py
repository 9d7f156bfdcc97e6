"""Recorded minute bars from anywhere, brought into one form: what columns they have, when their minutes begin, and
which rows are left out, each for a reason that is counted.

Nothing is repaired in silence: a row that cannot be used is dropped and counted, a minute without a row stays missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import polars as pl

from trading_assets.domain.clock import NEW_YORK
from trading_assets.market.frames import INSTANT
from trading_assets.market.sessions import sessions_between

#: What a recording needs; each is found under its own name unless the format says otherwise. The instant may also
#: be called ``ts_utc``, and a recording of one ticker needs no ticker column.
NEEDED = ("ticker", "ts", "open", "high", "low", "close", "volume")
_PRICES = ("open", "high", "low", "close")
#: From so many distances between bars on their usual one tells how long a bar is.
_TELLING = 20
_TICKER = r"^[A-Z]{1,6}(\.[A-Z]{1,2})?$"
LABELS = ("start", "end")


@dataclass(frozen=True, slots=True)
class RecordingFormat:
    """How a recording is written.

    ``columns`` maps our name to the recording's; ``zone`` is the IANA zone of instants without one (default UTC);
    ``label`` says whether a bar carries the start or the end of its minute; ``ticker`` names the only ticker.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    zone: str = "UTC"
    label: str = "start"
    ticker: str | None = None


@dataclass(frozen=True, slots=True)
class RecordingCounts:
    """What was found. ``rows`` in all, ``kept`` of them; the others by the reason for which they were left out.

    ``malformed`` are rows without a sound minute bar: no instant at a whole minute, no ticker in capital letters (BRK.B
    has a point), prices that contradict each other or are not above zero. ``out_of_order`` rows were sorted into place,
    and ``missing_minutes`` are minutes between a ticker's first and last bar of a session that have none: both are only
    counted.
    """

    rows: int
    kept: int
    tickers: int
    sessions: int
    first_session: str
    last_session: str
    malformed: int
    outside_session: int
    exact_duplicates: int
    conflicting_duplicates: int
    out_of_order: int
    missing_minutes: int

    def as_json(self) -> dict[str, int | str]:
        """JSON-ready."""
        return asdict(self)


class RecordingError(ValueError):
    """A recording that cannot be read as minute bars; the text says what is missing and what is there."""


def normalise(raw: pl.DataFrame, form: RecordingFormat) -> tuple[pl.DataFrame, RecordingCounts]:
    """The recording as ticker, ts (start, UTC), open, high, low, close, volume, by ticker and ts; and the counts.

    Of several rows for one minute that differ, the first in the file counts. Raises ``RecordingError`` for columns that
    are not there, values of another kind, or a recording without one usable row.
    """
    frame = _typed(raw, form).with_row_index("row")
    rows = frame.height
    sound = frame.filter(
        pl.col("ts").is_not_null()
        & pl.col("ticker").is_not_null()
        & pl.col("ticker").str.contains(_TICKER)
        & pl.all_horizontal(pl.col(name).is_finite() & (pl.col(name) > 0) for name in _PRICES)
        & (pl.col("high") >= pl.max_horizontal("open", "close", "low"))
        & (pl.col("low") <= pl.min_horizontal("open", "close"))
        & (pl.col("volume") >= 0)
        & (pl.col("ts") == pl.col("ts").dt.truncate("1m"))
    )
    if sound.is_empty():
        raise RecordingError(f"none of its {rows} rows is a sound minute bar")
    inside = _in_session(sound)
    if inside.is_empty():
        raise RecordingError("none of its bars lies within a session of the exchange: check its time zone")
    _require_minutes(inside)
    disorder = inside.select(
        (pl.col("ts").diff().over("ticker", order_by="row") < pl.duration(seconds=0)).fill_null(value=False).sum()
    ).item()
    distinct = inside.unique(["ticker", "ts", *_PRICES, "volume"], keep="first", maintain_order=True)
    kept = distinct.unique(["ticker", "ts"], keep="first", maintain_order=True).sort("ticker", "ts")
    days = kept["day"].unique().sort()
    span = kept.group_by("ticker", "day").agg(
        expected=(pl.col("ts").max() - pl.col("ts").min()).dt.total_minutes() + 1, seen=pl.len()
    )
    counts = RecordingCounts(
        rows=rows,
        kept=kept.height,
        tickers=kept["ticker"].n_unique(),
        sessions=len(days),
        first_session=days[0].isoformat(),
        last_session=days[-1].isoformat(),
        malformed=rows - sound.height,
        outside_session=sound.height - inside.height,
        exact_duplicates=inside.height - distinct.height,
        conflicting_duplicates=distinct.height - kept.height,
        out_of_order=int(disorder),
        missing_minutes=int((span["expected"] - span["seen"]).sum()),
    )
    return kept.select(NEEDED), counts


def _require_minutes(inside: pl.DataFrame) -> None:
    """Longer bars would be taken as known when their first minute is over: minutes of look-ahead in every price."""
    steps = inside.sort("ticker", "ts").select(
        (pl.col("ts").diff().over("ticker", "day").dt.total_minutes()).alias("minutes")
    )
    distances = steps.filter(pl.col("minutes") > 0)["minutes"]
    usual = distances.mode().sort()
    if len(distances) >= _TELLING and usual[0] > 1:
        raise RecordingError(
            f"these look like bars of {usual[0]} minutes, for most of them lie that far apart; expected one-minute bars"
        )


def composite(bars: pl.DataFrame, name: str) -> pl.DataFrame:
    """An index of the recorded names, in the form of a recording: the mean of their log returns, from 100 on.

    A name counts in a minute if it has a bar there and one before. Volume is the sum. Rows as ``normalise`` gives them.
    """
    steps = bars.sort("ticker", "ts").with_columns(before=pl.col("close").shift(1).over("ticker"))
    changes = (
        steps.filter(pl.col("before").is_not_null())
        .with_columns((pl.col(price) / pl.col("before")).log().alias(price) for price in _PRICES)
        .group_by("ts")
        .agg(*(pl.col(price).mean() for price in _PRICES), pl.col("volume").sum())
        .sort("ts")
    )
    level = pl.col("close").cum_sum().shift(1, fill_value=0.0)
    return changes.select(
        pl.lit(name).alias("ticker"),
        "ts",
        *((100.0 * (level + pl.col(price)).exp()).round(4).alias(price) for price in _PRICES),
        "volume",
    ).select(NEEDED)


def _typed(raw: pl.DataFrame, form: RecordingFormat) -> pl.DataFrame:
    """The needed columns under our names and in our types; an unreadable value becomes null."""
    unknown = sorted(set(form.columns) - set(NEEDED))
    if unknown:
        raise RecordingError(f"there is no column {', '.join(unknown)} to map; known are {', '.join(NEEDED)}")
    found: dict[str, pl.Expr] = {}
    missing = []
    for name in NEEDED:
        source = form.columns.get(name) or next((c for c in _aliases(name) if c in raw.columns), name)
        if name == "ticker" and form.ticker is not None:
            found[name] = pl.lit(form.ticker)
        elif source in raw.columns:
            found[name] = pl.col(source)
        else:
            missing.append(f"{name} (looked for {source!r})")
    if missing:
        raise RecordingError(f"it lacks {', '.join(missing)}; it has {', '.join(raw.columns)}")
    frame = raw.select(**found)
    try:
        frame = frame.with_columns(
            pl.col("ticker").cast(pl.String).str.strip_chars(),
            *(pl.col(name).cast(pl.Float64, strict=False) for name in _PRICES),
            pl.col("volume").cast(pl.Float64, strict=False).round().cast(pl.Int64, strict=False),
            _instant(frame.schema["ts"], form.zone),
        )
    except pl.exceptions.PolarsError as error:
        raise RecordingError(f"its columns are of another kind: {str(error).splitlines()[0]}") from None
    if form.label == "end":
        frame = frame.with_columns(pl.col("ts") - pl.duration(minutes=1))
    return frame


def _aliases(name: str) -> tuple[str, ...]:
    return ("ts", "ts_utc", "timestamp") if name == "ts" else (name,)


def _instant(kind: pl.DataType, zone: str) -> pl.Expr:
    """The instants in UTC. In the hour that a clock shows twice the first is meant, one that it skips is null."""
    column = pl.col("ts")
    if kind == pl.String:
        column = column.str.to_datetime(time_unit="us", strict=False, time_zone=None)
        kind = pl.Datetime("us")
    if not isinstance(kind, pl.Datetime):
        raise RecordingError(f"its instants are {kind}, expected a date and time")
    if kind.time_zone is None:
        column = column.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return column.dt.convert_time_zone("UTC").cast(INSTANT).alias("ts")


def _in_session(frame: pl.DataFrame) -> pl.DataFrame:
    """Bars whose minute lies within a session, with the session's day. The calendar knows early closes."""
    dated = frame.with_columns(day=pl.col("ts").dt.convert_time_zone(str(NEW_YORK)).dt.date())
    first, last = dated["day"].min(), dated["day"].max()
    sessions = list(sessions_between(first, last))  # type: ignore[arg-type]
    calendar = pl.DataFrame(
        {
            "day": [session.day for session in sessions],
            "opens": [session.open for session in sessions],
            "closes": [session.close for session in sessions],
        },
        schema={"day": pl.Date, "opens": INSTANT, "closes": INSTANT},
    )
    joined = dated.join(calendar, on="day", how="inner", maintain_order="left")
    return joined.filter((pl.col("ts") >= pl.col("opens")) & (pl.col("ts") < pl.col("closes"))).drop("opens", "closes")
