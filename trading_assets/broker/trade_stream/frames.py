"""What a frame of the stream means: from text to frozen values, by the same tolerant rules as the broker's lists.

A frame says what happened and shows the order after it. One that lacks what its event needs is ``Unreadable``; a word
that this code does not know is not: the order beside it still tells.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading_assets.broker import parsing
from trading_assets.broker.booking import whole
from trading_assets.broker.errors import BrokerUnavailable
from trading_assets.broker.trade_stream.session import STREAM, StreamRefused, error_text
from trading_assets.broker.values import BrokerFill, BrokerOrder
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.values import Side
from trading_assets.ledger.execution_changes import BUST, CORRECT
from trading_assets.ledger.executions import fill_id

FILLS = frozenset({"fill", "partial_fill"})


class Unreadable(TradingAssetsError):
    """A frame that makes no sense."""


@dataclass(frozen=True, slots=True)
class FillChange:
    """A fill taken back or corrected. ``quantity`` and ``price`` are None where they stay as they were, and of a bust;
    ``new_fill_id`` is None unless a correction gives the fill another identity."""

    kind: str
    change_id: str
    fill_id: str
    new_fill_id: str | None
    quantity: int | None
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class TradeUpdate:
    """One frame. ``order`` is the order after it. ``by_list``: its executions are the broker's lists' to tell."""

    event: str
    order: BrokerOrder
    at: datetime
    fill: BrokerFill | None = None
    change: FillChange | None = None
    by_list: bool = False


def read_frame(text: str) -> TradeUpdate | None:
    """The update in a frame, None if it is of another kind (a confirmation).

    Raises ``Unreadable``, or ``StreamRefused`` if the broker says that the connection has failed.
    """
    try:
        message = json.loads(text, parse_float=Decimal)
    except ValueError:
        raise Unreadable("it is no JSON") from None
    if not isinstance(message, dict):
        raise Unreadable(f"expected an object, saw {type(message).__name__}")
    if message.get("action") == "error":
        raise StreamRefused(f"the broker ends the stream: {error_text(message)}", where="trade stream")
    if message.get("stream") in ("authorization", "listening"):
        return None
    data = message.get("data")
    if message.get("stream") != STREAM or not isinstance(data, dict):
        raise Unreadable("it is no trade update")
    try:
        return _update(data)
    except BrokerUnavailable as error:
        raise Unreadable(error.what) from None


def _update(data: dict[str, Any]) -> TradeUpdate:
    raw, event = data.get("order"), data.get("event")
    at = parsing.instant_or_none(data.get("timestamp")) or parsing.instant_or_none(data.get("at"))
    if not isinstance(raw, dict) or not isinstance(event, str) or at is None:
        raise Unreadable("it lacks its event, its order or its instant")
    order = parsing.order(raw)
    of_several = raw.get("order_class") == "mleg" or isinstance(data.get("legs"), list)
    if of_several and event not in (BUST, CORRECT):
        # One frame tells several executions of several orders; the list of fills tells each with its own numbers.
        return TradeUpdate(event, order, at, by_list=True)
    if event in FILLS:
        return TradeUpdate(event, order, at, fill=_fill(data, raw, order, at))
    if event in (BUST, CORRECT):
        return TradeUpdate(event, order, at, change=_change(event, data, at))
    return TradeUpdate(event, order, at)


def _fill(data: dict[str, Any], raw: dict[str, Any], order: BrokerOrder, at: datetime) -> BrokerFill:
    quantity, price = parsing.decimal_or_none(data.get("qty")), parsing.decimal_or_none(data.get("price"))
    side = Side.SELL if raw.get("side") == "sell_short" else order.side
    execution_id, cumulative = data.get("execution_id"), order.filled_quantity
    if not isinstance(execution_id, str) or not execution_id or not order.symbol:
        raise Unreadable("a fill without its identity or its symbol")
    if quantity is None or quantity <= 0 or price is None or price < 0 or side is None or cumulative is None:
        raise Unreadable("a fill without its quantity, price, side or order's filled quantity")
    return BrokerFill(execution_id, order.order_id, order.symbol, side, quantity, price, cumulative, at)


def _change(kind: str, data: dict[str, Any], at: datetime) -> FillChange:
    now, before = data.get("execution_id"), data.get("previous_execution_id")
    named = before or now
    if not isinstance(named, str) or not named:
        raise Unreadable(f"a {kind} that names no fill")
    changed = fill_id(named)
    if kind == BUST:
        return FillChange(kind, f"{kind}:{changed}", changed, None, None, None)
    quantity, price = parsing.decimal_or_none(data.get("qty")), parsing.decimal_or_none(data.get("price"))
    if (quantity is None and price is None) or (quantity is not None and whole(quantity) is None):
        raise Unreadable("a correction without a quantity or price that can be booked")
    if price is not None and price < 0:
        raise Unreadable("a correction to a price below zero")
    renamed = fill_id(now) if isinstance(now, str) and now and now != named else None
    change_id = f"{kind}:{changed}:{renamed}:{quantity}:{price}:{at.isoformat()}"
    return FillChange(kind, change_id, changed, renamed, whole(quantity), price)
