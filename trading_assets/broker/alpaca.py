"""The one wrapper around the real Alpaca SDK: every request of the project to a broker goes through ``AlpacaBroker``.

It talks to Alpaca and to the practice exchange alike; only the address differs. The SDK is imported when an object is
made, never when this module is. What does not belong here: what to do about an answer (``submission``, ``booking``).
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from trading_assets.broker import combos, parsing
from trading_assets.broker.combos import ComboRequest
from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.errors import BrokerUnavailable, RateLimited, Rejected
from trading_assets.broker.market_data import MarketData
from trading_assets.broker.rate_budget import RateBudget, Share
from trading_assets.broker.sending import harden
from trading_assets.broker.transport import Transport, check_address
from trading_assets.broker.values import (
    BrokerAccount,
    BrokerActivity,
    BrokerAsset,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    OrderRequest,
    UnreadFill,
)
from trading_assets.domain.clock import Clock, require_utc
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.values import Side
from trading_assets.market.options import is_occ

_PAGE_OF_ORDERS = 500
_PAGE_OF_ACTIVITIES = 100
_NOT_FOUND = 404
#: What an activity of type FILL may be instead of a fill: it names no fill that it changes, and must not be booked as
#: one. The stream tells which, or the list by what it leaves out (``reconciling.changed_fills``).
_FILL_CHANGES = frozenset({"trade_bust", "trade_correct"})
#: Contracts that end without a fill: expiry, exercise, assignment.
CONTRACT_EVENTS = ("OPEXP", "OPEXC", "OPASN")
#: The trade in the underlying that an exercise or an assignment makes.
STOCK_LEG = "OPTRD"


class AlpacaBroker(MarketData):
    """One account at one broker.

    Reads raise ``BrokerUnavailable`` when no trustworthy answer came after a bounded number of tries; an empty list is
    only ever returned when the broker said so. ``Rejected`` is a definitive refusal, ``NotAuthorized`` refused keys,
    ``RateLimited`` (a ``BrokerUnavailable``) a request that was certainly not carried out.
    """

    def __init__(self, connection: BrokerConnection, clock: Clock, config: BrokerConfig | None = None) -> None:
        """Opens nothing yet. ``ConfigurationError`` if mode and addresses do not belong together."""
        check_address(connection.mode, connection.key, connection.trading_url, connection.data_url)
        from alpaca.data.historical.corporate_actions import CorporateActionsClient
        from alpaca.data.historical.option import OptionHistoricalDataClient
        from alpaca.data.historical.stock import StockHistoricalDataClient
        from alpaca.trading.client import TradingClient

        config = config or BrokerConfig()
        self.mode = connection.mode
        self.expected_account_id = connection.expected_account_id
        self.config = config
        self._clock = clock
        self._host, data = connection.trading_url.rstrip("/"), connection.data_url.rstrip("/")
        keys = (connection.key, connection.secret)
        trading = TradingClient(*keys, paper=self.mode != "LIVE", raw_data=True, url_override=self._host)
        stocks = StockHistoricalDataClient(*keys, raw_data=True, url_override=data)
        options = OptionHistoricalDataClient(*keys, raw_data=True, url_override=data)
        actions = CorporateActionsClient(*keys, raw_data=True, url_override=data)
        self._budgets: dict[str, RateBudget] = {}
        for client, url, interface in (
            (trading, self._host, "trading"),
            (stocks, data, "data"),
            (options, data, "data"),
            (actions, data, "data"),
        ):
            if connection.budget is not None:
                self._budgets.setdefault(interface, RateBudget(connection.budget / interface))
            harden(client, config, url, self._budgets.get(interface))
        super().__init__(
            stocks,
            options,
            trading,
            actions,
            Transport(clock, config),
            config,
            stock_feed=connection.stock_feed,
            option_feed=connection.option_feed,
        )

    def __repr__(self) -> str:
        return f"AlpacaBroker(mode={self.mode!r}, at={self._host!r})"

    def impatient(self, attempts: int = 1) -> AlpacaBroker:
        """The same account and connections for a caller that must not be kept waiting: few tries, short waits."""
        hasty = copy(self)
        waits = min(self.config.rate_limit_wait_seconds, self.config.short_limit_wait_seconds)
        hasty.config = self.config.model_copy(update={"read_attempts": attempts, "rate_limit_wait_seconds": waits})
        hasty._config, hasty._transport = hasty.config, Transport(self._clock, hasty.config)
        return hasty

    def hurried(self) -> AlpacaBroker:
        """The same account for a caller whom an exit may wait for: as many tries, but short waits for a rate limit."""
        return self.impatient(self.config.read_attempts)

    def wait_for_reset(self, limit: RateLimited) -> None:
        """Wait until a rate limit lifts, within the configured bound."""
        self._transport.wait_for_reset(limit)

    def lifts_soon(self, limit: RateLimited) -> bool:
        """Whether a rate limit lifts within the short wait of an opening order."""
        return self._transport.seconds_to_reset(limit) <= self.config.short_limit_wait_seconds

    def seconds_until_room(self, requests: int) -> float:
        """Wall seconds until reads may send so many requests more at both interfaces, 0.0 if they may now.

        Who is about to read much asks this before it takes a lock that an exit may wait for.
        """
        return max((budget.seconds_until(requests, Share.BULK) for budget in self._budgets.values()), default=0.0)

    def close(self) -> None:
        """Close the connections."""
        for client in (self._trading, self._stocks, self._options, self._actions):
            client._session.close()

    def account(self) -> BrokerAccount:
        """The account behind the key."""
        return parsing.account(parsing.record(self._read("GET /account", self._trading.get_account), "account"))

    def positions(self) -> list[BrokerPosition]:
        """Everything the account holds. A failed read raises; it never returns an empty list."""
        answer = self._read("GET /positions", self._trading.get_all_positions)
        return [parsing.position(raw) for raw in parsing.rows(answer, "positions")]

    def order(self, order_id: str, *, nested: bool = False) -> BrokerOrder | None:
        """The order of that broker id (``nested``: with its legs), or None only on the broker's own 404."""
        where, params = f"GET /orders/{order_id}", {"nested": True} if nested else {}
        return self._one_order(where, lambda: self._trading.get(_order_path(order_id), params))

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """The order of that client id, or None only on the broker's own 404."""
        return self._one_order(
            "GET /orders:by_client_order_id", lambda: self._trading.get_order_by_client_id(client_order_id)
        )

    def orders(self, status: str = "open", after: datetime | None = None) -> list[BrokerOrder]:
        """All orders of status ``open``, ``closed`` or ``all``, submitted after ``after``, oldest first, all pages."""
        params: dict[str, Any] = {"status": status, "limit": _PAGE_OF_ORDERS, "direction": "asc"}
        bound = None if after is None else require_utc(after)
        found: dict[str, BrokerOrder] = {}
        for _ in range(self.config.max_pages):
            query = params if bound is None else {**params, "after": bound.isoformat()}
            answer = self._read("GET /orders", lambda query=query: self._trading.get("/orders", query))  # type: ignore[misc]
            page = [parsing.order(raw) for raw in parsing.rows(answer, "orders")]
            fresh = [order for order in page if order.order_id not in found]
            found |= {order.order_id: order for order in fresh}
            if len(page) < _PAGE_OF_ORDERS:
                return list(found.values())
            last = page[-1].submitted_at
            if not fresh or last is None:
                break
            # The bound is exclusive and several orders may share an instant: step back a little and drop repetitions.
            bound = last - timedelta(microseconds=1)
        raise BrokerUnavailable("the list of orders does not end", where="GET /orders")

    def submit(self, request: OrderRequest | ComboRequest) -> BrokerOrder:
        """Send one order, once. After ``BrokerUnavailable`` (but not ``RateLimited``) it may or may not exist."""
        body = combos.body(request) if isinstance(request, ComboRequest) else _order_body(request)
        answer = self._transport.once("POST /orders", lambda: self._trading.submit_order(body))
        return parsing.order(parsing.record(answer, "order"))

    def cancel(self, order_id: str) -> bool:
        """Ask to cancel. False if the broker says there is nothing to cancel; the caller reads the order again."""
        try:
            self._read(f"DELETE /orders/{order_id}", lambda: self._trading.delete(_order_path(order_id)))
        except Rejected:
            return False
        return True

    def fills(self, after: datetime) -> list[BrokerFill]:
        """Those of ``read_fills`` that can be read: for who books what is there, and takes nothing for gone."""
        return self.read_fills(after)[0]

    def read_fills(self, after: datetime) -> tuple[list[BrokerFill], list[UnreadFill]]:
        """All fills after the instant, oldest first, all pages, and the rows of that list that cannot be read.

        Activities that take a fill back or correct one are none of them.
        """
        found: list[BrokerFill] = []
        unread: list[UnreadFill] = []
        for raw in self._activities(("FILL",), after):
            if not _FILL_CHANGES.isdisjoint((str(raw.get("execution_type")), str(raw.get("type")))):
                continue
            try:
                found.append(parsing.fill(raw))
            except BrokerUnavailable as error:
                unread.append(parsing.unread_fill(raw, error.what))
        return found, unread

    def activities(self, types: Iterable[str], after: datetime) -> list[BrokerActivity]:
        """Activities of the given types that are not fills, oldest first, all pages."""
        return [parsing.activity(raw) for raw in self._activities(tuple(types), after)]

    def clock_now(self) -> datetime:
        """The broker's own time, UTC."""
        answer = parsing.record(self._read("GET /clock", self._trading.get_clock), "clock")
        now = parsing.instant_or_none(answer.get("timestamp"))
        if now is None:
            raise BrokerUnavailable("the broker's clock shows no readable time", where="GET /clock")
        return now

    def assets(self) -> list[BrokerAsset]:
        """All active stocks and funds."""
        params = {"status": "active", "asset_class": "us_equity"}
        answer = self._read("GET /assets", lambda: self._trading.get("/assets", params))
        return [parsing.asset(raw) for raw in parsing.rows(answer, "assets")]

    def _one_order(self, where: str, call: Any) -> BrokerOrder | None:
        try:
            answer = self._read(where, call)
        except Rejected as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise BrokerUnavailable(f"an order look-up was refused: {refusal}", where=where) from refusal
        return parsing.order(parsing.record(answer, "order"))

    def _activities(self, types: tuple[str, ...], after: datetime) -> list[parsing.Json]:
        path = f"/account/activities/{types[0]}" if len(types) == 1 else "/account/activities"
        params: dict[str, Any] = {
            "after": require_utc(after).isoformat(),
            "direction": "asc",
            "page_size": _PAGE_OF_ACTIVITIES,
        }
        if len(types) > 1:
            params["activity_types"] = ",".join(types)
        found: dict[str, parsing.Json] = {}
        for _ in range(self.config.max_pages):
            answer = self._read(f"GET {path}", lambda: self._trading.get(path, params))
            page = parsing.rows(answer, "activities")
            # One without an id is told apart by all that it says.
            named = {parsing.name_or_none(raw.get("id")) or repr(raw): raw for raw in page}
            fresh = {name: raw for name, raw in named.items() if name not in found}
            found |= fresh
            if len(page) < _PAGE_OF_ACTIVITIES:
                return list(found.values())
            tokens = [name for raw in page if (name := parsing.name_or_none(raw.get("id"))) is not None]
            if not fresh or not tokens:
                break
            params["page_token"] = tokens[-1]
        raise BrokerUnavailable("the list of activities does not end", where=f"GET {path}")


