"""What an opened world needs before its services start: what a killed start left behind, and bars to look back on."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.market.sessions import Session, session_of, shift
from trading_assets.settings import Settings
from trading_assets.world.processes import ProcessError
from trading_assets.world.runtime import Runtime


def session_at_or_after(now: datetime) -> Session:
    """The session of the day that it is in New York, else the next one."""
    return session_of(now) or shift(now.astimezone(NEW_YORK).date(), 1)


def end_orphans(settings: Settings, runtime: Runtime) -> None:
    """Fail the runs of a code server that died, so that nothing waits for them. Its processes must be gone.

    Raises ``ProcessError`` while the database does not answer.
    """
    from dagster import DagsterInstance
    from sqlalchemy.exc import SQLAlchemyError

    from trading_assets.jobs.recovery import fail_orphans
    from trading_assets.resources.desk import Desk

    desk = Desk(lambda: settings, lambda _: runtime)
    try:
        with DagsterInstance.from_config(str(runtime.world.dagster)) as instance:
            fail_orphans(desk, instance)
    except SQLAlchemyError as error:
        raise ProcessError("the database does not answer", where=type(error).__name__) from error


def prepare_world(settings: Settings, runtime: Runtime, say: Callable[[str, str], None]) -> None:
    """Recover, then load the missing minute bars of the sessions before; ``say`` gets a topic and one line about it.

    Bars that cannot be had now do not keep the world closed: what needs them stays unknown, and unknown denies.
    """
    from dagster import DagsterInstance

    from trading_assets.definitions import build_definitions
    from trading_assets.jobs.backfill import incomplete_history, load_history
    from trading_assets.jobs.recovery import recover
    from trading_assets.resources.desk import Desk
    from trading_assets.risk.gates import describe_gates

    for name, text in describe_gates():
        say("gate", f"{name}: {text}")
    desk = Desk(lambda: settings, lambda _: runtime)
    # Without it the instance would look for the storage of the default world.
    os.environ["TRADING_ASSETS_DAGSTER_URL"] = runtime.dagster_url
    with DagsterInstance.from_config(str(runtime.world.dagster)) as instance:
        ended = recover(desk, instance)
        if ended:
            say("recovery", f"{len(ended)} runs of a killed start were ended; their work is open again")
        now = desk.clock.now()
        session = session_at_or_after(now)
        try:
            loaded = load_history(desk, build_definitions(desk), instance, session)
        except TradingAssetsError as error:
            say("history", f"not loaded, signals wait for it: {error}")
        else:
            say("history", f"minute bars of {loaded} sessions loaded" if loaded else "minute bars are there")
            partly = incomplete_history(desk, session)
            if partly:
                say("history", f"incomplete, the world was closed meanwhile: {', '.join(partly)}")
