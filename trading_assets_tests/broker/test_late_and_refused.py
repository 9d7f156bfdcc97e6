"""Late orders, refused prices, positions that were bought elsewhere: nothing is left without its exit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderState
from trading_assets.broker.errors import SymbolBlocked
from trading_assets.broker.ladder import Exit
from trading_assets.broker.reconciliation import reconcile
from trading_assets.domain.values import KillMode
from trading_assets.ledger import accounts, positions
from trading_assets.ledger.positions import Position
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, entry, plan
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange, at_once

MINUTE = timedelta(minutes=1)


def held(engine: Engine) -> list[Position]:
    with engine.connect() as connection:
        return [position for position in positions.live_positions(connection, ACCOUNT) if position.quantity]


def refuse_price(exchange: ScriptedExchange, price: str) -> list[Any]:
    """The broker refuses one limit price, as off the tick of its class; what was asked for."""
    real, asked = exchange.post_order, list[Any]()

    def post(body: dict[str, Any]) -> Any:
        asked.append(body.get("limit_price"))
        if str(body.get("limit_price")) == price:
            return 422, {"code": 42210000, "message": f"invalid limit_price {price}"}
        return real(body)

    exchange.post_order = post  # type: ignore[method-assign]
    return asked


def lose_orders(exchange: ScriptedExchange) -> list[dict[str, Any]]:
    """Every POST is answered with a gateway error and not carried out; the lost bodies."""
    lost = list[dict[str, Any]]()

    def post(body: dict[str, Any]) -> Any:
        lost.append(body)
        return 504, {"message": "gateway timeout"}

    exchange.post_order = post  # type: ignore[method-assign]
    return lost


def test_F32_a_refused_limit_does_not_keep_a_sale_from_its_market_order(
    engine: Engine, broker: AlpacaBroker, clock: Any, exchange: ScriptedExchange
) -> None:
    bought = ladder.enter(engine, broker, clock, entry(quantity=1), plan("2.00"), run_id="r")
    exchange.script = lambda order: at_once(order) if order.body.get("limit_price") is None else []
    asked = refuse_price(exchange, "0.99")
    result = ladder.leave(
        engine, broker, clock, Exit(bought.position_id, 1, "stop"), plan("1.00", "0.99", None), run_id="r"
    )
    assert [None if price is None else str(price) for price in asked] == ["1.0", "0.99", None]
    assert result.state is LadderState.FILLED
    assert held(engine) == []


def test_a_refused_limit_ends_an_entry(
    engine: Engine, broker: AlpacaBroker, clock: Any, exchange: ScriptedExchange
) -> None:
    asked = refuse_price(exchange, "2.0")
    result = ladder.enter(engine, broker, clock, entry(quantity=1), plan("2.00", "2.10"), run_id="r")
    assert result.state is LadderState.REJECTED
    assert len(asked) == 1


def test_F02_an_order_given_up_here_that_fills_late_belongs_to_the_position_that_is_there(
    engine: Engine, broker: AlpacaBroker, clock: Any, exchange: ScriptedExchange
) -> None:
    real = exchange.post_order
    lost = lose_orders(exchange)
    ladder.enter(engine, broker, clock, entry("s1", quantity=1), plan("2.00"), run_id="r")
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.post_order = real  # type: ignore[method-assign]
    second = ladder.enter(engine, broker, clock, entry("s2", quantity=1), plan("2.10"), run_id="r")
    assert second.state is LadderState.FILLED
    real(lost[0])
    clock.wait_until(clock.now() + timedelta(seconds=5))

    found = reconcile(engine, broker, clock, ACCOUNT, "start")
    again = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert any("filled late" in alert for alert in found.alerts)
    assert again.clean
    [position] = held(engine)
    assert (position.position_id, position.quantity) == (second.position_id, 2)


def test_F25_a_fill_that_becomes_known_after_its_position_was_adopted_is_not_counted_twice(
    engine: Engine, broker: AlpacaBroker, clock: Any, exchange: ScriptedExchange
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.trade_by_hand(SYMBOL, "buy", 2, "2.00")
    hidden, exchange.fills = exchange.fills, []
    adopted = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert adopted.adopted == [SYMBOL]
    exchange.fills = hidden
    clock.wait_until(clock.now() + MINUTE)
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    assert [position.quantity for position in held(engine)] == [2]


def test_F28_one_odd_answer_does_not_close_a_position(
    engine: Engine, broker: AlpacaBroker, clock: Any, exchange: ScriptedExchange
) -> None:
    ladder.enter(engine, broker, clock, entry(quantity=1), plan("2.00"), run_id="r")
    holdings = dict(exchange.holdings)
    exchange.holdings.clear()
    for _ in range(3):
        assert reconcile(engine, broker, clock, ACCOUNT, "start").phantoms == []
        clock.wait_until(clock.now() + timedelta(seconds=5))
    assert [position.quantity for position in held(engine)] == [1]
    exchange.holdings.update(holdings)
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean

    exchange.holdings.clear()
    reconcile(engine, broker, clock, ACCOUNT, "start")
    clock.wait_until(clock.now() + 2 * MINUTE)
    assert reconcile(engine, broker, clock, ACCOUNT, "start").phantoms == [SYMBOL]


def test_a_kill_switch_set_during_a_climb_stops_the_next_rung(
    engine: Engine, broker: AlpacaBroker, clock: Any, exchange: ScriptedExchange
) -> None:
    real, now = exchange.post_order, clock.now()

    def post(body: dict[str, Any]) -> Any:
        with engine.begin() as connection:
            accounts.set_kill_switch(connection, accounts.ALL_ACCOUNTS, KillMode.ENTRIES, now, "a test")
        return real(body)

    exchange.post_order = post  # type: ignore[method-assign]
    exchange.script = lambda order: []
    with pytest.raises(SymbolBlocked, match="kill switch"):
        ladder.enter(engine, broker, clock, entry(quantity=1), plan("2.00", "2.10", "2.20"), run_id="r")
    assert len(exchange.orders) == 1
    assert held(engine) == []
