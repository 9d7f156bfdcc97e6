"""What fills do to orders and positions: the only place where either changes because of money.

One transaction per order. A fill is booked at most once (execution id; broker order and cumulative quantity), so any
fill may be offered any number of times and in any order. Figures of orders and positions are always computed from all
booked fills, never added up step by step. An order counts as ended only when every fill the broker reports is booked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from sqlalchemy import Connection, Engine

from trading_assets.broker import combos
from trading_assets.broker.values import BrokerFill, BrokerOrder
from trading_assets.domain import crashpoints
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.values import LIVE_STATES, OrderState, PositionState, Purpose, Side
from trading_assets.ledger import execution_changes, executions, order_legs, orders, positions, splits
from trading_assets.ledger.executions import Execution
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import Position
from trading_assets.ledger.splits import Units

log = logging.getLogger(__name__)


class NotNext(TradingAssetsError):
    """A fill that does not continue what is booked of its order: another one is missing, or its numbers are odd."""


#: Stream and list may name the instant of a fill in different precision.
_SAME_INSTANT = timedelta(seconds=1)
#: The exit rule whose sale moves a position to stage 1.
HALF_TAKEN = "target"


def book_order(
    engine: Engine,
    client_order_id: str,
    order: BrokerOrder | None,
    fills: Iterable[BrokerFill],
    *,
    at: datetime,
    run_id: str,
    told: bool = False,
) -> OrderIntent:
    """Book fills of one of our orders and advance order and position. Returns the intent as stored.

    ``order`` is the broker's latest word on it, None if only fills are known. Fills of other orders are ignored.
    ``told`` fills come from the trade stream, which may drop or reorder them: one that does not continue exactly what
    is booked raises ``NotNext``, and nothing is booked.
    """
    with engine.begin() as connection:
        stored = book_within(connection, client_order_id, order, fills, at=at, run_id=run_id, told=told)
        crashpoints.reached("booking.before_commit")
    crashpoints.reached("booking.after_commit")
    return stored


def book_within(
    connection: Connection,
    client_order_id: str,
    order: BrokerOrder | None,
    fills: Iterable[BrokerFill],
    *,
    at: datetime,
    run_id: str,
    told: bool = False,
) -> OrderIntent:
    """``book_order`` as a part of the caller's transaction, which holds the positions of all orders that it books.

    A multi-leg order has no fills of its own: its quantity is what all its legs have.
    """
    intent = _intent(connection, client_order_id)
    position = _locked(connection, intent.position_id)
    intent = _intent(connection, client_order_id, lock=True)
    broker_order_id = intent.broker_order_id if order is None else order.order_id
    if broker_order_id is None:
        raise TradingAssetsError("fills of an order that the broker has not confirmed", where=client_order_id)
    for fill in _sorted(fills):
        if fill.order_id == broker_order_id:
            if told:
                _require_next(connection, intent.account, fill)
            _insert(connection, position, fill, intent=intent, reason=intent.reason, at=at, run_id=run_id)
    intent = _as_now(connection, intent, order, at)
    quantity, average = _filled(connection, intent, broker_order_id)
    orders.set_filled(connection, client_order_id, quantity, average, at)
    state = _order_state(intent, order, quantity)
    orders.mark(
        connection,
        client_order_id,
        state,
        at,
        broker_order_id=broker_order_id,
        submitted_at=intent.submitted_at or at,
        error=_end_without_fill(order, state, quantity),
    )
    if intent.order_class == orders.COMBO:
        _end_legs(connection, intent, state, at)
    refigure_whole(connection, intent, at)
    refigure(connection, position, at=at, run_id=run_id, reason=intent.reason, settled=False)
    return _intent(connection, client_order_id)


def refigure_whole(connection: Connection, leg: OrderIntent, at: datetime, *, taken_back: bool = False) -> None:
    """Compute the multi-leg order that ``leg`` belongs to anew from its legs; any other order has none."""
    if leg.order_class != orders.COMBO_LEG or leg.leg_of is None:
        return
    whole = _intent(connection, leg.leg_of, lock=True)
    quantity, average = _filled(connection, whole, whole.broker_order_id or "")
    orders.set_filled(connection, whole.client_order_id, quantity, average, at, taken_back=taken_back)
    # One that was given up here and was filled all the same is filled.
    if whole.broker_order_id is not None and quantity and (whole.is_live or quantity == whole.quantity):
        orders.mark(connection, whole.client_order_id, _order_state(whole, None, quantity), at)


def settle_within(connection: Connection, legs: Iterable[OrderIntent], *, at: datetime, run_id: str) -> None:
    """Bring the positions of ``legs`` in line with their orders, as a part of the caller's transaction."""
    for leg in legs:
        position = _locked(connection, leg.position_id)
        refigure(connection, position, at=at, run_id=run_id, reason=leg.reason, settled=False)


