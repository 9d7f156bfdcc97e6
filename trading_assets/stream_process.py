"""What the processes that listen to a broker's streams share: where an account meets its broker, and ending in order.

What does not belong here: which streams, and what is done with what they tell.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.world import practice

if TYPE_CHECKING:
    from trading_assets.account_config import AccountConfig
    from trading_assets.domain.clock import Clock
    from trading_assets.domain.connections import BrokerConnection
    from trading_assets.world.runtime import Runtime

log = logging.getLogger(__name__)


def meeting_place(runtime: Runtime, account: AccountConfig) -> tuple[BrokerConnection, Clock]:
    """Where the account meets its broker now: a practice exchange that was started again may have another address."""
    from trading_assets.world.runtime import account_connection

    if runtime.exchange is None:
        return runtime.connection(account), runtime.clock()
    exchange = practice.running(runtime.world.exchange) or runtime.exchange
    return account_connection(account, runtime.world, exchange), exchange.clock()


def serve(run: Callable[[threading.Event], int]) -> int:
    """``run`` until SIGTERM or SIGINT, which end it in order; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # It would write a line for every look at the practice exchange's address.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: stop.set())
    try:
        return run(stop)
    except TradingAssetsError as error:
        log.error("%s", error)
        return 2
