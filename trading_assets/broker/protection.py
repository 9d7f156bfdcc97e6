"""The pair that rests over a stock: its legs are read, ended before anything else sells, and put back where needed.

What belongs here: the motions. What does not: which prices and when to put them back (``jobs.protecting``), and what a
fill of a leg does (``broker.booking``). A bracket's legs are good for the day, as their entry is: at the close they
expire, and a stock that stays gets a new pair at the same prices. The caller holds the account's lock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from decimal import Decimal

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from trading_assets.broker import submission, working
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import NO_ANSWER, OrderDenied, SymbolBlocked
from trading_assets.broker.values import OrderRequest
from trading_assets.domain.clock import Clock
from trading_assets.domain.identities import client_order_id
from trading_assets.domain.values import OrderState, PositionState, Purpose, Side
from trading_assets.ledger import order_legs, orders, positions
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import Position

log = logging.getLogger(__name__)


def refresh(
    engine: Engine,
    broker: AlpacaBroker,
    clock: Clock,
    account: str,
    *,
    run_id: str,
    denied: Callable[[OrderIntent], None],
) -> int:
    """Read every bracket and pair of which a leg may still fill, or is not known, and book what its legs sold.

    Returns how many fills of protective orders are new; what the broker ``denied`` is told and passed over. Raises
    ``BrokerUnavailable`` like any look at an order.
    """
    with engine.connect() as connection:
        parents = order_legs.with_unread_legs(connection, account)
        before = _sold(connection, account)
    for parent in parents:
        try:
            working.look(engine, broker, clock, parent, run_id=run_id)
        except OrderDenied:
            denied(parent)
    with engine.connect() as connection:
        return _sold(connection, account) - before if parents else 0


def _sold(connection: Connection, account: str) -> int:
    return sum(i.filled_quantity for i in orders.of_account(connection, account) if i.purpose is Purpose.PROTECT)


def end(
    engine: Engine, broker: AlpacaBroker, clock: Clock, position_id: str, *, run_id: str
) -> tuple[OrderIntent, ...]:
    """Cancel the protective orders of a position, wait until the broker says so, and book what they sold meanwhile.

    Returns those that are still live: then no share may be sold by another order. One whose fate is unknown is left to
    the next reconciliation.
    """
    for number, intent in enumerate(live(engine, position_id)):
        if intent.state in (OrderState.INTENT, OrderState.UNKNOWN):
            continue
        if number:
            # The end of the one is the end of the other; mostly that has been so by now.
            try:
                intent = working.look(engine, broker, clock, intent, run_id=run_id)
            except NO_ANSWER as error:
                log.warning("order %s: look failed: %s", intent.client_order_id, error)
        working.end(engine, broker, clock, intent, run_id=run_id)
    return live(engine, position_id)


def live(engine: Engine, position_id: str) -> tuple[OrderIntent, ...]:
    """The protective orders of a position that may still fill, the take profit first."""
    with engine.connect() as connection:
        return order_legs.protections(connection, position_id)


def covers(resting: tuple[OrderIntent, ...], held: int) -> bool:
    """Whether ``resting`` is a stop and a take profit, each of which stands for exactly what is held.

    An order whose fate is unknown counts: nothing may be put beside it.
    """
    if any(intent.state in (OrderState.INTENT, OrderState.UNKNOWN) for intent in resting):
        return True
    stands_for = sorted((intent.reason, open_quantity(intent)) for intent in resting)
    return stands_for == sorted(((orders.STOP_LOSS, held), (orders.TAKE_PROFIT, held)))


def open_quantity(intent: OrderIntent) -> int:
    """How much of the order may still fill."""
    return intent.quantity - intent.filled_quantity


def place(
    engine: Engine, broker: AlpacaBroker, clock: Clock, position: Position, quantity: int, *, run_id: str
) -> OrderIntent:
    """Rest a take profit and a stop, of which one cancels the other, over ``quantity`` held shares; the take profit.

    The prices are those of the position's own bracket. Raises ``SymbolBlocked``, before anything is sent, if the
    position has changed, an exit or a protective order of it is live, or its prices are not known.
    """
    where = f"{position.account} {position.symbol}"
    stop, target = position.stop_price, position.target_price
    if stop is None or target is None:
        raise SymbolBlocked("the prices of its bracket are not known", where=where)
    with engine.connect() as connection:
        attempt = orders.next_attempt(connection, position.position_id, Purpose.PROTECT)
    now = clock.now()
    name = client_order_id(position.account, Purpose.PROTECT, position.position_id, attempt, 0)
    intent = OrderIntent(
        client_order_id=name,
        account=position.account,
        purpose=Purpose.PROTECT,
        position_id=position.position_id,
        signal_id=None,
        symbol=position.symbol,
        underlying=position.underlying,
        side=Side.SELL,
        quantity=quantity,
        multiplier=position.multiplier,
        order_type="limit",
        limit_price=target,
        attempt=attempt,
        step=orders.STEPS[orders.TAKE_PROFIT],
        reason=orders.TAKE_PROFIT,
        run_id=run_id,
        created_at=now,
        updated_at=now,
        order_class=orders.OCO,
    )

    def prepare(connection: Connection) -> None:
        stored = positions.get_position(connection, position.position_id, lock=True)
        if stored is None or stored.state is not PositionState.OPEN or stored.quantity != quantity:
            raise SymbolBlocked("the position changed meanwhile", where=where)
        if any(i.is_live for i in orders.of_position(connection, position.position_id)):
            raise SymbolBlocked("an order of the position is live", where=where)
        details = {"client_order_id": name, "quantity": quantity, **_prices(stop, target)}
        positions.add_event(connection, position.position_id, now, "protection_ordered", run_id, details)

    request = OrderRequest(name, position.symbol, Side.SELL, quantity, target, take_profit=target, stop_loss=stop)
    try:
        return submission.submit(engine, broker, clock, intent, request, prepare)
    except IntegrityError as error:
        raise SymbolBlocked("a live order forbids this one", where=where) from error


def _prices(stop: Decimal, target: Decimal) -> dict[str, str]:
    return {"stop_loss": str(stop), "take_profit": str(target)}
