"""What a burst of signals may share of one look at the account, and what ends it at once."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.reconciliation import reconcile
from trading_assets.jobs.lately import GOOD_FOR, Lately
from trading_assets.resources.desk import Desk
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock, entry, plan
from trading_assets_tests.broker.fault_proxy import FaultProxy
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange


@pytest.fixture
def lately(engine: Engine, broker: AlpacaBroker, clock: SteppedClock) -> Lately:
    parts = SimpleNamespace(ledger=engine, clock=clock, broker=lambda _: broker)
    return Lately(cast(Desk, parts), ACCOUNT)


def compare(lately: Lately) -> None:
    desk = lately.desk
    lately.compared(reconcile(desk.ledger, desk.broker(ACCOUNT), desk.clock, ACCOUNT, "start"))


def test_one_clean_comparison_and_one_reading_serve_a_burst(lately: Lately, proxy: FaultProxy) -> None:
    assert not lately.is_compared(), "nothing was seen yet"
    compare(lately)
    before = proxy.count("GET", "/v2/account$")
    first = lately.reading()
    for _ in range(5):
        assert lately.is_compared()
        assert lately.reading() is first
    assert proxy.count("GET", "/v2/account$") == before + 1


def test_it_is_over_after_its_seconds(lately: Lately, clock: SteppedClock) -> None:
    compare(lately)
    first = lately.reading()
    clock.wait_until(clock.now() + GOOD_FOR + timedelta(seconds=1))
    assert not lately.is_compared()
    assert lately.reading() is not first


def test_an_order_of_the_account_ends_it(lately: Lately, engine: Engine, broker: AlpacaBroker) -> None:
    compare(lately)
    first = lately.reading()
    ladder.enter(engine, broker, lately.desk.clock, entry(), plan("2.00", seconds=1), run_id="r")
    assert not lately.is_compared()
    again = lately.reading()
    assert again is not first and again.held is not None and [one.symbol for one in again.held] == [SYMBOL]


def test_F12_a_comparison_by_another_run_ends_it(lately: Lately, clock: SteppedClock) -> None:
    compare(lately)
    clock.wait_until(clock.now() + timedelta(seconds=1))
    desk = lately.desk
    reconcile(desk.ledger, desk.broker(ACCOUNT), desk.clock, ACCOUNT, "start", run_id="another")
    assert not lately.is_compared()


def test_F25_a_comparison_that_found_anything_is_made_again_for_the_next_signal(
    lately: Lately, exchange: ScriptedExchange
) -> None:
    exchange.trade_by_hand(SYMBOL, "buy", 1, "2.00")
    compare(lately)
    assert not lately.is_compared()


def test_greeks_are_kept_for_exactly_the_same_holdings(lately: Lately) -> None:
    compare(lately)
    kept: Any = {SYMBOL: "computed"}
    lately.keep_greeks(kept)
    assert lately.greeks(frozenset({SYMBOL})) == kept
    assert lately.greeks(frozenset({SYMBOL, "OTHER"})) is None
    assert lately.greeks(frozenset()) is None
