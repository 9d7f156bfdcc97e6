"""Held positions that a split has changed: found out, explained, and brought into the new shares.

A broker changes shares and contracts over night; the ledger still counts the old ones. Without a word of it a stop
would sell at half the price what has lost nothing. Once a day, and whenever quantities differ, the list of splits is
asked for. A split that is due and explains exactly what the broker holds is applied: quantity, entry price, stop,
target and high-water mark follow, and nothing is bought or sold. One that is due and that the broker has not carried
out yet is told, and the rules that need a price hold. What the broker's history ascribes to a corporate action that is
not understood here is neither taken over nor closed: a person has to look. Nor is anything while the list is not known.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from math import floor

from sqlalchemy import Connection, Engine

from trading_assets.broker import booking
from trading_assets.broker.action_history import DIGITS, TAIL, differs, uncertain
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import BrokerUnavailable, Rejected
from trading_assets.broker.values import BrokerPosition
from trading_assets.domain.clock import NEW_YORK, Clock, require_utc
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.money import CENT
from trading_assets.domain.values import Side
from trading_assets.ledger import executions, positions, splits
from trading_assets.ledger.positions import Position
from trading_assets.ledger.splits import PositionSplit, ShareSplit
from trading_assets.market.options import parse_occ

log = logging.getLogger(__name__)

#: Kind of the event in a position's story.
SPLIT = "split"
#: The clearing house rounds a strike that a split leaves with more decimals.
_STRIKE_ROUNDING = Decimal("0.01")
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


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a split makes of a position: its symbol, how many units for how many, and how prices of a unit change."""

    symbol: str
    quantity: int
    numerator: Decimal
    denominator: Decimal
    strike: Decimal | None


def explain(
    engine: Engine,
    broker: AlpacaBroker,
    clock: Clock,
    account: str,
    held: Mapping[str, BrokerPosition],
    *,
    asked_on: date | None,
    run_id: str,
) -> Explained:
    """Apply to the account's live positions every split that is due and that ``held`` shows to have happened.

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
    due = [(one.position_id, split) for one in live for split in known if split.ticker == one.underlying]
    due = [(position_id, split) for position_id, split in due if split.ex_session <= today]
    before = len(due) + 1
    while len(due) < before:
        # A contract may become another that is held, too: it follows once that one has moved on.
        before = len(due)
        due = [pair for pair in due if not _work(engine, *pair, held, found, now=now, run_id=run_id)]
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


def effective_at(split: ShareSplit) -> datetime:
    """From when on fills are of the new shares: the New York midnight at which the day of the split begins."""
    return require_utc(datetime.combine(split.ex_session, time.min, NEW_YORK))


def _work(
    engine: Engine,
    position_id: str,
    split: ShareSplit,
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
        before = effective_at(split)
        rows = executions.of_position(connection, position_id)
        # One and the same split may be listed again under another id.
        if any(row.effective_at == before for row in done) or not any(row.executed_at < before for row in rows):
            return True
        outcome = _outcome(position, split, held, rows, done)
        theirs = held.get(position.symbol)
        actual = None if outcome is None else held.get(outcome.symbol)
        there = None if outcome is None else positions.live_in_symbol(connection, position.account, outcome.symbol)
        taken = there is not None and there.position_id != position_id
        fits = outcome is not None and (actual.quantity if actual is not None else 0) == outcome.quantity
        if outcome is not None and fits and not taken:
            _apply(connection, position, split, outcome, now=now, run_id=run_id)
            found.waiting.pop(position.symbol, None)
            found.applied.append(
                f"{position.symbol}: a split of {split.words} on {split.ex_session} made of {position.quantity} "
                f"at {_plain(position.entry_price)} {outcome.quantity} of {outcome.symbol} "
                f"(position {position_id}, corporate action {split.action_id})"
            )
        elif theirs is not None and theirs.quantity == position.quantity:
            found.waiting[position.symbol] = (
                f"{position.symbol}: a split of {split.words} is due since {split.ex_session}, and the broker still "
                f"holds {theirs.quantity} (position {position_id}, corporate action {split.action_id})"
            )
        return not (fits and taken)


def _outcome(
    position: Position,
    split: ShareSplit,
    held: Mapping[str, BrokerPosition],
    rows: tuple[executions.Execution, ...],
    done: tuple[PositionSplit, ...],
) -> _Outcome | None:
    """What the broker would hold had it carried out the split; None where nothing it holds can be that."""
    symbol, strike, numerator, denominator = position.symbol, position.strike, split.numerator, split.denominator
    if position.contract_right is not None and split.ratio.denominator == 1:
        contract = _contract(position, split, held)
        if contract is None:
            return None
        symbol, strike = contract
    elif position.contract_right is not None:
        # As many contracts at the same strike, which deliver another number of shares: prices of a unit stay.
        adjusted = _adjusted(position, held)
        if adjusted is None:
            return None
        symbol, numerator, denominator = adjusted, Decimal(1), Decimal(1)
    trial = PositionSplit(
        position.position_id,
        split.action_id,
        effective_at(split),
        numerator,
        denominator,
        position.symbol,
        symbol,
        0,
        0,
        split.known_at,
        "",
    )
    total = Fraction(0)
    for unit in splits.in_todays_units(rows, [*done, trial]):
        total += unit.quantity if unit.execution.side is Side.BUY else -unit.quantity
    return _Outcome(symbol, max(0, floor(total)), numerator, denominator, strike)


def _contract(position: Position, split: ShareSplit, held: Mapping[str, BrokerPosition]) -> tuple[str, Decimal] | None:
    """The contract that a split into whole shares made of one: the same but for its strike."""
    if position.strike is None:
        return None
    wanted = position.strike * split.denominator / split.numerator
    for symbol in sorted(held):
        try:
            contract = parse_occ(symbol)
        except ValueError:
            continue
        same = (contract.right, contract.expiry) == (position.contract_right, position.expiry)
        if same and contract.root == position.symbol[:-TAIL] and abs(contract.strike - wanted) <= _STRIKE_ROUNDING:
            return symbol, contract.strike
    return None


def _adjusted(position: Position, held: Mapping[str, BrokerPosition]) -> str | None:
    """The contract with another deliverable that one became: the same but for the digit behind its root."""
    root, tail = position.symbol[:-TAIL].rstrip(DIGITS), position.symbol[-TAIL:]
    for symbol in sorted(held):
        other = symbol[:-TAIL]
        if (
            symbol.endswith(tail)
            and symbol != position.symbol
            and other[-1:].isdigit()
            and other.rstrip(DIGITS) == root
        ):
            return symbol
    return None


def _apply(
    connection: Connection, position: Position, split: ShareSplit, outcome: _Outcome, *, now: datetime, run_id: str
) -> None:
    splits.insert_position_split(
        connection,
        PositionSplit(
            position.position_id,
            split.action_id,
            effective_at(split),
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
