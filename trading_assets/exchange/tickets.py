"""From an order request's JSON to a typed ticket: everything that can be said without knowing market or account.

Numbers may come as JSON numbers or as strings. What this exchange does not offer is refused by name, never ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from trading_assets.exchange.combo_tickets import ComboTicket, read_combo
from trading_assets.exchange.refusal import invalid, unprocessable
from trading_assets.exchange.request_fields import (
    an_object,
    choice,
    number,
    plain_text,
    price,
    read_client_order_id,
    whole_quantity,
)

_KNOWN_TYPES = ("market", "limit", "stop", "stop_limit", "trailing_stop")
_KNOWN_TIF = ("day", "gtc", "opg", "cls", "ioc", "fok")
_KNOWN_CLASSES = ("", "simple", "bracket", "oco", "oto", "mleg")
_INTENTS = {"buy_to_open": "buy", "buy_to_close": "buy", "sell_to_open": "sell", "sell_to_close": "sell"}
_UNOFFERED = ("notional", "legs")
_PRICES = ("limit_price", "stop_price", "trail_price", "trail_percent")
_FIELDS = frozenset(
    {"symbol", "qty", "side", "type", "time_in_force", "extended_hours", "client_order_id"}
    | {"order_class", "position_intent", "take_profit", "stop_loss", *_PRICES, *_UNOFFERED}
)
_REPLACED = frozenset({"qty", "time_in_force", "limit_price", "stop_price", "trail", "client_order_id"})
#: What each type needs; every other price is refused.
_NEEDED = {
    "market": frozenset[str](),
    "limit": frozenset({"limit_price"}),
    "stop": frozenset({"stop_price"}),
    "stop_limit": frozenset({"limit_price", "stop_price"}),
}
_MOST_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Ticket:
    """A well-formed order request. Prices are None where the type has none; ``order_class`` is never empty.

    ``take_profit`` is the limit and ``stop_loss`` the stop (with ``stop_loss_limit`` a stop limit) of the legs.
    """

    symbol: str
    quantity: int
    side: str
    type: str
    time_in_force: str
    limit_price: Decimal | None
    client_order_id: str | None
    position_intent: str | None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    order_class: str = "simple"
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    stop_loss_limit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a replacement changes; None keeps what was. ``trail`` is in the unit of the order's own trail."""

    quantity: int | None
    time_in_force: str | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail: Decimal | None
    client_order_id: str | None


def read_ticket(given: object) -> Ticket | ComboTicket:
    """The ticket of a request's body; raises ``Refusal``."""
    body = an_object(given)
    if body.get("order_class") == "mleg":
        return read_combo(body)
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise invalid(f"unknown field in the order: {', '.join(unknown)}")
    client_order_id = read_client_order_id(body)
    order_class = body.get("order_class") or "simple"
    if order_class not in _KNOWN_CLASSES:
        raise invalid(f"invalid order_class: {order_class!r}")
    symbol = plain_text(body, "symbol")
    if symbol is None:
        raise invalid("symbol is required")
    side = choice(body, "side", ("buy", "sell"))
    kind = choice(body, "type", _KNOWN_TYPES)
    time_in_force = choice(body, "time_in_force", _KNOWN_TIF)
    for field in _UNOFFERED:
        if body.get(field) is not None:
            raise unprocessable(f"{field} is not offered by this exchange")
    if body.get("extended_hours") not in (None, False):
        raise unprocessable("extended hours trading is not offered by this exchange")
    intent = plain_text(body, "position_intent")
    if intent is not None and _INTENTS.get(intent) != side:
        raise invalid(f"position_intent {intent!r} does not match side {side}")
    take_profit, stop_loss, stop_loss_limit = _legs(body, order_class, kind)
    if order_class == "oco":
        # The take profit is the order itself; clients name its price once or twice.
        body = {**body, "limit_price": str(take_profit)}
    prices = _prices(body, kind)
    return Ticket(
        symbol=symbol,
        quantity=whole_quantity(body),
        side=side,
        type=kind,
        time_in_force=time_in_force,
        limit_price=prices["limit_price"],
        client_order_id=client_order_id,
        position_intent=intent,
        stop_price=prices["stop_price"],
        trail_price=prices["trail_price"],
        trail_percent=prices["trail_percent"],
        order_class=order_class,
        take_profit=take_profit,
        stop_loss=stop_loss,
        stop_loss_limit=stop_loss_limit,
    )


def read_changes(given: object) -> Changes:
    """What a replacement asks for; raises ``Refusal``. A request that changes nothing is refused."""
    body = an_object(given)
    unknown = sorted(set(body) - _REPLACED)
    if unknown:
        raise invalid(f"unknown field in the replacement: {', '.join(unknown)}")
    changes = Changes(
        quantity=whole_quantity(body) if body.get("qty") is not None else None,
        time_in_force=None if body.get("time_in_force") is None else choice(body, "time_in_force", _KNOWN_TIF),
        # Of a multi-leg order it may be negative: a credit.
        limit_price=number(body, "limit_price"),
        stop_price=price(body, "stop_price"),
        trail=price(body, "trail"),
        client_order_id=read_client_order_id(body),
    )
    if changes == Changes(None, None, None, None, None, changes.client_order_id):
        raise invalid("order parameters are not changed")
    return changes


def _prices(body: dict[str, Any], kind: str) -> dict[str, Decimal | None]:
    """The prices of an order of that type: those it needs are there, and no other."""
    found = {field: price(body, field) for field in _PRICES}
    given = {field for field, price in found.items() if price is not None}
    if kind == "trailing_stop":
        if given not in ({"trail_price"}, {"trail_percent"}):
            raise invalid("trailing stop orders must specify one of trail_price or trail_percent")
        if found["trail_percent"] is not None and found["trail_percent"] >= _MOST_PERCENT:
            raise invalid(f"trail_percent must be < {_MOST_PERCENT}")
        return found
    if given != _NEEDED[kind]:
        if kind == "market":
            raise invalid("market orders require no stop or limit price")
        needed = " and ".join(field.replace("_", " ") for field in sorted(_NEEDED[kind]))
        raise invalid(f"{kind.replace('_', ' ')} orders require only {needed}")
    return found


def _legs(body: dict[str, Any], order_class: str, kind: str) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """Limit of the take profit, stop and limit of the stop loss, as far as the class has them."""
    takes, stops = body.get("take_profit"), body.get("stop_loss")
    for field, given, known in (
        ("take_profit", takes, {"limit_price"}),
        ("stop_loss", stops, {"stop_price", "limit_price"}),
    ):
        if given is not None and (not isinstance(given, dict) or set(given) - known):
            raise invalid(f"invalid {field}")
    if order_class == "simple":
        if takes is not None or stops is not None:
            raise invalid("simple orders have neither take_profit nor stop_loss")
        return None, None, None
    if kind not in ("market", "limit") or (order_class == "oco" and kind != "limit"):
        raise invalid(f"{order_class} orders must be {'limit' if order_class == 'oco' else 'market or limit'} orders")
    if order_class == "oto":
        if (takes is None) == (stops is None):
            raise invalid("oto orders require one of take_profit or stop_loss")
    elif takes is None or stops is None:
        raise invalid(f"{order_class} orders require take_profit.limit_price and stop_loss.stop_price")
    limit = None if takes is None else price(takes, "limit_price")
    stop = None if stops is None else price(stops, "stop_price")
    if (takes is not None and limit is None) or (stops is not None and stop is None):
        raise invalid(f"{order_class} orders require take_profit.limit_price and stop_loss.stop_price")
    return limit, stop, None if stops is None else price(stops, "limit_price")
