"""A process that dispatches for some accounts of an open world, as their dispatcher runs do: one thread per account.

``python -m ... HOME WORLD ACCOUNTS SECONDS GO``: accounts are separated by commas. It opens everything, writes the file
``GO.<pid>``, waits for the file ``GO``, and dispatches each account's open signals until none is left or ``SECONDS``
are over. Prints what came of it as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.jobs.entering import dispatch_account
from trading_assets.ledger import dispatch
from trading_assets.resources.desk import Desk
from trading_assets.settings import load_settings
from trading_assets.world.paths import World
from trading_assets.world.runtime import open_world

_log = logging.getLogger("dispatching")


@dataclass
class Work:
    """One account's dispatching, with what its broker was asked."""

    desk: Desk
    account: str
    runs: list[dict[str, Any]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    most_in_a_minute: int = 0
    seconds: float = 0.0

    def open(self) -> None:
        """Connect ledger and broker, and count every answer."""

        def count(response: Any, *_: Any, **__: Any) -> None:
            self.statuses[response.status_code] += 1
            left = response.headers.get("X-RateLimit-Remaining")
            if left is not None:
                used = int(response.headers["X-RateLimit-Limit"]) - int(left)
                self.most_in_a_minute = max(self.most_in_a_minute, used)
            self.asked[_kind(response.request.method, urlsplit(response.request.url).path)] += 1

        with self.desk.ledger.connect():
            broker = self.desk.broker(self.account)
        for client in (broker._trading, broker._stocks, broker._options):
            client._session.hooks["response"].append(count)

    def run(self, seconds: float) -> None:
        """Dispatch until nothing is open."""
        began = time.monotonic()
        while time.monotonic() - began < seconds and self._open_signals():
            try:
                run_id = f"load-{self.account}-{len(self.runs) + len(self.troubles)}"
                report = dispatch_account(self.desk, self.account, run_id, _log)
                self.runs.append(report.as_json())
            except TradingAssetsError as error:
                self.troubles.append(str(error))
        self.seconds = time.monotonic() - began

    def _open_signals(self) -> bool:
        max_age = timedelta(seconds=self.desk.strategy(self.account).gates.max_signal_age_s)
        with self.desk.ledger.connect() as connection:
            waiting = dispatch.pending_work(connection, self.desk.clock.now(), max_age)
        return any(work.account == self.account for work in waiting)


def _kind(method: str, path: str) -> str:
    """A path without what differs from request to request."""
    parts = [part for part in path.split("/") if part and not (len(part) > 12 and any(c.isdigit() for c in part))]
    if "snapshots" in parts:
        parts = parts[: parts.index("snapshots") + 1]
    return f"{method} /{'/'.join(parts)}"


def main() -> None:
    home, name, accounts, seconds, go = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    settings = load_settings(world=World(Path(home), name), env={})
    works = [Work(Desk(lambda: settings, open_world), account) for account in accounts.split(",")]
    for work in works:
        work.open()
    Path(f"{go}.{os.getpid()}").touch()
    deadline = time.monotonic() + 300
    while not Path(go).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    began = time.process_time()
    with ThreadPoolExecutor(len(works)) as threads:
        for ended in [threads.submit(work.run, float(seconds)) for work in works]:
            ended.result()
    cpu = (time.process_time() - began) / len(works)
    found = {
        work.account: {
            "runs": work.runs,
            "troubles": work.troubles,
            "asked": work.asked,
            "statuses": work.statuses,
            "most_in_a_minute": work.most_in_a_minute,
            "seconds": work.seconds,
            "cpu_s": cpu,
        }
        for work in works
    }
    print(json.dumps(found, default=str))


if __name__ == "__main__":
    main()
