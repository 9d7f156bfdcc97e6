"""Bars in the shares of today: what the ``adjustment`` of a request asks for. Raw bars stay as their sessions saw them.

Every bar before an action's first session is changed by it: a split divides prices and multiplies volumes, a cash
dividend takes its share of the last close before it out of the prices. Actions to come change nothing yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from starlette.requests import Request

from trading_assets.domain.clock import NEW_YORK
from trading_assets.exchange import http
from trading_assets.exchange.actions import AnyAction, CashDividend, Split
from trading_assets.exchange.bars import Bar

_RAW, _ALL = "raw", "all"
#: What may be asked for by name. No stock of this exchange is spun off.
_KINDS = {"split": Split, "dividend": CashDividend, "spin-off": None}
_PRICES = ("o", "h", "l", "c", "vw")
_PLACES = 4
_ONE = Decimal(1)
#: The last raw close before a session, None where none is known.
CloseBefore = Callable[[date], float | None]


@dataclass(frozen=True, slots=True)
class Step:
    """From ``session`` on prices and volumes are others: bars before it are multiplied to read like those after it."""

    session: date
    price: Decimal
    volume: Decimal = _ONE


def asked(request: Request) -> frozenset[str]:
    """The kinds of adjustment a request names, empty for raw bars; raises ``Refusal`` (400)."""
    named = http.listed(request, "adjustment")
    for name in named:
        if name not in (_RAW, _ALL, *_KINDS):
            raise http.bad("adjustment", name)
    return frozenset(_KINDS) if _ALL in named else frozenset(named) - {_RAW}


def steps(kinds: frozenset[str], actions: Iterable[AnyAction], until: date, close_before: CloseBefore) -> list[Step]:
    """What the ``actions`` of one stock that are in force on ``until`` do to the bars before them."""
    found = []
    for action in actions:
        if action.ex_session > until:
            continue
        if isinstance(action, Split) and "split" in kinds:
            found.append(Step(action.ex_session, _ONE / action.ratio, action.ratio))
        elif isinstance(action, CashDividend) and "dividend" in kinds:
            close = close_before(action.ex_session)
            if close:
                found.append(Step(action.ex_session, _ONE - action.rate / Decimal(str(close))))
    return found


def adjusted(bars: Iterable[Bar], changes: Sequence[Step]) -> Iterator[Bar]:
    """``bars`` in the shares after all ``changes``; the same bars where nothing changes them."""
    for bar in bars:
        day = bar["t"].astimezone(NEW_YORK).date()
        price = volume = _ONE
        for change in changes:
            if day < change.session:
                price, volume = price * change.price, volume * change.volume
        if price == volume == _ONE:
            yield bar
            continue
        told = {name: None if bar[name] is None else round(bar[name] * float(price), _PLACES) for name in _PRICES}
        yield {**bar, **told, "v": round(bar["v"] * float(volume))}
