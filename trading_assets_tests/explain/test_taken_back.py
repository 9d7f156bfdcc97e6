"""A fill that the broker takes back or corrects is told on the page: what was booked, what is right, what changed."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from trading_assets.broker import adoption, booking
from trading_assets.broker.changes import book_change
from trading_assets.broker.values import BrokerFill
from trading_assets.domain.values import OrderState, PositionState, Purpose, Side
from trading_assets.explain.accounts import make_position
from trading_assets.explain.page import Page, PositionView
from trading_assets.explain.paper import plain
from trading_assets.explain.reading import read_position
from trading_assets.explain.render import blocks
from trading_assets.ledger import explanations, orders, positions
from trading_assets.ledger.execution_changes import BUST, CORRECT, ExecutionChange
from trading_assets_tests.ledger.trade_rows import ACCOUNT, SYMBOL, T0, account_and_signals, intent, position

LATER = T0 + timedelta(minutes=5)


@pytest.fixture
def sold(ledger: Engine) -> Engine:
    """Two contracts were bought at 2.50 and sold at 3.00 by the stop."""
    with ledger.begin() as connection:
        account_and_signals(connection)
        positions.insert_position(connection, position())
        for name, purpose, broker_id in (("c0", Purpose.ENTRY, "b0"), ("x0", Purpose.EXIT, "b1")):
            orders.insert_intent(
                connection, intent(name, purpose=purpose, state=OrderState.ACCEPTED, broker_order_id=broker_id)
            )
    for name, broker_id, side, price in (("c0", "b0", Side.BUY, "2.50"), ("x0", "b1", Side.SELL, "3.00")):
        two = Decimal(2)
        fill = BrokerFill(f"fill-{name}", broker_id, SYMBOL, side, two, Decimal(price), two, T0)
        booking.book_order(ledger, name, None, [fill], at=T0, run_id="run")
    return ledger


def change(kind: str, fill: str, **right: object) -> ExecutionChange:
    values = {"quantity": None, "price": None} | right
    return ExecutionChange(
        account=ACCOUNT,
        change_id=f"{kind}:{fill}",
        fill_id=fill,
        new_fill_id=None,
        broker_order_id="b1",
        kind=kind,
        changed_at=LATER,
        booked_at=LATER,
        run_id="trade-stream",
        **values,  # type: ignore[arg-type]
    )


def page(engine: Engine) -> tuple[PositionView, str]:
    with engine.connect() as connection:
        row = explanations.position(connection, "p1")
        assert row is not None
        view = make_position(read_position(connection, row))
    made = Page("p1", "position", date(2026, 3, 10), None, None, None, (), (view,), ())
    return view, plain(blocks(made))


def test_F23_a_sale_that_was_taken_back_opens_its_closed_position_again_and_the_page_says_so(sold: Engine) -> None:
    before, text = page(sold)
    assert before.state == PositionState.CLOSED and "realised P&L 100.00 dollars" in text
    assert "taken back" not in text
    assert book_change(sold, change(BUST, "fill-x0"), at=LATER)
    after, text = page(sold)
    assert (after.state, after.quantity, after.closed_at) == (PositionState.OPEN, 2, None)
    assert [(fill.side, fill.quantity) for fill in after.fills] == [("buy", 2)], "what was taken back is no fill"
    assert "fill taken back by the broker at 11:05:00" in text
    for said in ("booked 2 at 3", "right nothing", "quantity 0 -> 2", "realized_pnl 100 -> 0", "fill-x0", "x0"):
        assert said in text, text
    assert "2 still held" in text and "realised P&L 0.00 dollars" in text and "ended by" not in text


def test_F23_a_corrected_price_is_told_with_what_it_was(sold: Engine) -> None:
    assert book_change(sold, change(CORRECT, "fill-x0", price=Decimal("2.90")), at=LATER)
    after, text = page(sold)
    assert after.state == PositionState.CLOSED and after.realized_pnl == Decimal(80)
    assert "fill corrected by the broker at 11:05:00" in text
    assert "booked 2 at 3" in text and "right 2 at 2.9" in text and "realized_pnl 100 -> 80" in text


def test_F28_a_position_closed_as_not_there_says_why_on_its_page(sold: Engine) -> None:
    assert book_change(sold, change(BUST, "fill-x0"), at=LATER)
    with sold.begin() as connection:
        held = positions.get_position(connection, "p1")
        assert held is not None
        adoption.close_phantom(connection, held, first_seen=T0.isoformat(), now=LATER, run_id="run")
    _, text = page(sold)
    assert f"told at 11:05:00: 2 {SYMBOL} were twice in a row not found at the broker: closed." in text
