"""One sequence's own world: a copied ledger, an exchange process with its switchboard, and the processes that act."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from trading_assets.broker.ladder import Entry
from trading_assets.domain.identities import signal_id
from trading_assets.domain.values import KillMode, Signal, Strategy
from trading_assets.exchange.faults.plan import KINDS
from trading_assets.ledger import accounts, dispatch, positions
from trading_assets.market.sessions import MINUTE
from trading_assets.resources.desk import Desk
from trading_assets.world.clocks import TOKEN_HEADER
from trading_assets.world.paths import World
from trading_assets.world.practice import read_config, read_keys
from trading_assets_tests.chaos import actor
from trading_assets_tests.chaos.deeds import DEEDS, Deed
from trading_assets_tests.chaos.nursery import Born
from trading_assets_tests.chaos.steps import ACCOUNTS, Step
from trading_assets_tests.chaos.template import WORLD, Template, copy_ledger, copy_world, drop_ledger, nursery

#: Wall seconds after which a job counts as stuck.
STUCK_SECONDS = 90.0
STUCK = "the job did not end"
_STARTED_SECONDS = 120.0
_FAULT_FIELDS = ("kind", "scope", "count", "after", "probability", "seed", "duration_s", "clock", "parameters")


@dataclass(slots=True)
class Act:
    """What one process did between two instants of the wall: its exit status (-9: killed), what it reported, said, and
    in what error it ended."""

    jobs: tuple[str, ...]
    account: str
    run_id: str
    status: int
    began: float
    ended: float
    reports: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    trouble: str = ""
    severed: bool = False


class Ring:
    """The world of one sequence. ``acts`` are what its processes did, ``fired`` the faults that were recorded."""

    def __init__(self, template: Template, home: Path, name: str) -> None:
        self.template = template
        self.name = name
        self._nursery = nursery(template)
        self.world: World = copy_world(template, home)
        self.ledger = copy_ledger(template, name)
        self.acts: list[Act] = []
        self.fired: list[dict[str, Any]] = []
        #: How much each signal was to buy at most, by account and signal, where no decision says so.
        self.asked: dict[tuple[str, str], int] = {}
        self._offers = 0
        self._exchange: Born | None = None
        config = read_config(self.world.exchange)
        self._token = {TOKEN_HEADER: config["control_token"]}
        self._keys = read_keys(self.world.exchange)
        (self.world.exchange / "config.json").write_text(json.dumps(config | {"faults": True}))
        self.start_exchange()
        self.desk: Desk = actor.open_desk(self.world.home, WORLD, self.ledger, template.start_id)
        self._http = httpx.Client(trust_env=False, timeout=30.0)

    # --- the exchange -----------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where the exchange answers."""
        found = json.loads((self.world.exchange / "exchange.json").read_text())
        return f"http://{found['host']}:{found['port']}"

    def start_exchange(self) -> None:
        """Start the exchange where it stood, on the port it had."""
        log = self.world.logs / "exchange.log"
        process = self._nursery.fork(actor.serve_exchange, self.world.exchange, log)
        self._exchange = process
        deadline = time.monotonic() + _STARTED_SECONDS
        file = self.world.exchange / "exchange.json"
        while not file.exists() or json.loads(file.read_text())["pid"] != process.pid:
            if process.exitcode is not None or time.monotonic() > deadline:
                how = "takes too long" if process.exitcode is None else f"ended with {process.exitcode}"
                raise AssertionError(f"the exchange of a sequence did not start: it {how}\n{log.read_text()[-2000:]}")
            time.sleep(0.01)

    def kill_exchange(self) -> None:
        """kill -9, then a new one from the journal."""
        self.note_fired()
        if self._exchange is not None:
            self._exchange.kill()
        self.start_exchange()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the exchange's control path."""
        answer = self._http.request(method, f"{self.url}/practice/v1/{path}", json=body, headers=self._token)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def broker(self, account: str, method: str, path: str, body: Any = None) -> Any:
        """A request as the account's owner by hand would make it."""
        keys = self._keys[account]
        headers = {
            "APCA-API-KEY-ID": keys.key.get_secret_value(),
            "APCA-API-SECRET-KEY": keys.secret.get_secret_value(),
        }
        answer = self._http.request(method, f"{self.url}{path}", json=body, headers=headers)
        return answer.json() if answer.content else None

    # --- acting -----------------------------------------------------------------------------------------------------

    def run(self, *processes: tuple[str | Deed, ...], account: str, crash: dict[str, Any] | None = None) -> list[Act]:
        """Start the processes at once, each with its jobs for one account, and wait for their ends.

        ``crash`` concerns the first.
        """
        started = []
        for number, jobs in enumerate(processes):
            run_id = f"run-{len(self.acts) + number}"
            chosen = crash if number == 0 and crash else {}
            task = actor.Task(
                home=self.world.home,
                world=WORLD,
                ledger=self.ledger,
                start_id=self.template.start_id,
                jobs=jobs,
                account=account,
                run_id=run_id,
                result=self.world.directory / f"{run_id}.json",
                point=chosen.get("at"),
                passage=chosen.get("passage", 1),
                what=chosen.get("what", "die"),
            )
            began = time.time()
            started.append((task, self._nursery.fork(actor.work, task), began))
        return [self._ended(*each) for each in started]

    def _ended(self, task: actor.Task, process: Born, began: float) -> Act:
        stuck = process.join(STUCK_SECONDS) is None
        if stuck:
            process.kill()
        found = json.loads(task.result.read_text()) if task.result.exists() else {}
        status = process.exitcode or 0
        jobs = tuple(job if isinstance(job, str) else job.kind for job in task.jobs)
        act = Act(jobs, task.account, task.run_id, status, began, time.time(), **found)
        act.severed = task.what == "sever"
        if stuck:
            act.trouble = STUCK
        if act.status != 0:
            # As the owner of a world does with a run that is gone.
            with self.desk.ledger.begin() as connection:
                dispatch.release(connection, [task.run_id], self.desk.clock.now())
        self.acts.append(act)
        return act

    def offer(self, number: int, strategy: str) -> None:
        """Publish a signal as decided now, to both accounts."""
        self._publish(number, Strategy(strategy), ACCOUNTS)

    def ask(
        self, account: str, number: int, quantity: int, *, adds_to: str | None = None, stock: bool = False
    ) -> Entry:
        """What buys so many of a name for a signal of its own, which is offered to nobody."""
        strategy = Strategy.STOCK if stock else Strategy.SWING_TRADE
        signal = self._publish(number, strategy, ())
        base = self.template.entries[number % len(self.template.entries)]
        self.asked[account, signal.signal_id] = quantity
        identity, name = signal.signal_id, base.underlying
        if stock:
            return Entry(account, identity, name, name, strategy, base.direction, quantity, 1)
        return replace(base, account=account, signal_id=identity, quantity=quantity, adds_to=adds_to)

    def _publish(self, number: int, strategy: Strategy, to: Sequence[str]) -> Signal:
        base = self.template.names[number % len(self.template.names)]
        now = self.desk.clock.now()
        self._offers += 1
        identity = signal_id(f"offer {self._offers}", base.ticker, now, base.action, strategy)
        fresh = replace(base, signal_id=identity, strategy=strategy, known_at=now, bar_start=now - MINUTE)
        with self.desk.ledger.begin() as connection:
            dispatch.publish(connection, [fresh], to, "chaos", now)
        return fresh

    def advance(self, seconds: float) -> None:
        """Let the exchange's time pass, never beyond the day's last minutes."""
        self.desk.clock.wait_until(self.desk.clock.now() + timedelta(seconds=seconds))

    def kill_switch(self, account: str, mode: str) -> None:
        """Set the account's kill switch."""
        with self.desk.ledger.begin() as connection:
            accounts.set_kill_switch(connection, account, KillMode(mode), self.desk.clock.now(), "chaos")

    # --- faults -----------------------------------------------------------------------------------------------------

    def disarm(self) -> None:
        """Take every fault back."""
        self.note_fired()
        self.control("DELETE", "faults")

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Without faults for a while: who only looks must meet none, and use none up."""
        armed = self.control("GET", "faults")["armed"]
        self.control("DELETE", "faults")
        try:
            yield
        finally:
            for one in armed:
                fault = {name: one[name] for name in _FAULT_FIELDS}
                fault["after"] = max(0, one["after"] - one["seen"])
                if one["count"] is not None or not KINDS[one["kind"]].lasting:
                    fault["count"] = (one["count"] or 1) - one["hits"]
                if fault["count"] is None or fault["count"] > 0:
                    self.control("POST", "faults", fault)

    def note_fired(self) -> None:
        """Keep what the switchboard recorded since the last look."""
        self.fired += self.control("GET", f"faults/fired?after={len(self.fired)}")

    # --- end --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the exchange and drop the ledger."""
        self._http.close()
        if self._exchange is not None:
            self._exchange.kill()
        self.desk.ledger.dispose()
        drop_ledger(self.template, self.name)


