"""Quotes that cannot be believed: rewrites of a broker's answers for the fault proxy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

#: Every path that answers quotes: of contracts, of chains, of stocks.
QUOTE_PATHS = r"/v1beta1/options/(quotes|snapshots)|/v2/stocks/quotes"
Change = Callable[[dict[str, Any]], None]


def quotes(change: Change) -> Callable[[Any], Any]:
    """A rewrite that changes every quote of an answer, wherever it stands."""

    def rewrite(node: Any) -> Any:
        if isinstance(node, dict):
            for value in node.values():
                rewrite(value)
            if "bp" in node and "ap" in node:
                change(node)
        elif isinstance(node, list):
            for value in node:
                rewrite(value)
        return node

    return rewrite


def without(node: Any) -> Any:
    """The answer without any quote."""
    if isinstance(node, dict):
        return {key: without(value) for key, value in node.items() if not (isinstance(value, dict) and "bp" in value)}
    return node


def zero(quote: dict[str, Any]) -> None:
    """Neither bid nor ask."""
    quote.update(bp=0, ap=0, bs=0)


def crossed(quote: dict[str, Any]) -> None:
    """The bid above the ask."""
    quote.update(bp=quote["ap"] + 1, ap=quote["bp"])


def an_hour_old(quote: dict[str, Any]) -> None:
    """What the market was an hour ago."""
    quote["t"] = (datetime.fromisoformat(quote["t"]) - timedelta(hours=1)).isoformat()


def times(factor: float) -> Change:
    """Both sides at that part of their price."""

    def change(quote: dict[str, Any]) -> None:
        quote.update(bp=round(quote["bp"] * factor, 2), ap=round(quote["ap"] * factor, 2))

    return change


QUOTE_FAULTS: dict[str, Callable[[Any], Any]] = {
    "missing": without,
    "zero": quotes(zero),
    "crossed": quotes(crossed),
    "an hour old": quotes(an_hour_old),
}
