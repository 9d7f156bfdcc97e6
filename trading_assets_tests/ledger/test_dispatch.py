"""Signals are published once, claimed by one run, settled by that run, and never lost when a run dies."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import IntegrityError

from trading_assets.domain.values import SignalStatus, Strategy
from trading_assets.ledger import dispatch
from trading_assets.ledger.canonical import canonical_json, content_hash
from trading_assets.ledger.tables import decision_inputs, decisions, dispatch_recommendations, dispatch_status
from trading_assets_tests.ledger.factory import LEASE, MAX_AGE, NOW, published, register, signal


def test_F13_the_same_signal_published_twice_is_one_row_and_keeps_its_bytes(ledger: Engine) -> None:
    first, changed = signal(confidence=0.7), signal(confidence=0.9)
    with ledger.begin() as connection:
        register(connection, "tiny", "large")
        assert dispatch.publish(connection, [first], ["tiny", "large"], "run-1", NOW) == 2
        assert dispatch.publish(connection, [changed], ["tiny", "large"], "run-2", NOW) == 0
        rows = connection.execute(select(dispatch_recommendations)).mappings().all()
        assert [(row["confidence"], row["published_by"]) for row in rows] == [(0.7, "run-1")]
        assert connection.execute(select(func.count()).select_from(dispatch_status)).scalar_one() == 2


def test_a_thousand_signals_for_twenty_accounts_are_published_at_once(ledger: Engine) -> None:
    names = [f"a{number:02d}" for number in range(20)]
    many = [signal(f"T{number:03d}") for number in range(1000)]
    with ledger.begin() as connection:
        register(connection, *names)
        assert dispatch.publish(connection, many, names, "run-1", NOW) == 20_000
        assert dispatch.publish(connection, [*many, signal("NEW")], names, "run-2", NOW) == 20
        assert [len(work.signal_ids) for work in dispatch.pending_work(connection, NOW, MAX_AGE)] == [1001] * 20


def test_a_signal_published_again_reaches_an_account_that_was_not_there_before(ledger: Engine) -> None:
    with ledger.begin() as connection:
        register(connection, "tiny", "large")
        assert dispatch.publish(connection, [signal()], ["tiny"], "run-1", NOW) == 1
        assert dispatch.publish(connection, [signal()], ["tiny", "large"], "run-2", NOW) == 1
        work = dispatch.pending_work(connection, NOW, MAX_AGE)
    assert [(one.account, one.signal_ids) for one in work] == [
        ("large", (signal().signal_id,)),
        ("tiny", (signal().signal_id,)),
    ]


def test_F12_two_runs_that_publish_at_once_write_each_pair_once(ledger: Engine) -> None:
    many = [signal(f"T{number:03d}") for number in range(200)]
    with ledger.begin() as connection:
        register(connection, "tiny", "large")

    def run(name: str) -> int:
        with ledger.begin() as connection:
            return dispatch.publish(connection, many, ["tiny", "large"], name, NOW)

    with ThreadPoolExecutor(4) as threads:
        counts = list(threads.map(run, ("run-1", "run-2", "run-3", "run-4")))
    assert sum(counts) == 400
    with ledger.connect() as connection:
        assert connection.execute(select(func.count()).select_from(dispatch_status)).scalar_one() == 400


def test_publishing_again_never_reopens_a_settled_signal(ledger: Engine) -> None:
    with ledger.begin() as connection:
        published(connection, signal())
        (claimed,) = dispatch.claim(connection, "tiny", "run-1", NOW, LEASE)
        dispatch.settle(connection, claimed.signal.signal_id, "tiny", "run-1", SignalStatus.EXECUTED, None, NOW)
        assert dispatch.publish(connection, [signal()], ["tiny"], "run-2", NOW) == 0
        assert dispatch.pending_work(connection, NOW, MAX_AGE) == []


def test_an_account_receives_only_the_strategies_it_follows(ledger: Engine) -> None:
    swing, day = signal("NVDA"), signal("AMD", strategy=Strategy.DAY_TRADE)
    follows = {"tiny": {Strategy.DAY_TRADE}, "large": {Strategy.DAY_TRADE, Strategy.SWING_TRADE}}
    with ledger.begin() as connection:
        register(connection, "tiny", "large")
        assert dispatch.publish(connection, [swing, day], follows, "run-1", NOW) == 3
        work = dispatch.pending_work(connection, NOW, MAX_AGE)
    assert [(w.account, set(w.signal_ids)) for w in work] == [
        ("large", {swing.signal_id, day.signal_id}),
        ("tiny", {day.signal_id}),
    ]


def test_an_account_receives_only_the_preset_and_the_rule_sets_it_follows(ledger: Engine) -> None:
    plain, seeds, gap = signal("NVDA"), signal("AMD", preset="seeds"), signal("MU", rule_set="gap_fade-1")
    swings = frozenset({Strategy.SWING_TRADE})
    follows = {
        "tiny": dispatch.Follower(swings, frozenset({"default-1"}), "seeds"),
        "large": dispatch.Follower(swings, frozenset({"default-1", "gap_fade-1"}), "default"),
    }
    with ledger.begin() as connection:
        register(connection, "tiny", "large")
        assert dispatch.publish(connection, [plain, seeds, gap], follows, "run-1", NOW) == 3
        work = dispatch.pending_work(connection, NOW, MAX_AGE)
        (claimed,) = dispatch.claim(connection, "tiny", "run-1", NOW, LEASE)
    assert [(w.account, set(w.signal_ids)) for w in work] == [
        ("large", {plain.signal_id, gap.signal_id}),
        ("tiny", {seeds.signal_id}),
    ]
    assert claimed.signal.preset == "seeds"


def test_a_published_signal_comes_back_as_it_was(ledger: Engine) -> None:
    original = signal(factors={"trend": 0.5}, features={"close": 101.25, "rsi14": None}, sentiment={"n": 3})
    with ledger.begin() as connection:
        published(connection, original)
        (claimed,) = dispatch.claim(connection, "tiny", "run-1", NOW, LEASE)
    assert claimed.signal == original
    assert claimed.previous_run is None
    assert claimed.lease_until == NOW + LEASE


def test_ids_unknown_to_the_ledger_are_named_in_order(ledger: Engine) -> None:
    known = signal("NVDA")
    with ledger.begin() as connection:
        published(connection, known)
        assert dispatch.unpublished_ids(connection, ["z", known.signal_id, "a"]) == ("z", "a")
        assert dispatch.unpublished_ids(connection, []) == ()


def test_claims_are_ranked_by_confidence_then_watchlist_score_then_ticker(ledger: Engine) -> None:
    signals = [
        signal("DDD", confidence=0.7, watchlist_score=0.5),
        signal("CCC", confidence=0.7, watchlist_score=0.5),
        signal("BBB", confidence=0.7, watchlist_score=0.6),
        signal("AAA", confidence=0.6, watchlist_score=0.9),
        signal("EEE", confidence=0.9, watchlist_score=0.1),
    ]
    with ledger.begin() as connection:
        published(connection, *signals)
        claimed = dispatch.claim(connection, "tiny", "run-1", NOW, LEASE)
    assert [c.signal.ticker for c in claimed] == ["EEE", "BBB", "CCC", "DDD", "AAA"]


def test_F48_stale_signals_expire_and_are_not_offered(ledger: Engine) -> None:
    old = signal("OLD", known_at=NOW - MAX_AGE - timedelta(seconds=1))
    edge = signal("EDGE", known_at=NOW - MAX_AGE)
    with ledger.begin() as connection:
        published(connection, old, edge)
        (work,) = dispatch.pending_work(connection, NOW, MAX_AGE)
        assert work.signal_ids == (edge.signal_id,)
        assert work.oldest_known_at == edge.known_at
        assert [c.signal.ticker for c in dispatch.claim(connection, "tiny", "r", NOW, LEASE, max_age=MAX_AGE)] == [
            "EDGE"
        ]
        assert dispatch.expire_stale(connection, "tiny", NOW, MAX_AGE) == [(old.signal_id, "tiny")]
        assert dispatch.status_of(connection, old.signal_id, "tiny") == (
            SignalStatus.EXPIRED,
            "not taken within 300 s",
        )


def test_a_claim_blocks_others_until_its_lease_ends_and_then_names_its_last_holder(ledger: Engine) -> None:
    with ledger.begin() as connection:
        published(connection, signal())
        assert len(dispatch.claim(connection, "tiny", "run-1", NOW, LEASE)) == 1
    with ledger.begin() as connection:
        before = NOW + LEASE - timedelta(seconds=1)
        assert dispatch.claim(connection, "tiny", "run-2", before, LEASE) == []
        assert dispatch.pending_work(connection, before, MAX_AGE) == []
    much_later = NOW + timedelta(hours=2)
    with ledger.begin() as connection:
        # Older than any freshness limit, and still offered: its order may exist at the broker.
        (work,) = dispatch.pending_work(connection, much_later, MAX_AGE)
        assert work.account == "tiny"
        assert dispatch.expire_stale(connection, "tiny", much_later, MAX_AGE) == []
        (claimed,) = dispatch.claim(connection, "tiny", "run-2", much_later, LEASE, max_age=MAX_AGE)
        assert claimed.previous_run == "run-1"


def test_only_the_claimant_settles(ledger: Engine) -> None:
    one = signal()
    with ledger.begin() as connection:
        published(connection, one)
        with pytest.raises(dispatch.ClaimLost, match="PENDING"):
            dispatch.settle(connection, one.signal_id, "tiny", "run-1", SignalStatus.EXECUTED, None, NOW)
        dispatch.claim(connection, "tiny", "run-1", NOW, LEASE)
        dispatch.claim(connection, "tiny", "run-2", NOW + LEASE, LEASE)
        with pytest.raises(dispatch.ClaimLost, match="held by run run-2"):
            dispatch.settle(connection, one.signal_id, "tiny", "run-1", SignalStatus.EXECUTED, None, NOW)
        with pytest.raises(dispatch.ClaimLost):
            dispatch.renew(connection, one.signal_id, "tiny", "run-1", NOW, LEASE)
        dispatch.renew(connection, one.signal_id, "tiny", "run-2", NOW + LEASE, LEASE)
        dispatch.settle(connection, one.signal_id, "tiny", "run-2", SignalStatus.SKIPPED, "gate cutoff", NOW)
        with pytest.raises(dispatch.ClaimLost, match="SKIPPED"):
            dispatch.settle(connection, one.signal_id, "tiny", "run-2", SignalStatus.EXECUTED, None, NOW)
        assert dispatch.status_of(connection, one.signal_id, "tiny") == (SignalStatus.SKIPPED, "gate cutoff")


def test_a_claim_does_not_end_in_an_open_status(ledger: Engine) -> None:
    with ledger.begin() as connection, pytest.raises(ValueError, match="not final"):
        dispatch.settle(connection, "s", "tiny", "run-1", SignalStatus.PENDING, None, NOW)


@pytest.mark.parametrize("status", [SignalStatus.SKIPPED, SignalStatus.FAILED])
def test_a_skipped_or_failed_signal_needs_a_reason(ledger: Engine, status: SignalStatus) -> None:
    with ledger.begin() as connection:
        published(connection, signal())
        dispatch.claim(connection, "tiny", "run-1", NOW, LEASE)
    with pytest.raises(IntegrityError, match="reason_given"), ledger.begin() as connection:
        dispatch.settle(connection, signal().signal_id, "tiny", "run-1", status, None, NOW)


def test_F12_a_row_held_by_another_transaction_is_passed_over_not_waited_for(ledger: Engine) -> None:
    with ledger.begin() as connection:
        published(connection, signal("NVDA"), signal("AMD"))
    with ledger.connect() as first, ledger.connect() as second, first.begin(), second.begin():
        taken = dispatch.claim(first, "tiny", "run-1", NOW, LEASE, limit=1)
        rest = dispatch.claim(second, "tiny", "run-2", NOW, LEASE)
        assert [c.signal.ticker for c in taken] == ["AMD"]
        assert [c.signal.ticker for c in rest] == ["NVDA"]


def test_F12_many_runs_at_once_claim_every_signal_exactly_once(ledger: Engine) -> None:
    signals = [signal(f"T{i:03d}") for i in range(40)]
    with ledger.begin() as connection:
        published(connection, *signals)
    barrier = threading.Barrier(4)

    def worker(number: int) -> list[str]:
        taken = []
        barrier.wait()
        for _ in range(40):
            with ledger.begin() as connection:
                taken += [
                    c.signal.signal_id for c in dispatch.claim(connection, "tiny", f"run-{number}", NOW, LEASE, limit=3)
                ]
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [identity for part in pool.map(worker, range(4)) for identity in part]
    assert sorted(taken) == sorted(s.signal_id for s in signals)


def test_F11_a_claim_that_a_killed_process_had_not_committed_is_open_at_once(ledger: Engine, database_url: str) -> None:
    with ledger.begin() as connection:
        published(connection, signal())
    program = f"""
        import os, signal
        from trading_assets.ledger import dispatch
        from trading_assets.ledger.engine import open_ledger
        from trading_assets_tests.ledger.factory import LEASE, NOW
        with open_ledger({database_url!r}).begin() as connection:
            assert len(dispatch.claim(connection, "tiny", "killed", NOW, LEASE)) == 1
            os.kill(os.getpid(), signal.SIGKILL)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, timeout=60)
    assert ended.returncode == -9
    with ledger.begin() as connection:
        # The server may need an instant to notice; waiting for its lock is what makes this certain.
        connection.execute(text("SELECT * FROM dispatch_status FOR UPDATE"))
        (claimed,) = dispatch.claim(connection, "tiny", "run-2", NOW, LEASE)
        assert claimed.previous_run is None


