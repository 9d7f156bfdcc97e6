"""Rolls of one account: weigh what is due, order it, tell it. Where rolls are not ordered a person is told as before.

What belongs here: when a roll is tried, and what is remembered of it. What does not: whether it is due
(``strategy.rolling``), the judgement (``jobs.roll_weighing``), the orders (``broker.rolling``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Protocol

from trading_assets.broker import rolling
from trading_assets.broker.climbing import LadderState
from trading_assets.broker.combos import COMBO_LEVEL
from trading_assets.broker.errors import NothingHeld, SymbolBlocked
from trading_assets.broker.rolling import RollResult
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.money import told
from trading_assets.domain.values import AccountSnapshot, OpenPosition, Priority
from trading_assets.jobs.marking import ODD
from trading_assets.jobs.roll_weighing import WeighedRoll, weigh_roll
from trading_assets.ledger import dispatch, positions
from trading_assets.ledger.canonical import plain
from trading_assets.market.sessions import Session
from trading_assets.resources.desk import Desk
from trading_assets.strategy.config_trading import ExitConfig
from trading_assets.strategy.exit_values import AlertKind, ExitAlert, Numbers, RollDecision
from trading_assets.strategy.rolling import ROLL, roll_action

Log = logging.Logger | Any
_log = logging.getLogger(__name__)
Tell = Callable[[OpenPosition, Iterable[ExitAlert]], None]
#: The event that keeps what a roll was judged by.
DECIDED = "roll_decided"


class Report(Protocol):
    """Where a cycle writes what it did, by symbol."""

    exits: dict[str, str]


def orders_rolls(snapshot: AccountSnapshot, config: ExitConfig) -> bool:
    """Whether rolls are ordered in this account: it is configured, and the broker lets it trade several legs."""
    level = snapshot.options_level
    return config.order_rolls and level is not None and level >= COMBO_LEVEL


def work_rolls(
    desk: Desk,
    account: str,
    session: Session,
    due: Iterable[tuple[OpenPosition, RollDecision]],
    *,
    report: Report,
    tell: Tell,
    run_id: str,
    log: Log,
) -> None:
    """Weigh and order each roll of ``due``. What was judged is not judged again within the alerts' quiet time."""
    for position, roll in sorted(due, key=lambda item: item[0].symbol):
        earlier = _decided_lately(desk, account, position)
        if earlier is not None:
            tell(position, [_not_ordered(position, roll, f"{earlier} It is judged again later.")])
            continue
        try:
            weighed = weigh_roll(desk, account, position, roll, session)
            # What cannot be written cannot be explained, and is not ordered.
            _remember(desk, position, roll, weighed, run_id)
        except (*ODD, TradingAssetsError) as error:
            _log.exception("account %s: the roll of %s cannot be judged", account, position.symbol)
            tell(position, [_not_ordered(position, roll, f"It could not be judged: {error}.")])
            continue
        if weighed.order is None:
            tell(position, [_not_ordered(position, roll, f"It was not ordered: {weighed.reason}.")])
            continue
        _order(desk, account, position, roll, weighed, report, tell, run_id, log)


def _order(
    desk: Desk,
    account: str,
    position: OpenPosition,
    roll: RollDecision,
    weighed: WeighedRoll,
    report: Report,
    tell: Tell,
    run_id: str,
    log: Log,
) -> None:
    order = weighed.order
    assert order is not None, "only what passed is ordered"
    tell(position, [_ordered(position, roll, order.quantity, order.contract.symbol)])
    broker = desk.broker(account)
    try:
        result = rolling.roll(desk.ledger, broker, desk.clock, order, weighed.rungs, run_id=run_id)
    except NothingHeld:
        report.exits[position.symbol] = f"{ROLL}: sold meanwhile"
        log.info(f"{position.symbol}: {roll.reason} It was sold meanwhile: nothing is rolled.")
        return
    except SymbolBlocked as error:
        tell(position, [_stuck(position, roll, f"It is due and cannot be ordered: {error}.")])
        return
    except TradingAssetsError as error:
        tell(position, [_stuck(position, roll, f"It is due and could not be worked to its end: {error}.")])
        return
    said = _said(result)
    report.exits[position.symbol] = f"{ROLL}: {result.state.value} {result.filled_quantity}"
    log.info(f"{position.symbol}: {roll.reason} {said}")
    if result.state is not LadderState.FILLED:
        tell(position, [_stuck(position, roll, said)])


def _said(result: RollResult) -> str:
    done = f"Rolled {result.filled_quantity} ({result.state.value}{f': {result.error}' if result.error else ''})"
    if not result.filled_quantity:
        return f"{done}."
    return f"{done}: sold at {told(result.sold_at)}, bought at {told(result.bought_at)}."


def _decided_lately(desk: Desk, account: str, position: OpenPosition) -> str | None:
    """What was decided about a roll of ``position`` within the quiet time, as a sentence; None: it is to be judged.

    A roll is a matter of days: a refusal is not asked for every minute, neither of the gates nor of the broker.
    """
    quiet = timedelta(minutes=desk.strategy(account).exits.alert_quiet_minutes)
    now = desk.clock.now()
    with desk.ledger.connect() as connection:
        events = positions.events_of(connection, position.position_id)
    for at, kind, details in reversed(events):
        if kind == DECIDED:
            return f"{details['said']}" if now - at < quiet else None
    return None


def _remember(desk: Desk, position: OpenPosition, roll: RollDecision, weighed: WeighedRoll, run_id: str) -> None:
    """Write what the roll was judged by, with every gate, candidate and size, and its inputs by hash."""
    now, order = desk.clock.now(), weighed.order
    said = f"It was ordered: {weighed.reason}." if order is not None else f"It was not ordered: {weighed.reason}."
    with desk.ledger.begin() as connection:
        inputs = {
            kind: dispatch.store_input(connection, kind, payload, now)
            for kind, payload in (weighed.inputs or {}).items()
        }
        details = {
            "outcome": "SKIP" if order is None else "ROLL",
            "said": said,
            "rule": ROLL,
            "reason": roll.reason,
            "numbers": dict(roll.numbers),
            "quantity": roll.quantity if order is None else order.quantity,
            "into": None if order is None else order.contract.symbol,
            "net_limits": [str(rung.limit_price) for rung in weighed.rungs],
            "gates": [] if weighed.gates is None else [asdict(result) for result in weighed.gates.results],
            "selection": weighed.selection,
            "sizing": weighed.sizing,
            "inputs": inputs,
        }
        positions.add_event(connection, position.position_id, now, DECIDED, run_id, plain(details))


def _ordered(position: OpenPosition, roll: RollDecision, quantity: int, symbol: str) -> ExitAlert:
    action = f"None: {quantity} of {position.quantity} are being rolled into {symbol} in one order of two legs."
    return _alert(position, roll.reason, roll.numbers, action, AlertKind.ORDERED)


def _not_ordered(position: OpenPosition, roll: RollDecision, why: str) -> ExitAlert:
    return _alert(position, f"{roll.reason} {why}", roll.numbers, roll_action(position, roll), AlertKind.DUE)


def _stuck(position: OpenPosition, roll: RollDecision, seen: str) -> ExitAlert:
    action = "None at once: it is tried again later, and every exit rule goes on. What was not rolled is held."
    return _alert(position, seen, roll.numbers, action, AlertKind.STUCK)


def _alert(position: OpenPosition, reason: str, figures: Numbers, action: str, kind: AlertKind) -> ExitAlert:
    return ExitAlert(position.position_id, ROLL, Priority.HIGH, reason, figures, action, kind)
