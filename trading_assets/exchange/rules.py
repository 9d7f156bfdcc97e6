"""The exchange's rules for accepting an order: from a ticket to events, or a refusal with the broker's own body.

Buying power is cash, less what open orders and short positions tie up. What depends on the market asks only for quote
and price at the exchange's present instant. What the orders of one ticket are to each other is in ``complex_orders``,
multi-leg orders are in ``combo_rules``, what only an account's state decides in ``account_checks``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal

from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.money import CENT, option_tick
from trading_assets.domain.values import Right
from trading_assets.exchange import account_checks, complex_orders
from trading_assets.exchange.config import ExchangeRules
from trading_assets.exchange.events import OrderAccepted, OrderReplaced
from trading_assets.exchange.identities import Identities
from trading_assets.exchange.listing import Listed, Listing
from trading_assets.exchange.margin import SHORT_STOCK
from trading_assets.exchange.market_port import MarketPort
from trading_assets.exchange.refusal import forbidden, invalid, unprocessable
from trading_assets.exchange.state import STOP_LOSS, TAKE_PROFIT, ZERO, Account, Order, World
from trading_assets.exchange.tickets import Changes, Ticket
from trading_assets.exchange.wire import text
from trading_assets.market.sessions import Session, shift

_SUB_DOLLAR = Decimal("0.0001")
#: The level of options that an order needs which opens; closing needs none.
_LEVELS = {"buy_to_open": 2, "sell_to_open": 1}
_CASH_SECURED = "insufficient options buying power for cash-secured put (required: {required}, available: {available})"
_MOST_PERCENT = 100
#: How long an order lives that is good till canceled.
_GTC_LIFE = timedelta(days=90)


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

    def accept(self, world: World, account: Account, ticket: Ticket) -> tuple[OrderAccepted, ...]:
        """The events that book ``ticket`` and its legs, the order that was asked for first; raises ``Refusal``."""
        order = self._accept(world, account, ticket, instead_of=None)
        if ticket.order_class == "simple":
            return (order,)
        if order.position_intent == "buy_to_close":
            raise unprocessable(f"{ticket.order_class} orders must be entry orders")
        quote = self._market.quote(ticket.symbol, world.now)
        complex_orders.check_prices(ticket, quote)
        numbers = range(world.orders + 2, world.orders + 4)
        names = [self._identities.client_order(account.name, number) for number in numbers]
        ids = [self._identities.order(account.name, name) for name in names]
        return complex_orders.with_legs(order, ticket, tuple(zip(ids, names, strict=True)))

    def replace(
        self, world: World, account: Account, order: Order, changes: Changes
    ) -> tuple[OrderReplaced, OrderAccepted]:
        """The events that put a changed order in the place of ``order``; raises ``Refusal``.

        A quantity counts all of the order, what was filled included; the new order stands for what is then left.
        """
        terms = order.terms
        quantity = order.quantity if changes.quantity is None else changes.quantity
        if quantity <= order.filled:
            raise unprocessable(f"qty must be > filled_qty {order.filled}")
        if changes.limit_price is not None and changes.limit_price <= 0:
            raise invalid("limit price must be > 0")
        if changes.limit_price is not None and terms.limit_price is None:
            raise unprocessable(f"a {terms.type} order has no limit_price to replace")
        if changes.stop_price is not None and terms.stop_price is None:
            raise unprocessable(f"a {terms.type} order has no stop_price to replace")
        if changes.trail is not None and terms.type != "trailing_stop":
            raise unprocessable(f"a {terms.type} order has no trail to replace")
        if order.terms.group is not None and changes.time_in_force is not None:
            raise unprocessable("the time_in_force of a complex order cannot be replaced: its orders end together")
        if order.terms.role in (TAKE_PROFIT, STOP_LOSS) and changes.quantity is not None:
            raise unprocessable("the qty of a leg cannot be replaced: it stands for what its order bought")
        in_percent = terms.trail_percent is not None
        if in_percent and changes.trail is not None and changes.trail >= _MOST_PERCENT:
            raise invalid(f"trail_percent must be < {_MOST_PERCENT}")
        ticket = Ticket(
            symbol=terms.symbol,
            quantity=quantity - order.filled,
            side=terms.side,
            type=terms.type,
            time_in_force=changes.time_in_force or terms.time_in_force,
            limit_price=changes.limit_price or terms.limit_price,
            client_order_id=changes.client_order_id,
            position_intent=terms.position_intent,
            stop_price=changes.stop_price or terms.stop_price,
            trail_price=terms.trail_price if in_percent else changes.trail or terms.trail_price,
            trail_percent=changes.trail or terms.trail_percent if in_percent else terms.trail_percent,
            order_class=terms.order_class,
        )
        new = self._accept(world, account, ticket, instead_of=order).model_copy(
            update={
                "order_class": terms.order_class,
                "group": terms.group,
                "role": terms.role,
                "waits": order.waits,
                "high_water": order.high_water if terms.type == "trailing_stop" else None,
                "replaces": terms.id,
                "triggered": order.triggered and changes.stop_price is None and changes.trail is None,
                **({} if changes.time_in_force is not None else {"expires_at": terms.expires_at}),
            }
        )
        return OrderReplaced(account=account.name, order_id=terms.id, replaced_by=new.id), new

    def _accept(self, world: World, account: Account, ticket: Ticket, instead_of: Order | None) -> OrderAccepted:
        now = world.now
        client_order_id = ticket.client_order_id or self._identities.client_order(account.name, world.orders + 1)
        account_checks.check_open_for_orders(account, client_order_id)
        listed = self._listing.find(ticket.symbol)
        if listed is None:
            raise unprocessable(f'asset "{ticket.symbol}" not found')
        option = listed.contract is not None
        intent = ticket.position_intent if instead_of is not None else self._intent(account, ticket, option=option)
        assert intent is not None
        if option:
            self._check_option(account, ticket, listed, intent, now)
        elif ticket.time_in_force not in ("day", "gtc"):
            raise unprocessable(f"time_in_force {ticket.time_in_force} is not offered by this exchange")
        self._check_ticks(ticket, listed)
        account_checks.check_wash(account, ticket.symbol, ticket.side, ticket.type, ticket.limit_price, instead_of)
        account_checks.check_opposite(account, ticket.symbol, intent, instead_of)
        mark = self._mark(ticket, now) if ticket.type == "trailing_stop" else None
        if intent.endswith("_to_close"):
            account_checks.check_holding(account, ticket.symbol, ticket.quantity, option=option, instead_of=instead_of)
        hold = self._hold(account, ticket, listed, intent, mark, now, instead_of)
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
            position_intent=intent,
            source="client",
            expires_at=self._expiry(ticket, now),
            stop_price=ticket.stop_price,
            trail_price=ticket.trail_price,
            trail_percent=ticket.trail_percent,
            high_water=mark,
        )

    def _expiry(self, ticket: Ticket, now: datetime) -> datetime:
        """The close of the order's day; of GTC the first close after ninety days."""
        day_end = self._session.close if now < self._session.close else shift(self._session.day, 1).close
        if ticket.time_in_force == "day":
            return day_end
        return shift(day_end.astimezone(NEW_YORK).date() + _GTC_LIFE, 1).close

    def _intent(self, account: Account, ticket: Ticket, *, option: bool) -> str:
        if ticket.order_class != "simple" and ticket.side == "sell":
            return "sell_to_close"
        return account_checks.intent_of(account, ticket.symbol, ticket.side, ticket.position_intent, option=option)

    def _check_option(self, account: Account, ticket: Ticket, listed: Listed, intent: str, now: datetime) -> None:
        needed = _LEVELS.get(intent, 0)
        if account.trading_level < needed:
            raise forbidden("account not eligible to trade options", options_trading_level=account.trading_level)
        if ticket.order_class != "simple":
            raise unprocessable("complex orders not supported for options trading")
        stops = ("stop", "stop_limit") if self._rules.options_stop_orders else ()
        if ticket.type not in ("market", "limit", *stops):
            raise unprocessable("invalid order type for options trading")
        if ticket.time_in_force not in (("day", "gtc") if self._rules.options_stop_orders else ("day",)):
            raise unprocessable("order_time_in_force provided not supported for options trading")
        self.check_contract(listed, intent, ticket.type, now)

    def check_contract(self, listed: Listed, intent: str, kind: str, now: datetime) -> None:
        """The contract lives, its market is open, and it may still be opened if that is what is wanted."""
        assert listed.contract is not None
        if listed.contract.expiry < self._session.day:
            raise unprocessable(f"contract {listed.symbol} has expired")
        if not self._session.contains(now):
            what = "market orders" if kind == "market" else "orders"
            raise unprocessable(f"options {what} are only allowed during market hours")
        cutoff = self._session.close - timedelta(minutes=self._rules.expiry_entry_cutoff)
        if listed.contract.expiry == self._session.day and intent.endswith("_to_open") and now >= cutoff:
            raise unprocessable(f"contract {listed.symbol} expires today and is closed for opening orders")

    def _check_ticks(self, ticket: Ticket, listed: Listed) -> None:
        for name, price in (
            ("limit_price", ticket.limit_price),
            ("stop_price", ticket.stop_price),
            ("trail_price", ticket.trail_price),
            ("take_profit.limit_price", ticket.take_profit),
            ("stop_loss.stop_price", ticket.stop_loss),
            ("stop_loss.limit_price", ticket.stop_loss_limit),
        ):
            if price is not None:
                _check_tick(name, price, listed)

    def _mark(self, ticket: Ticket, now: datetime) -> Decimal:
        """Where a trail begins: the last price."""
        if self._market.quote(ticket.symbol, now) is None:
            raise unprocessable(f"no price for {ticket.symbol}: a trail has no beginning")
        return self._market.price_at(ticket.symbol, now)

    def _hold_price(self, ticket: Ticket, mark: Decimal | None, now: datetime) -> Decimal:
        """What a buy reserves per share: its limit, else the most it is expected to pay."""
        if ticket.limit_price is not None:
            return ticket.limit_price
        stop = ticket.stop_price
        if mark is not None:
            stop = mark + (ticket.trail_price or mark * (ticket.trail_percent or ZERO) / 100)
        if stop is not None:
            return (stop * (1 + self._rules.market_collar)).quantize(CENT)
        quote = self._market.quote(ticket.symbol, now)
        if quote is None or quote.ask is None or quote.ask <= 0:
            raise unprocessable(f"no ask for {ticket.symbol}: a market order cannot be valued")
        return (quote.ask * (1 + self._rules.market_collar)).quantize(CENT)

    def _hold(
        self,
        account: Account,
        ticket: Ticket,
        listed: Listed,
        intent: str,
        mark: Decimal | None,
        now: datetime,
        instead_of: Order | None,
    ) -> Decimal:
        """What the order ties up per share; raises ``Refusal`` if the account has not that much."""
        shares = Decimal(ticket.quantity * listed.multiplier)
        contract, words = listed.contract, ""
        if intent == "sell_to_open" and contract is None:
            if ticket.symbol in self._rules.hard_to_borrow:
                raise unprocessable(f'asset "{ticket.symbol}" cannot be sold short')
            quote = self._market.quote(ticket.symbol, now)
            least = ZERO if quote is None or quote.ask is None else quote.ask * (1 + self._rules.market_collar)
            hold = max(least, self._hold_price(ticket, mark, now)).quantize(CENT)
        elif ticket.side == "sell":
            if contract is None or (intent == "sell_to_close" and not account.sells_options_short):
                return ZERO
            if intent == "sell_to_open" and contract.right is Right.CALL:
                self._check_shares(account, listed, ticket.quantity)
            elif intent == "sell_to_open":
                words = _CASH_SECURED
            freed = account_checks.freed_by(account, {ticket.symbol: -ticket.quantity}, instead_of)
            hold = max(ZERO, -freed / shares)
        else:
            hold = self._hold_price(ticket, mark, now)
            if intent == "buy_to_close" and contract is None:
                hold = max(ZERO, hold - SHORT_STOCK * account.short_price(account.positions[ticket.symbol]))
            elif intent == "buy_to_close":
                hold -= account_checks.freed_by(account, {ticket.symbol: ticket.quantity}, instead_of) / shares
                hold = max(ZERO, hold)
        if intent in ("buy_to_close", "sell_to_open", "sell_to_close"):
            hold = hold.quantize(_SUB_DOLLAR, ROUND_UP)
        account_checks.check_power(account, hold * shares, instead_of, words)
        return hold

    def _check_shares(self, account: Account, listed: Listed, quantity: int) -> None:
        """Where shares are to cover calls they must be enough; calls may also be covered by others, which the level
        for spreads allows."""
        position = account.positions.get(listed.asset.symbol)
        if position is None or position.quantity <= 0 or account.trading_level >= account_checks.SPREADS_LEVEL:
            return
        held, covering = account.held_for_orders(listed.asset.symbol), account.covering(listed.asset.symbol)
        available, required = position.quantity - held - covering, quantity * listed.multiplier
        if required > available:
            raise forbidden(
                f"insufficient underlying qty available for covered call (required: {required}, available: {available})"
            )


def _check_tick(name: str, price: Decimal, listed: Listed) -> None:
    if listed.contract is not None:
        tick = option_tick(listed.asset.symbol, price)
    else:
        tick = CENT if price >= 1 else _SUB_DOLLAR
    if price % tick != 0:
        if tick >= CENT and price % CENT == 0:
            raise unprocessable(f"invalid {name} {text(price)}. price must be a multiple of {text(tick)}")
        raise unprocessable(
            f"invalid {name} {text(price)}. sub-penny increment does not fulfill minimum pricing criteria"
        )