def _filled(connection: Connection, intent: OrderIntent, broker_order_id: str) -> tuple[int, Decimal | None]:
    """Booked quantity and its average price; of a multi-leg order whole units and their net price."""
    if intent.order_class != orders.COMBO:
        booked = executions.of_broker_order(connection, broker_order_id)
        return sum(row.quantity for row in booked), executions.average_price(booked)
    legs = order_legs.combo_legs(connection, intent.client_order_id)
    return combos.units_filled(intent.quantity, legs), combos.net_price(legs, intent.quantity)


def _end_legs(connection: Connection, whole: OrderIntent, state: OrderState, at: datetime) -> None:
    """Legs end with their order: they never trade by themselves."""
    if state in LIVE_STATES:
        return
    for leg in order_legs.combo_legs(connection, whole.client_order_id):
        if leg.is_live:
            orders.mark(connection, leg.client_order_id, state, at)


def book_on_position(
    engine: Engine, position_id: str, fills: Sequence[BrokerFill], *, reason: str, at: datetime, run_id: str
) -> int:
    """Book fills of an order that is not ours to a position of the same symbol. Returns how many were new."""
    with engine.begin() as connection:
        new = book_on_position_within(connection, position_id, fills, reason=reason, at=at, run_id=run_id)
        crashpoints.reached("booking.before_commit")
    crashpoints.reached("booking.after_commit")
    return new


def book_on_position_within(
    connection: Connection, position_id: str, fills: Iterable[BrokerFill], *, reason: str, at: datetime, run_id: str
) -> int:
    """``book_on_position`` as a part of the caller's transaction."""
    position = _locked(connection, position_id)
    new = sum(
        _insert(connection, position, fill, intent=None, reason=reason, at=at, run_id=run_id) for fill in _sorted(fills)
    )
    refigure(connection, position, at=at, run_id=run_id, reason=reason, settled=False)
    return new


def remaining(connection: Connection, position_id: str) -> int:
    """What the booked fills of a position leave of it, whatever its state says: a phantom has gone without a fill."""
    rows = executions.of_position(connection, position_id)
    units = splits.in_todays_units(rows, splits.of_position(connection, position_id))
    return floor(
        sum((u.quantity if u.execution.side is Side.BUY else -u.quantity for u in units), Fraction(0)),
    )


def settle(engine: Engine, position_id: str, *, at: datetime, run_id: str) -> Position:
    """Bring the state of a position in line when no ladder works on it any more: an entry without a fill is VOID."""
    with engine.begin() as connection:
        position = _locked(connection, position_id)
        return refigure(connection, position, at=at, run_id=run_id, reason=None, settled=True)


def refigure(
    connection: Connection, position: Position, *, at: datetime, run_id: str, reason: str | None, settled: bool
) -> Position:
    """Compute quantity, entry price, realised P&L and state from all booked fills; write them with their events.

    Realised P&L = sum over sales of (price - average entry price) x quantity x multiplier. The caller holds the row.
    """
    rows = executions.of_position(connection, position.position_id)
    units = splits.in_todays_units(rows, splits.of_position(connection, position.position_id))
    bought = [unit for unit in units if unit.execution.side is Side.BUY]
    sold = [unit for unit in units if unit.execution.side is Side.SELL]
    # Of shares that a split left in parts only whole ones are held.
    opened, gone = floor(sum(unit.quantity for unit in bought)), ceil(sum(unit.quantity for unit in sold))
    remaining = floor(sum(unit.quantity for unit in bought) - sum(unit.quantity for unit in sold))
    entry = _average(bought)
    realized = sum(
        (
            (unit.amount - entry * unit.quantity.numerator / unit.quantity.denominator) * unit.execution.multiplier
            for unit in sold
            if entry is not None
        ),
        Decimal(0),
    )
    phantom = position.state is PositionState.CLOSED and position.exit_reason == positions.PHANTOM
    held = 0 if phantom else max(0, remaining)
    state = position.state if phantom else _position_state(connection, position, opened, held, settled=settled)
    values: dict[str, object] = {
        "quantity_opened": max(opened, held),
        "quantity": held,
        "entry_price": entry,
        "realized_pnl": realized,
        "state": state.value,
        "opened_at": min((unit.execution.executed_at for unit in bought), default=None),
        # In the transaction that books the sale: a half taken twice would be the price of a crash in between.
        "stage": 1 if any(unit.execution.reason == HALF_TAKEN for unit in sold) else position.stage,
    }
    if state is PositionState.CLOSED and not phantom:
        values["closed_at"] = max((unit.execution.executed_at for unit in sold), default=at)
        values["exit_reason"] = position.exit_reason or reason or sold[-1].execution.reason
    elif not phantom:
        values["closed_at"] = None
        values["exit_reason"] = None
    if gone > opened:
        log.error(
            "account %s, signal %s, position %s: sold %d of %d",
            position.account,
            position.signal_id,
            position.position_id,
            gone,
            opened,
        )
    positions.update_position(connection, position.position_id, **values)
    if state is not position.state:
        details = {
            "from": position.state.value,
            "to": state.value,
            "quantity": held,
            "realized_pnl": str(realized),
            "reason": reason,
        }
        positions.add_event(connection, position.position_id, at, state.value.lower(), run_id, details)
    return _locked(connection, position.position_id)


