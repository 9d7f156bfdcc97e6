"""What a corporate action does to accounts before the open of its session. It decides; events change the accounts.

A split changes what is held and leaves what it cost. A part of a share that nobody can hold is paid out at the last
price. Orders that rest over night in the stock or in its options are canceled: their prices and quantities were meant
for other shares. Contracts follow a split into whole shares with as many more of them at a strike so much lower; of
another split, which would leave them with a deliverable of their own, they are paid out at the last price. A dividend
is paid for the shares that were held over night; who was short pays it. A change of name changes the symbols of what is
held, and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import ROUND_DOWN, Decimal

from trading_assets.domain.money import CENT
from trading_assets.exchange.actions import ActionBook, AnyAction, CashDividend, NameChange, Split, ordered
from trading_assets.exchange.events import DividendPaid, Event, HoldingChanged, OrderCanceled
from trading_assets.exchange.identities import Identities, contract_id
from trading_assets.exchange.market_port import MarketPort
from trading_assets.exchange.marks import worth
from trading_assets.exchange.state import ZERO, Account, Position, World
from trading_assets.exchange.wire import activity_id
from trading_assets.market.options import format_occ, parse_occ

#: Characters of a contract's symbol behind its root.
TAIL = 15
_THOUSANDTH = Decimal("0.001")


class Overnight:
    """The corporate actions of one world."""

    def __init__(self, actions: ActionBook, seed: int) -> None:
        self._actions = actions
        self._identities = Identities(seed)

    def due(self, day: date) -> list[AnyAction]:
        """What takes effect before the open of ``day``, in the order in which it does."""
        return [action for action in ordered(self._actions.all) if action.ex_session == day]

    def events(self, world: World, action: AnyAction, market: MarketPort, close: datetime, at: datetime) -> list[Event]:
        """What ``action`` does to every account at ``at``; ``market`` is that of the session before, which ended at
        ``close``."""
        events: list[Event] = []
        for account in world.accounts.values():
            if isinstance(action, CashDividend):
                events += self._dividend(account, action, at)
            else:
                events += _canceled(account, action.symbol)
                for position in account.positions.values():
                    if _is_of(position, action) and isinstance(action, NameChange):
                        events.append(self._renamed(account, position, action, at))
                    elif _is_of(position, action) and isinstance(action, Split):
                        events.append(self._split(account, position, action, market, close, at))
        return events

    def _dividend(self, account: Account, action: CashDividend, at: datetime) -> Iterator[Event]:
        position = account.positions.get(action.symbol)
        if position is not None:
            yield DividendPaid(
                account=account.name,
                symbol=action.symbol,
                quantity=position.quantity,
                rate=action.rate,
                amount=(action.rate * position.quantity).quantize(CENT),
                day=action.ex_session,
                activity_id=activity_id(
                    at, self._identities.overnight(account.name, action.symbol, action.ex_session, "dividend")
                ),
            )

    def _split(
        self,
        account: Account,
        position: Position,
        action: Split,
        market: MarketPort,
        close: datetime,
        at: datetime,
    ) -> HoldingChanged:
        option, symbol = position.asset_class == "us_option", position.symbol
        exact = position.quantity * action.ratio
        new, rest = int(exact.to_integral_value(ROUND_DOWN)), ZERO
        if option and action.is_whole:
            symbol = split_contract(position.symbol, action)
        elif option:
            # Their deliverable would be another one; nobody here can price that.
            new, rest = 0, worth(market, position, close).quantize(CENT)
        elif exact != new:
            # Paid at the last price: of a new share that is the old one's by the ratio.
            rest = ((exact - new) * market.price_at(action.symbol, close) / action.ratio).quantize(CENT)

        def name(part: str) -> str:
            return self._identities.overnight(account.name, position.symbol, action.ex_session, part)

        kind = "FSPLIT" if action.kind == "forward_split" else "RSPLIT"
        return HoldingChanged(
            account=account.name,
            symbol=position.symbol,
            quantity=position.quantity,
            new_symbol=symbol,
            new_asset_id=contract_id(symbol) if option else position.asset_id,
            new_quantity=new,
            exact_quantity=exact,
            cash=rest,
            activity="OPCA" if option else "SPLIT",
            kind_of=f"SPLIT.{kind}" if option else kind,
            day=action.ex_session,
            out_id=activity_id(at, name("out")),
            in_id=activity_id(at, name("in")),
            group=name("group"),
        )

    def _renamed(self, account: Account, position: Position, action: NameChange, at: datetime) -> HoldingChanged:
        option = position.asset_class == "us_option"
        root = action.new_symbol.replace(".", "")
        symbol = root + position.symbol[-TAIL:] if option else action.new_symbol

        def name(part: str) -> str:
            return self._identities.overnight(account.name, position.symbol, action.ex_session, part)

        return HoldingChanged(
            account=account.name,
            symbol=position.symbol,
            quantity=position.quantity,
            new_symbol=symbol,
            new_asset_id=contract_id(symbol) if option else position.asset_id,
            new_quantity=position.quantity,
            exact_quantity=Decimal(position.quantity),
            cash=ZERO,
            activity="OPCA" if option else "NC",
            kind_of="NC.SCNC" if option else "SCNC",
            day=action.ex_session,
            out_id=activity_id(at, name("out")),
            in_id=activity_id(at, name("in")),
            group=name("group"),
        )


def in_force(actions: Iterable[AnyAction], day: date) -> str:
    """A mark of every action that is in force in the session ``day``: what a market is drawn with. Empty for none."""
    rows = [action.model_dump_json(exclude={"announced"}) for action in ordered(actions) if action.ex_session <= day]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest() if rows else ""


def split_contract(symbol: str, action: Split) -> str:
    """The contract that one becomes by a split into whole shares."""
    contract = parse_occ(symbol)
    strike = (contract.strike / action.ratio).quantize(_THOUSANDTH)
    return format_occ(contract.root, contract.expiry, contract.right, strike)


def _is_of(position: Position, action: AnyAction) -> bool:
    """Whether it is the stock, or a contract on it."""
    if position.asset_class != "us_option":
        return position.symbol == action.symbol
    return position.symbol[:-TAIL] == action.symbol.replace(".", "")


def _canceled(account: Account, symbol: str) -> list[Event]:
    root = symbol.replace(".", "")
    named = {
        order.terms.id
        for order in account.open_orders.values()
        if order.terms.symbol == symbol
        or (order.terms.asset_class == "us_option" and order.terms.symbol[:-TAIL] == root)
    }
    # The legs of a multi-leg order say what it trades; none of them is canceled without the whole.
    groups = {
        order.terms.group for order in account.open_orders.values() if order.terms.id in named and order.is_combo_leg
    }
    return [
        OrderCanceled(account=account.name, order_id=order.terms.id)
        for order in account.open_orders.values()
        if order.terms.id in named or order.terms.id in groups
    ]
