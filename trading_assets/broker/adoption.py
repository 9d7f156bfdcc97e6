"""What was not ordered here: fills of other orders, and positions found at the broker.

The broker is the truth about positions: whatever happened there is booked, marked with where it came from, and given
exit rules; it is never ignored. A short position cannot be held by this ledger and is left as a difference.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from trading_assets.broker import booking
from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.telling import tell
from trading_assets.broker.values import BrokerFill, BrokerPosition
from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.identities import adopted_position_id
from trading_assets.domain.values import Direction, PositionState, Right, Side, Strategy
from trading_assets.ledger import bounds, executions, positions
from trading_assets.ledger.executions import ADOPTED, FOREIGN, Execution
from trading_assets.ledger.positions import Position
from trading_assets.market.options import is_occ, parse_occ

log = logging.getLogger(__name__)


def is_not_standard(symbol: str) -> bool:
    """Whether it is a contract with an adjusted root: what it delivers, and so what it is worth, is not known here."""
    if not is_occ(symbol):
        return False
    try:
        parse_occ(symbol)
    except ValueError:
        return True
    return False


def blank_position(account: str, symbol: str, found_at: datetime, now: datetime, config: BrokerConfig) -> Position:
    """A position of origin ``adopted`` without quantity yet, with the exit rules that fit what it is.

    Options near expiry get day-trade exits, other options those of a swing; anything else those of a stock.
    """
    try:
        contract = parse_occ(symbol)
    except ValueError:
        contract = None
    days = None if contract is None else (contract.expiry - now.astimezone(NEW_YORK).date()).days
    if days is None:
        strategy = Strategy.STOCK
    else:
        strategy = Strategy.DAY_TRADE if days <= config.adopted_day_trade_dte else Strategy.SWING_TRADE
    bearish = contract is not None and contract.right is Right.PUT
    return Position(
        position_id=adopted_position_id(account, symbol, found_at),
        account=account,
        symbol=symbol,
        underlying=symbol if contract is None else contract.underlying,
        strategy=strategy,
        direction=Direction.BEARISH if bearish else Direction.BULLISH,
        multiplier=1 if contract is None else contract.multiplier,
        origin="adopted",
        state=PositionState.OPEN,
        created_at=now,
        contract_right=None if contract is None else contract.right,
        strike=None if contract is None else contract.strike,
        expiry=None if contract is None else contract.expiry,
    )


def book_foreign(
    engine: Engine,
    account: str,
    fills: Sequence[BrokerFill],
    *,
    now: datetime,
    run_id: str,
    config: BrokerConfig,
    whose: str = "that is not ours",
) -> tuple[int, str | None]:
    """Book the fills of one order ``whose`` it is, and tell it. Returns how many were new, and what found no place.

    They belong to the live position in their symbol, or to one closed as phantom that they explain late; bought
    without either, they open an adopted position. Sold without either, they are a difference. Fills older than the
    adoption of a position found at the broker are in its quantity already.
    """
    first = min(fills, key=lambda fill: (fill.at, fill.cumulative_quantity))
    if not bounds.holds_trade(max(fill.cumulative_quantity for fill in fills), max(fill.price for fill in fills)):
        return 0, f"{first.symbol}: a fill of an order that is not ours is of a size that this ledger cannot represent"
    if any(booking.whole(fill.quantity) is None or booking.whole(fill.cumulative_quantity) is None for fill in fills):
        return 0, f"{first.symbol}: a fill of an order that is not ours has a fractional quantity"
    with engine.begin() as connection:
        position = positions.live_in_symbol(connection, account, first.symbol)
        if position is not None:
            known_at = executions.adopted_at(connection, position.position_id)
            fills = [fill for fill in fills if known_at is None or fill.at > known_at]
            if not fills:
                return 0, None
        if position is None and first.side is Side.SELL:
            position = positions.last_phantom(connection, account, first.symbol)
            if position is None:
                return 0, f"{first.symbol}: sold {first.quantity} by an order that is not ours, without a position here"
        if position is None and is_not_standard(first.symbol):
            return 0, f"{first.symbol}: bought by an order that is not ours, a contract whose deliverable is not known"
        if position is None:
            position = blank_position(account, first.symbol, first.at, now, config)
            positions.insert_position(connection, position)
            positions.add_event(
                connection, position.position_id, now, ADOPTED, run_id, {"from": "fill of another order"}
            )
    new = booking.book_on_position(engine, position.position_id, fills, reason=FOREIGN, at=now, run_id=run_id)
    if new:
        _tell_foreign(engine, position, fills, whose, now=now, run_id=run_id)
    return new, None


def _tell_foreign(
    engine: Engine, position: Position, fills: Sequence[BrokerFill], whose: str, *, now: datetime, run_id: str
) -> None:
    last = max(fills, key=lambda fill: (fill.at, fill.cumulative_quantity))
    reason = f"{last.side.value} {sum(fill.quantity for fill in fills)} {last.symbol} by an order {whose}"
    log.warning("account %s, position %s: %s was booked", position.account, position.position_id, reason)
    with engine.begin() as connection:
        tell(
            connection,
            position.position_id,
            "foreign_fill",
            f"{reason}.",
            "Nothing, if it was you or the broker's own liquidation; else look at the account.",
            at=now,
            run_id=run_id,
            subject=f"{last.order_id} {last.cumulative_quantity}",
            numbers={"broker_order_id": last.order_id, "price": str(last.price)},
            broker_order_id=last.order_id,
        )


def adopt(
    connection: Connection, account: str, held: BrokerPosition, *, now: datetime, run_id: str, config: BrokerConfig
) -> str | None:
    """Take over a position that only the broker knows. Returns why it could not be taken over, else None."""
    quantity = booking.whole(held.quantity) if bounds.holds_quantity(held.quantity) else None
    if quantity is None:
        return f"{held.symbol}: the broker holds {held.quantity}, which this ledger cannot represent"
    if held.avg_entry_price is None or held.avg_entry_price < 0:
        return f"{held.symbol}: the broker holds {quantity} at an unknown entry price"
    if is_not_standard(held.symbol):
        return f"{held.symbol}: the broker holds {quantity} of a contract whose deliverable is not known here"
    position = blank_position(account, held.symbol, now, now, config)
    if not bounds.holds_trade(held.quantity, held.avg_entry_price, position.multiplier):
        return (
            f"{held.symbol}: the broker holds {quantity} at {held.avg_entry_price}, which this ledger cannot represent"
        )
    try:
        with connection.begin_nested():
            positions.insert_position(connection, position)
    except IntegrityError:
        return f"{held.symbol}: the broker holds {quantity}, and the ledger has a live position in the way"
    stand_in = f"{ADOPTED}:{position.position_id}"
    executions.insert_execution(
        connection,
        Execution(
            execution_id=stand_in,
            client_order_id=None,
            position_id=position.position_id,
            account=account,
            broker_order_id=stand_in,
            cumulative_quantity=quantity,
            symbol=held.symbol,
            side=Side.BUY,
            quantity=quantity,
            price=held.avg_entry_price,
            multiplier=position.multiplier,
            executed_at=now,
            reason=ADOPTED,
            booked_at=now,
            run_id=run_id,
        ),
    )
    details = {"quantity": quantity, "avg_entry_price": str(held.avg_entry_price), "from": "position at the broker"}
    positions.add_event(connection, position.position_id, now, ADOPTED, run_id, details)
    booking.refigure(connection, position, at=now, run_id=run_id, reason=ADOPTED, settled=True)
    tell(
        connection,
        position.position_id,
        ADOPTED,
        f"{quantity} {held.symbol} were found at the broker, and nothing here explains them.",
        f"They get the exit rules of {position.strategy.value}; look at the account if that is not what they are for.",
        at=now,
        run_id=run_id,
        numbers={"quantity": quantity, "avg_entry_price": str(held.avg_entry_price)},
    )
    return None


def close_phantom(connection: Connection, position: Position, *, first_seen: str, now: datetime, run_id: str) -> None:
    """Close a position that the broker twice in a row did not hold. Its P&L stays what the booked fills say."""
    positions.update_position(
        connection,
        position.position_id,
        state=PositionState.CLOSED.value,
        quantity=0,
        closed_at=now,
        exit_reason=positions.PHANTOM,
    )
    details = {"quantity": position.quantity, "first_missing_at": first_seen}
    positions.add_event(connection, position.position_id, now, positions.PHANTOM, run_id, details)
    tell(
        connection,
        position.position_id,
        positions.PHANTOM,
        f"{position.quantity} {position.symbol} were twice in a row not found at the broker: closed.",
        "Look at the account's activities: what became of them is not known here.",
        at=now,
        run_id=run_id,
        numbers=details,
    )
