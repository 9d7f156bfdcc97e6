"""Faults inside answers of the trading interface: an order that no SDK can read, a clock that differs, held shares."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from trading_assets.exchange import wire
from trading_assets.exchange.faults import parameters as p
from trading_assets.exchange.faults.answers import Answer
from trading_assets.exchange.faults.plan import Hit
from trading_assets.exchange.faults.requests import symbols_of
from trading_assets.exchange.faults.switchboard import Armed, Switchboard
from trading_assets.exchange.refusal import Refusal, forbidden
from trading_assets.exchange.state import World

_CLOCK = "/v2/clock"
#: Keys whose values are instants of the exchange's clock.
_INSTANTS = frozenset(
    {"created_at", "updated_at", "submitted_at", "filled_at", "expired_at", "canceled_at", "replaced_at", "failed_at"}
    | {"transaction_time", "timestamp", "at", "t"}
)


class OrderAnswers:
    """Changes answers as armed faults say."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board

    def __call__(self, hit: Hit, answer: Answer) -> None:
        """Change ``answer``, if a fault hits one of its orders or its instants."""
        if not self._board.waits_for("answer", "unknown_enum", "clock_skew"):
            return
        found = answer.json()
        if found is None:
            return
        changed = self._orders(hit, found)
        for one in self._board.all("answer", hit, "clock_skew"):
            found, changed = self._skewed(one, hit, found), True
        if changed:
            answer.put(found)

    def _orders(self, hit: Hit, found: Any) -> bool:
        changed = False
        for order in found if isinstance(found, list) else [found]:
            if not isinstance(order, dict) or "client_order_id" not in order:
                continue
            mine = replace(
                hit,
                symbols=symbols_of(order),
                side=order["side"],
                client_order_id=order["client_order_id"],
                order_id=order["id"],
            )
            one = self._board.first("answer", mine, "unknown_enum")
            if one is not None:
                how = one.parameters(p.UnknownEnum)
                order[how.field] = how.value
                changed = True
        return changed

    def _skewed(self, one: Armed, hit: Hit, found: Any) -> Any:
        seconds = one.parameters(p.Skew).seconds
        if hit.path == _CLOCK:
            # A clock that is ahead also opens and closes ahead.
            return wire.clock_json(self._board.now() + timedelta(seconds=seconds))
        return shifted(found, seconds)


def shifted(value: Any, seconds: float) -> Any:
    """``value`` with every instant in it moved by ``seconds``."""
    if isinstance(value, list):
        return [shifted(item, seconds) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _moved(item, seconds) if name in _INSTANTS and isinstance(item, str) else shifted(item, seconds)
        for name, item in value.items()
    }


def _moved(text: str, seconds: float) -> str:
    moved = datetime.fromisoformat(text.replace("Z", "+00:00")) + timedelta(seconds=seconds)
    return moved.isoformat().replace("+00:00", "Z")


def held_for_orders(world: World, hit: Hit) -> Refusal:
    """The refusal of a sale as if everything that is held were claimed by orders already."""
    symbol = hit.symbols[0] if hit.symbols else ""
    book = None if hit.account is None else world.accounts[hit.account]
    position = None if book is None else book.positions.get(symbol)
    held = "0" if position is None else wire.text(position.quantity)
    related = [] if book is None else [o.terms.id for o in book.open_orders.values() if o.terms.symbol == symbol]
    return forbidden(
        f"insufficient qty available for order (requested: {held}, available: 0)",
        available="0",
        existing_qty=held,
        held_for_orders=held,
        related_orders=related,
        symbol=symbol,
    )
