"""The events of a broker's own acts: a liquidation, and the revision of an execution."""

from __future__ import annotations

from decimal import Decimal

from trading_assets.exchange.engine import Engine
from trading_assets.exchange.events import Event, ExecutionRevised, OrderAccepted, OrderCanceled
from trading_assets.exchange.expiry import BROKER
from trading_assets.exchange.faults.plan import Hit, Scope
from trading_assets.exchange.positions import FILL, ZERO, Activity
from trading_assets.exchange.refusal import not_found, unprocessable
from trading_assets.exchange.revisions import holding
from trading_assets.exchange.state import Account, World
from trading_assets.exchange.wire import activity_id


def liquidation(world: World, engine: Engine, account: Account, symbol: str, quantity: int | None) -> OrderAccepted:
    """The broker's order that sells a position, or ``quantity`` of it, at the next bid; raises ``Refusal``."""
    position = account.positions.get(symbol)
    if position is None or position.quantity <= 0 or world.now >= engine.session.close:
        raise unprocessable(f"{symbol} is not held, or the session is over: nothing can be liquidated")
    client_order_id = f"broker-liquidation-{symbol}-{world.orders + 1}"
    return OrderAccepted(
        account=account.name,
        id=engine.identities.order(account.name, client_order_id),
        client_order_id=client_order_id,
        symbol=symbol,
        asset_class=position.asset_class,
        asset_id=position.asset_id,
        side="sell",
        type="market",
        time_in_force="day",
        quantity=min(position.quantity, quantity or position.quantity),
        multiplier=position.multiplier,
        limit_price=None,
        hold_price=ZERO,
        position_intent="sell_to_close",
        source=BROKER,
        expires_at=engine.session.close,
    )


def revision(
    world: World,
    engine: Engine,
    account: Account,
    scope: Scope,
    execution_id: str | None,
    price: Decimal | None,
    quantity: int | None,
) -> list[Event]:
    """What busts (``quantity`` 0) or corrects an execution; sales that would have nothing left to sell are canceled.

    Raises ``Refusal`` if there is no such execution, or if what it bought is no longer there.
    """
    was = _execution(account, scope, execution_id)
    new = was.quantity if quantity is None else quantity
    if new > was.quantity:
        raise unprocessable(f"an execution of {was.quantity} cannot be corrected to more")
    revised = ExecutionRevised(
        account=account.name,
        order_id=was.order_id,
        execution_id=was.id,
        new_execution_id=activity_id(world.now, engine.identities.execution(was.id, world.sequence)),
        price=was.price if price is None else price,
        quantity=new,
        was_price=was.price,
        was_quantity=was.quantity,
    )
    if account.orders[was.order_id].is_combo_leg:
        raise unprocessable("an execution of a multi-leg order cannot be revised")
    left, found = holding(account, was.symbol, revised), holding(account, was.symbol)
    position = account.positions.get(was.symbol)
    # A position that its history does not explain is not taken apart.
    held = (0, ZERO) if position is None else (position.quantity, position.cost)
    if left is None or found is None or (found.quantity, found.cost) != held:
        raise unprocessable("what this execution bought is no longer there: it cannot be revised")
    if account.held_for_orders(was.symbol) <= left.quantity:
        return [revised]
    sales = [
        OrderCanceled(account=account.name, order_id=order.terms.id)
        for order in account.open_orders.values()
        if order.terms.symbol == was.symbol and order.terms.side == "sell"
    ]
    return [*sales, revised]


def _execution(account: Account, scope: Scope, execution_id: str | None) -> Activity:
    for line in reversed(account.activities):
        if line.kind != FILL or not scope.covers(Hit(account=account.name, symbols=(line.symbol,), side=line.side)):
            continue
        if execution_id is None or execution_id in (line.id, line.id.partition("::")[2]):
            return line
    raise not_found("execution not found")
