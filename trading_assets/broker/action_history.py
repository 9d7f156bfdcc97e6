"""What a broker's history says of held positions that differ: a corporate action that is not understood here.

What belongs here: telling which symbols must stay as they are until a person has looked. What does not: splits, which
are understood (``corporate_actions``).
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Engine

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.values import BrokerPosition
from trading_assets.domain.clock import NEW_YORK
from trading_assets.ledger import positions, splits
from trading_assets.ledger.positions import Position

#: What a broker's history calls the doings of a company that change what is held.
CORPORATE_ACTIONS = ("SPLIT", "OPCA", "NC", "MA", "SPIN", "REORG")
#: How far back its history is looked through for them.
_RECENT = timedelta(days=5)
#: Characters of an OCC symbol after its root.
TAIL = 15
DIGITS = "0123456789"


def uncertain(
    engine: Engine,
    broker: AlpacaBroker,
    account: str,
    held: Mapping[str, BrokerPosition],
    now: datetime,
    *,
    waiting: Container[str],
    unread: bool,
) -> dict[str, str]:
    """What still differs and was changed by a corporate action, or may have been: by symbol of either side a sentence.

    ``waiting`` are symbols of which another sentence is told; ``unread``: the list of splits is not known.
    """
    found: dict[str, str] = {}
    with engine.connect() as connection:
        live = [position for position in positions.live_positions(connection, account) if position.quantity]
        odd = [position for position in live if differs(position, held) and position.symbol not in waiting]
        done = {position.position_id: splits.of_position(connection, position.position_id) for position in odd}
    ours = {position.symbol for position in live}
    if not odd:
        return found
    lines = broker.activities(CORPORATE_ACTIONS, now - _RECENT)
    for position in odd:
        settled = max(
            (row.effective_at.astimezone(NEW_YORK).date() for row in done[position.position_id]), default=None
        )
        root = position.symbol[:-TAIL] if position.contract_right is not None else position.symbol
        named = {
            line.symbol: line
            for line in lines
            if line.symbol is not None and (settled is None or line.on is None or line.on > settled)
        }
        like = {symbol for symbol in {*named, *held} if _is_like(symbol, position, root)}
        line = next((named[symbol] for symbol in (position.symbol, *sorted(like)) if symbol in named), None)
        if line is not None:
            touched = {*named}
            why = f"the broker's history names a corporate action ({line.activity_type}, {line.activity_id})"
        elif unread:
            touched = like
            why = "the list of splits cannot be read"
        else:
            continue
        for symbol in {position.symbol, *(touched & held.keys() - ours)}:
            found[symbol] = (
                f"{symbol}: the ledger holds {position.quantity} of {position.symbol}, the broker something else, and "
                f"{why}: nothing is done with it (position {position.position_id})"
            )
    return found


def _is_like(symbol: str, position: Position, root: str) -> bool:
    """Whether a contract could be what became of a position: one on the same name, adjusted or not."""
    if position.contract_right is None:
        return symbol == root
    return len(symbol) > TAIL and symbol[:-TAIL].rstrip(DIGITS) == root.rstrip(DIGITS)


def differs(position: Position, held: Mapping[str, BrokerPosition]) -> bool:
    """Whether the broker holds another quantity of the position's symbol."""
    theirs = held.get(position.symbol)
    return theirs is None or theirs.quantity != position.quantity
