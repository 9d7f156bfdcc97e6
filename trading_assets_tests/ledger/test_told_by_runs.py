"""What acting runs tell stays in the ledger: who is kept waiting, what the newest run said, what a session heard."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from trading_assets.ledger import listings, runs
from trading_assets.ledger.standing import kept_waiting, standing
from trading_assets_tests.ledger.factory import NOW, register

MINUTE = timedelta(minutes=1)


def ran(connection: Connection, minute: int, account: str, job: str = "position_manager", **outcome: Any) -> str:
    """A run that began and ended in that minute; its id."""
    run_id, at = f"{job}-{account}-{minute}", NOW + minute * MINUTE
    runs.claim_ticket(connection, run_id=run_id, job=job, account=account, ticket=run_id, as_of=at)
    runs.finish(connection, run_id, at, {"busy": False, "alerts": [], **outcome})
    return run_id


def test_an_account_is_kept_waiting_once_two_runs_in_a_row_found_it_busy_until_one_does_not(ledger: Engine) -> None:
    with ledger.begin() as connection:
        register(connection, "tiny", "large")
        ran(connection, 0, "tiny")
        ran(connection, 1, "tiny", busy=True)
        ran(connection, 1, "large", busy=True)
        assert kept_waiting(connection) == []
        ran(connection, 2, "tiny", busy=True)
        ran(connection, 2, "large")
        ran(connection, 2, "tiny", job="dispatcher")
        for minute in (3, 4):
            ran(connection, minute, "large", job="dispatcher", busy=True)
        [row] = kept_waiting(connection)
        assert (row["account"], row["since"]) == ("tiny", (NOW + MINUTE).isoformat())
        assert "2 runs of position_manager" in row["text"]
        assert kept_waiting(connection, "large") == []
        assert [row["kind"] for row in standing(connection)] == ["waiting"]
        ran(connection, 3, "tiny")
        assert kept_waiting(connection) == []


def test_what_the_newest_run_told_stands_and_what_any_run_told_is_listed_once_for_its_session(ledger: Engine) -> None:
    with ledger.begin() as connection:
        register(connection, "tiny", "large")
        first = ran(connection, 0, "tiny", alerts=["account tiny: one", "account tiny: two"])
        ran(connection, 1, "tiny", alerts=["account tiny: one"])
        ran(connection, 1, "large", job="dispatcher", alerts=["account large: three"])
        told = [(row["kind"], row["account"], row["text"]) for row in standing(connection)]
        assert told == [("told", "large", "account large: three"), ("told", "tiny", "account tiny: one")]
        ran(connection, 2, "tiny")
        assert [row["account"] for row in standing(connection)] == ["large"]
        listed = {row["reason"]: row for row in listings.alerts(connection, NOW.date())}
    assert {reason: row["numbers"]["times"] for reason, row in listed.items()} == {
        "account tiny: one": 2,
        "account tiny: two": 1,
        "account large: three": 1,
    }
    assert listed["account tiny: one"]["numbers"]["first_run"] == first
    assert listed["account tiny: one"]["at"] == NOW.isoformat()
