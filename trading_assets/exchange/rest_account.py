"""Account routes: the account and its configuration, its history of activities and of equity."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trading_assets.domain.clock import NEW_YORK
from trading_assets.exchange import http, wire
from trading_assets.exchange.http import Door, answer
from trading_assets.exchange.marks import mark_shorts, worth
from trading_assets.exchange.refusal import invalid, unprocessable
from trading_assets.exchange.state import ZERO, Account, Activity
from trading_assets.exchange.venue import Venue

#: Kinds that the protocol knows; this exchange makes FILL, OPEXP, OPEXC, OPASN and OPTRD.
_ACTIVITY_KINDS = frozenset(
    {"FILL", "OPEXP", "OPASN", "OPEXC", "OPTRD", "OPCA", "OPCSH", "TRANS", "MISC", "ACATC", "ACATS", "CSD", "CSW"}
    | {"DIV", "FEE", "INT", "JNLC", "JNLS", "MA", "NC", "PTC", "REORG", "SPIN", "SPLIT", "CFEE"}
)
_PERIOD = re.compile(r"(\d{1,3})([DWMA])")
_FIRST_DAY = date(1990, 1, 1)
_TIMEFRAMES = ("1Min", "5Min", "15Min", "1H", "1D")
_WEEK, _MONTH = 7, 30
_DAYS = {"D": 1, "W": 7, "M": 31, "A": 366}


class AccountRoutes:
    """The routes of one venue that are about the account as a whole."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self, door: Door) -> list[Route]:
        """Every route, behind ``door``."""
        table: list[tuple[str, str, Callable[[Request, Account], Any]]] = [
            ("GET", "/v2/account", self.account),
            ("GET", "/v2/account/configurations", self.configurations),
            ("PATCH", "/v2/account/configurations", self.configure),
            ("GET", "/v2/account/activities", self.activities),
            ("GET", "/v2/account/activities/{kind}", self.activities),
            ("GET", "/v2/account/portfolio/history", self.history),
        ]
        return [Route(path, door(handler), methods=[method]) for method, path, handler in table]

    async def account(self, request: Request, account: Account) -> Response:
        """Cash, equity at the bids of what is held, buying power."""
        mark_shorts(self._venue.market, account, self._venue.world.now)
        return answer(wire.account_json(account, f"PA{account.id[:8].upper()}", *self._values(account)))

    def _values(self, account: Account) -> tuple[Decimal, Decimal]:
        """Market value of what is held and, negative, of what is short."""
        values = [worth(self._venue.market, p, self._venue.world.now) for p in account.positions.values()]
        return sum((v for v in values if v > 0), ZERO), sum((v for v in values if v < 0), ZERO)

    async def configurations(self, request: Request, account: Account) -> Response:
        """What the account's owner has set."""
        return answer(wire.configurations_json(account))

    async def configure(self, request: Request, account: Account) -> Response:
        """Change what is given. A suspended account takes no new orders until it is released."""
        await self._venue.configure(account, await http.json_body(request))
        return answer(wire.configurations_json(account))

    async def history(self, request: Request, account: Account) -> Response:
        """Equity at the close of each session of the period, and now; profit counts from the equity before it."""
        if {"start", "end", "period"} <= request.query_params.keys():
            raise invalid("only two of start, end and period may be given")
        timeframe = http.word(request, "timeframe", _usual_timeframe(request), *_TIMEFRAMES)
        http.word(request, "intraday_reporting", "market_hours", "extended_hours", "continuous")
        http.word(request, "pnl_reset", "per_day", "no_reset")
        if timeframe != "1D":
            raise unprocessable(f"timeframe {timeframe} is not offered by this exchange")
        last = http.day(request, "date_end") or http.day(request, "end") or self._venue.world.session
        if last < _FIRST_DAY:
            raise http.bad("date_end", last.isoformat())
        first = http.day(request, "start") or last - timedelta(days=min(_days(request), (last - date.min).days))
        closes = [*account.closes, (self._venue.world.session, account.cash + sum(self._values(account)))]
        base = next((equity for day, equity in reversed(closes) if day < first), account.opening_cash)
        shown = [(day, equity) for day, equity in closes if first <= day <= last]
        return answer(
            {
                "timestamp": [_midnight(day) for day, _ in shown],
                "equity": [float(equity) for _, equity in shown],
                "profit_loss": [float(equity - base) for _, equity in shown],
                "profit_loss_pct": [float((equity - base) / base) if base else None for _, equity in shown],
                "base_value": float(base),
                "timeframe": timeframe,
            }
        )

    async def activities(self, request: Request, account: Account) -> Response:
        """History by kind, day and paging, newest first unless asked otherwise."""
        kinds = {request.path_params["kind"]} if "kind" in request.path_params else set()
        kinds |= set(http.listed(request, "activity_types"))
        category = request.query_params.get("category")
        if category not in (None, "trade_activity", "non_trade_activity"):
            raise http.bad("category", str(category))
        if category is not None and kinds:
            raise invalid("category cannot be used with activity types")
        for kind in sorted(kinds - _ACTIVITY_KINDS):
            raise invalid(f"invalid activity type: {kind[:40]}")
        after = http.moment(request, "after", end_of_day=True)
        until = http.moment(request, "until")
        wanted_day = http.moment(request, "date")
        day = None if wanted_day is None else wanted_day.astimezone(NEW_YORK).date()
        ascending = http.word(request, "direction", "desc", "asc") == "asc"
        rows = [
            activity
            for activity in account.activities
            if (not kinds or activity.kind in kinds)
            and (category is None or (activity.kind == "FILL") == (category == "trade_activity"))
            and (after is None or activity.at > after)
            and (until is None or activity.at < until)
            # The day on which a line was made, which for what was settled is the morning after.
            and (day is None or activity.at.astimezone(NEW_YORK).date() == day)
        ]
        order = request.query_params.get("order_id")
        if order is not None:
            rows = [activity for activity in rows if activity.order_id == order]
        rows = rows if ascending else rows[::-1]
        token = request.query_params.get("page_token")
        if token:
            places = [index for index, activity in enumerate(rows) if activity.id == token]
            if not places:
                raise http.bad("page_token", token)
            rows = rows[places[0] + 1 :]
        size = http.whole(request, "page_size", 100, 1, 100)
        return answer([_activity(account, activity) for activity in rows[:size]])


def _activity(account: Account, activity: Activity) -> dict[str, Any]:
    return wire.activity_json(activity, account.orders.get(activity.order_id))


def _days(request: Request) -> int:
    given = request.query_params.get("period", "1M")
    found = _PERIOD.fullmatch(given)
    if found is None:
        raise http.bad("period", given)
    return int(found[1]) * _DAYS[found[2]]


def _usual_timeframe(request: Request) -> str:
    """The timeframe of a request that names none: finer for a short period."""
    start, end = http.day(request, "start"), http.day(request, "end")
    days = (end - start).days if start is not None and end is not None else _days(request)
    return "1Min" if days < _WEEK else "15Min" if days < _MONTH else "1D"


def _midnight(day: date) -> int:
    return int(datetime.combine(day, datetime.min.time(), NEW_YORK).timestamp())
