"""The exchange's rules for accepting and replacing a multi-leg order: from a ticket to events, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from trading_assets.domain.money import CENT
from trading_assets.exchange import account_checks, combos
from trading_assets.exchange.combo_tickets import ComboTicket, LegTicket
from trading_assets.exchange.events import OrderAccepted, OrderReplaced
from trading_assets.exchange.identities import Identities
from trading_assets.exchange.listing import Listing
from trading_assets.exchange.market_port import MarketPort
from trading_assets.exchange.refusal import unprocessable
from trading_assets.exchange.rules import OrderRules
from trading_assets.exchange.state import Account, Order, World
from trading_assets.exchange.tickets import Changes
from trading_assets.exchange.wire import text
from trading_assets.market.sessions import Session


class ComboRules:
    """Rules bound to one market and one session; what a contract must be like is in ``rules``."""

    def __init__(
        self,
        market: MarketPort,
        listing: Listing,
        session: Session,
        rules: OrderRules,
        identities: Identities,
        collar: Decimal,
    ) -> None:
        self._market = market
        self._listing = listing
        self._session = session
        self._rules = rules
        self._identities = identities
        self._collar = collar

    def accept(
        self, world: World, account: Account, ticket: ComboTicket, instead_of: Order | None = None
    ) -> tuple[OrderAccepted, ...]:
        """The events that book a multi-leg order, the whole first; raises ``Refusal``."""
        number = world.orders + 1
        name = ticket.client_order_id or self._identities.client_order(account.name, number)
        account_checks.check_open_for_orders(account, name)
        replaced = {} if instead_of is None else {leg.terms.symbol: leg for leg in account.legs(instead_of)}
        legs = [self._leg(account, leg, replaced.get(leg.symbol)) for leg in ticket.legs]
        combos.check_legs(account, legs)
        kind = "market" if ticket.limit_price is None else "limit"
        for leg in legs:
            symbol, count = leg.ticket.symbol, leg.ticket.ratio * ticket.quantity
            old = replaced.get(symbol)
            self._rules.check_contract(leg.listed, leg.intent, kind, world.now)
            account_checks.check_wash(account, symbol, leg.ticket.side, "market", None, old)
            account_checks.check_opposite(account, symbol, leg.intent, old)
            if leg.intent.endswith("_to_close"):
                account_checks.check_holding(account, symbol, count, option=True, instead_of=old)
        if ticket.limit_price is not None:
            _check_net(ticket.limit_price)
        net = ticket.limit_price if ticket.limit_price is not None else self._net(legs, world.now)
        hold = combos.hold_price(account, legs, net, ticket.quantity, instead_of)
        cost = hold * ticket.quantity * legs[0].listed.multiplier
        account_checks.check_power(account, cost, instead_of, "insufficient options buying power")
        expires = self._session.close
        return combos.accepted(self._identities, account, ticket, legs, number, hold_price=hold, expires_at=expires)

    def replace(
        self, world: World, account: Account, order: Order, changes: Changes
    ) -> tuple[OrderReplaced | OrderAccepted, ...]:
        """The events that put a changed multi-leg order in the place of ``order``; raises ``Refusal``."""
        if changes.stop_price is not None or changes.trail is not None or changes.time_in_force not in (None, "day"):
            raise unprocessable("only qty and limit_price of a mleg order can be replaced")
        if changes.limit_price is not None and order.terms.limit_price is None:
            raise unprocessable("a market order has no limit_price to replace")
        quantity = order.quantity if changes.quantity is None else changes.quantity
        if quantity <= order.filled:
            raise unprocessable(f"qty must be > filled_qty {order.filled}")
        legs = account.legs(order)
        ticket = ComboTicket(
            quantity - order.filled,
            order.terms.limit_price if changes.limit_price is None else changes.limit_price,
            changes.client_order_id,
            tuple(
                LegTicket(leg.terms.symbol, leg.terms.ratio or 1, leg.terms.side, leg.terms.position_intent)
                for leg in legs
            ),
        )
        whole, *parts = self.accept(world, account, ticket, instead_of=order)
        new = [
            made.model_copy(update={"replaces": old.terms.id})
            for old, made in zip((order, *legs), (whole, *parts), strict=True)
        ]
        ended = [
            OrderReplaced(account=account.name, order_id=old.terms.id, replaced_by=made.id)
            for old, made in zip((order, *legs), new, strict=True)
        ]
        return (*ended, *new)

    def _leg(self, account: Account, ticket: LegTicket, replaced: Order | None) -> combos.Leg:
        listed = self._listing.find(ticket.symbol)
        if listed is None or listed.contract is None:
            raise unprocessable(f'asset "{ticket.symbol}" not found or not an option contract')
        if replaced is not None and replaced.terms.position_intent is not None:
            return combos.Leg(ticket, listed, replaced.terms.position_intent)
        intent = account_checks.intent_of(account, ticket.symbol, ticket.side, ticket.intent, option=True)
        held = account.positions.get(ticket.symbol)
        if ticket.intent is None and ticket.side == "sell" and held is None:
            intent = "sell_to_open"
        return combos.Leg(ticket, listed, intent)

    def _net(self, legs: Sequence[combos.Leg], now: datetime) -> Decimal:
        """What a market order of these legs is expected to cost per share at most."""
        quotes = [self._market.quote(leg.ticket.symbol, now) for leg in legs]
        found = [(leg.ticket.side, leg.ticket.ratio, q) for leg, q in zip(legs, quotes, strict=True) if q is not None]
        net = combos.net_quote(found) if len(found) == len(legs) else None
        if net is None or net.ask is None:
            raise unprocessable("no quote for each leg: a market order cannot be valued")
        return net.ask + abs(net.ask) * self._collar


def _check_net(price: Decimal) -> None:
    if price % CENT != 0:
        raise unprocessable(
            f"invalid limit_price {text(price)}. sub-penny increment does not fulfill minimum pricing criteria"
        )
