"""What an answer of the broker means when it is not the answer that was asked for.

``BrokerUnavailable`` and ``NotAuthorized`` live in ``domain.errors``; the more specific ones are here. They are told
apart by HTTP status and code, never by the text of a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trading_assets.domain.errors import BrokerUnavailable, NotAuthorized, TradingAssetsError

__all__ = [
    "NO_ANSWER",
    "BrokerUnavailable",
    "NoLongerAllowed",
    "NotAuthorized",
    "NothingHeld",
    "OrderDenied",
    "RateLimited",
    "Rejected",
    "SymbolBlocked",
]


class Rejected(TradingAssetsError):
    """A definitive refusal: the request was understood and will not be carried out. Repeating it is pointless."""

    def __init__(self, status: int, code: int | None, message: str, body: Mapping[str, Any], *, where: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.body = dict(body)
        super().__init__(f"the broker refused with {status}/{code}: {message}", where=where)


class RateLimited(BrokerUnavailable):
    """Too many requests. The request was not carried out; ``reset`` is when the limit lifts, if the broker said so.

    ``seconds`` is how long that is by the wall, None where the broker's time is not the wall's. ``sent`` is False if
    the request never left: the account's shared budget held it back.
    """

    def __init__(self, reset: datetime | None, *, where: str, seconds: float | None = None, sent: bool = True) -> None:
        self.reset = reset
        self.seconds = seconds
        self.sent = sent
        until = "" if reset is None else f" until {reset.isoformat()}"
        whose = "the broker's rate limit is used up" if sent else "the account's requests are used up for others"
        super().__init__(f"{whose}{until}", where=where)


class OrderDenied(BrokerUnavailable):
    """The broker answers, and knows nothing of an order that it had accepted: what became of it is not known."""


class SymbolBlocked(TradingAssetsError):
    """An order in this symbol has an unknown fate, or ledger and broker disagree about it: no further order."""


class NothingHeld(SymbolBlocked):
    """Nothing is left to sell: a protective order, or somebody else, sold it meanwhile."""


class NoLongerAllowed(SymbolBlocked):
    """What an opening order was decided by does not hold any more: it is not sent, or not sent once more."""


#: What a request for something that is known to exist may raise: it told nothing, and is made again.
NO_ANSWER = (BrokerUnavailable, NotAuthorized, Rejected)
