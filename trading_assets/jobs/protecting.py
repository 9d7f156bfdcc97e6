"""Whether what rests over a stock still covers it, and putting it back where it does not.

A bracket brings its stop and take profit with it; both are good for the day. A stock that stayed overnight, was half
sold, or whose entry ended half filled at a broker that then drops its legs, is without them: here a pair at the prices
of its bracket is put back. What belongs here: when. What does not: how (``broker.protection``), the prices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal

from trading_assets.broker import protection
from trading_assets.broker.errors import SymbolBlocked
from trading_assets.domain.money import CENT
from trading_assets.domain.values import KillMode, OpenPosition, OrderState, PositionState, Priority, Purpose
from trading_assets.ledger import accounts, orders, positions
from trading_assets.ledger.orders import OrderIntent
from trading_assets.resources.desk import Desk
from trading_assets.strategy.exit_values import AlertKind, ExitAlert, ExitMarket, numbers
from trading_assets.strategy.exits import fresh_bid

_log = logging.getLogger(__name__)
#: A pair that the broker refused is not sent again for so long: it would be refused for the same reason.
_AFTER_A_REFUSAL = timedelta(minutes=15)

Tell = Callable[[OpenPosition, Iterable[ExitAlert]], None]


def protect(
    desk: Desk, account: str, held: Iterable[OpenPosition], markets: Mapping[str, ExitMarket], tell: Tell, run_id: str
) -> None:
    """Put a pair over every stock of ``held`` that was bought by a bracket and is not covered.

    Called after the exits of a cycle: what is due has been sold. A kill switch that forbids orders forbids these; what
    cannot be covered is told, and the position manager's own rules go on guarding it.
    """
    with desk.ledger.connect() as connection:
        bracketed = positions.protective_prices(connection, account)
        mode = accounts.kill_mode(connection, account)
    for position in held:
        if position.position_id in bracketed:
            tell(position, _protect_one(desk, position, markets.get(position.position_id), mode, run_id))


def _protect_one(
    desk: Desk, position: OpenPosition, market: ExitMarket | None, mode: KillMode, run_id: str
) -> list[ExitAlert]:
    """Cover one position where that is needed; what a person should know of it."""
    broker = desk.broker(position.account)
    with desk.ledger.connect() as connection:
        stored = positions.get_position(connection, position.position_id)
        every = orders.of_position(connection, position.position_id)
    if stored is None or stored.state is not PositionState.OPEN or stored.quantity < 1:
        return []
    resting = tuple(intent for intent in every if intent.purpose is Purpose.PROTECT and intent.is_live)
    if position.entry_price is None:
        # A split that is not booked yet, for instance: the prices of its bracket mean other shares.
        return _keep_below(desk, position, stored.quantity, resting, run_id)
    if protection.covers(resting, stored.quantity):
        return []
    if mode in (KillMode.ALL, KillMode.FLATTEN):
        return [_uncovered(position, f"The kill switch is set to {mode.value}: no protective order is sent.")]
    before = [intent for intent in every if intent.purpose is Purpose.PROTECT]
    now = desk.clock.now()
    if any(i.state is OrderState.REJECTED and now - i.updated_at < _AFTER_A_REFUSAL for i in before):
        return [_uncovered(position, f"The broker refused its protective orders: {before[-1].error}.")]
    bid = None if market is None else fresh_bid(market, position.symbol, now, desk.strategy(position.account).exits)
    if bid is None or stored.stop_price is None or stored.stop_price > bid - CENT:
        return [_uncovered(position, f"At a bid of {bid} no stop at {stored.stop_price} can rest.")]
    if resting and protection.end(desk.ledger, broker, desk.clock, position.position_id, run_id=run_id):
        return [_uncovered(position, "What is left of its protective orders could not be ended.")]
    try:
        with desk.ledger.connect() as connection:
            stored = positions.get_position(connection, position.position_id)
        if stored is None or stored.quantity < 1:
            return []
        placed = protection.place(desk.ledger, broker, desk.clock, stored, stored.quantity, run_id=run_id)
    except SymbolBlocked as error:
        return [_uncovered(position, f"Its protective orders could not be sent: {error}.")]
    _log.info("account %s: %s: protective orders %s", position.account, position.symbol, placed.state.value)
    if placed.state in (OrderState.REJECTED, OrderState.UNKNOWN):
        return [_uncovered(position, f"Its protective orders are {placed.state.value}: {placed.error}.")]
    return [] if _foreseen(every, before) else [_replaced(position, before)]


def _keep_below(
    desk: Desk, position: OpenPosition, in_ledger: int, resting: tuple[OrderIntent, ...], run_id: str
) -> list[ExitAlert]:
    """Where the broker holds another quantity than the ledger, what is left of the old pair may stay if both hold that
    much. Nothing new is rested: what its prices mean now is not known, after a split for instance."""
    most = min(position.quantity, in_ledger)
    if resting and all(protection.open_quantity(intent) <= most for intent in resting):
        return []
    broker = desk.broker(position.account)
    if resting and protection.end(desk.ledger, broker, desk.clock, position.position_id, run_id=run_id):
        return [_uncovered(position, "Its protective orders stand for more than is held and could not be ended.")]
    return [
        _uncovered(position, f"The broker holds another quantity than the ledger ({in_ledger}): nothing is rested.")
    ]


def _foreseen(every: Iterable[OrderIntent], before: list[OrderIntent]) -> bool:
    """Whether the protective orders ended as they had to: at the close, or for an exit that sold a part or nothing."""
    if not before:
        return False
    last = max(intent.created_at for intent in before)
    return before[-1].state is OrderState.EXPIRED or any(
        intent.purpose is Purpose.EXIT and intent.created_at >= last for intent in every
    )


def _uncovered(position: OpenPosition, seen: str) -> ExitAlert:
    action = "None at once: the position manager's own stop guards it. Check the position's orders at the broker."
    return _alert(position, Priority.HIGH, seen, action, AlertKind.MISSING)


def _replaced(position: OpenPosition, before: list[OrderIntent]) -> ExitAlert:
    states = ", ".join(f"{intent.reason} {intent.state.value}" for intent in before[-2:]) or "none was ever found"
    seen = f"Its protective orders were gone ({states}) and were put back."
    return _alert(position, Priority.MEDIUM, seen, "Check who ended them.", AlertKind.DUE)


def _alert(position: OpenPosition, priority: Priority, seen: str, action: str, kind: AlertKind) -> ExitAlert:
    held = numbers(quantity=Decimal(position.quantity))
    return ExitAlert(position.position_id, "protection", priority, seen, held, action, kind)