def _average(bought: Sequence[Units]) -> Decimal | None:
    """Average entry price in the units of today; None without a purchase."""
    quantity = sum((unit.quantity for unit in bought), Fraction(0))
    if not quantity:
        return None
    amount = sum((unit.amount for unit in bought), Decimal(0))
    return (amount * quantity.denominator / quantity.numerator).quantize(executions.STORED)


def _position_state(
    connection: Connection, position: Position, opened: int, held: int, *, settled: bool
) -> PositionState:
    live = {intent.purpose for intent in orders.of_position(connection, position.position_id) if intent.is_live}
    if Purpose.EXIT in live:
        return PositionState.CLOSING
    if Purpose.ENTRY in live:
        return PositionState.OPENING
    if held > 0:
        return PositionState.OPEN
    if opened > 0:
        return PositionState.CLOSED
    return PositionState.VOID if settled else position.state


def _as_now(connection: Connection, intent: OrderIntent, order: BrokerOrder | None, at: datetime) -> OrderIntent:
    """``intent`` with the quantity that a protective order stands for now: it follows its entry and its sibling."""
    quantity = None if order is None else whole(order.quantity)
    if intent.purpose is not Purpose.PROTECT or quantity is None or quantity == intent.quantity:
        return intent
    orders.set_quantity(connection, intent.client_order_id, quantity, at)
    return _intent(connection, intent.client_order_id)


def _order_state(intent: OrderIntent, order: BrokerOrder | None, booked: int) -> OrderState:
    """The intent's next state: the broker's end of it counts only once all fills it reports are booked."""
    if booked == intent.quantity:
        return OrderState.FILLED
    if order is None:
        return OrderState.PARTIALLY_FILLED if intent.is_live else intent.state
    complete = order.filled_quantity is not None and booked >= order.filled_quantity
    if order.is_final and complete and order.state is not OrderState.FILLED:
        return order.state
    if not intent.is_live:
        # Given up here, yet alive at the broker: it is being cancelled there and must not count as our live order.
        return intent.state
    return OrderState.PARTIALLY_FILLED if booked or order.filled_quantity else OrderState.ACCEPTED


def _end_without_fill(order: BrokerOrder | None, state: OrderState, booked: int) -> str | None:
    if order is None or booked or state not in (OrderState.REJECTED, OrderState.EXPIRED):
        return None
    return f"the broker ended the order as {order.status}"


