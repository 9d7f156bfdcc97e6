"""What stocks are called in a session: names change, and the market draws them under the names of the beginning."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from trading_assets.exchange.actions import AnyAction, NameChange, ordered
from trading_assets.exchange.market_port import MarketPort
from trading_assets.exchange.refusal import unprocessable

#: Characters of a contract's symbol behind its root.
TAIL = 15


class Names:
    """The names in force in the session ``day``, and those under which the market knows the same stocks."""

    def __init__(self, actions: Iterable[AnyAction], day: date) -> None:
        self._now: dict[str, str] = {}
        self._drawn: dict[str, str] = {}
        for action in ordered(actions):
            if isinstance(action, NameChange) and action.ex_session <= day:
                known = self._drawn.pop(action.symbol, action.symbol)
                self._now[known], self._drawn[action.new_symbol] = action.new_symbol, known
        self._roots_now = {_root(old): _root(new) for old, new in self._now.items()}
        self._roots_drawn = {_root(new): _root(old) for old, new in self._now.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Names) and self._now == other._now

    def __hash__(self) -> int:
        return hash(frozenset(self._now.items()))

    @property
    def changed(self) -> bool:
        """Whether any name is another one than in the beginning."""
        return bool(self._now)

    def now(self, symbol: str) -> str:
        """What the stock that the market calls ``symbol`` is called now."""
        return self._now.get(symbol, symbol)

    def drawn(self, symbol: str) -> str | None:
        """What the market calls the stock of that name; None for a name that is given up."""
        return self._drawn.get(symbol, None if symbol in self._now else symbol)

    def contract_now(self, symbol: str) -> str:
        """The contract that the market calls ``symbol``."""
        root = symbol[:-TAIL]
        return self._roots_now.get(root, root) + symbol[-TAIL:]

    def contract_drawn(self, symbol: str) -> str | None:
        """What the market calls that contract; None where the name of its stock is given up."""
        root = symbol[:-TAIL]
        known = self._roots_drawn.get(root, None if root in self._roots_now else root)
        return None if known is None else known + symbol[-TAIL:]


def check_listed(actions: Iterable[AnyAction], today: date, market: MarketPort) -> None:
    """Every stock of an action after ``today`` is listed then, and every new name free; ``market`` is today's. Raises
    ``Refusal``."""
    listed = {asset.symbol for asset in market.assets()}
    for action in ordered(actions):
        if action.ex_session <= today:
            continue
        if action.symbol not in listed:
            raise unprocessable(f"{action.symbol} is not listed on {action.ex_session}")
        if isinstance(action, NameChange):
            if action.new_symbol in listed:
                raise unprocessable(f"{action.new_symbol} is listed on {action.ex_session}")
            listed = listed - {action.symbol} | {action.new_symbol}


def _root(symbol: str) -> str:
    return symbol.replace(".", "")
