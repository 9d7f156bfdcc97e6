"""From an order request's JSON to a typed ticket: everything that can be said without knowing market or account.

Numbers may come as JSON numbers or as strings. What this exchange does not offer is refused by name, never ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from trading_assets.domain.identities import MAX_CLIENT_ORDER_ID
from trading_assets.exchange.refusal import Refusal, invalid, unprocessable

_KNOWN_TYPES = ("market", "limit", "stop", "stop_limit", "trailing_stop")
_KNOWN_TIF = ("day", "gtc", "opg", "cls", "ioc", "fok")
_KNOWN_CLASSES = ("", "simple", "bracket", "oco", "oto", "mleg")
_INTENTS = {"buy_to_open": "buy", "buy_to_close": "buy", "sell_to_open": "sell", "sell_to_close": "sell"}
_UNOFFERED = ("notional", "stop_price", "trail_price", "trail_percent", "take_profit", "stop_loss", "legs")
_FIELDS = frozenset(
    {"symbol", "qty", "side", "type", "time_in_force", "limit_price", "extended_hours", "client_order_id"}
    | {"order_class", "position_intent", *_UNOFFERED}
)
_MAX_QUANTITY = 1_000_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """A well-formed order request. ``limit_price`` None is a market order."""

    symbol: str
    quantity: int
    side: str
    type: str
    time_in_force: str
    limit_price: Decimal | None
    client_order_id: str | None
    position_intent: str | None


def _choice(body: dict[str, Any], field: str, known: tuple[str, ...]) -> str:
    value = body.get(field)
    if value is None or value == "":
        raise invalid(f"{field} is required")
    if not isinstance(value, str) or value not in known:
        raise invalid(f"invalid {field}: {value!r}")
    return value


def _number(body: dict[str, Any], field: str) -> Decimal | None:
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise invalid(f"invalid {field}: {value!r}")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise invalid(f"invalid {field}: {value!r}") from None
    if not number.is_finite() or abs(number.adjusted()) > 12:
        raise invalid(f"invalid {field}: {value!r}")
    return number


def _text(body: dict[str, Any], field: str) -> str | None:
    value = body.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise invalid(f"invalid {field}: {value!r}")
    return value


def read_client_order_id(body: dict[str, Any]) -> str | None:
    """The client order id of a request; None if it has none."""
    value = _text(body, "client_order_id")
    if value is not None and len(value) > MAX_CLIENT_ORDER_ID:
        raise invalid(f"client_order_id must be no more than {MAX_CLIENT_ORDER_ID} characters")
    return value


def read_ticket(body: Any) -> Ticket:
    """The ticket of a request's body; raises ``Refusal``."""
    if not isinstance(body, dict):
        raise Refusal(400, 40010000, "request body format is invalid")
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise invalid(f"unknown field in the order: {', '.join(unknown)}")
    client_order_id = read_client_order_id(body)
    order_class = body.get("order_class") or ""
    if order_class not in _KNOWN_CLASSES:
        raise invalid(f"invalid order_class: {order_class!r}")
    if order_class not in ("", "simple"):
        raise unprocessable(f"order_class {order_class} is not offered by this exchange")
    symbol = _text(body, "symbol")
    if symbol is None:
        raise invalid("symbol is required")
    side = _choice(body, "side", ("buy", "sell"))
    kind = _choice(body, "type", _KNOWN_TYPES)
    time_in_force = _choice(body, "time_in_force", _KNOWN_TIF)
    if kind not in ("market", "limit"):
        what = "invalid order type for options trading" if symbol[-1:].isdigit() else "order type is not offered"
        raise unprocessable(f"{what}: {kind}" if what.endswith("offered") else what)
    for field in _UNOFFERED:
        if body.get(field) is not None:
            raise unprocessable(f"{field} is not offered by this exchange")
    if body.get("extended_hours") not in (None, False):
        raise unprocessable("extended hours trading is not offered by this exchange")
    intent = _text(body, "position_intent")
    if intent is not None and _INTENTS.get(intent) != side:
        raise invalid(f"position_intent {intent!r} does not match side {side}")
    return Ticket(
        symbol=symbol,
        quantity=_quantity(body),
        side=side,
        type=kind,
        time_in_force=time_in_force,
        limit_price=_limit_price(body, kind),
        client_order_id=client_order_id,
        position_intent=intent,
    )


def _quantity(body: dict[str, Any]) -> int:
    quantity = _number(body, "qty")
    if quantity is None:
        raise invalid("qty is required")
    if quantity <= 0:
        raise invalid("qty must be > 0")
    if quantity != quantity.to_integral_value():
        raise unprocessable("fractional quantities are not offered by this exchange")
    if quantity > _MAX_QUANTITY:
        raise unprocessable(f"qty must be <= {_MAX_QUANTITY}")
    return int(quantity)


def _limit_price(body: dict[str, Any], kind: str) -> Decimal | None:
    price = _number(body, "limit_price")
    if kind == "market":
        if price is not None:
            raise invalid("market orders require no stop or limit price")
        return None
    if price is None:
        raise invalid("limit orders require only limit price")
    if price <= 0:
        raise invalid("limit price must be > 0")
    return price
