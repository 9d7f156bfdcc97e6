"""Brackets, OCO and OTO: several orders of one ticket, and what one of them means for the others.

A bracket is an entry with a take profit and a stop loss that wait for it; an OTO has only one of the two; an OCO is
the pair alone, over a position. The legs of an entry work from its end on, for what it bought. Of a pair only one can
sell a share: what the one sells the other no longer stands for, and once the stop is reached the take profit is
canceled.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from trading_assets.domain.money import CENT
from trading_assets.domain.values import Quote
from trading_assets.exchange.events import Event, LegResized, OrderAccepted, OrderCanceled
from trading_assets.exchange.refusal import unprocessable
from trading_assets.exchange.state import ENTRY, STOP_LOSS, TAKE_PROFIT, ZERO, Account, Order
from trading_assets.exchange.tickets import Ticket
from trading_assets.exchange.wire import text


def check_prices(ticket: Ticket, quote: Quote | None) -> None:
    """A long exit takes its profit above and stops its loss below the price it starts from; raises ``Refusal``."""
    if ticket.order_class == "oco":
        if ticket.side != "sell":
            raise unprocessable("oco orders must be exit orders")
        if ticket.take_profit is not None and ticket.stop_loss is not None and ticket.take_profit <= ticket.stop_loss:
            raise unprocessable("take_profit.limit_price must be > stop_loss.stop_price")
    elif ticket.side != "buy":
        raise unprocessable(f"{ticket.order_class} orders must be entry orders")
    base = ticket.limit_price if ticket.order_class != "oco" else None
    if base is None:
        base = None if quote is None else quote.ask if ticket.side == "buy" else quote.bid
    if base is None or base <= 0:
        raise unprocessable(f"no price for {ticket.symbol}: the legs cannot be judged")
    if ticket.take_profit is not None and ticket.order_class != "oco" and ticket.take_profit < base + CENT:
        raise unprocessable("take_profit.limit_price must be >= base_price + 0.01", base_price=text(base))
    if ticket.stop_loss is not None and ticket.stop_loss > base - CENT:
        raise unprocessable("stop_loss.stop_price must be <= base_price - 0.01", base_price=text(base))
    limit = ticket.stop_loss_limit
    if limit is not None and ticket.stop_loss is not None and limit > ticket.stop_loss:
        raise unprocessable("stop_loss.limit_price must be <= stop_loss.stop_price")


def with_legs(order: OrderAccepted, ticket: Ticket, names: tuple[tuple[str, str], ...]) -> tuple[OrderAccepted, ...]:
    """``order`` and its legs; ``names`` are their order ids and client order ids."""
    pair = ticket.order_class == "oco"
    main = order.model_copy(
        update={"order_class": ticket.order_class, "group": order.id, "role": TAKE_PROFIT if pair else ENTRY}
    )
    legs = []
    if ticket.take_profit is not None and not pair:
        legs.append({"role": TAKE_PROFIT, "type": "limit", "limit_price": ticket.take_profit})
    if ticket.stop_loss is not None:
        kind = "stop" if ticket.stop_loss_limit is None else "stop_limit"
        prices: dict[str, Decimal | None] = {"stop_price": ticket.stop_loss, "limit_price": ticket.stop_loss_limit}
        legs.append({"role": STOP_LOSS, "type": kind, **prices})
    common = {"side": "sell", "position_intent": "sell_to_close", "hold_price": ZERO, "waits": not pair}
    return (
        main,
        *(
            main.model_copy(update={**common, **leg, "id": order_id, "client_order_id": name})
            for leg, (order_id, name) in zip(legs, names, strict=False)
        ),
    )


def after_end(account: Account, order: Order, bought: int) -> list[Event]:
    """What the end of ``order`` means for the others of its group; ``bought`` is what it had filled by then.

    The legs of an entry stand for all that was bought, also by an order that this one replaced. A leg that ends takes
    the other with it, and never the entry.
    """
    legs = [
        other for other in account.group(order) if other.terms.id in account.open_orders and other.terms.role != ENTRY
    ]
    whole = account.bought(order.terms.group) - order.filled + bought
    if order.terms.role == ENTRY and whole > 0:
        return [LegResized(account=account.name, order_id=leg.terms.id, quantity=whole) for leg in legs]
    return _cancel(account, legs)


def after_fill(account: Account, order: Order, quantity: int) -> list[Event]:
    """What a fill of ``quantity`` that leaves some of a leg open means for the other leg."""
    if order.terms.role not in (TAKE_PROFIT, STOP_LOSS):
        return []
    return [
        LegResized(account=account.name, order_id=other.terms.id, quantity=other.quantity - quantity)
        for other in account.group(order)
        if other.terms.id in account.open_orders and other.remaining > quantity
    ]


def after_trigger(account: Account, order: Order) -> list[Event]:
    """A stop that was reached takes the whole of what its pair stands for."""
    return _cancel(account, (other for other in account.group(order) if other.terms.id in account.open_orders))


def _cancel(account: Account, orders: Iterable[Order]) -> list[Event]:
    return [OrderCanceled(account=account.name, order_id=order.terms.id) for order in orders]
