"""The driver: steps the exchange's clock through a session and, at each step, fires schedules and sensors.

Each step: advance the clock, fetch news, run the minute job, evaluate the real dispatcher sensor and run what it asks
for, evaluate the real position manager sensor and run what it asks for, until nothing works at the exchange any more.
Killed anywhere, the same command continues: the exchange's journal knows the time, the ledger knows the intents.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from trading_assets.automation.names import (
    CLOSING_TICK,
    DISCOVERY_TICK,
    DISPATCHER_TICK,
    MINUTE_TICK,
    NEWS_REPORT_TICK,
    NEWS_TICK,
    POSITION_MANAGER_TICK,
)
from trading_assets.broker.consistency import ConsistencyReport, compare
from trading_assets.demo.screen import Screen
from trading_assets.demo.summary import account_summary, day_summary
from trading_assets.demo.ticks import Ticker
from trading_assets.domain.errors import ConfigurationError, TradingAssetsError
from trading_assets.jobs.backfill import load_history
from trading_assets.market.sessions import Session, session_on, shift
from trading_assets.recorded_world import NOTHING, Played, bring_in, forget
from trading_assets.recorded_world import summary as recorded_summary
from trading_assets.settings import load_settings
from trading_assets.world.paths import World, WorldKind, WorldState, home_directory
from trading_assets.world.processes import Children
from trading_assets.world.recorded_feeds import require_reach

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions

    from trading_assets.resources.desk import Desk

_log = logging.getLogger(__name__)
#: A fixed Wednesday: several names list options that expire the same day, the others on Friday.
DEFAULT_SESSION = date(2026, 3, 11)
#: What a person put into the world's folder stays when a finished day is replaced.
_KEPT = ("strategy.yaml", "accounts.yaml")
#: How often a step looks again for work, before it gives up and says so.
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class DemoArguments:
    """What a demo is made of. Equal arguments give equal days. Positions are carried from session to session."""

    session: date = DEFAULT_SESSION
    seed: int = 1
    scenario: str = "normal"
    step_minutes: int = 5
    sessions: int = 1
    played: Played = NOTHING

    def as_json(self) -> dict[str, Any]:
        """As kept in ``world.json``."""
        return {
            "session": self.session.isoformat(),
            "seed": self.seed,
            "scenario": self.scenario,
            "step_minutes": self.step_minutes,
            "sessions": self.sessions,
            **self.played.as_json(),
        }

    def days(self) -> tuple[Session, ...]:
        """The sessions that are played, in order."""
        return tuple(shift(self.session, number) for number in range(self.sessions))


def run_demo(
    name: str,
    arguments: DemoArguments,
    *,
    fresh: bool = False,
    show_progress: bool = True,
    env: Mapping[str, str] = os.environ,
) -> dict[str, Any]:
    """Play the day in the world ``name`` and return its summary.

    A finished world of that name is replaced, an unfinished one with equal arguments resumed, one with other arguments
    refused (unless ``fresh``); two at once are refused.
    """
    if session_on(arguments.session) is None:
        raise ConfigurationError(
            f"{arguments.session} is not a trading session",
            where="--session",
            mend=f"The next one is {shift(arguments.session, 1).day}.",
        )
    world = World(home_directory(env=env), name)
    began = time.monotonic()
    lock = world.lock()
    lock.acquire()
    try:
        # A mistake in a configuration file is said before anything of a finished day is removed.
        settings = load_settings(world=world, kind=WorldKind.PRACTICE, env=env)
        # So is a folder of feeds that has nothing to show.
        if arguments.played.feeds is not None:
            require_reach(arguments.played.feeds, arguments.days())
        resumed = _claim(world, arguments, fresh=fresh)
        with Screen(enabled=show_progress) as screen:
            screen.say("resuming an unfinished day" if resumed else "preparing the world")
            for line in bring_in(world, settings, arguments.played, arguments.days()):
                screen.say(escape(line))
            with _opened(world, arguments) as (desk, definitions, instance):
                ready = time.monotonic()
                demo = _Demo(desk, definitions, instance, arguments, screen)
                demo.play()
                summary = demo.summary()
                summary["wall_clock"] = {
                    "seconds": round(time.monotonic() - began, 1),
                    "preparation_seconds": round(ready - began, 1),
                    "resumed": resumed,
                    "session_seconds": demo.seconds,
                }
        world.finish()
        return summary
    finally:
        lock.release()


def _claim(world: World, arguments: DemoArguments, *, fresh: bool) -> bool:
    """Make the world ours: True if an unfinished day is to be resumed."""
    record = world.record()
    if record is None:
        forget(world)
        return False
    if record.kind is not WorldKind.PRACTICE:
        raise ConfigurationError(
            f"the world {world.name!r} is a {record.kind} world",
            where=str(world.directory),
            mend="Use another --world.",
        )
    same = dict(record.arguments) == arguments.as_json()
    if record.state is WorldState.UNFINISHED and same and not fresh:
        return True
    if record.state is WorldState.UNFINISHED and not fresh:
        raise ConfigurationError(
            f"an unfinished demo with other arguments is there: {dict(record.arguments)}",
            where=str(world.directory),
            mend="Repeat it with its own arguments to finish it, or add --fresh to discard it.",
        )
    from trading_assets.world.lease import stop_world

    stop_world(world)
    for entry in world.directory.iterdir():
        if entry != world.lock_file and entry.name not in _KEPT:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return False


@contextmanager
def _opened(world: World, arguments: DemoArguments) -> Iterator[tuple[Desk, Definitions, DagsterInstance]]:
    """The world's desk, definitions and Dagster instance; its processes end with the block, in order."""
    from dagster import DagsterInstance

    from trading_assets.definitions import build_definitions
    from trading_assets.resources.desk import Desk
    from trading_assets.world import crash_hook
    from trading_assets.world.dagster_home import write_dagster_home
    from trading_assets.world.lease import STOP_ORDER, stop_world
    from trading_assets.world.runtime import open_world

    Children(world).stop_all(STOP_ORDER)
    settings = load_settings(world=world, kind=WorldKind.PRACTICE)
    runtime = open_world(settings, arguments=arguments.as_json(), begin=True)
    crash_hook.install(runtime.kind)
    try:
        write_dagster_home(world, capture=False)
        os.environ["TRADING_ASSETS_DAGSTER_URL"] = runtime.dagster_url
        desk = Desk(lambda: settings, lambda _: runtime)
        with DagsterInstance.from_config(str(world.dagster)) as instance:
            yield desk, build_definitions(desk), instance
    finally:
        stop_world(world)


