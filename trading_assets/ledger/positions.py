"""Positions as the ledger knows them, and the story of each in ``position_events``.

What belongs here: queries over ``active_positions`` and ``position_events``. What does not: deciding what a fill does
to a position (``broker.booking``). Quantities count contracts or shares; prices are per share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, insert, select, update

from trading_assets.domain.values import LIVE_STATES, Direction, OpenPosition, PositionState, Right, Strategy
from trading_assets.ledger.tables import active_positions, dispatch_executions, order_intents, position_events

LIVE_POSITION_STATES = (PositionState.OPENING, PositionState.OPEN, PositionState.CLOSING)
_LIVE = tuple(state.value for state in LIVE_POSITION_STATES)
#: ``exit_reason`` of a position that twice in a row was not found at the broker.
PHANTOM = "phantom"


@dataclass(frozen=True, slots=True)
class Position:
    """One row of ``active_positions``. ``origin`` is ``signal``, ``adopted`` or ``roll``; the last names the position
    in whose place it was opened."""

    position_id: str
    account: str
    symbol: str
    underlying: str
    strategy: Strategy
    direction: Direction
    multiplier: int
    origin: str
    state: PositionState
    created_at: datetime
    contract_right: Right | None = None
    strike: Decimal | None = None
    expiry: date | None = None
    signal_id: str | None = None
    quantity_opened: int = 0
    quantity: int = 0
    entry_price: Decimal | None = None
    entry_underlying: Decimal | None = None
    entry_delta: float | None = None
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    opened_at: datetime | None = None
    stage: int = 0
    high_water: Decimal | None = None
    exit_reason: str | None = None
    closed_at: datetime | None = None
    realized_pnl: Decimal = Decimal(0)
    rolled_from: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether the position is OPENING, OPEN or CLOSING."""
        return self.state in LIVE_POSITION_STATES


def _record(row: RowMapping) -> Position:
    values: dict[str, Any] = {field.name: row[field.name] for field in fields(Position)}
    values["strategy"] = Strategy(values["strategy"])
    values["direction"] = Direction(values["direction"])
    values["state"] = PositionState(values["state"])
    if values["contract_right"] is not None:
        values["contract_right"] = Right(values["contract_right"])
    return Position(**values)


def _one(connection: Connection, query: Select[Any], *, lock: bool) -> Position | None:
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else _record(row)


def insert_position(connection: Connection, position: Position) -> None:
    """Write a new position. A second live one in the same symbol raises ``sqlalchemy.exc.IntegrityError``."""
    connection.execute(insert(active_positions).values(**asdict(position)))


def get_position(connection: Connection, position_id: str, *, lock: bool = False) -> Position | None:
    """The position of that id or None; ``lock`` holds the row until the transaction ends."""
    return _one(connection, select(active_positions).where(active_positions.c.position_id == position_id), lock=lock)


def live_in_symbol(connection: Connection, account: str, symbol: str, *, lock: bool = False) -> Position | None:
    """The account's live position in exactly this symbol, or None."""
    query = select(active_positions).where(
        active_positions.c.account == account,
        active_positions.c.symbol == symbol,
        active_positions.c.state.in_(_LIVE),
    )
    return _one(connection, query, lock=lock)


def rolled_to(connection: Connection, position_id: str) -> tuple[Position, ...]:
    """The positions that rolls opened in place of this one, oldest first; also those that never got a fill."""
    rows = connection.execute(
        select(active_positions)
        .where(active_positions.c.rolled_from == position_id)
        .order_by(active_positions.c.created_at, active_positions.c.position_id)
    ).mappings()
    return tuple(_record(row) for row in rows)


def root_signal(connection: Connection, position_id: str) -> str | None:
    """The signal behind a position: its own, or of the position from which it was rolled, however often."""
    position = get_position(connection, position_id)
    while position is not None and position.rolled_from is not None:
        position = get_position(connection, position.rolled_from)
    return None if position is None else position.signal_id


def last_traded(connection: Connection, account: str, symbol: str) -> Position | None:
    """The live position in the symbol, else the one of its latest fill; None if it was never traded."""
    row, fill = active_positions.c, dispatch_executions.c
    query = (
        select(active_positions)
        .join(dispatch_executions, fill.position_id == row.position_id)
        .where(row.account == account, row.symbol == symbol)
        .order_by(row.state.in_(_LIVE).desc(), fill.executed_at.desc(), row.position_id)
        .limit(1)
    )
    return _one(connection, query, lock=False)


def last_phantom(connection: Connection, account: str, symbol: str) -> Position | None:
    """The latest position in the symbol that was closed as ``phantom``: a late fill may still explain it."""
    query = (
        select(active_positions)
        .where(
            active_positions.c.account == account,
            active_positions.c.symbol == symbol,
            active_positions.c.exit_reason == PHANTOM,
        )
        .order_by(active_positions.c.closed_at.desc())
        .limit(1)
    )
    return _one(connection, query, lock=True)


