"""From the JSON of a multi-leg order to a typed ticket: what can be said of it without market and account."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import gcd
from typing import Any

from trading_assets.exchange.refusal import invalid, unprocessable
from trading_assets.exchange.request_fields import (
    choice,
    number,
    plain_text,
    read_client_order_id,
    whole_quantity,
)

LEAST_LEGS, MOST_LEGS = 2, 4
_LEG_FIELDS = frozenset({"symbol", "ratio_qty", "side", "position_intent"})
_FIELDS = frozenset({"qty", "type", "time_in_force", "limit_price", "client_order_id", "order_class", "legs"})
#: May be named on the parent, but only with nothing in it: they belong to the legs.
_EMPTY = frozenset({"symbol", "side", "position_intent", "extended_hours", "notional", "take_profit", "stop_loss"})
_SIDES = {"buy_to_open": "buy", "buy_to_close": "buy", "sell_to_open": "sell", "sell_to_close": "sell"}


@dataclass(frozen=True, slots=True)
class LegTicket:
    """One leg: ``ratio`` contracts a unit. ``intent`` is None where only the side was given."""

    symbol: str
    ratio: int
    side: str
    intent: str | None


@dataclass(frozen=True, slots=True)
class ComboTicket:
    """A well-formed multi-leg order of ``quantity`` units.

    ``limit_price`` is net dollars per share of one unit: what is paid at most, or, negative, what is received at least.
    None is a market order.
    """

    quantity: int
    limit_price: Decimal | None
    client_order_id: str | None
    legs: tuple[LegTicket, ...]


def read_combo(body: dict[str, Any]) -> ComboTicket:
    """The ticket of a multi-leg order; raises ``Refusal``."""
    unknown = sorted(set(body) - _FIELDS - _EMPTY)
    if unknown:
        raise invalid(f"unknown field in the order: {', '.join(unknown)}")
    for field in sorted(_EMPTY):
        if body.get(field) not in (None, "", False):
            raise invalid(f"{field} is not allowed for mleg orders")
    kind = choice(body, "type", ("market", "limit", "stop", "stop_limit", "trailing_stop"))
    if kind not in ("market", "limit"):
        raise unprocessable("mleg orders must be market or limit orders")
    if choice(body, "time_in_force", ("day", "gtc", "opg", "cls", "ioc", "fok")) != "day":
        raise unprocessable("order_time_in_force provided not supported for options trading")
    limit = number(body, "limit_price")
    if (limit is None) == (kind == "limit"):
        words = "limit orders require limit price" if kind == "limit" else "market orders require no limit price"
        raise invalid(words)
    given = body.get("legs")
    if not isinstance(given, list) or not LEAST_LEGS <= len(given) <= MOST_LEGS:
        raise invalid(f"mleg orders require {LEAST_LEGS} to {MOST_LEGS} legs")
    legs = tuple(_leg(leg) for leg in given)
    if len({leg.symbol for leg in legs}) != len(legs):
        raise invalid("the legs of a mleg order must have unique symbols")
    if gcd(*(leg.ratio for leg in legs)) != 1:
        raise unprocessable("leg ratio quantities must be relatively prime")
    return ComboTicket(whole_quantity(body), limit, read_client_order_id(body), legs)


def _leg(given: object) -> LegTicket:
    if not isinstance(given, dict):
        raise invalid("invalid leg")
    unknown = sorted(set(given) - _LEG_FIELDS)
    if unknown:
        raise invalid(f"unknown field in a leg: {', '.join(unknown)}")
    symbol = plain_text(given, "symbol")
    if symbol is None:
        raise invalid("symbol is required for each leg")
    ratio = number(given, "ratio_qty")
    if ratio is None or ratio <= 0 or ratio != ratio.to_integral_value():
        raise invalid("ratio_qty must be a whole number > 0")
    intent = plain_text(given, "position_intent")
    side = plain_text(given, "side")
    if intent is not None and intent not in _SIDES:
        raise invalid(f"invalid position_intent: {intent!r}")
    if side is not None and side not in ("buy", "sell"):
        raise invalid(f"invalid side: {side!r}")
    if side is None and intent is None:
        raise invalid("each leg requires side or position_intent")
    if intent is not None and side is not None and _SIDES[intent] != side:
        raise invalid(f"position_intent {intent!r} does not match side {side}")
    return LegTicket(symbol, int(ratio), side or _SIDES[intent or ""], intent)
