"""Entries, adds and exits by a limit ladder: what stands around the orders, the position row above all.

What belongs here: which position a ladder works on, and what forbids it. What does not: the orders of the ladder
(``broker.climbing``), prices and waiting times (the caller's plan) and whether to trade at all. The caller holds the
account's lock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, Engine

from trading_assets.broker import protection, working
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import Climb, LadderPlan, LadderResult
from trading_assets.broker.errors import NoLongerAllowed, NothingHeld, SymbolBlocked
from trading_assets.domain.clock import Clock
from trading_assets.domain.identities import position_id
from trading_assets.domain.values import Direction, KillMode, OrderState, PositionState, Purpose, Right, Strategy
from trading_assets.ledger import accounts, orders, positions
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import Position

log = logging.getLogger(__name__)

#: Raises a ``TradingAssetsError`` if an opening order may not be sent any more, for a reason outside this room.
Permit = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """What to buy, and why. ``symbol`` is the OCC symbol or ticker, ``quantity`` contracts or shares.

    ``adds_to`` is the position of the same symbol that grows by it; None opens one of its own.
    """

    account: str
    signal_id: str
    symbol: str
    underlying: str
    strategy: Strategy
    direction: Direction
    quantity: int
    multiplier: int
    right: Right | None = None
    strike: Decimal | None = None
    expiry: date | None = None
    entry_underlying: Decimal | None = None
    entry_delta: float | None = None
    adds_to: str | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How much of a position to sell, and the exit rule that asked for it."""

    position_id: str
    quantity: int
    reason: str


def enter(
    engine: Engine,
    broker: AlpacaBroker,
    clock: Clock,
    entry: Entry,
    plan: LadderPlan,
    *,
    run_id: str,
    permit: Permit | None = None,
) -> LadderResult:
    """Buy by the ladder. The position row and the first intent are one transaction.

    No fill at all makes a position of its own VOID, and leaves one that was to grow as it was. Raises
    ``SymbolBlocked``, before anything more is sent, if a live order or position of the account forbids this entry, or a
    kill switch. ``permit`` raises where the caller's own conditions do not hold any more. Both are asked in the
    transaction of each intent and right before each time that an order is sent.
    """
    with engine.connect() as connection:
        earlier = orders.of_signal(connection, entry.account, entry.signal_id)
        position = (
            _new_position(entry, plan, clock)
            if entry.adds_to is None
            else positions.get_position(connection, entry.adds_to)
        )
        attempt = 0
        if entry.adds_to is not None:
            attempt = earlier[0].attempt if earlier else orders.next_attempt(connection, entry.adds_to, Purpose.ENTRY)
    if position is None:
        raise SymbolBlocked("the position to add to does not exist", where=f"{entry.account} {entry.symbol}")
    identity, started = position.position_id, False

    def allowed(connection: Connection, sending: OrderIntent | None = None) -> None:
        if permit is not None:
            permit(connection)
        mode = accounts.kill_mode(connection, entry.account)
        if mode is not KillMode.OFF:
            raise NoLongerAllowed(f"the kill switch was set to {mode.value} meanwhile", where=entry.account)
        _refuse_blocked(connection, entry, sending)

    def prepare(connection: Connection) -> None:
        nonlocal started
        allowed(connection)
        stored = positions.get_position(connection, identity, lock=True)
        if not started and any(intent.filled_quantity for intent in earlier):
            raise SymbolBlocked("the signal was traded before", where=f"{entry.account} {entry.symbol}")
        if entry.adds_to is not None:
            _refuse_add(stored, entry, started)
        elif stored is None:
            positions.insert_position(connection, position)
        elif not started and (
            stored.quantity_opened or stored.state not in (PositionState.VOID, PositionState.OPENING)
        ):
            raise SymbolBlocked("the signal was traded before", where=f"{entry.account} {entry.symbol}")
        elif stored.state is PositionState.CLOSED:
            raise SymbolBlocked("the position was closed meanwhile", where=f"{entry.account} {entry.symbol}")
        prices = {"stop_price": plan.stop_loss, "target_price": plan.take_profit} if plan.is_bracket else {}
        positions.update_position(connection, identity, state=PositionState.OPENING.value, **prices)
        started = True

    climb = Climb(
        engine,
        broker,
        clock,
        plan,
        position,
        Purpose.ENTRY,
        entry.signal_id,
        orders.FIRST if entry.adds_to is None else orders.ADD,
        run_id,
        attempt=attempt,
        first_step=max((intent.step for intent in earlier), default=-1) + 1,
        allowed=allowed,
    )
    return climb.run(entry.quantity, prepare)


