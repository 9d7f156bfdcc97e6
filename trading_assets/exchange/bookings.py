"""How single events change an account: fills, legs, what expires and what is settled. Called by ``state`` alone."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from trading_assets.exchange.accounts import STOP_LOSS, Account, Order
from trading_assets.exchange.events import (
    AccountOpened,
    ComboFilled,
    DividendPaid,
    HoldingChanged,
    LegFill,
    OptionSettled,
    OrderFilled,
    PositionExpired,
)
from trading_assets.exchange.positions import FILL, ZERO, Activity, Position, Settlement


def open_account(opened: AccountOpened, at: datetime) -> Account:
    return Account(
        opened.name,
        opened.id,
        opened.cash,
        opened.options_level,
        at,
        opened.cash,
        opened.cash,
        shorting=opened.shorting,
    )


def resize(leg: Order, quantity: int, at: datetime) -> None:
    if leg.waits:
        leg.waits, leg.active_at = False, at
        if leg.terms.role != STOP_LOSS:
            leg.status = "new"
    leg.quantity, leg.updated_at = quantity, at


def _count(account: Account, order: Order, price: Decimal, quantity: int, at: datetime) -> None:
    """Count an execution in the order's own book."""
    order.filled += quantity
    order.filled_value += price * quantity
    order.updated_at = at
    if order.remaining == 0:
        order.status, order.filled_at = "filled", at
        del account.open_orders[order.terms.id]
    else:
        order.status = "partially_filled"


def fill(account: Account, order: Order, event: OrderFilled | LegFill, at: datetime) -> None:
    terms = order.terms
    _count(account, order, event.price, event.quantity, at)
    signed = event.quantity if terms.side == "buy" else -event.quantity
    _move(account, (terms.symbol, terms.asset_class, terms.asset_id, terms.multiplier), signed, event.price)
    account.activities.append(
        Activity(
            id=event.execution_id,
            kind=FILL,
            at=at,
            symbol=terms.symbol,
            quantity=event.quantity,
            side=terms.side,
            price=event.price,
            order_id=terms.id,
            cumulative=order.filled,
            leaves=order.remaining,
            multiplier=terms.multiplier,
        )
    )


def fill_combo(account: Account, event: ComboFilled, at: datetime) -> None:
    for part in event.legs:
        fill(account, account.open_orders[part.order_id], part, at)
    _count(account, account.open_orders[event.order_id], event.price, event.quantity, at)


def _move(account: Account, asset: tuple[str, str, str, int], signed: int, price: Decimal) -> None:
    """Take ``signed`` of an asset (symbol, class, id, multiplier) in for cash."""
    position = account.positions.setdefault(asset[0], Position(*asset))
    account.cash -= price * signed * position.multiplier
    position.move(signed, price)
    if position.quantity == 0:
        del account.positions[asset[0]]


def expire(account: Account, event: PositionExpired, at: datetime) -> None:
    position = account.positions[event.symbol]
    gone = abs(position.quantity) if event.quantity is None else event.quantity
    signed = -gone if position.quantity > 0 else gone
    position.move(signed, ZERO)
    if position.quantity == 0:
        del account.positions[event.symbol]
    account.activities.append(
        Activity(event.activity_id, "OPEXP", at, event.symbol, signed, multiplier=position.multiplier)
    )


def settle(account: Account, event: OptionSettled, at: datetime) -> None:
    position = account.positions[event.symbol]
    signed = -event.quantity if position.quantity > 0 else event.quantity
    position.move(signed, ZERO)
    if position.quantity == 0:
        del account.positions[event.symbol]
    account.settling.remove(Settlement(event.symbol, event.quantity, event.reason, event.day))
    _move(account, (event.stock, "us_equity", event.stock_id, 1), event.stock_quantity, event.price)
    day, group, lot = event.day, event.group, position.multiplier
    account.activities += [
        Activity(event.activity_id, event.reason, at, event.symbol, signed, multiplier=lot, day=day, group=group),
        Activity(
            event.trade_id,
            "OPTRD",
            at,
            event.stock,
            event.stock_quantity,
            price=event.price,
            day=day,
            amount=-event.price * event.stock_quantity,
            group=group,
        ),
    ]


def change_holding(account: Account, event: HoldingChanged, at: datetime) -> None:
    """The cost stays with what is still held; the part of a share that was paid out takes its own with it."""
    position = account.positions.pop(event.symbol)
    # What was to be exercised is another contract now; whoever still wants it says so again.
    account.settling = [line for line in account.settling if line.symbol != event.symbol]
    if event.symbol in account.not_exercised:
        account.not_exercised = account.not_exercised - {event.symbol} | {event.new_symbol}
    if event.new_quantity:
        asset = (event.new_symbol, position.asset_class, event.new_asset_id, position.multiplier)
        other = account.positions.setdefault(event.new_symbol, Position(*asset))
        other.quantity += event.new_quantity
        other.cost += position.cost * event.new_quantity / event.exact_quantity
        if other.quantity == 0:
            del account.positions[event.new_symbol]
    account.cash += event.cash
    day, lot = event.day, position.multiplier
    account.activities += [
        Activity(
            identity,
            event.activity,
            at,
            symbol,
            quantity,
            multiplier=lot,
            day=day,
            amount=amount,
            group=event.group,
            kind_of=event.kind_of,
        )
        for identity, symbol, quantity, amount in (
            (event.out_id, event.symbol, -event.quantity, ZERO),
            (event.in_id, event.new_symbol, event.new_quantity, event.cash),
        )
    ]


def pay_dividend(account: Account, event: DividendPaid, at: datetime) -> None:
    account.cash += event.amount
    account.activities.append(
        Activity(
            event.activity_id,
            "DIV",
            at,
            event.symbol,
            event.quantity,
            day=event.day,
            amount=event.amount,
            per_share=event.rate,
            kind_of="CDIV",
        )
    )
