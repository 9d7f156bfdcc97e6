"""Kill switches, account modes and single-use tickets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, update

from trading_assets.domain.errors import ConfigurationError
from trading_assets.domain.values import KillMode
from trading_assets.ledger import accounts, runs
from trading_assets.ledger.tables import accounts as accounts_table
from trading_assets_tests.ledger.factory import NOW, intent, position, register


def test_no_switch_set_means_off(ledger: Engine) -> None:
    with ledger.begin() as connection:
        assert accounts.kill_mode(connection, "tiny") is KillMode.OFF


@pytest.mark.parametrize(
    ("everywhere", "own", "holds"),
    [
        (KillMode.ENTRIES, KillMode.OFF, KillMode.ENTRIES),
        (KillMode.OFF, KillMode.ALL, KillMode.ALL),
        (KillMode.ALL, KillMode.ENTRIES, KillMode.ALL),
        (KillMode.ALL, KillMode.FLATTEN, KillMode.FLATTEN),
        (KillMode.FLATTEN, KillMode.OFF, KillMode.FLATTEN),
    ],
)
def test_the_stricter_of_global_and_own_switch_holds(
    ledger: Engine, everywhere: KillMode, own: KillMode, holds: KillMode
) -> None:
    with ledger.begin() as connection:
        register(connection, "tiny", "large")
        accounts.set_kill_switch(connection, accounts.ALL_ACCOUNTS, everywhere, NOW, "test")
        accounts.set_kill_switch(connection, "tiny", own, NOW, "test")
        assert accounts.kill_mode(connection, "tiny") is holds
        assert accounts.kill_mode(connection, "large") is everywhere


def test_a_switch_set_again_replaces_the_old_one_and_tells_why(ledger: Engine) -> None:
    with ledger.begin() as connection:
        register(connection, "tiny")
        accounts.set_kill_switch(connection, "*", KillMode.ALL, NOW, "fire")
        accounts.set_kill_switch(connection, "*", KillMode.OFF, NOW + timedelta(minutes=1), "false alarm")
        accounts.set_kill_switch(connection, "tiny", KillMode.ENTRIES, NOW, "holiday")
        states = accounts.kill_switch_states(connection)
    assert [(s.scope, s.mode, s.reason) for s in states] == [
        ("*", KillMode.OFF, "false alarm"),
        ("tiny", KillMode.ENTRIES, "holiday"),
    ]


def test_a_switch_for_a_mistyped_account_is_refused(ledger: Engine) -> None:
    with ledger.begin() as connection:
        register(connection, "tiny")
        with pytest.raises(ConfigurationError, match=r"'tinny'.*tiny"):
            accounts.set_kill_switch(connection, "tinny", KillMode.ALL, NOW, "fire")


def test_registering_again_changes_nothing(ledger: Engine) -> None:
    with ledger.begin() as connection:
        accounts.upsert_account(connection, "tiny", "PAPER", NOW)
        accounts.upsert_account(connection, "tiny", "PAPER", NOW + timedelta(days=1))
        (record,) = accounts.all_accounts(connection)
    assert (record.account, record.mode, record.created_at) == ("tiny", "PAPER", NOW)


def test_an_account_without_orders_may_change_its_mode_and_one_with_orders_may_not(ledger: Engine) -> None:
    with ledger.begin() as connection:
        accounts.upsert_account(connection, "tiny", "PAPER", NOW)
        accounts.upsert_account(connection, "tiny", "PRACTICE", NOW)
        position(connection, "p1")
        intent(connection, "o1", "p1")
        with pytest.raises(ConfigurationError, match=r"PRACTICE.*LIVE"):
            accounts.upsert_account(connection, "tiny", "LIVE", NOW)
        assert accounts.all_accounts(connection)[0].mode == "PRACTICE"


def test_a_reconciliation_counts_only_for_the_start_it_was_made_under(ledger: Engine) -> None:
    with ledger.begin() as connection:
        register(connection, "tiny")
        assert accounts.reconciled_at(connection, "tiny", "start-1") is None
        connection.execute(update(accounts_table).values(reconciled_at=NOW, reconciled_start="start-1"))
        assert accounts.reconciled_at(connection, "tiny", "start-1") == NOW
        assert accounts.reconciled_at(connection, "tiny", "start-2") is None
        assert accounts.reconciled_at(connection, "large", "start-1") is None


def _claim(ledger: Engine, run_id: str, ticket: str) -> bool:
    with ledger.begin() as connection:
        return runs.claim_ticket(connection, run_id=run_id, job="dispatcher", account="tiny", ticket=ticket, as_of=NOW)


def test_a_ticket_works_once(ledger: Engine) -> None:
    assert _claim(ledger, "run-1", "ticket-1")
    assert not _claim(ledger, "run-2", "ticket-1")
    with ledger.begin() as connection:
        assert runs.ticket_of(connection, "run-1") == "ticket-1"
        assert runs.ticket_of(connection, "run-2") is None


def test_a_run_holds_one_ticket(ledger: Engine) -> None:
    assert _claim(ledger, "run-1", "ticket-1")
    assert not _claim(ledger, "run-1", "ticket-2")


def test_racing_runs_share_no_ticket(ledger: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(lambda i: _claim(ledger, f"run-{i}", "ticket-1"), range(8)))
    assert won.count(True) == 1


def test_F11_finished_runs_are_told_from_those_that_were_killed(ledger: Engine) -> None:
    _claim(ledger, "run-1", "ticket-1")
    _claim(ledger, "run-2", "ticket-2")
    with ledger.begin() as connection:
        runs.finish(connection, "run-1", NOW, {"orders": 1})
        assert [run.run_id for run in runs.unfinished(connection)] == ["run-2"]
        last = runs.last_finished(connection, "dispatcher", "tiny")
        assert last is not None
        assert (last.run_id, last.outcome) == ("run-1", {"orders": 1})
        with pytest.raises(LookupError):
            runs.finish(connection, "run-9", NOW, {})
