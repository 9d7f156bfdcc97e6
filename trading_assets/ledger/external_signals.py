"""Signals from outside as they were received: written once, the same delivery at most once, never changed.

What belongs here: what may be stored, and reading it again by the instant of its receipt. What does not: whom to
believe (``strategy.rule_sets.webhook``) and by which way a signal came. What a source sends is data: its texts are
bounded, have no control characters, and are only compared and shown.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select
from sqlalchemy.dialects.postgresql import insert

from trading_assets.domain.clock import Clock, require_utc
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.values import Direction, Strategy
from trading_assets.ledger.tables import external_signals

#: Longest texts that are taken, characters.
LONGEST_SOURCE = 64
LONGEST_ID = 128
LONGEST_NOTE = 500
#: Key of the advisory lock between receiving and reading ("extsig" in ASCII).
_LOCK = 0x657874736967
_TICKER = re.compile(r"[A-Z][A-Z0-9.]{0,9}")


class RefusedSignal(TradingAssetsError):
    """A signal from outside that is not stored: its source is not configured, or a value is not well-formed."""


@dataclass(frozen=True, slots=True)
class ExternalSignal:
    """A stored signal. ``strategy`` None: confidence and volume choose it; ``external_id`` is the source's own id."""

    source: str
    external_id: str | None
    ticker: str
    direction: Direction
    strategy: Strategy | None
    received_at: datetime
    note: str | None


def receive(
    connection: Connection,
    clock: Clock,
    *,
    sources: Collection[str],
    source: str,
    ticker: str,
    direction: str,
    strategy: str | None = None,
    external_id: str | None = None,
    note: str | None = None,
) -> bool:
    """Store a signal as received now, by ``clock``; False if its source sent this ``external_id`` before.

    ``sources`` are the configured ones. ``direction`` is bullish or bearish in any case, ``strategy`` a strategy's name
    or None. Without an ``external_id`` every call is a signal of its own. Raises :class:`RefusedSignal`.
    """
    _require_text(source, "source", LONGEST_SOURCE)
    if source not in sources:
        known = f"Configured are: {', '.join(sorted(sources))}." if sources else "None is configured: name it there."
        raise RefusedSignal(
            f"the source {source!r} is not configured", where="strategy.yaml, signals.webhook.sources", mend=known
        )
    if not _TICKER.fullmatch(ticker):
        raise RefusedSignal(
            f"{ticker[:20]!r} is no ticker", where="ticker", mend="Expected are 1 to 10 of A-Z, 0-9 and '.'."
        )
    said = _one_of(direction.upper(), "direction", [each.value for each in Direction])
    asked = None if strategy is None else _one_of(strategy, "strategy", [each.value for each in Strategy])
    if external_id is not None:
        _require_text(external_id, "id", LONGEST_ID)
    if note is not None:
        _require_text(note, "note", LONGEST_NOTE)
    # The clock is read while readers wait: whoever read up to an instant has seen all that was received before it.
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    statement = (
        insert(external_signals)
        .values(
            source=source,
            external_id=external_id,
            ticker=ticker,
            direction=said,
            strategy=asked,
            received_at=require_utc(clock.now()),
            note=note,
        )
        .on_conflict_do_nothing(constraint="uq_external_signals_source_external_id")
        .returning(external_signals.c.id)
    )
    return connection.execute(statement).scalar_one_or_none() is not None


def received(connection: Connection, since: datetime, until: datetime) -> list[ExternalSignal]:
    """Signals received in [``since``, ``until``), the first received first.

    For an ``until`` that is not in the clock's future the answer is final: nothing received before it can come later.
    """
    connection.execute(select(func.pg_advisory_xact_lock_shared(_LOCK)))
    columns = external_signals.c
    rows = connection.execute(
        select(external_signals)
        .where(columns.received_at >= since, columns.received_at < until)
        .order_by(columns.received_at, columns.id)
    )
    return [_signal(row) for row in rows]


def latest(connection: Connection, source: str, external_id: str | None) -> ExternalSignal:
    """The signal that ``source`` sent under its ``external_id``; for None the one of any kind it sent last.

    Raises ``NoResultFound`` if there is none.
    """
    columns = external_signals.c
    chosen = select(external_signals).where(columns.source == source)
    if external_id is not None:
        chosen = chosen.where(columns.external_id == external_id)
    return _signal(connection.execute(chosen.order_by(columns.id.desc()).limit(1)).one())


def _signal(row: Row[Any]) -> ExternalSignal:
    return ExternalSignal(
        source=row.source,
        external_id=row.external_id,
        ticker=row.ticker,
        direction=Direction(row.direction),
        strategy=None if row.strategy is None else Strategy(row.strategy),
        received_at=require_utc(row.received_at),
        note=row.note,
    )


def _require_text(text: str, name: str, longest: int) -> None:
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise RefusedSignal(
            f"the {name} is not taken: {text[:40]!r}{'...' if len(text) > 40 else ''}",
            where=name,
            mend=f"Expected are 1 to {longest} characters in one line, without control characters.",
        )


def _one_of(text: str, name: str, known: list[str]) -> str:
    if text not in known:
        raise RefusedSignal(f"the {name} {text[:40]!r} is not known", where=name, mend=f"Known: {', '.join(known)}.")
    return text