def _new_position(entry: Entry, plan: LadderPlan, clock: Clock) -> Position:
    return Position(
        position_id=position_id(entry.account, entry.signal_id),
        account=entry.account,
        symbol=entry.symbol,
        underlying=entry.underlying,
        strategy=entry.strategy,
        direction=entry.direction,
        multiplier=entry.multiplier,
        origin="signal",
        state=PositionState.OPENING,
        created_at=clock.now(),
        contract_right=entry.right,
        strike=entry.strike,
        expiry=entry.expiry,
        signal_id=entry.signal_id,
        entry_underlying=entry.entry_underlying,
        entry_delta=entry.entry_delta,
        stop_price=plan.stop_loss,
        target_price=plan.take_profit,
    )


def _refuse_add(stored: Position | None, entry: Entry, started: bool) -> None:
    """Only a position that is held whole, and that nothing but this ladder works on, may grow."""
    free = (PositionState.OPEN, PositionState.OPENING) if started else (PositionState.OPEN,)
    if (
        stored is None
        or stored.symbol != entry.symbol
        or stored.state not in free
        or stored.stage > 0
        or not stored.quantity == stored.quantity_opened > 0
    ):
        raise SymbolBlocked("the position to add to changed meanwhile", where=f"{entry.account} {entry.symbol}")


def leave(
    engine: Engine, broker: AlpacaBroker, clock: Clock, order: Exit, plan: LadderPlan, *, run_id: str
) -> LadderResult:
    """Sell by the ladder. The position is CLOSING meanwhile, then CLOSED or, with quantity left, OPEN again.

    An entry that still works is ended first; one whose fate is unknown keeps nothing from being sold: what is held must
    get out. Then the orders that rest over the position are ended, and what they sold meanwhile is not sold again.
    Raises ``SymbolBlocked``, before anything is sent, if an exit of this position is live or has an unknown fate, an
    entry or a protective order could not be ended, or (``NothingHeld``) nothing is held.
    """
    with engine.connect() as connection:
        position = positions.get_position(connection, order.position_id)
        entries = [
            intent
            for intent in orders.of_position(connection, order.position_id)
            if intent.is_live and intent.purpose is Purpose.ENTRY
        ]
        attempt = orders.next_attempt(connection, order.position_id, Purpose.EXIT)
    if position is None:
        raise SymbolBlocked("there is no such position", where=order.position_id)
    for intent in entries:
        ended = working.end(engine, broker, clock, intent, run_id=run_id)
        if ended.state is OrderState.UNKNOWN:
            log.error("%s is sold while the fate of its entry is unknown: %s", position.symbol, ended.names)
        elif ended.is_live:
            raise SymbolBlocked("the entry could not be ended", where=position.symbol)

    if resting := protection.end(engine, broker, clock, order.position_id, run_id=run_id):
        names = ", ".join(intent.client_order_id for intent in resting)
        raise SymbolBlocked(f"the protective orders {names} could not be ended", where=position.symbol)

    def prepare(connection: Connection) -> None:
        stored = positions.get_position(connection, order.position_id, lock=True)
        if stored is None or not stored.is_live or stored.quantity == 0:
            raise NothingHeld("nothing is held any more", where=position.symbol)
        sales = [i for i in orders.of_position(connection, order.position_id) if i.purpose is not Purpose.ENTRY]
        if any(intent.state is OrderState.UNKNOWN for intent in sales):
            raise SymbolBlocked("an exit of this position has an unknown fate", where=position.symbol)
        if any(intent.is_live for intent in sales if intent.purpose is Purpose.PROTECT):
            raise SymbolBlocked("a protective order of this position is live", where=position.symbol)
        positions.update_position(connection, order.position_id, state=PositionState.CLOSING.value)

    climb = Climb(
        engine, broker, clock, plan, position, Purpose.EXIT, None, order.reason, run_id, attempt=attempt, first_step=0
    )
    return climb.run(order.quantity, prepare)


def _refuse_blocked(connection: Connection, entry: Entry, sending: OrderIntent | None) -> None:
    """No order beside one of unknown fate; the one that is being ``sending`` is unknown itself between its tries."""
    for intent in orders.unknown_intents(connection, entry.account):
        names = {intent.symbol, intent.underlying} & {entry.symbol, entry.underlying}
        if names and (sending is None or intent.client_order_id != sending.client_order_id):
            raise SymbolBlocked(
                "an order in this symbol has an unknown fate", where=f"{entry.account} {', '.join(sorted(names))}"
            )
