"""Climbing a limit ladder: one order at a time, each rung for what the rungs before left open.

What belongs here: the sequence of orders of one entry or one exit. What does not: the position row around it
(``broker.ladder``), prices and waiting times (the caller's plan) and whether to trade at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from trading_assets.broker import booking, protection, submission, working
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import NothingHeld, SymbolBlocked
from trading_assets.broker.values import OrderRequest
from trading_assets.domain.clock import Clock
from trading_assets.domain.identities import client_order_id
from trading_assets.domain.values import OrderState, Purpose, Side
from trading_assets.ledger import executions, orders, positions
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import Position


@dataclass(frozen=True, slots=True)
class Rung:
    """One order of a ladder: its limit price per share (None: market) and how long it may work, in seconds."""

    limit_price: Decimal | None
    seconds: float


@dataclass(frozen=True, slots=True)
class LadderPlan:
    """The rungs in order. ``take_profit`` and ``stop_loss`` together make each order of a stock entry a bracket."""

    rungs: tuple[Rung, ...]
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None

    def __post_init__(self) -> None:
        if not self.rungs:
            raise ValueError("a ladder needs at least one rung")
        if (self.take_profit is None) != (self.stop_loss is None):
            raise ValueError("a bracket needs a take profit and a stop, saw one of them")

    @property
    def is_bracket(self) -> bool:
        """Whether each order of the ladder brings its protective orders with it."""
        return self.stop_loss is not None


class LadderState(StrEnum):
    """How a ladder ended. UNKNOWN: an order's fate is not known yet; the symbol is blocked until it is."""

    FILLED = "FILLED"
    PARTIAL = "PARTIAL"
    UNFILLED = "UNFILLED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class LadderResult:
    """Outcome of a ladder: booked quantity and its average price per share (None without a fill), the client order ids
    used, and the broker's words where it refused."""

    position_id: str
    filled_quantity: int
    avg_price: Decimal | None
    state: LadderState
    orders: tuple[str, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Climb:
    """One ladder being climbed: for a position, as entry or exit, with the reason that each order carries."""

    engine: Engine
    broker: AlpacaBroker
    clock: Clock
    plan: LadderPlan
    position: Position
    purpose: Purpose
    signal_id: str | None
    reason: str
    run_id: str
    attempt: int
    first_step: int
    allowed: submission.Allowed | None = None

    def run(self, quantity: int, prepare: Callable[[Connection], None]) -> LadderResult:
        """Work ``quantity`` rung by rung; ``prepare`` runs in the transaction of each intent and may forbid it.

        Raises what ``prepare`` raises, ``SymbolBlocked`` if nothing is left to sell, ``ValueError`` below 1.
        """
        if quantity < 1:
            raise ValueError(f"a ladder needs a quantity of at least 1, saw {quantity}")
        done: list[OrderIntent] = []
        try:
            for offset, rung in enumerate(self.plan.rungs):
                remaining = self._remaining(quantity, done)
                if remaining < 1:
                    break
                intent = self._rung(rung, self.first_step + offset, remaining, prepare)
                done.append(intent)
                if not self._goes_on(intent):
                    break
        finally:
            # Also when a rung may not start any more: what is known so far decides the position's state.
            if self._stored() is not None:
                booking.settle(self.engine, self.position.position_id, at=self.clock.now(), run_id=self.run_id)
        return self._result(quantity, done)

    def _goes_on(self, intent: OrderIntent) -> bool:
        """Whether the next rung may follow. A refused price ends an entry; a sale must still get out at another.

        A bracket that bought something is the last one: its legs rest over what it bought, and a broker takes no buy
        beside them. One that bought nothing must have taken its legs with it.
        """
        if self.plan.is_bracket and self.purpose is Purpose.ENTRY:
            return (
                intent.state is OrderState.CANCELED
                and intent.filled_quantity == 0
                and not protection.end(
                    self.engine, self.broker, self.clock, self.position.position_id, run_id=self.run_id
                )
            )
        if intent.state is OrderState.CANCELED:
            return True
        return self.purpose is Purpose.EXIT and intent.state in (OrderState.REJECTED, OrderState.EXPIRED)

    def _stored(self) -> Position | None:
        with self.engine.connect() as connection:
            return positions.get_position(connection, self.position.position_id)

    def _remaining(self, quantity: int, done: list[OrderIntent]) -> int:
        """What is left to do; an exit never sells more than is held (somebody else may have sold meanwhile)."""
        remaining = quantity - sum(intent.filled_quantity for intent in done)
        if self.purpose is Purpose.EXIT:
            stored = self._stored()
            remaining = min(remaining, 0 if stored is None else stored.quantity)
            if not done and remaining < 1:
                raise NothingHeld("nothing is held any more", where=self.position.symbol)
        return remaining

    def _rung(self, rung: Rung, step: int, quantity: int, prepare: Callable[[Connection], None]) -> OrderIntent:
        now = self.clock.now()
        subject = self.signal_id if self.signal_id is not None else self.position.position_id
        entry = self.purpose is Purpose.ENTRY
        intent = OrderIntent(
            client_order_id=client_order_id(self.position.account, self.purpose, subject, self.attempt, step),
            account=self.position.account,
            purpose=self.purpose,
            position_id=self.position.position_id,
            signal_id=self.signal_id,
            symbol=self.position.symbol,
            underlying=self.position.underlying,
            side=Side.BUY if entry else Side.SELL,
            quantity=quantity,
            multiplier=self.position.multiplier,
            order_type="market" if rung.limit_price is None else "limit",
            limit_price=rung.limit_price,
            attempt=self.attempt,
            step=step,
            reason=self.reason,
            run_id=self.run_id,
            created_at=now,
            updated_at=now,
            order_class=orders.BRACKET if entry and self.plan.is_bracket else orders.SIMPLE,
        )
        request = OrderRequest(
            client_order_id=intent.client_order_id,
            symbol=intent.symbol,
            side=intent.side,
            quantity=quantity,
            limit_price=rung.limit_price,
            take_profit=self.plan.take_profit if entry else None,
            stop_loss=self.plan.stop_loss if entry else None,
        )

        def prepared(connection: Connection) -> None:
            prepare(connection)
            details = {
                "client_order_id": intent.client_order_id,
                "quantity": quantity,
                "limit_price": None if rung.limit_price is None else str(rung.limit_price),
                "reason": self.reason,
            }
            if entry and self.plan.is_bracket:
                details |= {"take_profit": str(self.plan.take_profit), "stop_loss": str(self.plan.stop_loss)}
            kind = "entry_ordered" if entry else "exit_ordered"
            positions.add_event(connection, intent.position_id, now, kind, self.run_id, details)

        try:
            intent = submission.submit(
                self.engine, self.broker, self.clock, intent, request, prepared, allowed=self.allowed
            )
        except IntegrityError as error:
            raise SymbolBlocked(
                "a live order or position forbids this order", where=f"{intent.account} {intent.symbol}"
            ) from error
        return working.work(self.engine, self.broker, self.clock, intent, rung.seconds, run_id=self.run_id)

    def _result(self, quantity: int, done: list[OrderIntent]) -> LadderResult:
        filled = sum(intent.filled_quantity for intent in done)
        with self.engine.connect() as connection:
            fills = [
                fill
                for intent in done
                if intent.broker_order_id is not None
                for fill in executions.of_broker_order(connection, intent.broker_order_id)
            ]
        if any(intent.is_live for intent in done):
            state = LadderState.UNKNOWN
        elif filled >= quantity:
            state = LadderState.FILLED
        elif filled > 0:
            state = LadderState.PARTIAL
        elif done and done[-1].state is OrderState.REJECTED:
            state = LadderState.REJECTED
        else:
            state = LadderState.UNFILLED
        return LadderResult(
            position_id=self.position.position_id,
            filled_quantity=filled,
            avg_price=executions.average_price(fills),
            state=state,
            orders=tuple(intent.client_order_id for intent in done),
            error=next((intent.error for intent in reversed(done) if intent.error), None),
        )
