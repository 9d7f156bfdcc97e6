"""Stocks bought as brackets on the practice exchange: every way in which the entry, its legs and an exit may meet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine

from trading_assets.broker import protection
from trading_assets.broker.climbing import LadderPlan, LadderState
from trading_assets.broker.errors import NothingHeld, SymbolBlocked
from trading_assets.broker.values import OrderRequest
from trading_assets.domain.values import OrderState, PositionState, Purpose, Side
from trading_assets.ledger import executions, positions
from trading_assets_tests.broker import bracket_desk, desk
from trading_assets_tests.broker.bracket_desk import NEXT, TICKER, Bench, bracket, connect
from trading_assets_tests.broker.desk import ACCOUNT
from trading_assets_tests.broker.fault_proxy import Fault, proxied

CENT = Decimal("0.01")
_numbers = count()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bracket_desk.running(tmp_path_factory.mktemp("brackets"), 40) as address:
        yield address


def opened(ledger: Engine, url: str, number: int) -> Bench:
    """A ledger with an account and signals, for the account of that number at the exchange; reconciled once."""
    with ledger.begin() as connection:
        desk.add_account(connection)
        for signal in ("s1", "s2"):
            desk.publish(connection, signal, TICKER)
    bench = Bench(ledger, url, f"PK{number}", connect(url, f"PK{number}"))
    assert bench.reconcile().clean
    return bench


@pytest.fixture
def bench(ledger: Engine, url: str) -> Iterator[Bench]:
    found = opened(ledger, url, next(_numbers))
    yield found
    found.broker.close()


def bought(bench: Bench, quantity: int = 10, *, stop: Decimal | None = None, target: Decimal | None = None) -> str:
    """A position that was bought whole; its id."""
    result = bench.enter(bracket(bench.ask() + 1, stop=stop, target=target), quantity)
    assert result.state is LadderState.FILLED, result
    return result.position_id


def sales(bench: Bench, position_id: str) -> list[tuple[str, int]]:
    with bench.ledger.connect() as connection:
        fills = executions.of_position(connection, position_id)
    return [(fill.reason, fill.quantity) for fill in fills if fill.side is Side.SELL]


# --- entering ---------------------------------------------------------------------------------------------------------


def test_an_entry_brings_its_legs_and_they_are_ours_by_their_parent(bench: Bench) -> None:
    position_id = bought(bench)
    bench.assert_whole()
    position = bench.position(position_id)
    assert (position.state, position.quantity) == (PositionState.OPEN, 10)
    profit, stop = bench.protections(position_id)
    (entry,) = [intent for intent in bench.intents() if intent.purpose is Purpose.ENTRY]
    assert (profit.reason, profit.limit_price, profit.leg_of) == (
        "take_profit",
        position.target_price,
        entry.client_order_id,
    )
    assert (stop.reason, stop.stop_price, stop.leg_of) == ("stop_loss", position.stop_price, entry.client_order_id)
    assert {order.order_id for order in bench.open_orders()} == {profit.broker_order_id, stop.broker_order_id}


def test_a_rung_that_bought_nothing_takes_its_legs_with_it_before_the_next_is_sent(bench: Bench) -> None:
    ask = bench.ask()
    result = bench.enter(bracket(ask * Decimal("0.95").quantize(CENT) // CENT * CENT, ask + 1))
    assert result.state is LadderState.FILLED and len(result.orders) == 2
    every = bench.protections(result.position_id, live=False)
    assert [(leg.state, leg.leg_of == result.orders[0]) for leg in every].count((OrderState.CANCELED, True)) == 2
    assert [leg.leg_of for leg in bench.protections(result.position_id)] == [result.orders[1]] * 2
    bench.assert_whole()


def test_a_ladder_that_buys_nothing_leaves_nothing_at_the_broker(bench: Bench) -> None:
    result = bench.enter(bracket("10.00", "11.00"))
    assert result.state is LadderState.UNFILLED
    assert bench.position(result.position_id).state is PositionState.VOID
    assert bench.open_orders() == []
    bench.assert_whole()


def test_F20_an_entry_that_fills_partially_ends_there_and_its_legs_cover_exactly_what_was_bought(bench: Bench) -> None:
    quote = bench.broker.quotes([TICKER])[TICKER]
    assert quote.ask is not None and quote.ask_size is not None
    # Far more than is displayed in the one second of the rung, and still within the cash.
    wanted = min(int(Decimal(8_000_000) / quote.ask), quote.ask_size * 20)
    result = bench.enter(bracket(quote.ask, quote.ask + 1, seconds=1), wanted)
    assert result.state is LadderState.PARTIAL, (result, quote)
    assert len(result.orders) == 1, "no buy beside the legs of the first"
    assert 0 < result.filled_quantity == bench.held() < wanted
    legs = bench.protections(result.position_id)
    assert [(leg.quantity, leg.state) for leg in legs] == [(result.filled_quantity, OrderState.ACCEPTED)] * 2
    bench.assert_whole()


def test_legs_on_the_wrong_side_are_refused_by_the_broker_and_nothing_is_left(bench: Bench) -> None:
    ask = bench.ask()
    result = bench.enter(bracket(ask, ask + 1, stop=ask + 5, target=ask + 9))
    assert result.state is LadderState.REJECTED and len(result.orders) == 1
    bench.assert_whole()


def test_half_a_bracket_is_no_plan() -> None:
    rungs = bracket("10.00").rungs
    with pytest.raises(ValueError, match="take profit and a stop"):
        LadderPlan(rungs, take_profit=Decimal(11))


# --- leaving ----------------------------------------------------------------------------------------------------------


def test_the_target_fills_and_the_stop_goes_with_it(bench: Bench) -> None:
    ask = bench.ask()
    position_id = bought(bench, stop=ask - 40, target=ask + 1 + CENT)
    position = bench.until_flat(position_id, 300)
    assert position.exit_reason == "take_profit"
    assert position.realized_pnl > 0
    assert sum(quantity for _, quantity in sales(bench, position_id)) == 10
    assert {leg.reason: leg.state for leg in bench.protections(position_id, live=False)} == {
        "take_profit": OrderState.FILLED,
        "stop_loss": OrderState.CANCELED,
    }
    bench.assert_whole()


def test_the_stop_fills_and_the_target_goes_with_it(bench: Bench) -> None:
    ask = bench.ask()
    position_id = bought(bench, stop=ask - Decimal("0.05"), target=ask + 40)
    position = bench.until_flat(position_id)
    assert position.exit_reason == "stop_loss"
    assert set(sales(bench, position_id)) <= {("stop_loss", quantity) for quantity in range(1, 11)}
    bench.assert_whole()


def test_F32_an_exit_ends_the_legs_first_and_then_sells_all_that_is_held(bench: Bench) -> None:
    position_id = bought(bench)
    result = bench.leave(position_id, 10)
    assert result.state is LadderState.FILLED
    assert sales(bench, position_id) and {reason for reason, _ in sales(bench, position_id)} == {"flatten"}
    assert {leg.state for leg in bench.protections(position_id, live=False)} == {OrderState.CANCELED}
    assert bench.open_orders() == []
    bench.assert_whole()


def test_F21_a_leg_that_fills_while_an_exit_is_decided_is_not_sold_again(bench: Bench) -> None:
    """The ledger does not know of the fill yet: the exit finds it, and sells nothing."""
    ask = bench.ask()
    position_id = bought(bench, stop=ask - Decimal("0.05"), target=ask + 40)
    for _ in range(120):
        if not bench.held():
            break
        bench.step(60)
    assert bench.held() == 0 and bench.position(position_id).quantity == 10
    with pytest.raises(NothingHeld):
        bench.leave(position_id, 10)
    assert bench.position(position_id).exit_reason == "stop_loss"
    assert not [intent for intent in bench.intents() if intent.purpose is Purpose.EXIT]
    bench.assert_whole()


def test_F32_a_leg_whose_end_the_broker_does_not_confirm_keeps_everything_from_being_sold(bench: Bench) -> None:
    position_id = bought(bench)
    with proxied(bench.url) as proxy:
        for _ in range(400):
            proxy.faults.append(Fault("DELETE", "/v2/orders/", "answer", status=503))
        cut = Bench(bench.ledger, bench.url, bench.key, connect(proxy.url, bench.key))
        with pytest.raises(SymbolBlocked, match="could not be ended"):
            cut.leave(position_id, 10)
        cut.broker.close()
    assert not [intent for intent in bench.intents() if intent.purpose is Purpose.EXIT]
    assert len(bench.protections(position_id)) == 2
    bench.assert_whole()
    assert bench.leave(position_id, 10).state is LadderState.FILLED


# --- what is gone is put back -----------------------------------------------------------------------------------------


def put_back(bench: Bench, position_id: str) -> OrderState:
    position = bench.position(position_id)
    placed = protection.place(bench.ledger, bench.broker, bench.clock, position, position.quantity, run_id="run")
    return placed.state


def test_after_a_part_was_sold_a_pair_over_the_rest_is_put_back_and_sells_it_once(bench: Bench) -> None:
    ask = bench.ask()
    position_id = bought(bench, stop=ask - Decimal("0.30"), target=ask + 40)
    assert bench.leave(position_id, 4).state is LadderState.FILLED
    assert bench.protections(position_id) == () and bench.position(position_id).state is PositionState.OPEN
    assert put_back(bench, position_id) is OrderState.ACCEPTED
    profit, stop = bench.protections(position_id)
    assert (profit.quantity, stop.quantity, stop.leg_of) == (6, 6, profit.client_order_id)
    with pytest.raises(SymbolBlocked, match="is live"):
        put_back(bench, position_id)
    bench.assert_whole()
    assert bench.until_flat(position_id).exit_reason == "stop_loss"
    assert sum(quantity for _, quantity in sales(bench, position_id)) == 10
    bench.assert_whole()


def test_legs_that_somebody_cancels_by_hand_are_seen_to_be_gone_and_the_pair_goes_with_an_exit(bench: Bench) -> None:
    position_id = bought(bench)
    profit, _ = bench.protections(position_id)
    assert profit.broker_order_id is not None and bench.broker.cancel(profit.broker_order_id)
    assert bench.reconcile().clean
    assert bench.protections(position_id) == ()
    assert put_back(bench, position_id) is OrderState.ACCEPTED
    bench.assert_whole()
    assert bench.leave(position_id, 10).state is LadderState.FILLED
    bench.assert_whole()


def test_a_hand_that_holds_the_shares_makes_the_broker_refuse_the_pair(bench: Bench) -> None:
    position_id = bought(bench)
    profit, _ = bench.protections(position_id)
    assert profit.broker_order_id is not None and bench.broker.cancel(profit.broker_order_id)
    bench.broker.submit(OrderRequest("by-hand", TICKER, Side.SELL, 10, bench.ask() + 50))
    assert bench.reconcile().clean
    assert put_back(bench, position_id) is OrderState.REJECTED
    assert bench.position(position_id).quantity == bench.held() == 10


# --- faults on the wire -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "posts"),
    [
        pytest.param(Fault("POST", "/v2/orders", "lose_answer"), 1, id="F01-time-out-after-acceptance"),
        pytest.param(Fault("POST", "/v2/orders", "lose_request"), 2, id="F02-time-out-before-acceptance"),
        pytest.param(Fault("POST", "/v2/orders", "truncate"), 1, id="F08-truncated"),
    ],
)
def test_a_bracket_whose_answer_is_lost_is_adopted_with_its_legs(bench: Bench, fault: Fault, posts: int) -> None:
    plan = bracket(bench.ask() + 1)
    with proxied(bench.url) as proxy:
        proxy.faults.append(fault)
        quick = connect(proxy.url, bench.key)
        quick.config = quick.config.model_copy(update={"lookup_seconds": (1.0, 1.0, 1.0)})
        result = bench.enter(plan, broker=quick)
        quick.close()
    assert proxy.count("POST", "/v2/orders") == posts
    assert result.state is LadderState.FILLED
    assert len(bench.protections(result.position_id)) == 2
    bench.assert_whole()


# --- overnight --------------------------------------------------------------------------------------------------------


def test_F24_the_legs_of_a_stock_that_stays_overnight_expire_and_a_pair_is_put_back_in_the_morning(
    ledger: Engine, tmp_path: Path
) -> None:
    with bracket_desk.running(tmp_path / "exchange", 1, last=NEXT) as address:
        bench = opened(ledger, address, 0)
        position_id = bought(bench)
        bench.clock.wait_until(datetime(2026, 3, 10, 20, 1, tzinfo=UTC))
        bench.assert_whole()
        assert bench.held() == 10 and bench.open_orders() == []
        assert {leg.state for leg in bench.protections(position_id, live=False)} == {OrderState.EXPIRED}
        assert bench.position(position_id).state is PositionState.OPEN
        bench.clock.wait_until(datetime(2026, 3, 11, 13, 31, tzinfo=UTC))
        bench.assert_whole()
        assert put_back(bench, position_id) is OrderState.ACCEPTED
        bench.assert_whole()
        with ledger.connect() as connection:
            assert [p.quantity for p in positions.live_positions(connection, ACCOUNT)] == [10]
        assert bench.leave(position_id, 10).state is LadderState.FILLED
        bench.assert_whole()
        bench.broker.close()
