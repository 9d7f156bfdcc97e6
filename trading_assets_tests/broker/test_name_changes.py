"""A stock that is called otherwise over night is no phantom, is not adopted and is not sold twice (F29)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderState
from trading_assets.broker.reconciliation import reconcile
from trading_assets.domain.connections import BrokerConnection
from trading_assets.market.sessions import shift
from trading_assets_tests.broker.bracket_desk import TICKER, bracket, shares
from trading_assets_tests.broker.desk import ACCOUNT, SECRET, SteppedClock
from trading_assets_tests.broker.test_splits import FAR_AWAY, the_position
from trading_assets_tests.exchange.venue_process import CLOSE, MINUTE, SESSION, TOKEN, prepare

MONDAY = shift(SESSION, 1)
NEW = f"{TICKER}X"


def test_F29_a_stock_that_is_called_otherwise_is_neither_closed_nor_adopted_until_a_person_has_looked(
    engine: Engine, tmp_path: Path
) -> None:
    account = {"name": "one", "key": "PKTEST", "secret": SECRET, "cash": "90000", "options_level": 2}
    change = {"type": "name_change", "symbol": TICKER, "new_symbol": NEW, "ex_session": MONDAY.key}
    running = prepare(
        tmp_path / "exchange", CLOSE - 9 * MINUTE, last_session=MONDAY.key, accounts=[account], actions=[change]
    )
    url = running.start().url
    clock = SteppedClock(url, TOKEN)
    broker = AlpacaBroker(BrokerConnection("PRACTICE", url, url, "PKTEST", SECRET), clock)
    try:
        ask = broker.quotes([TICKER])[TICKER].ask
        assert ask is not None
        stop, target = ((ask * share).quantize(Decimal("0.1")) for share in FAR_AWAY)
        bought = ladder.enter(
            engine, broker, clock, shares(10), bracket(ask + 5, stop=stop, target=target), run_id="run"
        )
        assert bought.state is LadderState.FILLED
        assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
        before = the_position(engine)
        clock.wait_until(MONDAY.open + MINUTE)
        for minute in range(3):
            report = reconcile(engine, broker, clock, ACCOUNT, "start")
            assert {TICKER, NEW} <= set(report.blocked), report
            assert not report.adopted and not report.phantoms
            assert any("a corporate action (NC, " in alert for alert in report.alerts)
            clock.wait_until(MONDAY.open + (2 + minute) * MINUTE)
        after = the_position(engine)
        assert (after.position_id, after.symbol, after.quantity) == (before.position_id, TICKER, 10)
        (held,) = broker.positions()
        assert held.symbol == NEW and held.quantity == 10
        assert all(order.symbol == TICKER for order in broker.orders("all")), "nothing was sold"
    finally:
        broker.close()
        running.stop()
