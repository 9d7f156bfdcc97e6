"""A process that reads from one account as fast as it may: ``python -m ... URL KEY SECRET BUDGET READS GO``.

``BUDGET`` is the folder of the shared count, or ``-`` for none. It waits for the file ``GO``, then prints what came of
its reads as JSON: answers by status, and how many its side held back.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.errors import RateLimited
from trading_assets.domain.connections import BrokerConnection
from trading_assets.world.clocks import SystemClock


def main() -> None:
    url, key, secret, budget, reads, go = sys.argv[1:]
    shared = None if budget == "-" else Path(budget)
    connection = BrokerConnection("PRACTICE", url, url, key, secret, budget=shared)
    broker = AlpacaBroker(connection, SystemClock(), BrokerConfig(read_attempts=1, rate_limit_wait_seconds=0))
    answers: Counter[int] = Counter()

    def count(response: Any, *_: Any, **__: Any) -> None:
        answers[response.status_code] += 1

    broker._trading._session.hooks["response"].append(count)
    deadline = time.monotonic() + 60
    while not Path(go).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    held_back = 0
    for _ in range(int(reads)):
        try:
            broker.assets()
        except RateLimited as limit:
            held_back += not limit.sent
    print(json.dumps({"answers": answers, "held_back": held_back}))


if __name__ == "__main__":
    main()
