"""The practice exchange of a world: its configuration with generated keys, and its process.

The exchange is another program. Nothing of its package is imported here: the two sides share a file format and a wire
protocol, and that is what they test.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
from pydantic import SecretStr

from trading_assets.domain.errors import BrokerUnavailable, ConfigurationError
from trading_assets.world.clocks import TOKEN_HEADER, ExchangeClock, require_loopback
from trading_assets.world.paths import write_private
from trading_assets.world.processes import Children, ProcessError

CHILD = "exchange"


@dataclass(frozen=True, slots=True)
class PracticeAccount:
    """An account to open at the practice exchange: opening cash in dollars, options level 0 to 3."""

    name: str
    cash: Decimal
    options_level: int = 2


@dataclass(frozen=True, slots=True)
class PracticeKeys:
    """Generated credentials of one practice account."""

    key: SecretStr
    secret: SecretStr


@dataclass(frozen=True, slots=True)
class PracticeExchange:
    """A running practice exchange: its address, control token and the accounts' keys."""

    url: str
    pid: int
    token: SecretStr
    keys: Mapping[str, PracticeKeys]

    def clock(self) -> ExchangeClock:
        """The exchange's clock."""
        return ExchangeClock(self.url, self.token.get_secret_value())


def write_config(
    directory: Path,
    *,
    seed: int,
    session: date,
    scenario: str,
    last_session: date | None = None,
    recorded: bool = False,
    composite: str | None = None,
    recorded_feeds: bool = False,
    feed_delays: Mapping[str, Mapping[str, Any]] | None = None,
    accounts: Sequence[PracticeAccount],
    start_at: datetime | None = None,
    speed: float = 0.0,
) -> None:
    """Write ``config.json`` (0600) unless it is there: an exchange keeps its keys, seed and accounts for life.

    ``last_session`` is the last that is played (default: only ``session``); ``recorded`` plays the recording kept in
    the directory, in which ``composite`` is an index made of the other names; ``recorded_feeds`` serves the feeds kept
    there instead of generated headlines; ``feed_delays`` makes generated ones late (the exchange's
    ``FeedDelay`` by name of the feed). Other values than the stored ones raise
    :class:`ConfigurationError`; ``start_at`` only matters at birth, ``speed`` and ``last_session`` may change with
    every start.
    """
    wanted: dict[str, Any] = {
        "seed": seed,
        "session": session.isoformat(),
        "scenario": scenario,
        "recorded": recorded,
        "composite": composite,
        "recorded_feeds": recorded_feeds,
        "feed_delays": {name: dict(delay) for name, delay in (feed_delays or {}).items()},
    }
    running = {"speed": speed, "last_session": (last_session or session).isoformat()}
    opened = {account.name: (account.cash, account.options_level) for account in accounts}
    path = directory / "config.json"
    if path.exists():
        stored = read_config(directory)
        # An exchange that was made before there were recorded or late feeds has none.
        kept = {"recorded_feeds": False, "feed_delays": {}} | stored
        differing = [key for key, value in wanted.items() if kept.get(key) != value]
        if {a["name"]: (Decimal(a["cash"]), a["options_level"]) for a in stored["accounts"]} != opened:
            differing.append("accounts")
        if differing:
            raise ConfigurationError(
                f"the practice exchange was made with another {', '.join(differing)}",
                where=str(path),
                mend="Use the arguments this world was made with, or another world. An accounts.yaml "
                f"in its directory keeps its accounts ({', '.join(sorted(a['name'] for a in stored['accounts']))}).",
            )
        if any(stored.get(key) != value for key, value in running.items()):
            write_private(path, json.dumps(stored | running, indent=2) + "\n")
        return
    config = (
        wanted
        | running
        | {
            "control_token": secrets.token_urlsafe(24),
            "accounts": [
                {
                    "name": account.name,
                    "key": "PK" + secrets.token_hex(9).upper(),
                    "secret": secrets.token_urlsafe(30),
                    "cash": str(account.cash),
                    "options_level": account.options_level,
                }
                for account in accounts
            ],
        }
    )
    if start_at is not None:
        config["start_at"] = start_at.isoformat()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, json.dumps(config, indent=2) + "\n")


def read_config(directory: Path) -> dict[str, Any]:
    """The stored configuration, secrets included: never print it."""
    path = directory / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigurationError("this world has no practice exchange", where=str(path)) from None
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"the file is not JSON: {error.msg}", where=str(path)) from None
    return config


def read_keys(directory: Path) -> dict[str, PracticeKeys]:
    """The generated credentials by account name."""
    return {
        account["name"]: PracticeKeys(SecretStr(account["key"]), SecretStr(account["secret"]))
        for account in read_config(directory)["accounts"]
    }


def start(
    children: Children,
    *,
    wait: float = 60.0,
    command: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> PracticeExchange:
    """Start the exchange of ``children.world`` (or adopt the one that runs) and return once it answers.

    Its journal is in its directory, so a restarted exchange continues where the last one ended, on the same port where
    that is free. Raises :class:`ProcessError` with the end of its log if it does not come up.
    """
    directory = children.world.exchange
    child = children.adopt(CHILD) or children.start(
        CHILD, [*(command or (sys.executable, "-m", "trading_assets.exchange")), "--directory", str(directory)], env=env
    )
    deadline = time.monotonic() + wait
    while True:
        exchange = _answering(directory, child.pid)
        if exchange is not None:
            return exchange
        alive = children.is_alive(child)
        if not alive or time.monotonic() > deadline:
            log = children.world.logs / f"{CHILD}.log"
            raise ProcessError(
                f"the practice exchange {'does not answer' if alive else 'ended during its start'}; its log ends with: "
                + " | ".join(log.read_text(errors="replace").splitlines()[-4:]),
                where=str(log),
            )
        time.sleep(0.02)


def feeds(exchange: PracticeExchange) -> dict[str, str]:
    """The news feeds that the exchange serves: name to address."""
    try:
        response = httpx.get(f"{exchange.url}/rss/", timeout=10.0, trust_env=False)
        response.raise_for_status()
        names = sorted(row["name"] for row in response.json()["feeds"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise BrokerUnavailable(
            f"the practice exchange's list of feeds makes no sense: {type(error).__name__}: {error}",
            where=f"{exchange.url}/rss/",
        ) from None
    return {name: f"{exchange.url}/rss/{name}.xml" for name in names}


def running(directory: Path) -> PracticeExchange | None:
    """The exchange of ``directory`` if one answers there, whoever started it.

    The address alone proves nothing: in the copy of a world it is the original's, whose exchange has the same token.
    """
    found = _answering(directory, None)
    return found if found is not None and _serves(found.pid, directory) else None


def _serves(pid: int, directory: Path) -> bool:
    """Whether that process lives and was started for ``directory``."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and str(directory) in process.cmdline()
    except psutil.Error:
        return False


def _answering(directory: Path, pid: int | None) -> PracticeExchange | None:
    try:
        found = json.loads((directory / "exchange.json").read_text())
        address, its_pid = f"http://{found['host']}:{int(found['port'])}", int(found["pid"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    if pid is not None and its_pid != pid:
        return None
    url, token = require_loopback(address), read_config(directory)["control_token"]
    try:
        response = httpx.get(f"{url}/practice/v1/status", headers={TOKEN_HEADER: token}, timeout=2.0, trust_env=False)
    except httpx.HTTPError:
        return None
    if response.status_code != 200:
        return None
    return PracticeExchange(url, its_pid, SecretStr(token), read_keys(directory))
