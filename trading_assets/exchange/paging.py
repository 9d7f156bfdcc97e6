"""Pages over points that are made as they are asked for: a day of quotes is not built to send one page of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from trading_assets.exchange import http

MOST_POINTS = 10_000
_USUAL_POINTS = 1000
Point = dict[str, Any]
#: The points of a symbol in the step that begins at an instant, in order of their ``t``.
PointsAt = Callable[[str, datetime], Sequence[Point]]


@dataclass(frozen=True, slots=True)
class Steps:
    """The instants at which steps begin, in the order in which they are sent: from the step that an instant lies in
    on, or all. ``turn`` is how many are looked at before others get a turn."""

    of: Callable[[datetime | None], Iterable[datetime]]
    descending: bool
    turn: int


async def page_of_points(
    request: Request, symbols: Sequence[str], steps: Steps, points_at: PointsAt
) -> tuple[dict[str, list[Point]], str | None]:
    """Points by symbol and time, at most ``limit`` of the request, and the token of the next page or None.

    ``symbols`` are in order. A token names symbol and ``t`` of the last point; no two of a symbol have the same.
    """
    limit = http.whole(request, "limit", _USUAL_POINTS, 1, MOST_POINTS)
    first, after = _place(request, symbols)
    grouped: dict[str, list[Point]] = {}
    last, count, looked = "", 0, 0
    for symbol in symbols[first:]:
        for step in steps.of(after):
            looked += 1
            if looked % steps.turn == 0:
                await asyncio.sleep(0)
            points = points_at(symbol, step)
            for point in reversed(points) if steps.descending else points:
                if after is not None and (point["t"] >= after if steps.descending else point["t"] <= after):
                    continue
                if count == limit:
                    return grouped, http.make_token(last)
                grouped.setdefault(symbol, []).append(point)
                last, count = f"{symbol}|{point['t'].isoformat()}", count + 1
        after = None
    return grouped, None


def _place(request: Request, symbols: Sequence[str]) -> tuple[int, datetime | None]:
    """The symbol to begin with and the instant after which, None for its beginning."""
    token = request.query_params.get("page_token")
    if not token:
        return 0, None
    symbol, _, stamp = http.read_token(token).partition("|")
    try:
        at = datetime.fromisoformat(stamp)
        return list(symbols).index(symbol), at.astimezone(UTC)
    except ValueError:
        raise http.bad("page_token", token) from None
