"""Held positions that a split has changed: found out, explained, and brought into the new shares.

A broker changes shares and contracts over night; the ledger still counts the old ones. Without a word of it a stop
would sell at half the price what has lost nothing. Once a day, and whenever quantities differ, the list of splits is
asked for. A split that is due and explains exactly what the broker holds is applied: quantity, entry price, stop,
target and high-water mark follow, and nothing is bought or sold. One that is due and that the broker has not carried
out yet is told, and the rules that need a price hold; what is traded until it does is of old shares. What the broker's
history ascribes to a corporate action that is not understood here is neither taken over nor closed: a person has to
look. Nor is anything while the list is not known.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection, Engine

from trading_assets.broker import booking
from trading_assets.broker.action_history import differs, uncertain
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import BrokerUnavailable, Rejected
from trading_assets.broker.split_outcomes import Outcome, effective_at, fitting, not_before
from trading_assets.broker.values import BrokerPosition
from trading_assets.domain.clock import NEW_YORK, Clock
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.money import CENT
from trading_assets.ledger import executions, positions, splits
from trading_assets.ledger.positions import Position
from trading_assets.ledger.splits import PositionSplit, ShareSplit

log = logging.getLogger(__name__)

#: Kind of the event in a position's story.
SPLIT = "split"
#: The tick of a stock below a dollar.
_SUB_DOLLAR = Decimal("0.0001")


@dataclass(slots=True)
class Explained:
    """What splits explain.

    ``applied`` are sentences; ``waiting`` maps symbols of the ledger to a sentence about a split that the broker has
    yet to carry out, ``uncertain`` symbols of either side to one about why they must stay as they are; ``withdrawn``
    tell of splits that the list names no more, ``troubles`` of what could not be read; ``asked_on`` is the New York day
    of the last list that was.
    """

    asked_on: date | None
    applied: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    uncertain: dict[str, str] = field(default_factory=dict)
    withdrawn: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def explain(
    engine: Engine,
    broker: AlpacaBroker,
    clock: Clock,
    account: str,
    held: Mapping[str, BrokerPosition],
    *,
    asked_on: date | None,
    run_id: str,
    waited: Container[str] = (),
    waited_at: datetime | None = None,
) -> Explained:
    """Apply to the account's live positions every split that is due and that ``held`` shows to have happened.

    ``waited`` are symbols of which the comparison at ``waited_at`` saw that the broker had not carried it out yet.
    A list of splits that cannot be read is a trouble to be told and no reason to stop: it is asked for again.
    """
    found = Explained(asked_on)
    now = clock.now()
    today = now.astimezone(NEW_YORK).date()
    with engine.connect() as connection:
        live = [position for position in positions.live_positions(connection, account) if position.quantity]
    if not live:
        return found
    if asked_on != today or any(differs(position, held) for position in live):
        _ask(engine, broker, live, now, today, found)
    with engine.connect() as connection:
        known = splits.known(connection, (position.underlying for position in live))
    sessions = {split.action_id: split.ex_session for split in known}
    due = [
        (one.position_id, split, not_before(split, waited_at if one.symbol in waited else None))
        for one in live
        for split in known
        if split.ticker == one.underlying and split.ex_session <= today
    ]
    before = len(due) + 1
    while len(due) < before:
        # A contract may become another that is held, too: it follows once that one has moved on.
        before = len(due)
        due = [one for one in due if not _work(engine, *one, sessions, held, found, now=now, run_id=run_id)]
    found.uncertain = uncertain(engine, broker, account, held, now, waiting=found.waiting, unread=bool(found.troubles))
    return found


def _ask(
    engine: Engine, broker: AlpacaBroker, live: Iterable[Position], now: datetime, today: date, found: Explained
) -> None:
    tickers = {position.underlying for position in live}
    since = min((position.opened_at or position.created_at) for position in live).astimezone(NEW_YORK).date()
    try:
        told = broker.splits(tickers, since, today)
    except (BrokerUnavailable, Rejected) as error:
        found.troubles.append(f"the list of splits of {', '.join(sorted(tickers))} cannot be read: {error}")
        return
    listed = [ShareSplit(one.action_id, one.symbol, one.ex_date, one.numerator, one.denominator, now) for one in told]
    with engine.begin() as connection:
        gone = splits.take_over(connection, listed, tickers, since, today)
    for split in gone:
        sentence = f"a split of {split.words} on {split.ex_session} is not listed any more, and counts no longer"
        found.withdrawn.append(f"{split.ticker}: {sentence} (corporate action {split.action_id})")
    found.asked_on = today


def _work(
    engine: Engine,
    position_id: str,
    split: ShareSplit,
    first: datetime,
    sessions: Mapping[str, date],
    held: Mapping[str, BrokerPosition],
    found: Explained,
    *,
    now: datetime,
    run_id: str,
) -> bool:
    """One position and one split, under the row's lock: decided and applied in one transaction.

    False if the place that the split gives it is taken by another live position.
    """
    with engine.begin() as connection:
        position = positions.get_position(connection, position_id, lock=True)
        if position is None or not position.is_live or not position.quantity:
            return True
        done = splits.of_position(connection, position_id)
        rows = executions.of_position(connection, position_id)
        # One and the same split may be listed again under another id.
        if any(sessions.get(row.action_id) == split.ex_session for row in done):
            return True
        outcome = fitting(position, split, first, held, rows, done)
        theirs = held.get(position.symbol)
        there = None if outcome is None else positions.live_in_symbol(connection, position.account, outcome.symbol)
        taken = there is not None and there.position_id != position_id
        if outcome is not None and not taken:
            _apply(connection, position, split, outcome, now=now, run_id=run_id)
            found.waiting.pop(position.symbol, None)
            found.applied.append(
                f"{position.symbol}: a split of {split.words} on {split.ex_session} made of {position.quantity} "
                f"at {_plain(position.entry_price)} {outcome.quantity} of {outcome.symbol} "
                f"(position {position_id}, corporate action {split.action_id})"
            )
        elif (
            theirs is not None
            and theirs.quantity == position.quantity
            and any(row.executed_at < effective_at(split) for row in rows)
        ):
            found.waiting[position.symbol] = (
                f"{position.symbol}: a split of {split.words} is due since {split.ex_session}, and the broker still "
                f"holds {theirs.quantity} (position {position_id}, corporate action {split.action_id})"
            )
        return not taken


def _apply(
    connection: Connection, position: Position, split: ShareSplit, outcome: Outcome, *, now: datetime, run_id: str
) -> None:
    splits.insert_position_split(
        connection,
        PositionSplit(
            position.position_id,
            split.action_id,
            outcome.instant,
            outcome.numerator,
            outcome.denominator,
            position.symbol,
            outcome.symbol,
            position.quantity,
            outcome.quantity,
            now,
            run_id,
        ),
    )
    values: dict[str, object] = {"symbol": outcome.symbol}
    if outcome.strike is not None:
        values["strike"] = outcome.strike
    for name, old in (("stop_price", position.stop_price), ("target_price", position.target_price)):
        if old is not None:
            # Orders are sent at these: on the tick, or the broker refuses them.
            turned = _turned(old, outcome.numerator, outcome.denominator)
            values[name] = turned.quantize(CENT if turned >= 1 else _SUB_DOLLAR)
    if position.high_water is not None:
        values["high_water"] = _turned(position.high_water, outcome.numerator, outcome.denominator)
    if position.entry_underlying is not None:
        values["entry_underlying"] = _turned(position.entry_underlying, split.numerator, split.denominator)
    positions.update_position(connection, position.position_id, **values)
    details = {
        "action_id": split.action_id,
        "ex_session": split.ex_session.isoformat(),
        "ratio": split.words,
        "symbol": outcome.symbol,
        "quantity_before": position.quantity,
        "quantity": outcome.quantity,
    }
    positions.add_event(connection, position.position_id, now, SPLIT, run_id, details)
    changed = positions.get_position(connection, position.position_id, lock=True)
    assert changed is not None  # its row is locked
    after = booking.refigure(connection, changed, at=now, run_id=run_id, reason=SPLIT, settled=False)
    if after.quantity != outcome.quantity:
        raise TradingAssetsError(
            f"a split of {split.words} gives {after.quantity}, not {outcome.quantity}",
            where=f"position {position.position_id}",
        )


def _turned(price: Decimal, numerator: Decimal, denominator: Decimal) -> Decimal:
    """A price of old shares in new ones, to the six decimals that are stored."""
    return (price * denominator / numerator).quantize(executions.STORED)


def _plain(price: Decimal | None) -> str:
    return "an unknown price" if price is None else f"{price.normalize():f}"
