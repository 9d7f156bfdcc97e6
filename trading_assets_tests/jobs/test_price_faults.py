"""Prices and quantities that cannot be believed, met by the real position manager between it and a real exchange.

A proxy stands between the account's broker adapter and the practice exchange and rewrites what the exchange says. One
session for the whole file: each test uses a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.domain.values import KillMode, Strategy
from trading_assets.ledger import executions
from trading_assets.market.sessions import MINUTE
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy, proxied
from trading_assets_tests.broker.spoiled_quotes import QUOTE_FAULTS, QUOTE_PATHS, quotes, times
from trading_assets_tests.e2e.playground import ONE_ACCOUNT, Playground, playground
from trading_assets_tests.fault_suite import Figures
from trading_assets_tests.jobs.holdings import (
    ACCOUNT,
    LATER,
    acquire,
    alerts,
    contract,
    held,
    manage,
    manage_here,
    set_switch,
    sold,
)

SWING = Strategy.SWING_TRADE


@dataclass
class Market:
    """A world, and the proxy through which its account sees the exchange."""

    world: Playground
    proxy: FaultProxy

    @contextmanager
    def seen(self, path: str, rewrite: Callable[[Any], Any]) -> Iterator[None]:
        """Within the block every answer of that path is rewritten."""
        fault = Fault("GET", path, "rewrite", times=10_000, rewrite=rewrite)
        before = self.proxy.taken
        self.proxy.faults.append(fault)
        try:
            yield
        finally:
            self.proxy.faults.remove(fault)
        assert self.proxy.taken > before, "the fault never happened"


@pytest.fixture(scope="module")
def shared(module_world_home: Path) -> Iterator[Market]:
    """A session two hours old whose account is reached through the proxy."""
    with playground(module_world_home, accounts=ONE_ACCOUNT, history=0) as world:
        world.minute(world.session.open + 120 * MINUTE)
        desk = world.desk
        connection = desk.runtime.connection(desk.account(ACCOUNT))
        with proxied(connection.trading_url) as proxy:
            through = replace(connection, trading_url=proxy.url, data_url=proxy.url)
            desk._brokers[ACCOUNT] = AlpacaBroker(through, desk.clock, desk.settings.strategy.broker)
            yield Market(world, proxy)


@pytest.fixture
def market(shared: Market, scorecard: Figures) -> Iterator[Market]:
    """The same, and whatever a test leaves held is sold."""
    before, placed = shared.proxy.taken, len(shared.world.broker_orders())
    yield shared
    shared.proxy.faults.clear()
    scorecard.add(faults_injected=shared.proxy.taken - before, orders_placed=len(shared.world.broker_orders()) - placed)
    if held(shared.world):
        set_switch(shared.world, KillMode.FLATTEN)
        manage(shared.world)
        set_switch(shared.world, KillMode.OFF)
    assert held(shared.world) == {}


@pytest.mark.parametrize(("ticker", "fault"), list(zip(("AAPL", "BA", "AMD", "MSFT"), QUOTE_FAULTS, strict=True)))
def test_F34_a_due_stop_is_not_sold_on_a_quote_that_is_none_and_is_once_there_is_one(
    market: Market, ticker: str, fault: str
) -> None:
    world = market.world
    symbol = contract(world, ticker, LATER)
    acquire(world, {symbol: (1, lambda seen: {"strategy": SWING, "entry_price": seen.part("2")})})
    posts = market.proxy.count("POST", "/v2/orders")
    with market.seen(QUOTE_PATHS, QUOTE_FAULTS[fault]):
        manage(world)
    assert sold(world, symbol) == {}
    assert market.proxy.count("POST", "/v2/orders") == posts
    assert "quote" in {row["rule"] for row in alerts(world, symbol)}, "a person is told that it cannot be judged"
    manage(world)
    assert sold(world, symbol) == {"stop": 1}


def test_F36_a_position_in_profit_that_gaps_through_its_stop_is_sold_once_at_what_there_is(market: Market) -> None:
    world = market.world
    symbol = contract(world, "NFLX", LATER)
    acquire(world, {symbol: (3, lambda seen: {"strategy": SWING, "entry_price": seen.part("2")})})
    entry = held(world)[symbol].entry_price
    assert entry is not None
    with market.seen("/v1beta1/options", quotes(times(2.5))):
        manage(world)
    (position,) = held(world).values()
    assert position.high_water is not None and position.high_water > entry, "it stood in profit"
    assert sold(world, symbol) == {}
    manage(world)
    assert sold(world, symbol) == {"stop": 3}, "neither at the trail it never traded at, nor twice"
    with world.desk.ledger.connect() as connection:
        fills = [fill for fill in executions.of_position(connection, position.position_id) if fill.side == "sell"]
    assert all(fill.price < entry * Decimal("0.6") for fill in fills), "at the price behind the gap"
    assert {row["priority"] for row in alerts(world, symbol) if row["kind"] == "ordered"} == {"CRITICAL"}


# --- splits and names ---------------------------------------------------------------------------------------------


def position_of(symbol: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Any], Any]:
    """The broker's list of positions with that one changed; a quantity of 0 leaves it out."""

    def rewrite(rows: Any) -> Any:
        for row in rows:
            if row["symbol"] == symbol:
                change(row)
        return [row for row in rows if row["qty"] != "0"]

    return rewrite


