"""An order of which the broker says nothing usable keeps no other position of its account from being looked after."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderState
from trading_assets.broker.reconciliation import reconcile
from trading_assets.domain.values import OrderState
from trading_assets.ledger import positions
from trading_assets.ledger.orders import STOP_LOSS
from trading_assets_tests.broker import bracket_desk
from trading_assets_tests.broker.bracket_desk import TICKER, Bench, connect
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock, entry, plan
from trading_assets_tests.broker.fault_proxy import Fault, proxied
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange, never
from trading_assets_tests.broker.stream_desk import send, stored
from trading_assets_tests.broker.test_brackets import bought, opened

_NOT_FOUND = b'{"code": 40410000, "message": "order not found"}'
_REFUSED = b'{"code": 40110000, "message": "request is not authorized"}'
_JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bracket_desk.running(Path(tmp_path_factory.mktemp("forgotten")), 2) as address:
        yield address


def test_F28_an_order_that_the_broker_denies_blocks_its_own_symbol_and_no_other(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    exchange.script = never
    intent = send(engine, broker, clock, "AAPL", 3, signal_id="s2", limit=Decimal(200))
    [order] = exchange.by_client_id(intent.client_order_id)
    del exchange.orders[order.order_id]
    exchange.trade_by_hand(SYMBOL, "sell", 1, "3.00")
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.blocked == ["AAPL"] and stored(engine, intent).is_live
    assert [said for said in report.alerts if intent.client_order_id in said and "denies" in said]
    with engine.connect() as connection:
        held = {one.symbol: one.quantity for one in positions.live_positions(connection, ACCOUNT)}
    assert held == {SYMBOL: 1, "AAPL": 0}, "the sale by hand is booked: what is left can be managed"
    exchange.orders[order.order_id] = order
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    assert stored(engine, intent).state is OrderState.CANCELED


def test_F28_a_bracket_that_the_broker_denies_blocks_its_own_symbol_and_no_other(ledger: Engine, url: str) -> None:
    bench = opened(ledger, url, 0)
    bought(bench)
    with proxied(bench.url) as proxy:
        proxy.faults.append(
            Fault("GET", r"/v2/orders/.*nested", "answer", status=404, body=_NOT_FOUND, headers=_JSON, times=99)
        )
        denied = Bench(bench.ledger, bench.url, bench.key, connect(proxy.url, bench.key))
        report = denied.reconcile()
        assert proxy.taken > 0 and report.blocked == [TICKER] and report.missing == {}
        denied.broker.close()
    assert bench.reconcile().clean and len(bench.open_orders()) == 2
    bench.broker.close()


def test_F28_F32_a_refused_look_at_a_leg_keeps_no_exit_from_selling(ledger: Engine, url: str) -> None:
    bench = opened(ledger, url, 1)
    position_id = bought(bench)
    [stop] = [leg for leg in bench.protections(position_id) if leg.reason == STOP_LOSS]
    with proxied(bench.url) as proxy:
        proxy.faults.append(
            Fault("GET", f"/v2/orders/{stop.broker_order_id}", "answer", status=401, body=_REFUSED, headers=_JSON)
        )
        refused = Bench(bench.ledger, bench.url, bench.key, connect(proxy.url, bench.key))
        result = refused.leave(position_id, 10)
        assert proxy.taken == 1
        refused.broker.close()
    assert (result.state, result.filled_quantity) == (LadderState.FILLED, 10)
    assert bench.reconcile().clean and bench.open_orders() == []
    bench.broker.close()
