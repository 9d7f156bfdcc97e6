"""Rolling a position: one order of two legs sells what is held and buys another contract in its place.

What belongs here: the sequence of orders of one roll, the two positions around them, and what forbids it. What does
not: whether to roll, into which contract and at which net prices (the caller's plan), and what a fill does
(``broker.booking``). A roll opens risk: any kill switch forbids it. Whatever is left of it when the ladder ends stays
held as it was. The caller holds the account's lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from trading_assets.broker import booking, submission, working
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.booking import whole
from trading_assets.broker.climbing import LadderState, Rung
from trading_assets.broker.combos import ComboLeg, ComboRequest
from trading_assets.broker.errors import NothingHeld, SymbolBlocked
from trading_assets.domain.clock import Clock
from trading_assets.domain.identities import client_order_id, leg_name, rolled_position_id
from trading_assets.domain.values import KillMode, OptionContract, OrderState, PositionState, Purpose, Side
from trading_assets.ledger import accounts, executions, order_legs, orders, positions
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import Position


@dataclass(frozen=True, slots=True)
class Roll:
    """``quantity`` contracts of a position into ``contract``, and what is known of that one now.

    ``sold_at`` and ``bought_at`` are the executable prices of the legs from which the net prices were made.
    """

    position_id: str
    contract: OptionContract
    quantity: int
    sold_at: Decimal
    bought_at: Decimal
    entry_underlying: Decimal | None = None
    entry_delta: float | None = None


@dataclass(frozen=True, slots=True)
class RollResult:
    """Outcome of a roll: units booked, average prices of both legs, the net price, and the orders it took.

    ``rolled_to`` is the position in the new contract; prices are None without a fill.
    """

    position_id: str
    rolled_to: str
    filled_quantity: int
    sold_at: Decimal | None
    bought_at: Decimal | None
    state: LadderState
    orders: tuple[str, ...]
    error: str | None = None


def roll(
    engine: Engine, broker: AlpacaBroker, clock: Clock, order: Roll, rungs: tuple[Rung, ...], *, run_id: str
) -> RollResult:
    """Work ``order`` by ``rungs`` of net limits, one order of two legs each; never more units than the broker holds.

    Raises ``SymbolBlocked``, before anything is sent, if the kill switch, a live order, an order of unknown fate in
    one of the symbols or another position in the new contract forbids it, or (``NothingHeld``) nothing is held.
    """
    if order.quantity < 1 or not rungs:
        raise ValueError(f"a roll needs a quantity of at least 1 and a price, saw {order}")
    with engine.connect() as connection:
        position = positions.get_position(connection, order.position_id)
        if position is None:
            raise SymbolBlocked("there is no such position", where=order.position_id)
        successor = _successor(connection, position, order, clock)
    return _Rolling(engine, broker, clock, order, position, successor, run_id).run(rungs)


def _successor(connection: Connection, old: Position, order: Roll, clock: Clock) -> Position:
    """The position in the new contract: the one that an earlier roll of ``old`` opened there, or a new one."""
    before = [one for one in positions.rolled_to(connection, old.position_id) if one.symbol == order.contract.symbol]
    for one in before:
        if one.state is not PositionState.CLOSED:
            return one
    return Position(
        position_id=rolled_position_id(old.account, old.position_id, order.contract.symbol, len(before)),
        account=old.account,
        symbol=order.contract.symbol,
        underlying=old.underlying,
        strategy=old.strategy,
        direction=old.direction,
        multiplier=order.contract.multiplier,
        origin="roll",
        state=PositionState.OPENING,
        created_at=clock.now(),
        contract_right=order.contract.right,
        strike=order.contract.strike,
        expiry=order.contract.expiry,
        entry_underlying=order.entry_underlying,
        entry_delta=order.entry_delta,
        rolled_from=old.position_id,
    )


@dataclass(slots=True)
class _Rolling:
    engine: Engine
    broker: AlpacaBroker
    clock: Clock
    order: Roll
    old: Position
    new: Position
    run_id: str
    attempt: int = 0
    started: bool = False

    def run(self, rungs: tuple[Rung, ...]) -> RollResult:
        with self.engine.connect() as connection:
            self.attempt = orders.next_attempt(connection, self.old.position_id, Purpose.ROLL)
        wanted = min(self.order.quantity, self._held_there())
        done: list[OrderIntent] = []
        try:
            for step, rung in enumerate(rungs):
                remaining = min(wanted - sum(intent.filled_quantity for intent in done), self._held_here())
                if remaining < 1:
                    if not done:
                        raise NothingHeld("nothing is held any more", where=self.old.symbol)
                    break
                done.append(self._rung(rung, step, remaining))
                if done[-1].state is not OrderState.CANCELED:
                    break
        finally:
            self._settle()
        return self._result(wanted, done)

    def _held_there(self) -> int:
        """How many the broker holds; an account in which it is short, or holds parts, is not rolled."""
        for held in self.broker.positions():
            if held.symbol == self.old.symbol:
                return whole(held.quantity) or 0
        return 0

    def _held_here(self) -> int:
        with self.engine.connect() as connection:
            stored = positions.get_position(connection, self.old.position_id)
        return 0 if stored is None else stored.quantity

    def _rung(self, rung: Rung, step: int, quantity: int) -> OrderIntent:
        if rung.limit_price is None:
            raise ValueError("a roll has a net limit")
        old, new, now = self.old, self.new, self.clock.now()
        name = client_order_id(old.account, Purpose.ROLL, old.position_id, self.attempt, step)
        whole_order = OrderIntent(
            client_order_id=name,
            account=old.account,
            purpose=Purpose.ROLL,
            position_id=old.position_id,
            signal_id=None,
            symbol=old.symbol,
            underlying=old.underlying,
            side=Side.SELL,
            quantity=quantity,
            multiplier=old.multiplier,
            order_type="limit",
            limit_price=rung.limit_price,
            attempt=self.attempt,
            step=step,
            reason=orders.ROLL,
            run_id=self.run_id,
            created_at=now,
            updated_at=now,
            order_class=orders.COMBO,
        )
        with self.engine.connect() as connection:
            parts = (
                self._leg(connection, whole_order, 1, old, Side.SELL, self.order.sold_at),
                self._leg(connection, whole_order, 2, new, Side.BUY, self.order.bought_at),
            )
        request = ComboRequest(
            name,
            quantity,
            rung.limit_price,
            (ComboLeg(old.symbol, Side.SELL, opens=False), ComboLeg(new.symbol, Side.BUY, opens=True)),
        )

        def prepare(connection: Connection) -> None:
            self._prepare(connection, quantity)
            details = {
                "client_order_id": name,
                "quantity": quantity,
                "net_limit": str(rung.limit_price),
                "sells": old.symbol,
                "buys": new.symbol,
                "rolled_from": old.position_id,
                "rolled_to": new.position_id,
            }
            for position in (old, new):
                positions.add_event(connection, position.position_id, now, "roll_ordered", self.run_id, details)

        try:
            intent = submission.submit(
                self.engine, self.broker, self.clock, whole_order, request, prepare, parts, self._require_no_kill_switch
            )
        except IntegrityError as error:
            raise SymbolBlocked(
                "a live order or position forbids this roll", where=f"{old.account} {old.symbol}"
            ) from error
        return working.work(self.engine, self.broker, self.clock, intent, rung.seconds, run_id=self.run_id)

    def _leg(
        self, connection: Connection, of: OrderIntent, place: int, position: Position, side: Side, price: Decimal
    ) -> OrderIntent:
        purpose = Purpose.EXIT if side is Side.SELL else Purpose.ENTRY
        return OrderIntent(
            client_order_id=leg_name(of.client_order_id, place),
            account=of.account,
            purpose=purpose,
            position_id=position.position_id,
            signal_id=None,
            symbol=position.symbol,
            underlying=position.underlying,
            side=side,
            quantity=of.quantity,
            multiplier=position.multiplier,
            order_type="limit",
            limit_price=price,
            attempt=orders.next_attempt(connection, position.position_id, purpose),
            step=0,
            reason=orders.ROLL,
            run_id=self.run_id,
            created_at=of.created_at,
            updated_at=of.created_at,
            order_class=orders.COMBO_LEG,
            leg_of=of.client_order_id,
        )

    def _require_no_kill_switch(self, connection: Connection, _: OrderIntent | None) -> None:
        """Raise ``SymbolBlocked`` if a kill switch is set: asked again before each try, which may be minutes later."""
        mode = accounts.kill_mode(connection, self.old.account)
        if mode is not KillMode.OFF:
            raise SymbolBlocked(f"the kill switch is set to {mode.value}", where=self.old.account)

    def _prepare(self, connection: Connection, quantity: int) -> None:
        old, new = self.old, self.new
        where = f"{old.account} {old.symbol}"
        self._require_no_kill_switch(connection, None)
        blocked = orders.unknown_symbols(connection, old.account)
        for name in (old.symbol, new.symbol, old.underlying):
            if name in blocked:
                raise SymbolBlocked("an order in this symbol has an unknown fate", where=f"{old.account} {name}")
        locked = {
            identity: positions.get_position(connection, identity, lock=True)
            for identity in sorted((old.position_id, new.position_id))
        }
        stored, successor = locked[old.position_id], locked[new.position_id]
        free = (PositionState.OPEN, PositionState.CLOSING) if self.started else (PositionState.OPEN,)
        if stored is None or stored.state not in free or stored.quantity < quantity:
            raise SymbolBlocked("the position changed meanwhile", where=where)
        for identity in locked:
            if any(intent.is_live for intent in orders.of_position(connection, identity)):
                raise SymbolBlocked("an order of the position is live", where=where)
        if successor is None:
            positions.insert_position(connection, new)
        elif successor.state is PositionState.CLOSED:
            raise SymbolBlocked("the position in the new contract was closed meanwhile", where=where)
        positions.update_position(connection, old.position_id, state=PositionState.CLOSING.value)
        positions.update_position(connection, new.position_id, state=PositionState.OPENING.value)
        self.started = True

    def _settle(self) -> None:
        """What is known so far decides the state of both positions, also where a rung may not start any more."""
        for identity in (self.old.position_id, self.new.position_id):
            with self.engine.connect() as connection:
                known = positions.get_position(connection, identity)
            if known is not None:
                booking.settle(self.engine, identity, at=self.clock.now(), run_id=self.run_id)

    def _result(self, quantity: int, done: list[OrderIntent]) -> RollResult:
        filled = sum(intent.filled_quantity for intent in done)
        with self.engine.connect() as connection:
            legs = [leg for intent in done for leg in order_legs.combo_legs(connection, intent.client_order_id)]
            fills = {
                side: [
                    fill
                    for leg in legs
                    if leg.side is side and leg.broker_order_id is not None
                    for fill in executions.of_broker_order(connection, leg.broker_order_id)
                ]
                for side in Side
            }
        if any(intent.is_live for intent in done):
            state = LadderState.UNKNOWN
        elif filled >= quantity:
            state = LadderState.FILLED
        elif filled > 0:
            state = LadderState.PARTIAL
        else:
            state = LadderState.REJECTED if done[-1].state is OrderState.REJECTED else LadderState.UNFILLED
        return RollResult(
            position_id=self.old.position_id,
            rolled_to=self.new.position_id,
            filled_quantity=filled,
            sold_at=executions.average_price(fills[Side.SELL]),
            bought_at=executions.average_price(fills[Side.BUY]),
            state=state,
            orders=tuple(intent.client_order_id for intent in done),
            error=next((intent.error for intent in reversed(done) if intent.error), None),
        )