class _Demo:
    """The sessions of a demo, one after the other."""

    def __init__(
        self,
        desk: Desk,
        definitions: Definitions,
        instance: DagsterInstance,
        arguments: DemoArguments,
        screen: Screen,
    ) -> None:
        self.desk = desk
        self.instance = instance
        self.definitions = definitions
        self.session = arguments.days()[0]
        self.seconds: dict[str, float] = {}
        self.arguments = arguments
        self.screen = screen
        self.ticker = Ticker(definitions, instance, desk)

    def play(self) -> None:
        """Every session, or what is left of them."""
        from trading_assets.jobs.recovery import recover

        recover(self.desk, self.instance)
        for session in self.arguments.days():
            if self.desk.clock.now() >= shift(session.day, 1).open:
                continue
            self.session = session
            began = time.monotonic()
            self._play_session()
            self.seconds[session.key] = round(time.monotonic() - began, 1)
            self.screen.finished(session, self.seconds[session.key], self._figures())

    def _play_session(self) -> None:
        load_history(self.desk, self.definitions, self.instance, self.session, self.screen.say)
        self._settle()
        steps = self._steps()
        self.screen.begin(self.session, len(steps))
        for instant in steps:
            if instant <= self.desk.clock.now():
                self.screen.advance(instant, self._figures)
                continue
            self.desk.clock.wait_until(instant)
            self._tick()
            self.screen.advance(instant, self._figures)
        self._schedule(CLOSING_TICK)
        self._schedule(NEWS_REPORT_TICK)

    def _steps(self) -> list[datetime]:
        step = timedelta(minutes=self.arguments.step_minutes)
        count = -(-self.session.minutes // self.arguments.step_minutes)
        return [min(self.session.open + step * (index + 1), self.session.close) for index in range(count)]

    def _tick(self) -> None:
        self._schedule(NEWS_TICK)
        if self.desk.discovers:
            self._schedule(DISCOVERY_TICK)
        self._schedule(MINUTE_TICK)
        self._settle()

    def _schedule(self, name: str) -> None:
        """A failed minute is visible in the instance and the next one covers it; the day goes on."""
        self.ticker.schedule(name, self.desk.wall.now())

    def _settle(self) -> None:
        """Let the sensors work until they see nothing new and no order works at the exchange."""
        for _ in range(_ROUNDS):
            worked = [*self.ticker.sensor(DISPATCHER_TICK), *self.ticker.sensor(POSITION_MANAGER_TICK)]
            if not worked and not self._working_orders():
                return
        raise TradingAssetsError(
            f"orders still work at the exchange after {_ROUNDS} rounds: {', '.join(self._working_orders()) or 'none'}",
            where=f"step {self.desk.clock.now().isoformat()}",
            mend="Run the same command again: it reconciles and resumes.",
        )

    def _working_orders(self) -> list[str]:
        return [
            order.client_order_id
            for account in self.desk.accounts
            for order in self.desk.broker(account.name).orders("open")
        ]

    def _figures(self) -> dict[str, int]:
        with self.desk.ledger.connect() as connection:
            today = self.session.day
            day = day_summary(connection, today, today)
            parts = [account_summary(connection, account.name, today, today, None) for account in self.desk.accounts]
        return {
            "articles": day["articles"],
            "signals": day["signals"],
            "entries": sum(part["entries"] for part in parts),
            "fills": sum(part["fills"] for part in parts),
        }

    def summary(self) -> dict[str, Any]:
        """The demo as JSON; ``consistent`` only if ledger and exchange agree for every account."""
        first, last = self.arguments.days()[0], self.arguments.days()[-1]
        reports: dict[str, ConsistencyReport] = {}
        accounts: dict[str, Any] = {}
        with self.desk.ledger.connect() as connection:
            day = day_summary(connection, first.day, last.day)
            for account in self.desk.accounts:
                broker = self.desk.broker(account.name)
                reports[account.name] = compare(self.desk.ledger, broker, account.name)
                accounts[account.name] = account_summary(
                    connection, account.name, first.day, last.day, broker.account().equity
                )
                accounts[account.name]["differences"] = list(reports[account.name].differences)
        return {
            "session": first.key,
            "sessions": len(self.arguments.days()),
            "seed": self.arguments.seed,
            "scenario": self.arguments.scenario,
            "step_minutes": self.arguments.step_minutes,
            "source": "simulated" if self.arguments.played.bars is None else "recorded",
            **recorded_summary(self.desk.runtime.world, self.arguments.played, self.desk.clock.now()),
            **day,
            "accounts": accounts,
            "failed_runs": failed_runs(self.instance),
            "consistent": all(report.consistent for report in reports.values()),
        }


def failed_runs(instance: DagsterInstance) -> dict[str, int]:
    """Runs of this world that failed, by job. A failure is never hidden in a summary."""
    from collections import Counter

    from dagster import DagsterRunStatus, RunsFilter

    runs = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.FAILURE]))
    return dict(sorted(Counter(run.job_name for run in runs).items()))
