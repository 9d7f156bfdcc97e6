"""A practice exchange as a process of its own, and the unmodified SDK's clients for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from alpaca.data.historical import OptionHistoricalDataClient, StockHistoricalDataClient
from alpaca.trading.client import TradingClient

from trading_assets.exchange.journal import JOURNAL_FILE
from trading_assets_tests.exchange.forked import Forked, fork_exchange

TOKEN = "control-token-of-the-test"
KEY, SECRET = "PKONE", "secret-of-account-one"
SEED = 7
#: A Friday on which the index has contracts that expire.
SESSION = date(2026, 3, 13)
OPEN = datetime(2026, 3, 13, 13, 30, tzinfo=UTC)
CLOSE = datetime(2026, 3, 13, 20, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def configuration(start: datetime, **changes: Any) -> dict[str, Any]:
    """A configuration with two accounts; the second may not trade options."""
    one = {"name": "one", "key": KEY, "secret": SECRET, "cash": "50000", "options_level": 2}
    two = {"name": "two", "key": "PKTWO", "secret": "secret-of-account-two", "cash": "1000", "options_level": 0}
    return {
        "seed": SEED,
        "session": SESSION.isoformat(),
        "scenario": "normal",
        "start_at": start.isoformat(),
        "speed": 0,
        "control_token": TOKEN,
        "accounts": [one, two],
        **changes,
    }


@dataclass
class Exchange:
    """A running exchange. ``start`` may be called again after ``kill`` or ``stop``."""

    directory: Path
    process: subprocess.Popen[bytes] | Forked | None = None
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET})

    def start(self) -> Exchange:
        """Start it and wait for its address.

        The first of a directory is forked from a warm process. What it left is found by an interpreter of its own, as
        after a restart in life: nothing of it may hang on what the first had in memory, or on its hashes.
        """
        if (self.directory / JOURNAL_FILE).exists():
            self.process = self._fresh()
        else:
            self.process = fork_exchange(self.directory, SEED, SESSION)
        for _ in range(2000):
            address = self._address()
            if address is not None:
                self.url = address
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(self.log())

    def _fresh(self) -> subprocess.Popen[bytes]:
        with (self.directory / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "trading_assets.exchange", "--directory", str(self.directory)],
                stdout=log,
                stderr=log,
            )

    def _address(self) -> str | None:
        """The address that this very process wrote; one of an earlier run does not count."""
        try:
            found = json.loads((self.directory / "exchange.json").read_text())
        except FileNotFoundError:
            return None
        assert self.process is not None
        return f"http://{found['host']}:{found['port']}" if found["pid"] == self.process.pid else None

    def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def log(self) -> str:
        return (self.directory / "log.txt").read_text()

    # --- talking to it ----------------------------------------------------------------------------------------------

    @cached_property
    def control(self) -> httpx.Client:
        """A client with the control token."""
        return httpx.Client(headers={"X-Practice-Token": TOKEN}, timeout=60, trust_env=False)

    @cached_property
    def client(self) -> httpx.Client:
        """A client with the first account's credentials."""
        return httpx.Client(headers=dict(self.headers), timeout=30, trust_env=False)

    def advance(self, target: datetime) -> datetime:
        response = self.control.post(f"{self.url}/practice/v1/clock", json={"advance_to": target.isoformat()})
        assert response.status_code == 200, response.text
        return datetime.fromisoformat(response.json()["now"])

    def status(self) -> dict[str, Any]:
        response = self.control.get(f"{self.url}/practice/v1/status")
        assert response.status_code == 200
        found: dict[str, Any] = response.json()
        return found

    def now(self) -> datetime:
        return datetime.fromisoformat(self.status()["now"])

    def step(self, seconds: float = 1) -> datetime:
        return self.advance(self.now() + timedelta(seconds=seconds))

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.client.get(self.url + path, params=params or None)

    def post(self, body: Any) -> httpx.Response:
        return self.client.post(self.url + "/v2/orders", json=body)

    def delete(self, path: str) -> httpx.Response:
        return self.client.delete(self.url + path)

    def picture(self) -> dict[str, Any]:
        """Everything an account can see of itself."""
        paths = ("account", "positions", "account/activities", "orders?status=all&limit=500", "clock")
        return {path: self.get(f"/v2/{path}").json() for path in paths}

    def trading(self, *, raw: bool = False) -> TradingClient:
        return TradingClient(KEY, SECRET, paper=True, raw_data=raw, url_override=self.url)

    def stocks(self, *, raw: bool = False) -> StockHistoricalDataClient:
        return StockHistoricalDataClient(KEY, SECRET, raw_data=raw, url_override=self.url)

    def options(self, *, raw: bool = False) -> OptionHistoricalDataClient:
        return OptionHistoricalDataClient(KEY, SECRET, raw_data=raw, url_override=self.url)


def prepare(directory: Path, start: datetime, **changes: Any) -> Exchange:
    """An exchange that is configured and not yet running."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(configuration(start, **changes)))
    return Exchange(directory)


@contextmanager
def served(directory: Path, start: datetime, **changes: Any) -> Iterator[str]:
    """A running exchange for as long as the block lasts; yields its address."""
    exchange = prepare(directory, start, **changes)
    try:
        yield exchange.start().url
    finally:
        exchange.stop()
