"""F37: early closes, changes of the clocks, and days on which the broker's calendar is another than ours."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.climbing import LadderState
from trading_assets.broker.consistency import compare
from trading_assets.broker.ladder import Exit
from trading_assets.broker.reconciliation import reconcile
from trading_assets.ledger import orders, positions
from trading_assets.market.sessions import open_session, require_session, shift
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.desk import ACCOUNT, SteppedClock, plan
from trading_assets_tests.broker.test_practice_exchange import Practice, calls, connect, near_the_money, running
from trading_assets_tests.exchange.venue_process import TOKEN

# Each starts exchanges of its own.
pytestmark = pytest.mark.patient
SECOND = timedelta(seconds=1)
EARLY = date(2026, 11, 27)


def broker_clock(practice: Practice) -> dict[str, Any]:
    with urllib.request.urlopen(practice.clock._request("GET", "/v2/clock", None), timeout=10) as answer:
        return dict(json.load(answer))


def attached(url: str) -> Practice:
    clock = SteppedClock(url, TOKEN)
    return Practice(url, clock, connect(url, clock))


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        (date(2026, 3, 6), "14:30", "21:00"),
        (date(2026, 3, 9), "13:30", "20:00"),  # the clocks went forward on Sunday
        (date(2026, 11, 2), "14:30", "21:00"),  # and back
        (EARLY, "14:30", "18:00"),
    ],
    ids=["winter", "summer", "winter again", "early close"],
)
def test_F37_broker_and_system_open_and_close_at_the_same_instant(
    tmp_path: Path, day: date, opens: str, closes: str
) -> None:
    session = require_session(day)
    assert (f"{session.open:%H:%M}", f"{session.close:%H:%M}") == (opens, closes)
    with running(tmp_path, day, session.open - SECOND) as url:
        practice = attached(url)
        for instant, is_open in (
            (session.open - SECOND, False),
            (session.open, True),
            (session.close - SECOND, True),
            (session.close, False),
        ):
            practice.clock.wait_until(instant)
            said = broker_clock(practice)
            assert said["is_open"] is is_open
            assert (open_session(practice.broker.clock_now()) is not None) is is_open
        assert datetime.fromisoformat(said["next_open"]) == shift(day, 1).open
        practice.broker.close()


def prepared(ledger: Engine, practice: Practice) -> None:
    with ledger.begin() as connection:
        desk.add_account(connection)
        for signal in ("s1", "s2"):
            desk.publish(connection, signal)
    assert reconcile(ledger, practice.broker, practice.clock, ACCOUNT, "start").clean


def live_orders(ledger: Engine, practice: Practice) -> list[Any]:
    with ledger.connect() as connection:
        return [*orders.live_intents(connection, ACCOUNT), *practice.broker.orders("open")]


def test_F37_an_order_that_works_into_an_early_close_ends_there_and_what_is_held_stays_known(
    ledger: Engine, tmp_path: Path
) -> None:
    session = require_session(EARLY)
    with running(tmp_path, EARLY, session.close - timedelta(minutes=10)) as url:
        practice = attached(url)
        broker, clock = practice.broker, practice.clock
        prepared(ledger, practice)
        contract = near_the_money(practice, day=EARLY).contract
        bought = ladder.enter(ledger, broker, clock, calls(contract, 2), plan("200.00"), run_id="r")
        assert bought.state is LadderState.FILLED
        clock.wait_until(session.close - timedelta(seconds=30))
        # A sale far above the market works for five minutes, of which the session has half a one.
        out = ladder.leave(
            ledger, broker, clock, Exit(bought.position_id, 2, "target"), plan("900.00", seconds=300), run_id="r"
        )
        assert out.filled_quantity == 0
        assert clock.now() >= session.close
        assert live_orders(ledger, practice) == []
        assert reconcile(ledger, broker, clock, ACCOUNT, "start").clean
        with ledger.connect() as connection:
            (position,) = positions.live_positions(connection, ACCOUNT)
        assert (position.quantity, position.state.value) == (2, "OPEN")
        assert compare(ledger, broker, ACCOUNT).consistent
        broker.close()


def test_F37_on_a_day_that_the_broker_took_off_its_calendar_nothing_is_bought_and_nothing_left_for_the_next_open(
    ledger: Engine, tmp_path: Path
) -> None:
    session = require_session(date(2026, 3, 10))
    with running(tmp_path, session.day, session.close - timedelta(minutes=5)) as url:
        practice = attached(url)
        broker, clock = practice.broker, practice.clock
        prepared(ledger, practice)
        contract = near_the_money(practice).contract
        # From here on the broker is closed, whatever the system believes: it sends its order all the same.
        clock.wait_until(datetime(2026, 3, 10, 22, 0, tzinfo=UTC))
        assert broker_clock(practice)["is_open"] is False
        for signal in ("s1", "s2"):
            entry = replace(calls(contract, 1), signal_id=signal)
            result = ladder.enter(ledger, broker, clock, entry, plan("200.00", "210.00"), run_id="r")
            assert result.filled_quantity == 0 and result.state in (LadderState.UNFILLED, LadderState.REJECTED), result
            assert live_orders(ledger, practice) == [], "nothing waits for the next open"
        assert reconcile(ledger, broker, clock, ACCOUNT, "start").clean
        assert broker.positions() == []
        broker.close()
