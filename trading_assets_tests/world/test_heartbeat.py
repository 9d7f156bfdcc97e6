"""F49: schedules and sensors stop silently. Somebody outside of them notices within three minutes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, make_url

from trading_assets.automation.names import DISPATCHER_JOB, MINUTE_JOB, NEWS_JOB, POSITION_MANAGER_JOB
from trading_assets.automation.tickets import issue
from trading_assets.doctor.heartbeat import LOOK_SECONDS, SILENT_AFTER, Heartbeat, silences
from trading_assets.ledger import runs
from trading_assets_tests.ledger import factory

#: A Wednesday, two hours after the open.
NOW = datetime(2026, 3, 11, 15, 30, tzinfo=UTC)
WALL = datetime(2026, 8, 1, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def began(ledger: Engine, job: str, wall: datetime, account: str | None = None) -> None:
    """A run of ``job`` used its ticket up at ``wall``."""
    ticket = issue(b"secret", job=job, account=account, as_of=wall, batch="start", attempt=0)
    with ledger.begin() as connection:
        assert runs.claim_ticket(
            connection, run_id=ticket[-32:], job=job, account=account, ticket=ticket, as_of=NOW - (WALL - wall)
        )


def heard(
    ledger: Engine, *, now: datetime = NOW, wall: datetime = WALL, pace: float = 1.0, since: datetime = WALL - DAY
) -> list[str]:
    with ledger.connect() as connection:
        return silences(connection, now=now, wall=wall, pace=pace, since=since)


@pytest.fixture
def beating(ledger: Engine) -> Engine:
    """A world whose last minute was worked a minute ago, with a position in account tiny and none in large."""
    with ledger.begin() as connection:
        factory.register(connection, "tiny", "large")
        factory.position(connection, "p1", account="tiny")
    for job in (NEWS_JOB, MINUTE_JOB, DISPATCHER_JOB):
        began(ledger, job, WALL - MINUTE)
    for account in ("tiny", "large"):
        began(ledger, POSITION_MANAGER_JOB, WALL - MINUTE, account)
    return ledger


def test_a_world_that_beats_is_not_silent(beating: Engine) -> None:
    assert heard(beating) == []
    assert heard(beating, wall=WALL - MINUTE + SILENT_AFTER) == []


def test_F49_silence_is_noticed_within_three_minutes_and_named(beating: Engine) -> None:
    assert SILENT_AFTER + timedelta(seconds=LOOK_SECONDS) < 3 * MINUTE
    later = WALL - MINUTE + SILENT_AFTER + timedelta(seconds=1)
    found = heard(beating, wall=later, now=NOW + (later - WALL))
    assert [sentence.split(" since ")[1].split(";")[0] for sentence in found] == [
        "news were read",
        "a minute of the session 2026-03-11 was decided",
        "the positions and orders of account tiny were looked after",
    ]


def test_F49_one_sensor_that_stopped_is_noticed_while_everything_else_beats(beating: Engine) -> None:
    began(beating, NEWS_JOB, WALL + 3 * MINUTE)
    began(beating, MINUTE_JOB, WALL + 3 * MINUTE)
    (found,) = heard(beating, wall=WALL + 3 * MINUTE, now=NOW + 3 * MINUTE)
    assert "positions and orders of account tiny" in found and "240 s" in found


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (datetime(2026, 3, 11, 13, 29, 59, tzinfo=UTC), 1),  # a second before the open
        (datetime(2026, 3, 11, 13, 32, tzinfo=UTC), 1),  # two minutes after: the first minute may still come
        (datetime(2026, 3, 11, 13, 33, tzinfo=UTC), 3),
        (datetime(2026, 3, 11, 20, 0, tzinfo=UTC), 1),  # the close
        (datetime(2026, 3, 14, 15, 0, tzinfo=UTC), 1),  # a Saturday
    ],
)
def test_F49_outside_a_session_only_news_are_due(beating: Engine, now: datetime, due: int) -> None:
    assert len(heard(beating, now=now, wall=WALL + 60 * MINUTE)) == due


def test_a_world_that_has_just_been_opened_or_never_was_switched_on_or_stands_still_owes_nothing(
    beating: Engine, ledger: Engine
) -> None:
    later = WALL + 60 * MINUTE
    assert heard(beating, wall=later, since=later - 2 * MINUTE) == []
    assert heard(beating, wall=later, pace=0.0) == []
    # At ten times the wall's pace twenty minutes of the market are two of the wall.
    opened = datetime(2026, 3, 11, 13, 50, tzinfo=UTC)
    assert len(heard(beating, wall=later, now=opened, pace=10.0)) == 1


def test_a_new_world_is_not_silent(ledger: Engine) -> None:
    assert heard(ledger) == []


# --- the listener of an open world --------------------------------------------------------------------------------


@dataclass
class Shown:
    """A clock that shows what it is told to."""

    instant: datetime

    def now(self) -> datetime:
        return self.instant

    def wait_until(self, instant: datetime) -> None:
        self.instant = instant


@dataclass
class Listener:
    heartbeat: Heartbeat
    wall: Shown
    market: Shown
    said: list[str] = field(default_factory=list)

    def after(self, passed: timedelta) -> list[str]:
        """What is said when so much time has passed."""
        self.said.clear()
        self.wall.instant += passed
        self.market.instant += passed
        self.heartbeat.look()
        return list(self.said)


@pytest.fixture
def listener(beating: Engine, database_url: str) -> Iterator[Listener]:
    wall, market, said = Shown(WALL), Shown(NOW), list[str]()
    found = Listener(Heartbeat(database_url, market, wall, 1.0, said.append), wall, market, said)
    yield found
    found.heartbeat.close()


def test_F49_silence_is_told_once_again_after_a_quarter_of_an_hour_and_when_it_ends(
    listener: Listener, ledger: Engine
) -> None:
    assert listener.after(MINUTE) == []
    told = listener.after(2 * MINUTE)
    assert len(told) == 3 and all(line.startswith("SILENT: it is ") and "Dagster UI" in line for line in told)
    assert listener.after(MINUTE) == []
    assert len(listener.after(15 * MINUTE)) == 3
    for job, account in ((NEWS_JOB, None), (MINUTE_JOB, None), (POSITION_MANAGER_JOB, "tiny")):
        began(ledger, job, listener.wall.instant, account)
    assert listener.after(timedelta(seconds=20)) == ["beats again"]
    assert listener.after(MINUTE) == []


def test_F49_F47_a_ledger_that_does_not_answer_is_told_too_because_then_nobody_knows(database_url: str) -> None:
    said: list[str] = []
    wall = Shown(WALL)
    gone = make_url(database_url).set(database="no_such_ledger").render_as_string(hide_password=False)
    listener = Listener(Heartbeat(gone, Shown(NOW), wall, 1.0, said.append), wall, Shown(NOW), said)
    assert listener.after(MINUTE) == [], "it may be starting again"
    (told,) = listener.after(2 * MINUTE)
    assert "nobody could tell" in told and "no_such_ledger" in told
    listener.heartbeat.close()