def _order_path(order_id: str) -> str:
    """The SDK's own methods refuse an id that is no UUID with an error of their own before they ask."""
    return f"/orders/{quote(order_id, safe='')}"


def _order_body(request: OrderRequest) -> Any:
    """The SDK's request. Options say whether they open or close, so that a sale can never open a short position."""
    from alpaca.trading.enums import OrderClass, OrderSide, PositionIntent, TimeInForce
    from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest, StopLossRequest, TakeProfitRequest

    values: dict[str, Any] = {
        "symbol": request.symbol,
        "qty": request.quantity,
        "side": OrderSide(request.side.value),
        "time_in_force": TimeInForce.DAY,
        "client_order_id": request.client_order_id,
    }
    if is_occ(request.symbol):
        buying = request.side is Side.BUY
        values["position_intent"] = PositionIntent.BUY_TO_OPEN if buying else PositionIntent.SELL_TO_CLOSE
    if request.take_profit is not None and request.stop_loss is not None:
        values["order_class"] = OrderClass.BRACKET if request.side is Side.BUY else OrderClass.OCO
        values["take_profit"] = TakeProfitRequest(limit_price=float(request.take_profit))
        values["stop_loss"] = StopLossRequest(stop_price=float(request.stop_loss))
    if values.get("order_class") is OrderClass.OCO:
        # The take profit is the order itself: its price is said once.
        return LimitOrderRequest(**values)
    if request.limit_price is None:
        return MarketOrderRequest(**values)
    return LimitOrderRequest(**values, limit_price=float(request.limit_price))
