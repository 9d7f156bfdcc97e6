"""Multi-leg orders through the real adapter at the practice exchange: a spread is opened and closed as one order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from trading_assets.broker import combos
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.combos import ComboLeg, ComboRequest
from trading_assets.broker.errors import Rejected
from trading_assets.broker.values import BrokerOrder
from trading_assets.domain.money import CENT
from trading_assets.domain.values import ContractSnapshot, OrderState, Purpose, Right, Side
from trading_assets.ledger.orders import COMBO, COMBO_LEG, OrderIntent
from trading_assets_tests.broker import bracket_desk, roll_desk
from trading_assets_tests.broker.bracket_desk import BEGIN
from trading_assets_tests.broker.desk import SteppedClock
from trading_assets_tests.broker.roll_desk import NEXT, TICKER
from trading_assets_tests.exchange.venue_process import TOKEN

_numbers = count()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with roll_desk.running(tmp_path_factory.mktemp("combos"), 10) as address:
        yield address


@pytest.fixture
def broker(url: str) -> Iterator[AlpacaBroker]:
    adapter = bracket_desk.connect(url, f"PK{next(_numbers)}")
    yield adapter
    adapter.close()


def calls(broker: AlpacaBroker) -> list[ContractSnapshot]:
    """Two calls around the money, the lower strike first."""
    spot = broker.quotes([TICKER])[TICKER].mid
    assert spot is not None
    low, high = spot * Decimal("0.96"), spot * Decimal("1.06")
    chain = broker.option_chain(TICKER, NEXT, NEXT, low_strike=low, high_strike=high, right=Right.CALL)
    rows = sorted((row for row in chain if row.quote.is_two_sided), key=lambda row: row.contract.strike)
    return [rows[0], rows[-1]]


def natural(low: ContractSnapshot, high: ContractSnapshot) -> Decimal:
    """What the vertical costs at the quotes."""
    assert low.quote.ask is not None and high.quote.bid is not None
    return low.quote.ask - high.quote.bid


def filled(url: str, broker: AlpacaBroker, order: BrokerOrder) -> BrokerOrder:
    clock = SteppedClock(url, TOKEN)
    for _ in range(60):
        shown = broker.order(order.order_id, nested=True)
        assert shown is not None
        if shown.is_final:
            return shown
        clock.wait_until(datetime.fromtimestamp(clock.now().timestamp() + 1, BEGIN.tzinfo))
    raise AssertionError(f"not filled: {order}")


def vertical(low: str, high: str, *, opens: bool) -> tuple[ComboLeg, ...]:
    """Long the lower and short the higher strike; closing it is the other way round."""
    first, second = (Side.BUY, Side.SELL) if opens else (Side.SELL, Side.BUY)
    return ComboLeg(low, first, opens), ComboLeg(high, second, opens)


def test_a_vertical_is_opened_and_closed_as_one_order_each(url: str, broker: AlpacaBroker) -> None:
    low, high = calls(broker)
    symbols = low.contract.symbol, high.contract.symbol
    before = broker.account().cash
    limit = (natural(low, high) + Decimal("0.30")).quantize(CENT)
    opened = broker.submit(ComboRequest("open", 3, limit, vertical(*symbols, opens=True)))
    assert (opened.symbol, opened.side) == ("", None)
    assert (opened.quantity, opened.limit_price) == (Decimal(3), limit)
    assert {leg.symbol for leg in opened.legs} == set(symbols)
    done = filled(url, broker, opened)
    assert (done.state, done.filled_quantity) == (OrderState.FILLED, Decimal(3))
    bought, sold = sorted(done.legs, key=lambda leg: symbols.index(leg.symbol))
    assert (bought.side, sold.side) == (Side.BUY, Side.SELL)
    assert done.filled_avg_price is not None and bought.filled_avg_price is not None
    assert sold.filled_avg_price is not None
    assert done.filled_avg_price == bought.filled_avg_price - sold.filled_avg_price <= limit
    assert {position.symbol: int(position.quantity) for position in broker.positions()} == dict(
        zip(symbols, (3, -3), strict=True)
    )
    fills = broker.fills(BEGIN)
    assert {fill.order_id for fill in fills} == {leg.order_id for leg in done.legs}, "fills name legs, never the whole"
    assert {side: sum(f.quantity for f in fills if f.side is side) for side in Side} == {Side.BUY: 3, Side.SELL: 3}

    credit = -(natural(low, high) - Decimal("1.50")).quantize(CENT)
    closed = filled(url, broker, broker.submit(ComboRequest("close", 3, credit, vertical(*symbols, opens=False))))
    assert closed.state is OrderState.FILLED and closed.filled_avg_price is not None
    assert closed.filled_avg_price <= credit
    assert broker.positions() == []
    cash = broker.account().cash
    assert cash is not None and before is not None
    assert cash == before - (done.filled_avg_price + closed.filled_avg_price) * 300


def test_F05_the_same_id_is_taken_once_and_the_first_order_is_found_by_it_with_its_legs(broker: AlpacaBroker) -> None:
    low, high = calls(broker)
    request = ComboRequest("once", 1, CENT, vertical(low.contract.symbol, high.contract.symbol, opens=True))
    first = broker.submit(request)
    with pytest.raises(Rejected) as refused:
        broker.submit(request)
    assert refused.value.status == 422
    found = broker.order_by_client_id("once")
    assert found is not None
    assert (found.order_id, {leg.order_id for leg in found.legs}) == (
        first.order_id,
        {leg.order_id for leg in first.legs},
    )
    assert broker.cancel(first.order_id)
    after = broker.order(first.order_id, nested=True)
    assert after is not None and {after.state, *(leg.state for leg in after.legs)} == {OrderState.CANCELED}


def test_F10_an_account_below_level_3_is_refused_for_good(tmp_path: Path) -> None:
    with roll_desk.running(tmp_path, 1, options_level=2) as url:
        broker = bracket_desk.connect(url, "PK0")
        low, high = calls(broker)
        legs = vertical(low.contract.symbol, high.contract.symbol, opens=True)
        with pytest.raises(Rejected) as refused:
            broker.submit(ComboRequest("spread", 1, Decimal(1), legs))
        broker.close()
    assert refused.value.status == 403


A, B = ComboLeg("A", Side.SELL, opens=False), ComboLeg("B", Side.BUY, opens=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"legs": (A,)},
        {"legs": (A, A)},
        {"legs": (A, B, replace(B, symbol="C"), replace(B, symbol="D"), replace(B, symbol="E"))},
        {"legs": (replace(A, ratio=2), replace(B, ratio=2))},
        {"legs": (replace(A, ratio=0), B)},
        {"quantity": 0},
        {"limit_price": Decimal("1.005")},
    ],
)
def test_what_is_no_order_of_several_legs_is_refused_before_it_is_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|must be|whole cents"):
        ComboRequest(**{"client_order_id": "x", "quantity": 1, "limit_price": Decimal(1), "legs": (A, B), **changes})


def intent(name: str, **changes: Any) -> OrderIntent:
    base = OrderIntent(
        client_order_id=name,
        account="a",
        purpose=Purpose.ROLL,
        position_id="p",
        signal_id=None,
        symbol="A",
        underlying="U",
        side=Side.SELL,
        quantity=2,
        multiplier=100,
        order_type="limit",
        limit_price=Decimal("-0.40"),
        attempt=0,
        step=0,
        reason="roll",
        run_id="r",
        created_at=BEGIN,
        updated_at=BEGIN,
        order_class=COMBO,
    )
    return replace(base, **changes)


LEGS = (
    intent("w.1", order_class=COMBO_LEG, leg_of="w"),
    intent("w.2", order_class=COMBO_LEG, leg_of="w", symbol="B", side=Side.BUY),
)


def leg(symbol: str, side: Side | None, quantity: int | None) -> BrokerOrder:
    count_of = None if quantity is None else Decimal(quantity)
    return BrokerOrder(symbol, "", symbol, side, None, count_of, None, None, None, "new", None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"legs": ()}, ""),
        ({"legs": (leg("A", None, None), leg("B", Side.BUY, 2))}, ""),
        ({"quantity": Decimal(3)}, "quantity"),
        ({"limit_price": Decimal("0.40")}, "limit price"),
        ({"legs": (leg("A", Side.SELL, 2), leg("C", Side.BUY, 2))}, "legs"),
        ({"legs": (leg("A", Side.BUY, 2), leg("B", Side.BUY, 2))}, "side of A"),
        ({"legs": (leg("A", Side.SELL, 2), leg("B", Side.BUY, 4))}, "quantity of B"),
    ],
)
def test_an_order_that_was_found_is_compared_by_all_that_it_tells(changes: dict[str, Any], said: str) -> None:
    found = replace(
        leg("", None, 2),
        limit_price=Decimal("-0.40"),
        legs=(leg("A", Side.SELL, 2), leg("B", Side.BUY, 2)),
    )
    wrong = combos.differences(intent("w"), LEGS, replace(found, **changes))
    assert (wrong == ()) if not said else wrong[0].startswith(said)


def test_whole_units_and_their_net_price_follow_from_the_legs() -> None:
    sold, bought = (replace(leg, filled_quantity=2, filled_avg_price=Decimal(2)) for leg in LEGS)
    assert (combos.units_filled(2, (sold, bought)), combos.net_price((sold, bought), 2)) == (2, Decimal(0))
    cheaper = replace(sold, filled_avg_price=Decimal("2.50"))
    assert combos.net_price((cheaper, bought), 2) == Decimal("-0.50"), "received"
    behind = replace(bought, filled_quantity=1)
    assert combos.units_filled(2, (sold, behind)) == 1
    assert combos.net_price(LEGS, 2) is None and combos.units_filled(2, LEGS) == 0
