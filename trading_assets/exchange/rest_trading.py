"""Trading routes, version 2: clock, calendar, assets, orders, positions, option contracts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.values import OptionContract
from trading_assets.exchange import http, wire
from trading_assets.exchange.http import Door, answer
from trading_assets.exchange.intraday import todays_cost
from trading_assets.exchange.listing import Listing
from trading_assets.exchange.market_port import Asset
from trading_assets.exchange.marks import last_price
from trading_assets.exchange.order_filters import OrderFilter
from trading_assets.exchange.refusal import Refusal, invalid, not_found, unprocessable
from trading_assets.exchange.state import STOP_LOSS, TAKE_PROFIT, Account, Order, Position
from trading_assets.exchange.venue import Venue
from trading_assets.market.sessions import sessions_between, shift

_OPEN_ORDERS, _MOST_ORDERS = 50, 500
_HUNDRED = Decimal(100)
_CALENDAR_LIMIT = timedelta(days=3660)
_SETTLING = timedelta(days=7)


class TradingRoutes:
    """The routes of one venue. Reading takes no lock: the event loop runs one handler at a time."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    @property
    def _listing(self) -> Listing:
        return self._venue.engine.listing

    def routes(self, door: Door) -> list[Route]:
        """Every route, behind ``door``."""
        table: list[tuple[str, str, Callable[[Request, Account], Any]]] = [
            ("GET", "/v2/clock", self.clock),
            ("GET", "/v2/calendar", self.calendar),
            ("GET", "/v2/assets", self.assets),
            ("GET", "/v2/assets/{symbol}", self.asset),
            ("POST", "/v2/orders", self.place),
            ("GET", "/v2/orders", self.orders),
            ("DELETE", "/v2/orders", self.cancel_all),
            ("GET", "/v2/orders:by_client_order_id", self.order_by_client_id),
            ("GET", "/v2/orders/{order_id}", self.order),
            ("PATCH", "/v2/orders/{order_id}", self.replace),
            ("DELETE", "/v2/orders/{order_id}", self.cancel),
            ("GET", "/v2/positions", self.positions),
            ("DELETE", "/v2/positions", self.close_all),
            ("GET", "/v2/positions/{symbol}", self.position),
            ("DELETE", "/v2/positions/{symbol}", self.close),
            ("POST", "/v2/positions/{symbol}/exercise", self.exercise),
            ("POST", "/v2/positions/{symbol}/do-not-exercise", self.decline),
            ("GET", "/v2/options/contracts", self.contracts),
            ("GET", "/v2/options/contracts/{symbol}", self.contract),
        ]
        return [Route(path, door(handler), methods=[method]) for method, path, handler in table]

    # --- clock, calendar, assets ------------------------------------------------------------------------------------

    async def clock(self, request: Request, account: Account) -> Response:
        """The market clock."""
        return answer(wire.clock_json(self._venue.world.now))

    async def calendar(self, request: Request, account: Account) -> Response:
        """Sessions from ``start`` to ``end``."""
        today = self._venue.world.now.astimezone(NEW_YORK).date()
        first = http.day(request, "start") or today - timedelta(days=365)
        last = http.day(request, "end") or today + timedelta(days=365)
        last = min(last, first + _CALENDAR_LIMIT, date(2030, 12, 31))
        settled = http.word(request, "date_type", "TRADING", "SETTLEMENT") == "SETTLEMENT"
        # What is settled in the range was traded some days before it.
        begin = first - _SETTLING if settled else first
        rows = [wire.calendar_json(session) for session in sessions_between(max(begin, date(1990, 1, 1)), last)]
        within = [row for row in rows if first.isoformat() <= row["settlement_date"] <= last.isoformat()]
        return answer(within if settled else rows)

    async def assets(self, request: Request, account: Account) -> Response:
        """Every listed stock that is asked for; all of them are active."""
        equities = http.word(request, "asset_class", "us_equity", "us_option", "crypto", "crypto_perp") == "us_equity"
        active = http.word(request, "status", "", "active", "inactive", "all") != "inactive"
        exchange, attributes = request.query_params.get("exchange"), set(http.listed(request, "attributes"))
        rows = [self._asset(asset, account) for asset in self._listing.assets.values()] if equities and active else []
        return answer(
            [
                row
                for row in rows
                if exchange in (None, "", row["exchange"])
                and (not attributes or not attributes.isdisjoint(row["attributes"]))
            ]
        )

    def _asset(self, asset: Asset, account: Account) -> dict[str, Any]:
        hard = asset.symbol in self._venue.config.rules.hard_to_borrow
        return wire.asset_json(asset, shortable=account.shorting and not hard)

    async def asset(self, request: Request, account: Account) -> Response:
        """One stock by symbol or id."""
        symbol = request.path_params["symbol"]
        found = self._listing.asset(symbol)
        if found is None:
            raise not_found(f"asset not found for {symbol[:40]}")
        return answer(self._asset(found, account))

    # --- orders -----------------------------------------------------------------------------------------------------

    async def place(self, request: Request, account: Account) -> Response:
        """Book an order. It fills at the next whole second of the exchange's time at the earliest."""
        order = await self._venue.place(account, await http.json_body(request))
        return answer(self._order(order, account, nested=True))

    async def replace(self, request: Request, account: Account) -> Response:
        """Change quantity, prices or time in force of an open order: a new one takes its place."""
        order = await self._venue.replace(account, request.path_params["order_id"], await http.json_body(request))
        return answer(self._order(order, account, nested=True))

    async def orders(self, request: Request, account: Account) -> Response:
        """Orders by status, time, place, symbol, side and class."""
        wanted = OrderFilter.read(request, account)
        # A leg of a multi-leg order is shown in the whole.
        rows = [order for order in account.orders.values() if not order.is_combo_leg and wanted.shows(account, order)]
        ascending = http.word(request, "direction", "desc", "asc") == "asc"
        nested = http.truth(request, "nested") is True
        if nested:
            # A leg whose order is not among them stands for itself: what works must not be hidden.
            shown = {order.terms.group for order in rows if not _is_leg(order)}
            rows = [order for order in rows if not _is_leg(order) or order.terms.group not in shown]
        rows.sort(key=lambda order: order.number, reverse=not ascending)
        limit = http.whole(request, "limit", _OPEN_ORDERS, 1, _MOST_ORDERS)
        return answer([self._order(order, account, nested=nested) for order in rows[:limit]])

    async def order(self, request: Request, account: Account) -> Response:
        """One order by id."""
        order = account.orders.get(request.path_params["order_id"])
        if order is None:
            raise not_found("order not found")
        return answer(self._order(order, account, nested=http.truth(request, "nested") is True))

    async def order_by_client_id(self, request: Request, account: Account) -> Response:
        """One order by client order id."""
        order_id = account.by_client_id.get(request.query_params.get("client_order_id", ""))
        if order_id is None:
            raise not_found("order not found")
        return answer(self._order(account.orders[order_id], account))

    async def cancel(self, request: Request, account: Account) -> Response:
        """Cancel what is left of an order."""
        await self._venue.cancel(account, request.path_params["order_id"])
        return Response(status_code=204)

    async def cancel_all(self, request: Request, account: Account) -> Response:
        """Cancel every open order; one line with its own status for each."""
        lines = []
        for order, refusal in await self._venue.cancel_all(account):
            line: dict[str, Any] = {"id": order.terms.id, "status": 200 if refusal is None else refusal.status}
            lines.append(line if refusal is None else {**line, "body": refusal.body})
        return answer(lines, 207)

    def _order(self, order: Order, account: Account, *, nested: bool = False) -> dict[str, Any]:
        """The order, ``nested`` with its legs inside it; a multi-leg order is never without them."""
        legs = account.group(order) if nested and not _is_leg(order) else []
        shown = account.legs(order) or [leg for leg in legs if _is_leg(leg)]
        return wire.order_json(order, self._venue.world.now, shown)

    # --- positions --------------------------------------------------------------------------------------------------

    async def positions(self, request: Request, account: Account) -> Response:
        """Everything held."""
        return answer([self._position(account, position) for position in account.positions.values()])

    async def position(self, request: Request, account: Account) -> Response:
        """One position by symbol or asset id."""
        wanted = request.path_params["symbol"]
        for position in account.positions.values():
            if wanted in (position.symbol, position.asset_id):
                return answer(self._position(account, position))
        raise not_found("position does not exist")

    async def close(self, request: Request, account: Account) -> Response:
        """Close all of a position at the market, or ``qty`` or ``percentage`` of it."""
        wanted = request.path_params["symbol"]
        for position in account.positions.values():
            if wanted in (position.symbol, position.asset_id):
                quantity = _part(request, abs(position.quantity))
                placed = await self._venue.place(account, _closing(position, quantity))
                return answer(self._order(placed, account))
        raise not_found("position does not exist")

    async def exercise(self, request: Request, account: Account) -> Response:
        """Exercise all of a long contract that no order claims."""
        await self._venue.exercise(account, request.path_params["symbol"])
        return Response()

    async def decline(self, request: Request, account: Account) -> Response:
        """Let a long contract expire without exercise."""
        await self._venue.decline(account, request.path_params["symbol"])
        return Response()

    async def close_all(self, request: Request, account: Account) -> Response:
        """Close everything at the market, after canceling the open orders if asked to; one line for each position."""
        if http.truth(request, "cancel_orders"):
            await self._venue.cancel_all(account)
        lines = []
        # What is short first: it may be what the rest covers.
        for position in sorted(account.positions.values(), key=lambda position: position.quantity > 0):
            line: dict[str, Any] = {"symbol": position.symbol, "status": 200}
            try:
                whole = _closing(position, abs(position.quantity))
                line["body"] = self._order(await self._venue.place(account, whole), account)
            except Refusal as refusal:
                line |= {"status": refusal.status, "body": refusal.body}
            lines.append(line)
        return answer(lines, 207)

    def _position(self, account: Account, position: Position) -> dict[str, Any]:
        listed = self._listing.find(position.symbol)
        stock = listed is not None and listed.contract is None
        exchange = listed.asset.exchange if listed is not None and stock else ""
        lastday = None
        if stock:
            previous = shift(self._venue.world.session, -1)
            lastday = self._venue.market.price_at(position.symbol, previous.close)
        held, opened = account.held_for_orders(position.symbol), self._venue.engine.session.open
        cost = todays_cost(position, account.lines_of(position.symbol), opened, lastday)
        return wire.position_json(position, exchange, self._mark(position), held, lastday, cost)

    def _mark(self, position: Position) -> Decimal | None:
        return last_price(self._venue.market, position, self._venue.world.now)

    # --- contracts --------------------------------------------------------------------------------------------------

    async def contracts(self, request: Request, account: Account) -> Response:
        """Listed contracts; without an expiry they end with the next weekend, as the protocol has it."""
        today = self._venue.world.now.astimezone(NEW_YORK).date()
        exact = http.day(request, "expiration_date")
        first = exact or http.day(request, "expiration_date_gte") or today
        last = exact or http.day(request, "expiration_date_lte")
        if last is None:
            last = today + timedelta(days=(6 - today.weekday()) % 7)
        low, high = http.number(request, "strike_price_gte"), http.number(request, "strike_price_lte")
        kind, style = http.word(request, "type", "", "call", "put"), http.word(request, "style", "american", "european")
        root = request.query_params.get("root_symbol")
        active = http.word(request, "status", "active", "inactive") == "active"
        penny, deliverables = http.truth(request, "ppind"), http.truth(request, "show_deliverables")
        underlyings = http.listed(request, "underlying_symbols") or list(self._listing.assets)
        rows = [
            contract
            for underlying in sorted(underlyings)
            for contract in self._listing.contracts(underlying).values()
            if first <= contract.expiry <= last
            and (low is None or contract.strike >= low)
            and (high is None or contract.strike <= high)
            and (not kind or contract.right.value == kind)
            # Every contract here trades in pennies as far as the program goes.
            and penny is not False
            and (root is None or contract.root == root)
            and style == "american"
            and self._is_active(contract) == active
        ]
        limit = http.whole(request, "limit", 100, 1, 10_000)
        chosen, token = http.page(rows, request.query_params.get("page_token"), limit, lambda contract: contract.symbol)
        told = self._contracts(list(chosen))
        if deliverables:
            for contract, row in zip(chosen, told, strict=True):
                stock = self._listing.assets[contract.underlying]
                row["deliverables"] = wire.deliverables_json(contract, stock)
        return answer({"option_contracts": told, "next_page_token": token})

    async def contract(self, request: Request, account: Account) -> Response:
        """One contract by symbol or id."""
        wanted = request.path_params["symbol"]
        found = self._listing.contract(wanted) or self._listing.contract_by_id(wanted)
        if found is None:
            raise not_found(f"asset not found for {wanted[:40]}")
        return answer(self._contracts([found])[0])

    def _is_active(self, contract: OptionContract) -> bool:
        now = self._venue.world.now.astimezone(NEW_YORK)
        return contract.expiry > now.date() or (
            contract.expiry == now.date() and self._venue.world.now < self._venue.engine.session.close
        )

    def _contracts(self, contracts: list[OptionContract]) -> list[dict[str, Any]]:
        previous = shift(self._venue.world.session, -1)
        counts: dict[str, int | None] = {}
        for underlying in {contract.underlying for contract in contracts}:
            # The count of the previous close stands all day, so one instant serves the whole session.
            for line in self._venue.market.chain(underlying, self._venue.engine.session.open):
                counts[line.contract.symbol] = line.open_interest
        return [
            wire.contract_json(
                contract,
                self._listing.assets[contract.underlying],
                counts.get(contract.symbol),
                previous,
                self._is_active(contract),
            )
            for contract in contracts
        ]