def _insert(
    connection: Connection,
    position: Position,
    fill: BrokerFill,
    *,
    intent: OrderIntent | None,
    reason: str,
    at: datetime,
    run_id: str,
) -> bool:
    quantity, cumulative = whole(fill.quantity), whole(fill.cumulative_quantity)
    if quantity is None or cumulative is None:
        log.error(
            "account %s, %s: fill %s of broker order %s is not a whole number of units: not booked",
            position.account,
            fill.symbol,
            fill.activity_id,
            fill.order_id,
        )
        return False
    execution = Execution(
        execution_id=fill.activity_id,
        client_order_id=None if intent is None else intent.client_order_id,
        position_id=position.position_id,
        account=position.account,
        broker_order_id=fill.order_id,
        cumulative_quantity=cumulative,
        symbol=fill.symbol,
        side=fill.side,
        quantity=quantity,
        price=fill.price,
        multiplier=position.multiplier,
        executed_at=fill.at,
        reason=reason,
        booked_at=at,
        run_id=run_id,
    )
    if _stands_otherwise(connection, execution):
        log.warning("%s: fill %s counts what is booked already as another fill", fill.symbol, fill.activity_id)
        return False
    new = executions.insert_execution(connection, execution)
    if not new and _is_another(connection, execution):
        free = executions.highest_cumulative(connection, fill.order_id) + quantity
        new = executions.insert_execution(connection, replace(execution, cumulative_quantity=free))
    if new:
        details = {
            "execution_id": fill.activity_id,
            "client_order_id": execution.client_order_id,
            "side": fill.side.value,
            "quantity": quantity,
            "price": str(fill.price),
            "reason": reason,
        }
        positions.add_event(connection, position.position_id, at, "fill", run_id, details)
    return new


def _stands_otherwise(connection: Connection, execution: Execution) -> bool:
    """Whether a part of what the order was filled by with ``execution`` is booked as a fill of another name.

    Fills of one order follow each other. One that counts again what another one counted has come in its place: a
    correction that nobody heard. It is not a further fill (``reconciling.changed_fills`` finds out what it is).
    """
    if execution_changes.of_order(connection, execution.account, execution.broker_order_id):
        # After a change that was heard the broker counts from less.
        return False
    begin, end = execution.cumulative_quantity - execution.quantity, execution.cumulative_quantity
    return any(
        executions.fill_id(row.execution_id) != executions.fill_id(execution.execution_id)
        and row.cumulative_quantity - row.quantity < end
        and begin < row.cumulative_quantity
        for row in executions.of_broker_order(connection, execution.broker_order_id)
    )


def same_figures(booked: Execution, fill: BrokerFill) -> bool:
    """Whether ``fill`` counts just what ``booked`` does, at the same price: one fill, also under two names."""
    counted = (Decimal(booked.cumulative_quantity), Decimal(booked.quantity))
    return counted == (fill.cumulative_quantity, fill.quantity) and abs(booked.price - fill.price) < executions.STORED


def _is_another(connection: Connection, execution: Execution) -> bool:
    """Whether ``execution`` only shares its cumulative quantity with one that is booked.

    After a bust or a correction the broker counts from less, and other fills arrive under numbers that are used up. One
    of the same quantity, price and instant is still the same fill, heard of under another name.
    """
    if not execution_changes.of_order(connection, execution.account, execution.broker_order_id):
        return False
    if executions.booked_ids(connection, execution.account, (execution.execution_id,)):
        return False
    first = executions.first_booked_under(connection, execution.broker_order_id, execution.cumulative_quantity)
    return first is not None and not (
        (first.quantity, first.price) == (execution.quantity, execution.price)
        and abs(first.executed_at - execution.executed_at) < _SAME_INSTANT
    )


def _require_next(connection: Connection, account: str, fill: BrokerFill) -> None:
    if executions.booked_ids(connection, account, (fill.activity_id,)):
        return
    booked = executions.highest_cumulative(connection, fill.order_id)
    if fill.cumulative_quantity - fill.quantity != booked:
        raise NotNext(
            f"a fill of {fill.quantity} makes {fill.cumulative_quantity} in all, but {booked} are booked",
            where=f"order {fill.order_id}",
            mend="The broker's list of fills is read instead.",
        )


def whole(quantity: Decimal | None) -> int | None:
    """A positive whole number of contracts or shares, else None."""
    if quantity is None or quantity <= 0 or quantity != quantity.to_integral_value():
        return None
    return int(quantity)


def _sorted(fills: Iterable[BrokerFill]) -> list[BrokerFill]:
    return sorted(fills, key=lambda fill: (fill.at, fill.cumulative_quantity))


def _intent(connection: Connection, client_order_id: str, *, lock: bool = False) -> OrderIntent:
    intent = orders.get_intent(connection, client_order_id, lock=lock)
    if intent is None:
        raise TradingAssetsError("no such order intent", where=f"order_intents {client_order_id}")
    return intent


def _locked(connection: Connection, position_id: str) -> Position:
    position = positions.get_position(connection, position_id, lock=True)
    if position is None:
        raise TradingAssetsError("no such position", where=f"active_positions {position_id}")
    return position
