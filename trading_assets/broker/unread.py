"""From which instant on the broker's fills have to be read, so that none is ever passed over.

The mark is what the last whole comparison proved to be read, never the newest fill that is booked: after an outage the
first fill that arrives by stream or by a look at its order is newer than those that were missed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine

from trading_assets.broker.config import BrokerConfig
from trading_assets.ledger import orders, reconciliations


def since(engine: Engine, account: str, config: BrokerConfig) -> datetime:
    """Earlier than every fill that may not be booked: the mark, or an order that may still fill, less the overlap.

    The overlap is for a broker that lists a fill late, and for clocks that differ.
    """
    with engine.connect() as connection:
        until = reconciliations.read_account(connection, account).all_read_until
        live = orders.live_intents(connection, account)
    return min((until, *(intent.created_at for intent in live))) - timedelta(seconds=config.fill_overlap_seconds)
