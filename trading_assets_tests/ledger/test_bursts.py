"""Signals of a burst are skipped together: each with its decision, none that somebody else holds or settled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError

from trading_assets.domain.values import Signal, SignalStatus
from trading_assets.ledger import bursts, dispatch
from trading_assets.ledger.decisions import Denial
from trading_assets.ledger.tables import decisions
from trading_assets_tests.ledger.factory import LEASE, MAX_AGE, NOW, published, signal


def denial(reason: str = "confidence: too low") -> Denial:
    return Denial(reason, [{"gate": "confidence", "passed": False}], {"account": "a" * 64})


def rows(ledger: Engine) -> list[Any]:
    with ledger.connect() as connection:
        return list(connection.execute(select(decisions).order_by(decisions.c.decision_id)).mappings())


def status(ledger: Engine, one: Signal) -> tuple[SignalStatus, str | None] | None:
    with ledger.connect() as connection:
        return dispatch.status_of(connection, one.signal_id, "tiny")


def test_pending_signals_are_read_in_the_order_in_which_they_are_claimed(ledger: Engine) -> None:
    many = [
        signal("DDD", confidence=0.7, watchlist_score=0.5),
        signal("CCC", confidence=0.7, watchlist_score=0.5),
        signal("BBB", confidence=0.7, watchlist_score=0.6),
        signal("EEE", confidence=0.9, watchlist_score=0.1),
        signal("OLD", known_at=NOW - MAX_AGE - timedelta(seconds=1)),
    ]
    with ledger.begin() as connection:
        published(connection, *many)
        ids = bursts.pending_ids(connection, "tiny", NOW, MAX_AGE)
        found = bursts.signals(connection, ids)
        claimed = dispatch.claim(connection, "tiny", "run-1", NOW, LEASE, max_age=MAX_AGE)
    assert [found[one].ticker for one in ids] == ["EEE", "BBB", "CCC", "DDD"]
    assert [found[one] for one in ids] == [one.signal for one in claimed]


def test_denied_signals_are_skipped_with_a_decision_each(ledger: Engine) -> None:
    first, second, kept = signal("AAA"), signal("BBB"), signal("CCC")
    with ledger.begin() as connection:
        published(connection, first, second, kept)
        denied = {first.signal_id: denial("first"), second.signal_id: denial("second")}
        assert bursts.skip(connection, "tiny", "run-1", denied, NOW) == set(denied)
        assert bursts.skip(connection, "tiny", "run-1", {}, NOW) == set()
    assert status(ledger, first) == (SignalStatus.SKIPPED, "first")
    assert status(ledger, second) == (SignalStatus.SKIPPED, "second")
    assert status(ledger, kept) == (SignalStatus.PENDING, None)
    assert [(row["signal_id"], row["outcome"], row["reason"], row["run_id"]) for row in rows(ledger)] == [
        (first.signal_id, "SKIP", "first", "run-1"),
        (second.signal_id, "SKIP", "second", "run-1"),
    ]
    assert rows(ledger)[0]["gates"] == [{"gate": "confidence", "passed": False}]
    assert rows(ledger)[0]["inputs"] == {"account": "a" * 64}


def test_F12_what_another_run_claimed_or_settled_is_not_skipped(ledger: Engine) -> None:
    claimed, settled, locked = signal("AAA", confidence=0.9), signal("BBB"), signal("CCC")
    everything = {one.signal_id: denial() for one in (claimed, settled, locked)}
    with ledger.begin() as connection:
        published(connection, claimed, settled, locked)
        dispatch.claim(connection, "tiny", "run-0", NOW, LEASE, limit=1)
        bursts.skip(connection, "tiny", "run-0", {settled.signal_id: denial("by another")}, NOW)
    with ledger.begin() as other:
        # Another transaction holds the third row: it is passed over, not waited for.
        dispatch.claim(other, "tiny", "run-0", NOW, LEASE, limit=1)
        with ledger.begin() as connection:
            assert bursts.skip(connection, "tiny", "run-1", everything, NOW) == set()
    assert status(ledger, settled) == (SignalStatus.SKIPPED, "by another")
    for one in (claimed, locked):
        found = status(ledger, one)
        assert found is not None and found[0] is SignalStatus.PROCESSING
    assert [row["reason"] for row in rows(ledger)] == ["by another"]


def test_F47_a_connection_lost_before_the_commit_skips_nothing_and_decides_nothing(ledger: Engine) -> None:
    one = signal()
    with ledger.begin() as connection:
        published(connection, one)
    with pytest.raises(DBAPIError), ledger.begin() as connection:
        assert bursts.skip(connection, "tiny", "run-1", {one.signal_id: denial()}, NOW) == {one.signal_id}
        own = connection.execute(select(func.pg_backend_pid())).scalar_one()
        with ledger.begin() as other:
            other.execute(select(func.pg_terminate_backend(own)))
    assert status(ledger, one) == (SignalStatus.PENDING, None)
    assert rows(ledger) == []
