"""What an account may do with what it has: intents, holdings, wash trades, buying power. It knows no market.

Each check raises ``Refusal`` with the broker's own body. ``instead_of`` is an order that is being replaced: what it
claims is free for the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from trading_assets.exchange.refusal import forbidden, invalid, unprocessable
from trading_assets.exchange.state import STOPS, ZERO, Account, Order
from trading_assets.exchange.wire import text

UNCOVERED = "account not eligible to trade uncovered option contracts"
SPREADS_LEVEL = 3


def check_open_for_orders(account: Account, client_order_id: str) -> None:
    """Its owner lets the account trade, and the id is new."""
    if account.suspended:
        raise forbidden("new orders are rejected by user request")
    if client_order_id in account.by_client_id:
        raise invalid("client_order_id must be unique")


def intent_of(account: Account, symbol: str, side: str, given: str | None, *, option: bool) -> str:
    """What an order of that side does to the position: what was said, if it fits, else what follows from it.

    A stock that is not held is sold short only by an account that may; a contract that is not held only where the
    order says so.
    """
    position = account.positions.get(symbol)
    held = 0 if position is None else position.quantity
    if side == "buy":
        fits = "buy_to_close" if held < 0 else "buy_to_open"
    elif held > 0:
        if given == "sell_to_open":
            raise forbidden(UNCOVERED if option else "account is not allowed to short what it holds")
        fits = "sell_to_close"
    elif option:
        fits = "sell_to_open" if held < 0 or given == "sell_to_open" else "sell_to_close"
    else:
        if given == "sell_to_open" and not account.may_short:
            raise forbidden("account is not allowed to short")
        fits = "sell_to_close" if held == 0 and (given == "sell_to_close" or not account.may_short) else "sell_to_open"
    if given not in (None, fits):
        raise unprocessable(f"position intent mismatch, inferred: {fits}, specified: {given}")
    return fits


def check_opposite(account: Account, symbol: str, intent: str, instead_of: Order | None) -> None:
    """A position is opened from one side at a time, so that no fill turns it into its opposite."""
    other = {"buy_to_open": "sell_to_open", "sell_to_open": "buy_to_open"}.get(intent)
    for order in account.open_orders.values():
        if order is not instead_of and order.terms.symbol == symbol and order.terms.position_intent == other:
            what = "long buy while a short sell" if intent == "buy_to_open" else "short sell while a long buy"
            raise forbidden(f"cannot open a {what} order is open", existing_order_id=order.terms.id)


def check_wash(
    account: Account, symbol: str, side: str, kind: str, limit: Decimal | None, instead_of: Order | None
) -> None:
    """No order may meet one of the same account. A leg that waits for its entry cannot trade and is in no way."""
    if instead_of is not None and instead_of.waits:
        return
    group = None if instead_of is None else instead_of.terms.group
    for order in account.open_orders.values():
        terms = order.terms
        if terms.symbol != symbol or terms.side == side or order is instead_of or order.waits:
            continue
        if group is not None and terms.group == group:
            continue
        mine = None if kind in STOPS else limit
        other = None if order.is_stop else terms.limit_price
        if mine is None or other is None or (mine >= other if side == "buy" else mine <= other):
            raise forbidden(
                "potential wash trade detected. use complex orders",
                existing_order_id=terms.id,
                reject_reason="opposite side order exists",
            )


def check_holding(
    account: Account, symbol: str, quantity: int, *, option: bool, instead_of: Order | None = None
) -> None:
    """What an order closes is held and no other order claims it."""
    if instead_of is not None and instead_of.waits:
        return
    position = account.positions.get(symbol)
    if position is None and option:
        raise forbidden(UNCOVERED)
    existing = position.quantity if position is not None else 0
    held = account.held_for_orders(symbol)
    if instead_of is not None:
        held -= instead_of.remaining
    covering = 0 if option or existing <= 0 else account.covering(symbol)
    available = abs(existing) - held - covering
    if quantity > available:
        raise forbidden(
            f"insufficient qty available for order (requested: {quantity}, available: {available})",
            available=str(available),
            existing_qty=str(existing),
            held_for_orders=str(held),
            related_orders=[
                order.terms.id
                for order in account.open_orders.values()
                if order.terms.symbol == symbol and order.closes
            ],
            symbol=symbol,
        )


def check_power(account: Account, cost: Decimal, instead_of: Order | None, words: str = "") -> None:
    """The account can tie up ``cost`` dollars more. ``words`` name another refusal than the usual one."""
    own = ZERO if instead_of is None else instead_of.reserved
    power = max(ZERO, account.cash - account.reserved - account.required + own)
    if cost > power:
        message = words.format(required=text(cost), available=text(power)) or "insufficient buying power"
        raise forbidden(message, buying_power=text(power), cost_basis=text(cost))


def freed_by(account: Account, changes: Mapping[str, int], instead_of: Order | None) -> Decimal:
    """How much less the short options tie up after ``changes`` (signed contracts), dollars; negative: how much more.

    It must hold whatever other open orders do: single ones that take cover away count as done, multi-leg orders once as
    done and once as not. Below the level for spreads only cash and shares cover.
    """
    replaced = None if instead_of is None else instead_of.terms.group or instead_of.terms.id
    single: dict[str, int] = {}
    whole: dict[str, int] = {}
    for order in account.open_orders.values():
        terms = order.terms
        if terms.asset_class != "us_option" or (terms.group or terms.id) == replaced:
            continue
        if order.is_combo_leg:
            signed = order.remaining if terms.side == "buy" else -order.remaining
            whole[terms.symbol] = whole.get(terms.symbol, 0) + signed
        elif terms.side == "sell":
            single[terms.symbol] = single.get(terms.symbol, 0) - order.remaining
    done = {symbol: single.get(symbol, 0) + whole.get(symbol, 0) for symbol in {*single, *whole}}
    freed = []
    for others in (single, done):
        both = {symbol: others.get(symbol, 0) + changes.get(symbol, 0) for symbol in {*others, *changes}}
        before, after = account.option_requirement(others), account.option_requirement(both)
        if account.trading_level < SPREADS_LEVEL:
            before, after = (
                account.option_requirement(others, longs=False),
                account.option_requirement(both, longs=False),
            )
        if after.uncovered > before.uncovered:
            raise forbidden(UNCOVERED)
        freed.append(before.loss - after.loss)
    return min(freed)
