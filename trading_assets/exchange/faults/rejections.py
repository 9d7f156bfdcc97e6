"""Rejections of orders as brokers have sent them, by name. Clients must judge by status and code, never by the text."""

from __future__ import annotations

from typing import Any

from trading_assets.exchange.refusal import FORBIDDEN, INVALID, NOT_FOUND, UNPROCESSABLE, Refusal

_ORDER = "00000000-0000-4000-8000-000000000001"

#: Status, code, message, further keys of the body.
REJECTIONS: dict[str, tuple[int, int, str, dict[str, Any]]] = {
    "client_order_id_used": (422, INVALID, "client_order_id must be unique", {}),
    "bracket_type": (422, INVALID, "bracket orders must be market or limit orders", {}),
    "extended_hours": (422, UNPROCESSABLE, "extended hours order must be DAY limit orders", {}),
    "buying_power": (403, FORBIDDEN, "insufficient buying power", {"buying_power": "100", "cost_basis": "2500"}),
    "cash_secured_put": (
        403,
        FORBIDDEN,
        "insufficient options buying power for cash-secured put (required: 5000, available: 100)",
        {},
    ),
    "insufficient_qty": (
        403,
        FORBIDDEN,
        "insufficient qty available for order (requested: 1, available: 0)",
        {"available": "0", "existing_qty": "1", "held_for_orders": "1", "related_orders": [_ORDER], "symbol": ""},
    ),
    "uncovered": (403, FORBIDDEN, "account not eligible to trade uncovered option contracts", {}),
    "covered_call": (
        403,
        FORBIDDEN,
        "insufficient underlying qty available for covered call (required: 100, available: 0)",
        {},
    ),
    "stop_loss_price": (
        422,
        UNPROCESSABLE,
        "stop_loss.stop_price must be <= base_price - 0.01",
        {"base_price": "100"},
    ),
    "take_profit_price": (
        422,
        UNPROCESSABLE,
        "take_profit.limit_price must be >= base_price + 0.01",
        {"base_price": "100"},
    ),
    "bracket_side": (422, UNPROCESSABLE, "bracket orders must be entry orders", {}),
    "market_hours": (422, UNPROCESSABLE, "options market orders are only allowed during market hours", {}),
    "option_type": (422, UNPROCESSABLE, "invalid order type for options trading", {}),
    "tick_size": (
        422,
        UNPROCESSABLE,
        "invalid limit_price 10.001. sub-penny increment does not fulfill minimum pricing criteria",
        {},
    ),
    "wash_trade": (422, UNPROCESSABLE, "potential wash trade detected. use complex orders", {}),
    "wash_trade_403": (
        403,
        FORBIDDEN,
        "potential wash trade detected. use complex orders",
        {"existing_order_id": _ORDER, "reject_reason": "opposite side order exists"},
    ),
    "already_filled": (422, UNPROCESSABLE, 'order is already in "filled" state', {}),
    "order_not_found": (404, NOT_FOUND, "order not found", {}),
    "position_not_found": (404, NOT_FOUND, "position does not exist", {}),
    "asset_not_found": (404, NOT_FOUND, "asset not found for X", {}),
}


def rejection(name: str) -> Refusal:
    """The refusal of that name; raises ``KeyError`` for one that is not in the table."""
    status, code, message, extras = REJECTIONS[name]
    return Refusal(status, code, message, **extras)