@contextmanager
def ring(template: Template, home: Path, name: str) -> Iterator[Ring]:
    """A ring that is closed in the end."""
    opened = Ring(template, home, name)
    try:
        yield opened
    finally:
        opened.close()


def perform(ring: Ring, step: Step) -> None:
    """Do one step."""
    given = step.given
    match step.kind:
        case "offer":
            ring.offer(given["name"], given["strategy"])
        case "dispatch" | "manage":
            ring.run((step.kind,), account=given["account"], crash=given["crash"])
        case "at_once":
            ring.run(*((job,) for job in given["jobs"]), account=given["account"], crash=given["crash"])
        case "fault":
            ring.control("POST", "faults", given)
        case "advance":
            ring.advance(given["seconds"])
        case "kill_exchange":
            ring.kill_exchange()
        case "kill_switch":
            ring.kill_switch(given["account"], given["mode"])
        case "hand_sale" | "hand_buy" | "liquidation":
            _by_hand(ring, step.kind, given["account"])
        case kind if kind in DEEDS:
            if (deed := _deed(ring, step)) is not None:
                ring.run((deed,), account=given["account"], crash=given["crash"])
        case _:
            raise ValueError(f"no step is called {step.kind!r}")


def _deed(ring: Ring, step: Step) -> Deed | None:
    """The deed of a step; None if nothing is held that it could be done with."""
    kind, given = step.kind, step.given
    account, quantity, price = given["account"], given.get("quantity", 0), given.get("price", "ask")
    if kind == "reconcile":
        return Deed(kind)
    if kind in ("buy", "bracket"):
        return Deed(kind, ring.ask(account, given["name"], quantity, stock=kind == "bracket"), price=price)
    with ring.desk.ledger.connect() as connection:
        held = [each for each in positions.live_positions(connection, account) if each.quantity]
    if kind in ("add", "roll"):
        held = [each for each in held if each.contract_right is not None]
    elif kind == "protect":
        held = [each for each in held if each.stop_price is not None]
    if not held:
        return None
    position = held[given["name"] % len(held)]
    if kind != "add":
        return Deed(kind, symbol=position.symbol, quantity=quantity or position.quantity, price=price)
    numbers = [n for n, entry in enumerate(ring.template.entries) if entry.symbol == position.symbol]
    if not numbers:
        return None
    return Deed(kind, ring.ask(account, numbers[0], quantity, adds_to=position.position_id), price=price)


def _by_hand(ring: Ring, kind: str, account: str) -> None:
    """A person sells one of what is held, or buys one of it more; or the broker sells it all."""
    with ring.desk.ledger.connect() as connection:
        held = [position for position in positions.live_positions(connection, account) if position.quantity]
    if not held:
        return
    act: dict[str, Any] = {"kind": "liquidate", "scope": {"account": account, "symbol": held[0].symbol}}
    if kind != "liquidation":
        act["kind"] = "hand_trade"
        act["scope"]["side"] = "sell" if kind == "hand_sale" else "buy"
    try:
        ring.control("POST", "faults", act)
    except httpx.HTTPStatusError as error:
        # The account may have sold it meanwhile, or the market have no price: then nothing happens by hand.
        if error.response.status_code >= 500:
            raise
    ring.advance(2)