def test_decisions_carry_their_inputs_by_hash_and_equal_inputs_are_stored_once(ledger: Engine) -> None:
    chain = {"asof": NOW, "rows": [{"bid": 1.25, "ask": None}]}
    with ledger.begin() as connection:
        published(connection, signal())
        first = dispatch.store_input(connection, "chain", chain, NOW)
        assert dispatch.store_input(connection, "chain", dict(reversed(chain.items()))) == first
        stored = connection.execute(select(decision_inputs)).mappings().all()
        assert len(stored) == 1
        assert content_hash(stored[0]["payload"]) == first == content_hash(chain)
        identity = dispatch.record_decision(
            connection,
            signal_id=signal().signal_id,
            account="tiny",
            run_id="run-1",
            decided_at=NOW,
            outcome="SKIP",
            reason="gate cutoff",
            gates=[{"gate": "cutoff", "passed": False}],
            inputs={"chain": first},
        )
        row = connection.execute(select(decisions).where(decisions.c.decision_id == identity)).mappings().one()
        assert row["inputs"] == {"chain": first}
        assert row["selection"] is None


def test_a_decision_on_a_signal_that_was_never_published_is_refused(ledger: Engine) -> None:
    with pytest.raises(IntegrityError, match="fk_decisions"), ledger.begin() as connection:
        dispatch.record_decision(
            connection, signal_id="x", account="tiny", run_id="r", decided_at=NOW, outcome="SKIP", reason="-", gates=[]
        )


def test_nan_never_enters_the_ledger() -> None:
    with pytest.raises(ValueError, match="no JSON number"):
        canonical_json({"rsi14": float("nan")})


def test_F12_one_run_at_a_time_holds_an_account(ledger: Engine, database_url: str) -> None:
    with dispatch.account_lock(database_url, "tiny") as lock:
        lock.verify()
        with pytest.raises(dispatch.AccountBusy, match="tiny"), dispatch.account_lock(database_url, "tiny"):
            raise AssertionError("two runs hold one account")
        with dispatch.account_lock(database_url, "large"):
            pass
    with dispatch.account_lock(database_url, "tiny"):
        pass


def test_F11_F47_a_killed_holder_frees_the_account_and_a_lost_connection_is_noticed(
    ledger: Engine, database_url: str
) -> None:
    with dispatch.account_lock(database_url, "tiny") as lock:
        with ledger.connect() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": lock.connection.info.backend_pid})
        with pytest.raises(dispatch.AccountLockLost, match="lost"):
            lock.verify()
        with dispatch.account_lock(database_url, "tiny", wait=10):
            pass
