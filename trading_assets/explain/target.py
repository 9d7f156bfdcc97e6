"""What a person means by a target: a ticker at a time, a signal, an order or a position. A refusal says what exists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl
from sqlalchemy import Connection

from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.explain.reading import Frames, deciding_instants, known_tickers, sessions_with_decisions
from trading_assets.explain.wording import clean
from trading_assets.ledger import explanations

_TICKER = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,9}")
_SIGNAL = re.compile(r"[0-9a-f]{4,32}")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_NAMED = 40
_SHORT = 12


class NothingToExplain(TradingAssetsError):
    """There is no such ticker, signal, order or session here, or the question is ambiguous."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, as it was typed. ``session`` and ``account`` None: not given."""

    target: str
    time: str | None = None
    session: date | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What is meant. ``as_of`` is the deciding instant; ``signals`` its signals by id, each with its row in the frame
    (None: not stored); ``marked`` the order or position that was asked for, ``position`` its row."""

    kind: str
    session: date
    ticker: str
    as_of: datetime
    asked_for: datetime | None = None
    note: str | None = None
    signals: Mapping[str, dict[str, Any] | None] = field(default_factory=dict)
    marked: str | None = None
    position: dict[str, Any] | None = None


def find(connection: Connection, frames: Frames, question: Question) -> Found:
    """What ``question`` means; raises :class:`NothingToExplain` in one sentence that says what exists."""
    target = question.target.strip()
    if question.time is not None:
        return _ticker(frames, question, target, question.time)
    order = explanations.order(connection, target)
    if order is not None:
        position = explanations.position(connection, order["position_id"])
        return _position(frames, connection, question, "order", order["client_order_id"], position, order["signal_id"])
    position = explanations.position(connection, target)
    if position is not None:
        return _position(frames, connection, question, "position", target, position)
    if _SIGNAL.fullmatch(target):
        return _signal(connection, frames, question, target)
    shown = clean(target)[:_NAMED]
    if _TICKER.fullmatch(target):
        raise NothingToExplain(
            f"a ticker needs a time, and {shown!r} is no signal, order or position",
            mend=f"Say the minute, as in 'why {shown.upper()} 10:42'.",
        )
    raise NothingToExplain(
        f"there is no signal, order or position {shown!r}",
        mend="'trading-assets data signals --json' and 'trading-assets data executions --json' list their ids.",
    )


# --- a ticker at a time -----------------------------------------------------------------------------------------------


def _ticker(frames: Frames, question: Question, target: str, when: str) -> Found:
    sessions = sessions_with_decisions(frames)
    if not sessions:
        raise NothingToExplain("no session of this world has decisions", mend="Run 'trading-assets demo' first.")
    clock = _CLOCK.fullmatch(when.strip())
    if clock is not None:
        day = question.session or date.fromisoformat(sessions[-1])
        hour, minute, second = (int(part or 0) for part in clock.groups())
        asked = datetime.combine(day, time(hour, minute, second), NEW_YORK).astimezone(UTC)
        whole = clock.group(3) is None
    else:
        asked = _instant(when)
        day = asked.astimezone(NEW_YORK).date()
        whole = asked.second == 0 and asked.microsecond == 0
        if question.session not in (None, day):
            raise NothingToExplain(f"{when} lies on {day} in New York, and --session says {question.session}")
    if day.isoformat() not in sessions:
        raise NothingToExplain(f"the session {day} has no decisions", mend=f"Stored are: {_listed(sessions)}.")
    ticker = target.upper()
    known = known_tickers(frames, day)
    if not _TICKER.fullmatch(target) or ticker not in known:
        raise NothingToExplain(
            f"nothing is stored about {clean(target)[:_NAMED]!r} on {day}", mend=f"Known are: {_listed(known)}."
        )
    instants = deciding_instants(frames, day)
    limit = asked + timedelta(minutes=1) if whole else asked + timedelta(microseconds=1)
    before = [instant for instant in instants if instant < limit]
    if not before:
        raise NothingToExplain(
            f"nothing was decided by {_at(asked)} on {day}",
            mend=f"The first decisions were made at {_at(instants[0])}, the last at {_at(instants[-1])} New York time.",
        )
    chosen = before[-1]
    note = None
    if chosen < asked:
        said = f"nothing was decided in the minute {_at(asked)}" if whole else f"nothing was decided at {_at(asked)}"
        note = f"{said}; the newest decision before is that of {_at(chosen)}"
    signals = frames.read("signals", [day.isoformat()])
    mine = signals.filter((pl.col("as_of") == chosen) & (pl.col("ticker") == ticker)).to_dicts()
    return Found(
        kind="ticker",
        session=day,
        ticker=ticker,
        as_of=chosen,
        asked_for=asked,
        note=note,
        signals={row["signal_id"]: row for row in mine if row["signal_id"] is not None},
    )


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise NothingToExplain(
            f"{clean(text)[:_NAMED]!r} is no time",
            mend="Write a New York time such as 10:42, or an instant with its zone such as 2026-03-11T14:42:00Z.",
        )
    return found.astimezone(UTC)


def _at(instant: datetime) -> str:
    local = instant.astimezone(NEW_YORK)
    return f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return (", ".join(ordered[-_NAMED:]) + more) or "none"


# --- a signal, an order, a position -----------------------------------------------------------------------------------


def _signal(connection: Connection, frames: Frames, question: Question, prefix: str) -> Found:
    matching = set(explanations.signal_ids_from(connection, prefix))
    rows: dict[str, dict[str, Any]] = {}
    for key in _partitions(connection, frames, question, prefix):
        signals = frames.read("signals", [key])
        for row in signals.filter(pl.col("signal_id").str.starts_with(prefix)).to_dicts():
            rows[row["signal_id"]] = row
    matching |= set(rows)
    if prefix in matching:
        matching = {prefix}
    if not matching:
        raise NothingToExplain(
            f"there is no signal {prefix!r}",
            mend="'trading-assets data signals --json' lists the signals of a session with their ids.",
        )
    if len(matching) > 1:
        raise NothingToExplain(f"{prefix!r} begins the ids of several signals: {_listed(matching)}")
    (identity,) = matching
    return _of_signal(connection, frames, question, "signal", identity, rows.get(identity))


def _partitions(connection: Connection, frames: Frames, question: Question, prefix: str) -> list[str]:
    """Sessions whose decisions may hold a signal of this beginning; of a published one that is told whole, its own."""
    if question.session is not None:
        return [question.session.isoformat()]
    published = explanations.recommendation(connection, prefix)
    return frames.partitions("signals") if published is None else [published["session"].isoformat()]


def _of_signal(
    connection: Connection,
    frames: Frames,
    question: Question,
    kind: str,
    identity: str,
    decided: dict[str, Any] | None,
    *,
    marked: str | None = None,
    position: dict[str, Any] | None = None,
) -> Found:
    published = explanations.recommendation(connection, identity)
    if published is not None:
        session, ticker, as_of = published["session"], published["ticker"], published["known_at"]
    elif decided is not None:
        session = decided["as_of"].astimezone(NEW_YORK).date()
        ticker, as_of = decided["ticker"], decided["as_of"]
    else:
        raise NothingToExplain(f"the signal {identity} is not stored")
    if question.session not in (None, session):
        raise NothingToExplain(f"the signal {identity[:_SHORT]} is of {session}, and --session says {question.session}")
    if decided is None:
        signals = frames.read("signals", [session.isoformat()]).filter(pl.col("signal_id") == identity)
        decided = signals.to_dicts()[0] if signals.height else None
    return Found(kind, session, ticker, as_of, None, None, {identity: decided}, marked, position)


def _position(
    frames: Frames,
    connection: Connection,
    question: Question,
    kind: str,
    marked: str,
    position: dict[str, Any] | None,
    ordered_by: str | None = None,
) -> Found:
    """``ordered_by`` is the signal of an order: an add's is not the one that opened the position."""
    if position is None:
        raise NothingToExplain(f"the position of the order {marked} is not stored")
    if question.account not in (None, position["account"]):
        raise NothingToExplain(
            f"the {kind} {marked} belongs to account {position['account']}, and --account says {question.account}"
        )
    signal_id = ordered_by or explanations.root_signal(connection, position["position_id"])
    if signal_id is not None:
        return _of_signal(connection, frames, question, kind, signal_id, None, marked=marked, position=position)
    at = position["opened_at"] or position["created_at"]
    return Found(
        kind,
        at.astimezone(NEW_YORK).date(),
        position["underlying"],
        at,
        note="no signal of ours opened this position: it was found at the broker and taken over",
        marked=marked,
        position=position,
    )
