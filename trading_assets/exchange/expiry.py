"""The end of contracts: exercise and assignment, the broker's closing of expiring positions, what expires worthless.

At ``close − expiry_liquidation`` the broker cancels the orders in contracts that expire today and closes what is held
(with ``expiry_exercise``: what the account could not pay for). At the close a short contract in the money by a cent is
assigned, a long one is exercised where that was left to it, and the rest is worthless. Exercised and assigned contracts
stay positions until the next session's morning, when contracts, stock and cash change together.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal

from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.money import CENT
from trading_assets.domain.values import OptionContract, Right
from trading_assets.exchange import account_checks
from trading_assets.exchange.config import LEAD, ExchangeRules
from trading_assets.exchange.events import (
    Event,
    ExerciseDeclined,
    OptionSettled,
    OptionSettling,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    PositionExpired,
)
from trading_assets.exchange.identities import Identities, contract_id
from trading_assets.exchange.listing import Listed, Listing
from trading_assets.exchange.market_port import MarketPort
from trading_assets.exchange.marks import mark_shorts
from trading_assets.exchange.positions import ASSIGNMENT, EXERCISE, Settlement
from trading_assets.exchange.refusal import FORBIDDEN, Refusal, forbidden, unprocessable
from trading_assets.exchange.state import ZERO, Account, Order, Position, World
from trading_assets.exchange.wire import activity_id
from trading_assets.market.options import parse_occ
from trading_assets.market.sessions import Session, shift

BROKER = "broker"
_SHORT = FORBIDDEN + 1


class Expiry:
    """The ends of contracts in one session."""

    def __init__(
        self, market: MarketPort, listing: Listing, session: Session, rules: ExchangeRules, identities: Identities
    ) -> None:
        self._market = market
        self._listing = listing
        self._session = session
        self._rules = rules
        self._identities = identities
        self.liquidation = session.close - timedelta(minutes=rules.expiry_liquidation)
        self.morning = shift(session.day, 1).open - LEAD

    # --- what the holder says ---------------------------------------------------------------------------------------

    def exercise(self, account: Account, wanted: str, now: datetime) -> OptionSettling:
        """Exercise all that is held of a contract and not claimed by an order; raises ``Refusal``."""
        position, contract = self._held(account, wanted, "cannot exercise short position")
        day = now.astimezone(NEW_YORK).date()
        if now >= self._session.close and day == self._session.day:
            raise unprocessable("exercise requests are not accepted between the close and midnight")
        quantity = position.quantity - account.held_for_orders(position.symbol)
        if quantity <= 0:
            raise forbidden("no available position for the specified contract")
        shares = quantity * position.multiplier
        mark_shorts(self._market, account, now)
        added = max(ZERO, -account_checks.freed_by(account, {position.symbol: -quantity}, None))
        if contract.right is Right.CALL:
            added += contract.strike * shares
        else:
            account_checks.check_holding(account, self._stock(position.symbol), shares, option=False)
        account_checks.check_power(account, added, None)
        return OptionSettling(
            account=account.name,
            symbol=position.symbol,
            quantity=quantity,
            reason=EXERCISE,
            day=self._session.day if day <= self._session.day else shift(self._session.day, 1).day,
        )

    def decline(self, account: Account, wanted: str) -> ExerciseDeclined:
        """Let a contract expire without exercise, and take back a request that is not settled; raises ``Refusal``."""
        position, _ = self._held(account, wanted, "cannot submit DNE for short position")
        return ExerciseDeclined(account=account.name, symbol=position.symbol)

    def assign(self, account: Account, symbol: str, quantity: int) -> OptionSettling:
        """Assign ``quantity`` short contracts that no order claims, today; raises ``Refusal``."""
        position = account.positions.get(symbol)
        short = 0 if position is None or position.asset_class != "us_option" else -position.quantity
        most = short - account.held_for_orders(symbol)
        if not 0 < quantity <= most:
            raise unprocessable(f"{max(0, most)} short contracts of {symbol[:40]} can be assigned")
        return OptionSettling(
            account=account.name, symbol=symbol, quantity=quantity, reason=ASSIGNMENT, day=self._session.day
        )

    def _held(self, account: Account, wanted: str, words: str) -> tuple[Position, OptionContract]:
        for position in account.positions.values():
            if position.asset_class == "us_option" and wanted in (position.symbol, contract_id(position.symbol)):
                if position.quantity < 0:
                    raise Refusal(403, _SHORT, words)
                return position, parse_occ(position.symbol)
        if self._listing.contract(wanted) is None and self._listing.contract_by_id(wanted) is None:
            raise unprocessable("invalid symbol")
        raise forbidden("no available position for the specified contract")

    # --- half an hour before the close ------------------------------------------------------------------------------

    def liquidate(self, world: World) -> list[Event]:
        """Orders in expiring contracts are canceled, and the broker closes what is held."""
        events: list[Event] = [
            OrderCanceled(account=account.name, order_id=order.terms.id)
            for account, order in world.open_orders()
            if any(self._expires_today(symbol) for symbol in _contracts(account, order))
        ]
        for account in world.accounts.values():
            kept = self._payable(account, self.liquidation) if self._rules.expiry_exercise else frozenset()
            for position in account.positions.values():
                if position.asset_class != "us_option" or not self._expires_today(position.symbol):
                    continue
                quantity = abs(position.quantity) - account.settling_of(position.symbol)
                if quantity and parse_occ(position.symbol).root not in kept:
                    events.append(self._closing(account, position, quantity))
        return events

    def _closing(self, account: Account, position: Position, quantity: int) -> OrderAccepted:
        client_order_id = f"broker-liquidation-{position.symbol}-{self._session.key}"
        side = "sell" if position.quantity > 0 else "buy"
        return OrderAccepted(
            account=account.name,
            id=self._identities.order(account.name, client_order_id),
            client_order_id=client_order_id,
            symbol=position.symbol,
            asset_class=position.asset_class,
            asset_id=position.asset_id,
            side=side,
            type="market",
            time_in_force="day",
            quantity=quantity,
            multiplier=position.multiplier,
            limit_price=None,
            hold_price=ZERO,
            position_intent=f"{side}_to_close",
            source=BROKER,
            expires_at=self._session.close,
        )

    # --- at the close -----------------------------------------------------------------------------------------------

    def close(self, world: World) -> list[Event]:
        """DAY orders end; expiring contracts are assigned, exercised or worthless."""
        events: list[Event] = [
            OrderExpired(account=account.name, order_id=order.terms.id)
            for account, order in world.open_orders()
            if order.terms.expires_at is not None and order.terms.expires_at <= self._session.close
        ]
        for account in world.accounts.values():
            kept = self._payable(account, self._session.close) if self._rules.expiry_exercise else frozenset()
            for position in account.positions.values():
                if position.asset_class == "us_option" and self._expires_today(position.symbol):
                    events += self._end(account, position, exercised=parse_occ(position.symbol).root in kept)
        return events

    def _end(self, account: Account, position: Position, *, exercised: bool) -> list[Event]:
        symbol, settling = position.symbol, account.settling_of(position.symbol)
        quantity = abs(position.quantity) - settling
        if quantity == 0:
            return []
        reason = ASSIGNMENT if position.quantity < 0 else EXERCISE
        wanted = position.quantity < 0 or (exercised and symbol not in account.not_exercised)
        if wanted and self._worth(symbol, self._session.close) >= CENT:
            day = self._session.day
            return [OptionSettling(account=account.name, symbol=symbol, quantity=quantity, reason=reason, day=day)]
        identity = self._identities.removal(account.name, symbol)
        return [
            PositionExpired(
                account=account.name,
                symbol=symbol,
                activity_id=activity_id(self._session.close, identity),
                quantity=quantity if settling else None,
            )
        ]

    def _payable(self, account: Account, instant: datetime) -> frozenset[str]:
        """The roots whose expiring contracts the account can let be exercised and assigned at the price of ``instant``:
        it has the cash for what comes in and the shares for what goes out."""
        cash = account.cash - account.reserved
        roots: dict[str, list[Position]] = defaultdict(list)
        for position in account.positions.values():
            if position.asset_class == "us_option" and self._expires_today(position.symbol):
                roots[parse_occ(position.symbol).root].append(position)
        kept = set()
        for root, positions in roots.items():
            shares, paid = 0, ZERO
            for position in positions:
                quantity = abs(position.quantity) - account.settling_of(position.symbol)
                if self._worth(position.symbol, instant) >= CENT and position.symbol not in account.not_exercised:
                    moved = _shares(position, quantity)
                    shares += moved
                    paid += parse_occ(position.symbol).strike * moved
            stock = account.positions.get(self._stock(positions[0].symbol))
            held = 0 if stock is None else stock.quantity - account.held_for_orders(stock.symbol)
            if paid <= cash and (shares + held >= 0 or shares >= 0):
                kept.add(root)
                cash -= max(ZERO, paid)
        return frozenset(kept)

    def _worth(self, symbol: str, instant: datetime) -> Decimal:
        """How far a contract is in the money, dollars per share; nothing where its stock has no price."""
        stock, contract = self._stock(symbol), parse_occ(symbol)
        if self._market.quote(stock, instant) is None:
            return ZERO
        price = self._market.price_at(stock, instant)
        return max(ZERO, price - contract.strike if contract.right is Right.CALL else contract.strike - price)

    # --- the next morning -------------------------------------------------------------------------------------------

    def settle(self, world: World) -> list[Event]:
        """Contracts, stock and cash of what was exercised and assigned change; orders that no longer fit go first."""
        events: list[Event] = []
        for account in world.accounts.values():
            lines = [line for line in account.settling if line.day <= self._session.day]
            moved: dict[str, int] = defaultdict(int)
            settled: list[Event] = []
            for number, line in enumerate(lines):
                event = self._settled(account, line, number)
                moved[event.stock] += event.stock_quantity
                settled.append(event)
            for stock, signed in moved.items():
                events += _in_the_way(account, stock, signed)
            events += settled
        return events

    def _settled(self, account: Account, line: Settlement, number: int) -> OptionSettled:
        position, contract = account.positions[line.symbol], parse_occ(line.symbol)
        stock = self._stock(line.symbol)
        listed, known = self._listing.find(stock), account.positions.get(stock)
        group = self._identities.settlement(account.name, line.symbol, line.day, number, "group")
        names = [
            activity_id(self.morning, self._identities.settlement(account.name, line.symbol, line.day, number, part))
            for part in (line.reason, "OPTRD")
        ]
        return OptionSettled(
            account=account.name,
            symbol=line.symbol,
            quantity=line.quantity,
            reason=line.reason,
            day=line.day,
            activity_id=names[0],
            stock=stock,
            stock_id=_stock_id(listed, known),
            stock_quantity=_shares(position, line.quantity),
            price=contract.strike,
            trade_id=names[1],
            group=group,
        )

    def _stock(self, symbol: str) -> str:
        """The stock that a contract delivers: by its listing, or its root where it is listed no more."""
        listed = self._listing.contract(symbol)
        return parse_occ(symbol).root if listed is None else listed.underlying

    def _expires_today(self, symbol: str) -> bool:
        # By the symbol itself: a contract ends also when its name is no longer listed.
        return parse_occ(symbol).expiry <= self._session.day


def _contracts(account: Account, order: Order) -> list[str]:
    """The contracts of an order; of a multi-leg order and each of its legs: all of them."""
    if order.terms.asset_class == "us_option" and not order.is_combo_leg:
        return [order.terms.symbol]
    whole = account.orders[order.terms.group or ""] if order.is_combo_leg else order
    return [leg.terms.symbol for leg in account.legs(whole)]


def _shares(position: Position, quantity: int) -> int:
    """Shares that come in with ``quantity`` contracts, negative for shares that go out."""
    calls = parse_occ(position.symbol).right is Right.CALL
    comes_in = calls if position.quantity > 0 else not calls
    return quantity * position.multiplier * (1 if comes_in else -1)


def _stock_id(listed: Listed | None, known: Position | None) -> str:
    if listed is not None:
        return listed.asset_id
    if known is not None:
        return known.asset_id
    raise ValueError("a contract cannot be settled whose stock is neither listed nor held")


def _in_the_way(account: Account, stock: str, signed: int) -> list[Event]:
    """Cancels of the orders in ``stock`` that do not fit what is held of it after ``signed`` shares moved."""
    position = account.positions.get(stock)
    after = signed + (0 if position is None else position.quantity)
    fits = {"buy_to_open", "sell_to_close"} if after > 0 else {"sell_to_open", "buy_to_close"}
    if after == 0:
        fits = {"buy_to_open", "sell_to_open"}
    enough = account.held_for_orders(stock) - account.settling_of(stock) <= abs(after)
    return [
        OrderCanceled(account=account.name, order_id=order.terms.id)
        for order in account.open_orders.values()
        if order.terms.symbol == stock
        and (order.terms.position_intent not in fits or (order.closes and not enough))
        and not (order.waits and after >= 0)
    ]