def phantoms(connection: Connection, account: str, since: datetime) -> tuple[Position, ...]:
    """Positions that were closed as ``phantom`` at or after ``since``, oldest first."""
    row = active_positions.c
    query = select(active_positions).where(
        row.account == account, row.exit_reason == PHANTOM, row.closed_at >= since, row.state.not_in(_LIVE)
    )
    found = connection.execute(query.order_by(row.closed_at, row.position_id)).mappings()
    return tuple(_record(each) for each in found)


def live_positions(connection: Connection, account: str, *, lock: bool = False) -> tuple[Position, ...]:
    """All OPENING, OPEN and CLOSING positions of an account, oldest first; ``lock`` holds the rows until the
    transaction ends, so that no fill is booked on them meanwhile."""
    query = (
        select(active_positions)
        .where(active_positions.c.account == account, active_positions.c.state.in_(_LIVE))
        .order_by(active_positions.c.created_at, active_positions.c.position_id)
    )
    rows = connection.execute(query.with_for_update() if lock else query).mappings()
    return tuple(_record(row) for row in rows)


def open_positions(connection: Connection, account: str) -> tuple[OpenPosition, ...]:
    """The live positions of an account as gates and exit rules see them."""
    return tuple(as_open_position(position) for position in live_positions(connection, account))


def as_open_position(position: Position) -> OpenPosition:
    """The value that crosses to the pure rooms."""
    return OpenPosition(
        position_id=position.position_id,
        account=position.account,
        symbol=position.symbol,
        underlying=position.underlying,
        strategy=position.strategy,
        direction=position.direction,
        state=position.state,
        quantity=position.quantity,
        multiplier=position.multiplier,
        entry_price=position.entry_price,
        entry_underlying=position.entry_underlying,
        opened_at=position.opened_at,
        right=position.contract_right,
        strike=position.strike,
        expiry=position.expiry,
        stage=position.stage,
        high_water=position.high_water,
        signal_id=position.signal_id,
        entry_delta=position.entry_delta,
        quantity_opened=position.quantity_opened,
    )


def update_position(connection: Connection, position_id: str, **values: Any) -> None:
    """Set columns of one position by name."""
    connection.execute(update(active_positions).where(active_positions.c.position_id == position_id).values(**values))


def protective_prices(connection: Connection, account: str) -> dict[str, tuple[Decimal, Decimal]]:
    """Stop and take profit of the live positions that were bought by a bracket, by position."""
    return {
        position.position_id: (position.stop_price, position.target_price)
        for position in live_positions(connection, account)
        if position.stop_price is not None and position.target_price is not None
    }


def raise_high_water(connection: Connection, position_id: str, price: Decimal) -> None:
    """Keep the best executable price since entry: stores ``price`` only if it is higher than what is stored."""
    connection.execute(
        update(active_positions)
        .where(
            active_positions.c.position_id == position_id,
            active_positions.c.high_water.is_(None) | (active_positions.c.high_water < price),
        )
        .values(high_water=price)
    )


def set_stage(connection: Connection, position_id: str, stage: int) -> None:
    """Store that half was sold at the target (stage 1); a stage never goes back."""
    connection.execute(
        update(active_positions)
        .where(active_positions.c.position_id == position_id, active_positions.c.stage < stage)
        .values(stage=stage)
    )


def add_event(
    connection: Connection, position_id: str, at: datetime, kind: str, run_id: str, details: Mapping[str, Any]
) -> None:
    """Append to the position's story. ``details`` must be JSON-ready; amounts are written as strings."""
    connection.execute(
        insert(position_events).values(position_id=position_id, at=at, kind=kind, run_id=run_id, details=dict(details))
    )


def events_of(connection: Connection, position_id: str) -> tuple[tuple[datetime, str, dict[str, Any]], ...]:
    """The position's story as (at, kind, details), in the order it was written."""
    rows = connection.execute(
        select(position_events.c.at, position_events.c.kind, position_events.c.details)
        .where(position_events.c.position_id == position_id)
        .order_by(position_events.c.event_id)
    )
    return tuple((at, kind, details) for at, kind, details in rows)


def accounts_with_open_work(connection: Connection) -> frozenset[str]:
    """Accounts that hold something, or have an order that may still fill or whose fate is not known."""
    held = select(active_positions.c.account).where(active_positions.c.state.in_(_LIVE))
    working = select(order_intents.c.account).where(order_intents.c.state.in_(sorted(s.value for s in LIVE_STATES)))
    return frozenset(connection.execute(held.union(working)).scalars())
