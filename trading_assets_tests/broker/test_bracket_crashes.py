"""F11 with brackets: a process killed with -9 at any step; the next one finds entry, legs and exit again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from decimal import Decimal
from itertools import count

import pytest
from sqlalchemy import Engine

from trading_assets.broker import protection
from trading_assets.broker.climbing import LadderState
from trading_assets.domain import crashpoints
from trading_assets.domain.values import OrderState, PositionState, Purpose
from trading_assets_tests.broker import bracket_desk
from trading_assets_tests.broker.bracket_desk import TICKER, Bench, bracket, run_and_die
from trading_assets_tests.broker.test_brackets import bought, opened

KILLED = -signal.SIGKILL
_numbers = count()
#: Point and number of its passage: booking is passed by the entry and by each of its legs.
ENTRY_POINTS = [
    ("submission.before_intent", 1),
    ("submission.after_intent", 1),
    ("submission.after_post", 1),
    ("submission.after_answer", 1),
    ("booking.before_commit", 1),
    ("booking.after_commit", 1),
    ("booking.before_commit", 2),
    ("booking.after_commit", 2),
    ("booking.after_commit", 3),
]
EXIT_POINTS = [
    # The first passages of booking are those of the legs that are being ended.
    ("booking.before_commit", 1),
    ("booking.after_commit", 1),
    ("booking.after_commit", 2),
    ("exit.before_intent", 1),
    ("exit.after_intent", 1),
    ("exit.after_post", 1),
    ("exit.after_answer", 1),
    ("booking.before_commit", 3),
    ("booking.after_commit", 3),
]
PROTECTION_POINTS = [point for point in crashpoints.POINTS if point.startswith("protection.")]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bracket_desk.running(tmp_path_factory.mktemp("crashes"), 40) as address:
        yield address


@pytest.fixture
def bench(ledger: Engine, url: str) -> Iterator[Bench]:
    found = opened(ledger, url, next(_numbers))
    yield found
    found.broker.close()


@pytest.mark.parametrize(("point", "passage"), ENTRY_POINTS)
def test_F11_a_bracket_killed_at_any_step_of_its_entry_is_neither_lost_nor_doubled(
    point: str, passage: int, bench: Bench, database_url: str
) -> None:
    plan = bracket(bench.ask() + 1)
    assert run_and_die(bench, database_url, "enter", point, plan, passage) == KILLED
    bench.step(3)
    bench.assert_whole()
    held = bench.held()
    assert held in (0, 10)
    legs = [intent for intent in bench.intents() if intent.purpose is Purpose.PROTECT]
    if held:
        assert protection.covers(tuple(legs), 10), "the legs of an adopted parent are adopted, too"
        bench.leave(legs[0].position_id, 10)
    else:
        assert not [leg for leg in legs if leg.is_live] and bench.open_orders() == []
        assert bench.enter(plan).state is LadderState.FILLED
    bench.assert_whole()


@pytest.mark.parametrize(("point", "passage"), EXIT_POINTS)
def test_F11_an_exit_killed_between_its_legs_and_its_sale_sells_exactly_once(
    point: str, passage: int, bench: Bench, database_url: str
) -> None:
    position_id = bought(bench)
    assert run_and_die(bench, database_url, "leave", point, bracket("1.00"), passage) == KILLED
    bench.step(3)
    bench.assert_whole()
    position = bench.position(position_id)
    assert position.quantity == bench.held()
    if position.quantity:
        assert position.state is PositionState.OPEN
        assert bench.leave(position_id, 10).state is LadderState.FILLED
    bench.assert_whole()
    assert bench.position(position_id).state is PositionState.CLOSED
    sold = sum(intent.filled_quantity for intent in bench.intents() if intent.purpose is not Purpose.ENTRY)
    assert sold == 10


def test_F38_an_exit_ends_a_bracket_that_is_half_filled_and_its_legs_and_sells_what_it_bought(
    bench: Bench, database_url: str
) -> None:
    """The process that bought is gone in the middle of the rung; nobody reconciled before the exit."""
    quote = bench.broker.quotes([TICKER])[TICKER]
    assert quote.ask is not None and quote.ask_size is not None
    # The second passage of booking is that of a leg, after the first fills were booked.
    plan = bracket(quote.ask + 1)
    code = run_and_die(bench, database_url, "enter", "booking.before_commit", plan, 2, quantity=quote.ask_size * 20)
    assert code == KILLED
    (entry,) = [intent for intent in bench.intents() if intent.purpose is Purpose.ENTRY]
    assert entry.state is OrderState.PARTIALLY_FILLED
    held = bench.held()
    assert 0 < held < entry.quantity
    result = bench.leave(entry.position_id, held)
    assert result.filled_quantity > 0
    assert bench.open_orders() == [] or bench.held()
    if bench.held():
        assert bench.leave(entry.position_id, bench.held()).filled_quantity > 0
    bench.assert_whole()


@pytest.mark.parametrize("point", PROTECTION_POINTS)
def test_F11_a_pair_killed_while_it_is_put_back_is_found_or_put_back_once(
    point: str, bench: Bench, database_url: str
) -> None:
    position_id = bought(bench)
    assert protection.end(bench.ledger, bench.broker, bench.clock, position_id, run_id="run") == ()
    assert run_and_die(bench, database_url, "protect", point, bracket("1.00")) == KILLED
    bench.assert_whole()
    resting = bench.protections(position_id)
    sent = point in ("protection.after_post", "protection.after_answer")
    assert (len(resting), len(bench.open_orders())) == ((2, 2) if sent else (0, 0))
    if not sent:
        placed = protection.place(
            bench.ledger, bench.broker, bench.clock, bench.position(position_id), 10, run_id="next"
        )
        assert placed.state is OrderState.ACCEPTED
    assert protection.covers(bench.protections(position_id), 10)
    assert bench.leave(position_id, 10).state is LadderState.FILLED
    bench.assert_whole()


@pytest.mark.parametrize(
    ("point", "passage"),
    [("booking.after_commit", 1), ("booking.before_commit", 3), ("booking.after_commit", 3)],
    ids=["before-the-legs", "in-the-leg-that-sold", "after-the-leg-that-sold"],
)
def test_F11_a_reconciliation_killed_while_it_books_what_a_leg_sold_books_it_once(
    point: str, passage: int, bench: Bench, database_url: str
) -> None:
    ask = bench.ask()
    position_id = bought(bench, stop=ask - Decimal("0.05"), target=ask + 40)
    for _ in range(120):
        if not bench.held():
            break
        bench.step(60)
    assert run_and_die(bench, database_url, "reconcile", point, bracket("1.00"), passage) == KILLED
    bench.assert_whole()
    closed = bench.position(position_id)
    assert (closed.state, closed.exit_reason) == (PositionState.CLOSED, "stop_loss")
