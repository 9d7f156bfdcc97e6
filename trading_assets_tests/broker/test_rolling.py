"""A position is rolled in one order of two legs, with the real SDK at the practice exchange."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import Engine

from trading_assets.broker.climbing import LadderState
from trading_assets.domain.values import OrderState, PositionState, Purpose, Side
from trading_assets.ledger import order_legs, positions
from trading_assets_tests.broker import roll_desk
from trading_assets_tests.broker.roll_desk import RollBench, opened

_numbers = count()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with roll_desk.running(tmp_path_factory.mktemp("rolls"), 60) as address:
        yield address


@pytest.fixture
def bench(ledger: Engine, url: str) -> Iterator[RollBench]:
    found = opened(ledger, url, next(_numbers))
    yield found
    found.broker.close()


def test_one_order_closes_what_is_held_and_opens_the_next_contract(bench: RollBench) -> None:
    old = bench.buy(2)
    result = bench.roll(old)
    assert (result.state, result.filled_quantity) == (LadderState.FILLED, 2), result
    closed, new = bench.position(old.position_id), bench.position(result.rolled_to)
    assert (closed.state, closed.exit_reason, closed.quantity) == (PositionState.CLOSED, "roll", 0)
    assert (new.state, new.quantity, new.origin, new.rolled_from) == (PositionState.OPEN, 2, "roll", old.position_id)
    assert (new.strategy, new.direction, new.expiry) == (old.strategy, old.direction, roll_desk.NEXT)
    assert result.bought_at is not None and result.sold_at is not None and old.entry_price is not None
    assert new.entry_price == result.bought_at and new.entry_delta is not None
    assert closed.realized_pnl == (result.sold_at - old.entry_price) * 200
    with bench.ledger.connect() as connection:
        assert [one.position_id for one in positions.rolled_to(connection, old.position_id)] == [new.position_id]
    whole = bench.rolls()[-1]
    assert (whole.state, whole.purpose, whole.filled_quantity) == (OrderState.FILLED, Purpose.ROLL, 2)
    assert whole.limit_price is not None and whole.filled_avg_price == result.bought_at - result.sold_at
    assert whole.filled_avg_price <= whole.limit_price
    with bench.ledger.connect() as connection:
        legs = order_legs.combo_legs(connection, whole.client_order_id)
    assert [(leg.symbol, leg.side, leg.purpose, leg.position_id) for leg in legs] == [
        (old.symbol, Side.SELL, Purpose.EXIT, old.position_id),
        (new.symbol, Side.BUY, Purpose.ENTRY, new.position_id),
    ]
    bench.assert_whole()
