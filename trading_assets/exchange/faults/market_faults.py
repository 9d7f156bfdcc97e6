"""Faults in market data: quotes, Greeks, bars and pages as feeds have sent them.

What is shown is changed, not the market: orders are matched at the true quotes, so that a test sees a client that was
misled and an exchange that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from trading_assets.exchange.faults import parameters as p
from trading_assets.exchange.faults.answers import Answer
from trading_assets.exchange.faults.plan import Hit
from trading_assets.exchange.faults.switchboard import Armed, Switchboard

_QUOTES = ("stale_quote", "crossed_quote", "zero_quote", "missing_quote")
_GREEKS = ("null_greeks", "sentinel_greeks")
_BARS = ("bar_gap", "duplicate_bar", "revised_bar", "nan_bar")
_PAGES = ("missing_page",)
_SNAPSHOTS = "/v2/stocks/snapshots"
_PRICES = ("o", "h", "l", "c")
#: Least bars of which the fault can be seen.
_LEAST = {"bar_gap": 3, "duplicate_bar": 1, "revised_bar": 1, "nan_bar": 1}
Table = dict[str, Any]


class MarketFaults:
    """Changes answers of the data interface as armed faults say."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board

    def __call__(self, hit: Hit, answer: Answer) -> None:
        """Change ``answer``, if a fault hits a quote, Greeks, bars or the page of it."""
        if not self._board.waits_for("answer", *_QUOTES, *_GREEKS, *_BARS, *_PAGES):
            return
        found = answer.json()
        if not isinstance(found, dict):
            return
        # Each of them: what one item of the answer becomes. A list, so that none is left out once one has hit.
        changed = [
            *self._each(hit, _quotes(hit, found), _QUOTES, self._quote),
            *self._each(hit, _snapshots(hit, found), _GREEKS, _greeks),
            *self._each(hit, _bars(found), _BARS, _bar_fault),
            self._page(hit, found),
        ]
        if any(changed):
            answer.put(found)

    def _each(
        self,
        hit: Hit,
        items: Iterator[tuple[str, Table, str]],
        kinds: tuple[str, ...],
        change: Callable[[Armed, str, Table, str], None],
    ) -> Iterator[bool]:
        for symbol, table, key in list(items):
            for one in self._board.waits_for("answer", *kinds):
                value = table.get(key)
                if value is None or not _shows(one, value):
                    continue
                if self._board.strikes(one, replace(hit, symbols=(symbol,))):
                    change(one, symbol, table, key)
                    yield True

    def _quote(self, one: Armed, symbol: str, table: Table, key: str) -> None:
        quote, kind = table[key], one.fault.kind
        if kind == "missing_quote":
            del table[key]
        elif kind == "crossed_quote":
            quote["bp"] = round(quote["ap"] + one.parameters(p.Crossed).by, 4)
        elif kind == "zero_quote":
            side = one.parameters(p.Zeroed).sides
            quote.update({name: 0 for name in ("bp", "bs") if side in ("bid", "both")})
            quote.update({name: 0 for name in ("ap", "as") if side in ("ask", "both")})
        else:
            age = timedelta(seconds=one.parameters(p.Stale).age_s)
            seen = {**quote, "t": _text(datetime.fromisoformat(quote["t"].replace("Z", "+00:00")) - age)}
            table[key] = dict(one.kept.setdefault(symbol, seen))

    def _page(self, hit: Hit, found: Table) -> bool:
        if found.get("next_page_token") is None:
            return False
        one = self._board.first("answer", hit, *_PAGES)
        if one is None:
            return False
        if one.parameters(p.MissingPage).shape == "cut":
            found["next_page_token"] = None
        else:
            rows = next(name for name in found if name != "next_page_token")
            found[rows] = type(found[rows])()
        return True


def _snapshots(hit: Hit, found: Table) -> Iterator[tuple[str, Table, str]]:
    """Every snapshot of an answer: symbol, the table that it is in, its key there."""
    table = found if hit.path == _SNAPSHOTS else found.get("snapshots")
    if isinstance(table, dict):
        yield from ((symbol, table, symbol) for symbol in table)


def _quotes(hit: Hit, found: Table) -> Iterator[tuple[str, Table, str]]:
    """Every quote of an answer, alone or within a snapshot."""
    table = found.get("quotes")
    if isinstance(table, dict):
        yield from ((symbol, table, symbol) for symbol in table)
    for symbol, snapshots, key in _snapshots(hit, found):
        yield symbol, snapshots[key], "latestQuote"


def _bars(found: Table) -> Iterator[tuple[str, Table, str]]:
    """Every series of bars of an answer."""
    table = found.get("bars")
    if isinstance(table, dict):
        yield from ((symbol, table, symbol) for symbol in table)


def _shows(one: Armed, value: Any) -> bool:
    """Whether the fault would be seen in ``value``."""
    kind = one.fault.kind
    if kind in _GREEKS:
        return "greeks" in value
    if kind in ("bar_gap", "duplicate_bar"):
        return isinstance(value, list) and len(value) >= _LEAST[kind]
    return bool(value)


def _greeks(one: Armed, symbol: str, table: Table, key: str) -> None:
    snapshot = table[key]
    if one.fault.kind == "sentinel_greeks":
        value = one.parameters(p.Sentinel).value
        snapshot["greeks"] = dict.fromkeys(snapshot["greeks"], value)
        snapshot["impliedVolatility"] = value
        return
    inside = one.parameters(p.NullGreeks).inside
    snapshot["greeks"] = dict.fromkeys(snapshot["greeks"]) if inside else None
    snapshot["impliedVolatility"] = None


def _bar_fault(one: Armed, symbol: str, table: Table, key: str) -> None:
    kind = one.fault.kind
    bars: list[Table] = table[key] if isinstance(table[key], list) else [table[key]]
    middle = len(bars) // 2
    if kind == "bar_gap":
        del bars[middle : min(middle + one.parameters(p.Gap).bars, len(bars) - 1)]
    elif kind == "duplicate_bar":
        bars.insert(middle, dict(bars[middle]))
    elif kind == "revised_bar":
        factor = 1 + one.parameters(p.Revised).fraction
        bars[-1].update({name: round(bars[-1][name] * factor, 4) for name in _PRICES})
    else:
        bars[-1][one.parameters(p.NanBar).field] = float("nan")


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
