"""The exchange's rules for accepting an order: from a ticket to an event, or a refusal with the broker's own body.

Long only: buys open, sells close. Options buying power is cash. What depends on the market asks only for the quote at
the exchange's present instant.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from trading_assets.domain.money import CENT, option_tick
from trading_assets.exchange.config import ExchangeRules
from trading_assets.exchange.events import OrderAccepted
from trading_assets.exchange.identities import Identities
from trading_assets.exchange.listing import Listed, Listing
from trading_assets.exchange.market_port import MarketPort
from trading_assets.exchange.refusal import forbidden, invalid, unprocessable
from trading_assets.exchange.state import ZERO, Account, World
from trading_assets.exchange.tickets import Ticket
from trading_assets.exchange.wire import text
from trading_assets.market.sessions import Session, shift

_SUB_DOLLAR = Decimal("0.0001")
_LONG_OPTIONS_LEVEL = 2


class OrderRules:
    """Rules bound to one market and one session."""

    def __init__(
        self, market: MarketPort, listing: Listing, session: Session, rules: ExchangeRules, identities: Identities
    ) -> None:
        self._market = market
        self._listing = listing
        self._session = session
        self._rules = rules
        self._identities = identities

    def accept(self, world: World, account: Account, ticket: Ticket) -> OrderAccepted:
        """The event that books ``ticket``; raises ``Refusal``."""
        now = world.now
        client_order_id = ticket.client_order_id or self._identities.client_order(account.name, world.orders + 1)
        if client_order_id in account.by_client_id:
            raise invalid("client_order_id must be unique")
        listed = self._listing.find(ticket.symbol)
        if listed is None:
            raise unprocessable(f'asset "{ticket.symbol}" not found')
        if listed.contract is not None:
            self._check_option(account, ticket, listed, now)
        elif ticket.time_in_force not in ("day", "gtc"):
            raise unprocessable(f"time_in_force {ticket.time_in_force} is not offered by this exchange")
        self._check_tick(ticket, listed)
        self._check_intent(ticket)
        self._check_wash(account, ticket)
        hold = ZERO
        if ticket.side == "sell":
            self._check_holding(account, ticket, listed)
        else:
            hold = self._hold_price(ticket, now)
            self._check_cash(account, hold * ticket.quantity * listed.multiplier)
        return OrderAccepted(
            account=account.name,
            id=self._identities.order(account.name, client_order_id),
            client_order_id=client_order_id,
            symbol=ticket.symbol,
            asset_class=listed.asset_class,
            asset_id=listed.asset_id,
            side=ticket.side,
            type=ticket.type,
            time_in_force=ticket.time_in_force,
            quantity=ticket.quantity,
            multiplier=listed.multiplier,
            limit_price=ticket.limit_price,
            hold_price=hold,
            position_intent=ticket.position_intent or f"{ticket.side}_to_{'open' if ticket.side == 'buy' else 'close'}",
            source="client",
            expires_at=self._day_end(now) if ticket.time_in_force == "day" else None,
        )

    def _day_end(self, now: datetime) -> datetime:
        return self._session.close if now < self._session.close else shift(self._session.day, 1).close

    def _check_option(self, account: Account, ticket: Ticket, listed: Listed, now: datetime) -> None:
        assert listed.contract is not None
        if account.options_level < _LONG_OPTIONS_LEVEL:
            raise forbidden("account not eligible to trade options", options_trading_level=account.options_level)
        if ticket.time_in_force != "day":
            raise unprocessable("order_time_in_force provided not supported for options trading")
        if listed.contract.expiry < self._session.day:
            raise unprocessable(f"contract {ticket.symbol} has expired")
        if not self._session.contains(now):
            what = "market orders" if ticket.type == "market" else "orders"
            raise unprocessable(f"options {what} are only allowed during market hours")
        cutoff = self._session.close - timedelta(minutes=self._rules.expiry_entry_cutoff)
        if listed.contract.expiry == self._session.day and ticket.side == "buy" and now >= cutoff:
            raise unprocessable(f"contract {ticket.symbol} expires today and is closed for opening orders")

    def _check_tick(self, ticket: Ticket, listed: Listed) -> None:
        price = ticket.limit_price
        if price is None:
            return
        if listed.contract is not None:
            tick = option_tick(listed.asset.symbol, price)
        else:
            tick = CENT if price >= 1 else _SUB_DOLLAR
        if price % tick != 0:
            if tick >= CENT and price % CENT == 0:
                raise unprocessable(f"invalid limit_price {text(price)}. price must be a multiple of {text(tick)}")
            raise unprocessable(
                f"invalid limit_price {text(price)}. sub-penny increment does not fulfill minimum pricing criteria"
            )

    def _check_intent(self, ticket: Ticket) -> None:
        if ticket.position_intent == "sell_to_open":
            raise forbidden("account not eligible to trade uncovered option contracts")
        if ticket.position_intent == "buy_to_close":
            raise unprocessable("position intent mismatch, inferred: buy_to_open, specified: buy_to_close")

    def _check_wash(self, account: Account, ticket: Ticket) -> None:
        for order in account.open_orders.values():
            terms = order.terms
            if terms.symbol != ticket.symbol or terms.side == ticket.side:
                continue
            mine, other = ticket.limit_price, terms.limit_price
            if mine is None or other is None or (mine >= other if ticket.side == "buy" else mine <= other):
                raise forbidden(
                    "potential wash trade detected. use complex orders",
                    existing_order_id=terms.id,
                    reject_reason="opposite side order exists",
                )

    def _check_holding(self, account: Account, ticket: Ticket, listed: Listed) -> None:
        position = account.positions.get(ticket.symbol)
        if position is None and listed.contract is not None:
            raise forbidden("account not eligible to trade uncovered option contracts")
        existing = position.quantity if position is not None else 0
        held = account.held_for_orders(ticket.symbol)
        if ticket.quantity > existing - held:
            raise forbidden(
                f"insufficient qty available for order (requested: {ticket.quantity}, available: {existing - held})",
                available=str(existing - held),
                existing_qty=str(existing),
                held_for_orders=str(held),
                related_orders=[
                    order.terms.id
                    for order in account.open_orders.values()
                    if order.terms.symbol == ticket.symbol and order.terms.side == "sell"
                ],
                symbol=ticket.symbol,
            )

    def _hold_price(self, ticket: Ticket, now: datetime) -> Decimal:
        if ticket.limit_price is not None:
            return ticket.limit_price
        quote = self._market.quote(ticket.symbol, now)
        if quote is None or quote.ask is None or quote.ask <= 0:
            raise unprocessable(f"no ask for {ticket.symbol}: a market order cannot be valued")
        return (quote.ask * (1 + self._rules.market_collar)).quantize(CENT)

    def _check_cash(self, account: Account, cost: Decimal) -> None:
        if cost > account.buying_power:
            raise forbidden("insufficient buying power", buying_power=text(account.buying_power), cost_basis=text(cost))
