"""Ids of the practice world. All derive from the seed, so that a day played again has the same ids."""

from __future__ import annotations

import uuid
from datetime import date

_NAMESPACE = uuid.UUID("6f0d3c52-8b0e-5a0c-9a55-4d2f7a1c0e11")
ZERO_UUID = "00000000-0000-0000-0000-000000000000"


class Identities:
    """Maker of ids for one seed. Same arguments, same UUID."""

    def __init__(self, seed: int) -> None:
        self._namespace = uuid.uuid5(_NAMESPACE, str(seed))

    def _make(self, *parts: str) -> str:
        return str(uuid.uuid5(self._namespace, "\x1f".join(parts)))

    def account(self, name: str) -> str:
        """Id of an account."""
        return self._make("account", name)

    def order(self, account: str, client_order_id: str) -> str:
        """Id of an order."""
        return self._make("order", account, client_order_id)

    def client_order(self, account: str, number: int) -> str:
        """Client order id of an order that came without one; ``number`` counts the world's orders."""
        return self._make("client", account, str(number))

    def execution(self, order_id: str, filled: int) -> str:
        """Id of the execution that brought the order's filled quantity to ``filled``."""
        return self._make("execution", order_id, str(filled))

    def removal(self, account: str, symbol: str) -> str:
        """Id of the removal of a worthless position."""
        return self._make("removal", account, symbol)

    def overnight(self, account: str, symbol: str, day: date, part: str) -> str:
        """Id of a line of the history that a corporate action made."""
        return self._make("overnight", account, symbol, day.isoformat(), part)

    def settlement(self, account: str, symbol: str, day: date, number: int, part: str) -> str:
        """Id of a part of the settlement of exercised or assigned contracts; ``number`` counts a morning's."""
        return self._make("settlement", account, symbol, day.isoformat(), str(number), part)


def contract_id(symbol: str) -> str:
    """Id of an option contract: the same in every world, as the asset it names is the same."""
    return str(uuid.uuid5(_NAMESPACE, f"contract {symbol}"))


def action_id(symbol: str, day: date, kind: str) -> str:
    """Id of a corporate action: the same in every world."""
    return str(uuid.uuid5(_NAMESPACE, f"action {symbol} {day.isoformat()} {kind}"))


def action_cusip(symbol: str, since: date | None = None) -> str:
    """Nine characters in the place of a CUSIP, another one after a reverse split."""
    return uuid.uuid5(_NAMESPACE, f"cusip {symbol} {since}").hex[:9].upper()
