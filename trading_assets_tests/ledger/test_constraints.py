"""The tables themselves refuse a doubled order, a doubled fill and an inconsistent row, whatever the code does."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import DataError, IntegrityError

from trading_assets.domain.values import Action
from trading_assets.ledger.news_tables import inbound_events_classified, inbound_events_raw
from trading_assets.ledger.tables import (
    active_positions,
    dispatch_executions,
    dispatch_status,
    dispatcher_runs,
    order_intents,
    watchlist_state,
)
from trading_assets_tests.ledger.factory import NOW, intent, position, published, register, signal

SIGNAL = signal()


def _refused(ledger: Engine, constraint: str, act: Callable[[Connection], Any]) -> None:
    with pytest.raises((IntegrityError, DataError), match=constraint), ledger.begin() as connection:
        act(connection)


@pytest.fixture
def stocked(ledger: Engine) -> Engine:
    """A published signal, a position from it with a live entry and one adopted position with a live exit."""
    with ledger.begin() as connection:
        published(connection, SIGNAL)
        position(connection, "p1", origin="signal", signal_id=SIGNAL.signal_id)
        intent(connection, "en-1", "p1", purpose="ENTRY", side="buy", signal_id=SIGNAL.signal_id, state="UNKNOWN")
        position(connection, "p2", symbol="AMD", underlying="AMD", contract_right=None, multiplier=1)
        intent(connection, "ex-1", "p2")
    return ledger


def test_one_order_per_client_order_id(stocked: Engine) -> None:
    _refused(stocked, "pk_order_intents", lambda c: intent(c, "en-1", "p1", attempt=7))


def test_one_live_entry_per_signal_and_account(stocked: Engine) -> None:
    entry = {"purpose": "ENTRY", "side": "buy", "signal_id": SIGNAL.signal_id, "step": 1}
    _refused(stocked, "one_live_entry", lambda c: intent(c, "en-2", "p1", **entry))
    with stocked.begin() as connection:
        intent(connection, "en-3", "p1", state="CANCELED", **entry)


def test_a_resting_pair_takes_the_place_of_the_exit_and_a_stop_stands_beside_one_take_profit_only(
    stocked: Engine,
) -> None:
    profit = {"purpose": "PROTECT", "reason": "take_profit", "order_class": "oco"}
    _refused(stocked, "one_live_exit", lambda c: intent(c, "tp-1", "p2", **profit))
    with stocked.begin() as connection:
        connection.execute(order_intents.update().where(order_intents.c.position_id == "p2").values(state="CANCELED"))
        intent(connection, "tp-1", "p2", **profit)
        stop: dict[str, Any] = {
            "order_type": "stop",
            "limit_price": None,
            "stop_price": Decimal(9),
            "order_class": "leg",
        }
        stop |= {"purpose": "PROTECT", "reason": "stop_loss", "leg_of": "tp-1", "step": 1}
        intent(connection, "sl-1", "p2", **stop)
    _refused(stocked, "one_live_exit", lambda c: intent(c, "ex-3", "p2", step=2))
    _refused(stocked, "one_live_exit", lambda c: intent(c, "sl-2", "p2", **stop | {"step": 3}))
    _refused(stocked, "stops_protect", lambda c: intent(c, "ex-4", "p2", **stop | {"purpose": "EXIT", "step": 4}))
    _refused(stocked, "leg_names_order", lambda c: intent(c, "sl-5", "p2", **stop | {"leg_of": None, "step": 5}))


@pytest.mark.parametrize("state", ["INTENT", "UNKNOWN", "ACCEPTED", "PARTIALLY_FILLED"])
def test_one_live_exit_per_position(stocked: Engine, state: str) -> None:
    _refused(stocked, "one_live_exit", lambda c: intent(c, "ex-2", "p2", step=1, state=state))


def test_one_order_per_attempt_and_step(stocked: Engine) -> None:
    _refused(stocked, "purpose_attempt_step", lambda c: intent(c, "ex-2", "p2", state="CANCELED"))


def test_one_intent_per_broker_order(stocked: Engine) -> None:
    with stocked.begin() as connection:
        intent(connection, "ex-3", "p2", step=1, state="FILLED", filled_quantity=1, broker_order_id="b1")
    _refused(
        stocked,
        "broker_order_id",
        lambda c: intent(c, "ex-4", "p2", step=2, state="FILLED", broker_order_id="b1"),
    )


@pytest.mark.parametrize(
    ("constraint", "changes"),
    [
        ("limit_has_price", {"limit_price": None}),
        ("limit_has_price", {"order_type": "market"}),
        ("quantity_in_range", {"quantity": 0}),
        ("quantity_in_range", {"filled_quantity": 2}),
        ("entries_buy_exits_sell", {"side": "buy"}),
        ("entry_names_signal", {"purpose": "ENTRY", "side": "buy", "signal_id": None}),
        ("state_known", {"state": "LOST"}),
        ("order_type_known", {"order_type": "trailing_stop", "limit_price": None}),
        ("client_order_id_short", {"client_order_id": "x" * 129}),
        ("fk_order_intents_position_id", {"position_id": "nowhere"}),
        ("fk_order_intents_account", {"account": "nobody"}),
    ],
)
def test_inconsistent_intents_are_refused(stocked: Engine, constraint: str, changes: dict[str, Any]) -> None:
    _refused(stocked, constraint, lambda c: intent(c, "ex-9", "p2", **{"attempt": 5, "state": "CANCELED"} | changes))


def test_one_live_position_per_symbol_and_per_underlying(stocked: Engine) -> None:
    _refused(stocked, "live_symbol", lambda c: position(c, "p3", underlying="OTHER"))
    second = signal("NVDA", rule_set="other")
    with stocked.begin() as connection:
        published(connection, second)
    _refused(
        stocked,
        "live_underlying",
        lambda c: position(c, "p4", symbol="NVDA260417C00200000", origin="signal", signal_id=second.signal_id),
    )


def test_one_position_per_signal_and_account(stocked: Engine) -> None:
    _refused(
        stocked,
        "account_signal_id",
        lambda c: position(
            c, "p5", symbol="X", underlying="X", origin="signal", signal_id=SIGNAL.signal_id, state="VOID"
        ),
    )


@pytest.mark.parametrize(
    ("constraint", "changes"),
    [
        ("quantity_in_range", {"quantity": 2}),
        ("quantity_in_range", {"quantity": -1}),
        ("closed_is_flat", {"state": "CLOSED", "closed_at": NOW}),
        ("closed_is_flat", {"state": "CLOSED", "quantity": 0}),
        ("signal_named", {"origin": "signal"}),
        ("origin_known", {"origin": "guess"}),
        ("right_known", {"contract_right": "both"}),
        ("multiplier_positive", {"multiplier": 0}),
        ("state_known", {"state": "LOST"}),
    ],
)
def test_inconsistent_positions_are_refused(ledger: Engine, constraint: str, changes: dict[str, Any]) -> None:
    with ledger.begin() as connection:
        register(connection, "tiny")
    _refused(ledger, constraint, lambda c: position(c, "p9", **changes))


def _fill(connection: Connection, identity: str, **changes: Any) -> None:
    row = {
        "execution_id": identity,
        "client_order_id": "ex-1",
        "position_id": "p2",
        "account": "tiny",
        "broker_order_id": "b1",
        "cumulative_quantity": 1,
        "symbol": "AMD",
        "side": "sell",
        "quantity": 1,
        "price": "1.25",
        "multiplier": 1,
        "executed_at": NOW,
        "reason": "stop",
        "booked_at": NOW,
        "run_id": "run-1",
    } | changes
    connection.execute(insert(dispatch_executions).values(**row))


def test_F18_a_fill_is_booked_once_by_its_id_and_by_its_place_in_the_order(stocked: Engine) -> None:
    with stocked.begin() as connection:
        _fill(connection, "f1")
    _refused(stocked, "pk_dispatch_executions", lambda c: _fill(c, "f1", cumulative_quantity=2))
    _refused(stocked, "broker_order_id_cumulative", lambda c: _fill(c, "f2"))


@pytest.mark.parametrize(
    ("constraint", "changes"),
    [
        ("quantity_in_range", {"quantity": 0}),
        ("quantity_in_range", {"quantity": 2}),
        ("price_not_negative", {"price": "-0.01"}),
        ("side_known", {"side": "short"}),
    ],
)
def test_inconsistent_fills_are_refused(stocked: Engine, constraint: str, changes: dict[str, Any]) -> None:
    _refused(stocked, constraint, lambda c: _fill(c, "f9", **changes))


def test_one_status_per_signal_and_account_with_a_lease_only_while_processing(stocked: Engine) -> None:
    row = {"signal_id": SIGNAL.signal_id, "account": "tiny", "status": "PENDING", "updated_at": NOW}
    _refused(stocked, "pk_dispatch_status", lambda c: c.execute(insert(dispatch_status).values(**row)))
    with stocked.begin() as connection:
        register(connection, "large")
    other = row | {"account": "large"}
    for wrong in ({"status": "PROCESSING"}, {"lease_until": NOW}):
        _refused(
            stocked,
            "lease_while_processing",
            lambda c, wrong=wrong: c.execute(insert(dispatch_status).values(**other | wrong)),  # type: ignore[misc]
        )


def test_a_ticket_belongs_to_one_run(ledger: Engine) -> None:
    row = {"run_id": "r1", "job": "dispatcher", "ticket": "t1", "as_of": NOW}
    with ledger.begin() as connection:
        connection.execute(insert(dispatcher_runs).values(**row))
    _refused(
        ledger,
        "uq_dispatcher_runs_ticket",
        lambda c: c.execute(insert(dispatcher_runs).values(**row | {"run_id": "r2"})),
    )


def test_an_article_is_stored_once_and_scored_once_per_model(ledger: Engine) -> None:
    uid = "a" * 64
    raw = {"event_uid": uid, "feed": "f", "source": "s", "title": "t", "fetched_at": NOW, "cluster_id": uid}
    score = {
        "event_uid": uid,
        "model": "m",
        "revision": "1",
        "tickers": ["NVDA"],
        "sentiment_label": "positive",
        "sentiment_score": 0.5,
        "confidence": 0.8,
        "scored_at": NOW,
    }
    with ledger.begin() as connection:
        connection.execute(insert(inbound_events_raw).values(**raw))
        connection.execute(insert(inbound_events_classified).values(**score))
    classified = insert(inbound_events_classified)
    _refused(ledger, "pk_inbound_events_raw", lambda c: c.execute(insert(inbound_events_raw).values(**raw)))
    _refused(
        ledger,
        "event_uid_is_sha256",
        lambda c: c.execute(insert(inbound_events_raw).values(**raw | {"event_uid": "x"})),
    )
    _refused(ledger, "event_uid_model_revision", lambda c: c.execute(classified.values(**score)))
    _refused(ledger, "score_in_range", lambda c: c.execute(classified.values(**score | {"sentiment_score": 1.5})))
    _refused(ledger, "label_known", lambda c: c.execute(classified.values(**score | {"sentiment_label": "good"})))


def test_a_watchlist_score_outside_zero_to_one_is_refused(ledger: Engine) -> None:
    row = {"ticker": "NVDA", "session": NOW.date(), "as_of": NOW, "rank": 1, "score": 1.2, "direction": "BULLISH"}
    row |= {"factors": {}, "entered_at": NOW}
    _refused(ledger, "score_in_range", lambda c: c.execute(insert(watchlist_state).values(**row)))


def test_a_hold_is_no_recommendation(ledger: Engine) -> None:
    _refused(ledger, "actionable", lambda c: published(c, signal(action=Action.HOLD)))


def test_amounts_keep_six_decimals_exactly(ledger: Engine) -> None:
    with ledger.begin() as connection:
        register(connection, "tiny")
        position(connection, "p1", entry_price=Decimal("12345678901234.123456"))
        assert connection.execute(select(active_positions.c.entry_price)).scalar_one() == Decimal(
            "12345678901234.123456"
        )