def split(new: int, old: int = 1) -> Callable[[dict[str, Any]], None]:
    def change(row: dict[str, Any]) -> None:
        row["qty"] = str(int(row["qty"]) * new // old)
        row["avg_entry_price"] = str(Decimal(row["avg_entry_price"]) * old / new)

    return change


def test_F29_a_split_overnight_is_no_loss_to_stop_it_blocks_and_is_told(market: Market) -> None:
    world, symbol = market.world, "KO"
    acquire(world, {symbol: (8, lambda seen: {})})
    posts = market.proxy.count("POST", "/v2/orders")
    with market.seen("/v2/positions", position_of(symbol, split(4))), market.seen(QUOTE_PATHS, quotes(times(0.25))):
        report = manage_here(world)
        assert any(alert.startswith(f"{symbol}: the ledger holds 8, the broker 32") for alert in report.alerts)
        assert not report.reconciled
        manage(world)
    assert market.proxy.count("POST", "/v2/orders") == posts, "a quarter of the price is no reason to sell"
    assert "entry_price" in {row["rule"] for row in alerts(world, symbol)}
    manage(world)
    assert sold(world, symbol) == {} and list(held(world)) == [symbol]


def test_F29_of_what_a_reverse_split_left_no_more_is_sold_than_the_broker_holds(market: Market) -> None:
    world, symbol = market.world, "PFE"
    acquire(world, {symbol: (8, lambda seen: {})})
    set_switch(world, KillMode.FLATTEN)
    with market.seen("/v2/positions", position_of(symbol, split(1, 4))):
        manage(world)
    set_switch(world, KillMode.OFF)
    assert sold(world, symbol) == {"flatten": 2}


def test_F29_what_rests_over_more_than_a_reverse_split_left_is_ended_and_put_back_once_both_agree(
    market: Market,
) -> None:
    world, symbol = market.world, "WMT"
    far = {"stop_price": "0.80", "target_price": "1.25"}
    acquire(
        world,
        {symbol: (8, lambda seen: {name: seen.part(part).quantize(Decimal("0.01")) for name, part in far.items()})},
    )
    manage(world)
    broker = world.desk.broker(ACCOUNT)
    assert {order.quantity for order in broker.orders("open")} == {8}, "a stop and a take profit rest over all of it"
    with market.seen("/v2/positions", position_of(symbol, split(2))):
        manage(world)
    assert len(broker.orders("open")) == 2, "what rests over no more than is held stays"
    with market.seen("/v2/positions", position_of(symbol, split(1, 4))):
        manage(world)
        assert broker.orders("open") == [], "filled, it would sell six that nobody holds"
        manage(world)
        assert broker.orders("open") == [], "and no pair is rested at prices of which nobody knows what they mean"
    assert any("another quantity" in row["reason"] for row in alerts(world, symbol) if row["rule"] == "protection")
    manage(world)
    assert {order.quantity for order in broker.orders("open")} == {8} and sold(world, symbol) == {}


def test_F29_F28_what_the_broker_does_not_hold_under_this_name_is_not_sold_short(market: Market) -> None:
    world, symbol = market.world, "DIS"
    acquire(world, {symbol: (8, lambda seen: {"entry_price": seen.part("1.5")})})
    posts = market.proxy.count("POST", "/v2/orders")

    def gone(row: dict[str, Any]) -> None:
        row["qty"] = "0"

    set_switch(world, KillMode.FLATTEN)
    with market.seen("/v2/positions", position_of(symbol, gone)):
        report = manage_here(world)
    set_switch(world, KillMode.OFF)
    assert any(alert.startswith(f"{symbol}: the ledger holds 8, the broker 0") for alert in report.alerts)
    assert market.proxy.count("POST", "/v2/orders") == posts
    manage(world)
    assert sold(world, symbol) == {"stop": 8}, "it was there after all"
