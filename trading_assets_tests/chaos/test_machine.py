"""The stateful machine breaks no invariant, and its model notices at once what is planted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from trading_assets_tests.chaos.book import read
from trading_assets_tests.chaos.machine import Machine, drive
from trading_assets_tests.chaos.score import Scorecard
from trading_assets_tests.chaos.template import Template
from trading_assets_tests.fault_suite import Figures

pytestmark = pytest.mark.patient


@pytest.fixture
def machine(template: Template) -> Iterator[Machine]:
    """A machine whose large account bought calls and shares, and all is well."""
    made = Machine(template)
    try:
        made.buy("large", 0, 2, "ask", {})
        made.bracket("large", 1, 5, "ask", {})
        made.nothing_is_wrong()
        yield made
    finally:
        made.ring.close()


def change(machine: Machine, *statements: str) -> None:
    """Change the ledger as nobody may: its triggers are switched off for it."""
    with machine.ring.desk.ledger.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            assert connection.execute(text(statement)).rowcount > 0, statement


def test_F11_F24_any_order_of_deeds_faults_kills_and_restarts_breaks_no_invariant(
    template: Template, scorecard: Figures
) -> None:
    card = Scorecard(0)
    drive(template, examples=8, steps=10, card=card)
    assert card.orders > 8 and card.fills > 4 and card.processes_killed >= 8 and sum(card.faults.values()) > 2
    scorecard.add(faults_injected=sum(card.faults.values()), orders_placed=card.orders, lost=0, doubled=0)
    scorecard.add(limits_broken=0)


def test_what_the_machine_bought_is_what_it_asked_for_and_settles(machine: Machine) -> None:
    machine.add("large", 0, 1, {})
    machine.sell("large", 0, 1, "bid", {})
    machine.protect("large", 0, {})
    machine.nothing_is_wrong()
    machine.all_is_well_once_settled()


def test_the_model_notices_an_order_that_is_sent_twice(machine: Machine) -> None:
    order = next(order for order in machine.ring.broker("large", "GET", "/v2/orders?status=all") if order["qty"] == "2")
    again = {name: order[name] for name in ("symbol", "qty", "side", "type", "limit_price", "time_in_force")}
    machine.ring.broker("large", "POST", "/v2/orders", {**again, "client_order_id": order["client_order_id"] + "x"})
    with pytest.raises(AssertionError, match="of which the ledger knows nothing"):
        machine.nothing_is_wrong()


def test_the_model_notices_a_signal_that_bought_more_than_asked(machine: Machine) -> None:
    asked = machine.ring.asked
    asked[next(iter(asked))] -= 1
    with pytest.raises(AssertionError, match="was to buy 1, at stake are 2"):
        machine.nothing_is_wrong()


def test_the_model_notices_a_fill_that_is_lost(machine: Machine) -> None:
    change(machine, "DELETE FROM dispatch_executions WHERE side = 'buy'")
    with pytest.raises(AssertionError, match="was booked and is no longer"):
        machine.nothing_is_wrong()


def test_the_model_notices_a_fill_that_is_booked_otherwise_than_it_was(machine: Machine) -> None:
    change(machine, "UPDATE dispatch_executions SET price = price + 1")
    with pytest.raises(AssertionError, match="is booked as"):
        machine.nothing_is_wrong()


def test_the_model_notices_a_wrong_quantity(machine: Machine) -> None:
    change(machine, "UPDATE active_positions SET quantity = quantity + 1, quantity_opened = quantity_opened + 1")
    with pytest.raises(AssertionError, match="its fills make"):
        machine.nothing_is_wrong()


def test_the_model_notices_a_trade_that_is_never_booked(machine: Machine) -> None:
    settled = machine.model.settled
    machine.all_is_well_once_settled()
    machine.somebody_else_trades("large", "hand_buy")
    machine.nothing_is_wrong()
    said = settled(read(machine.ring, "large"))
    assert any("was never booked" in sentence for sentence in said["I3"])
    assert any("the ledger holds" in sentence for sentence in said["I3"])


def test_the_model_notices_an_order_that_was_left_unknown(machine: Machine) -> None:
    machine.ring.control("POST", "faults", {"kind": "lost_request", "scope": {"method": "POST", "path": "/v2/orders"}})
    machine.ring.control(
        "POST", "faults", {"kind": "hang", "count": 50, "scope": {"path": "/v2/orders:by_client_order_id"}}
    )
    machine.buy("large", 2, 1, "ask", {})
    machine.nothing_is_wrong()
    with machine.ring.calm():
        said = machine.model.settled(read(machine.ring, "large"))
    assert any("was left UNKNOWN" in sentence for sentence in said["I1"])
