"""Which orders of an account a list shows: what a request asks for, and whether an order is that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from starlette.requests import Request

from trading_assets.exchange import http
from trading_assets.exchange.refusal import invalid
from trading_assets.exchange.state import Account, Order

_OPTION = "us_option"
_CLASSES = frozenset({"us_equity", _OPTION, "crypto", "crypto_perp"})
#: Characters of a contract's symbol behind its root.
_TAIL = 15


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """What is asked for; None and empty are not asked for. ``after`` and ``until`` are themselves excluded, and so are
    the orders with the numbers ``before_number`` and ``after_number``."""

    status: str
    after: datetime | None
    until: datetime | None
    after_number: int | None
    before_number: int | None
    side: str
    classes: frozenset[str]
    symbols: frozenset[str]

    @classmethod
    def read(cls, request: Request, account: Account) -> Self:
        """The filter of a request; raises ``Refusal``."""
        after, until = http.moment(request, "after"), http.moment(request, "until")
        ids = [name for name in ("after_order_id", "before_order_id") if name in request.query_params]
        if len(ids) > 1 or (ids and (after is not None or until is not None)):
            raise invalid("only one of after_order_id, before_order_id and after or until may be given")
        classes = frozenset(http.listed(request, "asset_class"))
        for name in sorted(classes - _CLASSES):
            raise http.bad("asset_class", name)
        return cls(
            status=http.word(request, "status", "open", "closed", "all"),
            after=after,
            until=until,
            after_number=_number(request, account, "after_order_id"),
            before_number=_number(request, account, "before_order_id"),
            side=http.word(request, "side", "", "buy", "sell"),
            classes=classes,
            symbols=frozenset(http.listed(request, "symbols")),
        )

    def shows(self, account: Account, order: Order) -> bool:
        """Whether the order is asked for. A multi-leg order is found by what its legs are."""
        parts: Sequence[Order] = account.legs(order) or [order]
        return (
            (self.status == "all" or (order.terms.id in account.open_orders) == (self.status == "open"))
            and (self.after is None or order.submitted_at > self.after)
            and (self.until is None or order.submitted_at < self.until)
            and (self.after_number is None or order.number > self.after_number)
            and (self.before_number is None or order.number < self.before_number)
            and (not self.side or order.terms.side == self.side)
            and any(self._is_of(part) for part in parts)
        )

    def _is_of(self, order: Order) -> bool:
        """Whether its class and symbol are asked for. Where options alone are, they are found by their stock, too."""
        if self.classes and order.terms.asset_class not in self.classes:
            return False
        if not self.symbols or order.terms.symbol in self.symbols:
            return True
        root = order.terms.symbol[:-_TAIL]
        return (
            _OPTION in self.classes
            and order.terms.asset_class == _OPTION
            and any(symbol.replace(".", "") == root for symbol in self.symbols)
        )


def _number(request: Request, account: Account, name: str) -> int | None:
    """The number of the order that a parameter names."""
    given = request.query_params.get(name)
    if given is None:
        return None
    order = account.orders.get(given)
    if order is None:
        raise invalid(f"invalid {name}: {given[:40]}")
    return order.number