def _is_leg(order: Order) -> bool:
    """Whether the order is shown inside another one. The take profit of an OCO is the order that was asked for."""
    role, pair = order.terms.role, order.terms.order_class == "oco"
    return order.is_combo_leg or role == STOP_LOSS or (role == TAKE_PROFIT and not pair)


def _part(request: Request, held: int) -> int:
    """How much of a position is to be sold."""
    quantity, percentage = http.number(request, "qty"), http.number(request, "percentage")
    if quantity is not None and percentage is not None:
        raise invalid("only one of qty and percentage may be given")
    if percentage is not None:
        if not 0 < percentage <= _HUNDRED:
            raise http.bad("percentage", str(percentage))
        quantity = (held * percentage / _HUNDRED).to_integral_value(ROUND_DOWN)
    if quantity is None:
        return held
    if quantity < 1 or quantity != quantity.to_integral_value():
        raise unprocessable("fractional quantities are not offered by this exchange")
    return int(quantity)


def _closing(position: Position, quantity: int) -> dict[str, Any]:
    side = "sell" if position.quantity > 0 else "buy"
    order: dict[str, Any] = {"symbol": position.symbol, "qty": quantity, "side": side, "type": "market"}
    return {**order, "time_in_force": "day", "position_intent": f"{side}_to_close"}
