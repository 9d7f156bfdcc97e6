"""Rolls through the real position manager on the practice exchange: ordered, refused, told, explained.

One session for the whole file: each test buys in a ticker of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from trading_assets.domain.values import KillMode, PositionState, Quote, Strategy
from trading_assets.explain.answer import why
from trading_assets.explain.moments import Rules
from trading_assets.explain.paper import plain
from trading_assets.explain.render import blocks
from trading_assets.explain.target import Question
from trading_assets.jobs.roll_weighing import without
from trading_assets.jobs.rolling import orders_rolls
from trading_assets.ledger import explanations, orders, positions
from trading_assets.ledger.tables import dispatch_recommendations
from trading_assets.market.sessions import MINUTE, shift
from trading_assets.strategy.config_trading import ExitConfig
from trading_assets.strategy.signals import RULE_SET
from trading_assets_tests.e2e.playground import SESSION, Playground, playground
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
from trading_assets_tests.risk import builders

#: May trade several legs in one order.
SPREADS = (
    "accounts: {large: {limits: {strategies: [swing_trade, day_trade]}, practice_cash: 900000, "
    "practice_options_level: 3}}"
)
MONTHLY = date(2026, 4, 17)


@pytest.fixture(scope="module")
def world(module_world_home: Path) -> Iterator[Playground]:
    with playground(module_world_home, accounts=SPREADS, history=0) as opened:
        opened.minute(opened.session.open + 120 * MINUTE)
        yield opened


def swing(world: Playground, ticker: str, quantity: int = 1, *, signal: bool = True, delta: float = 0.5) -> str:
    """A call bought 22 days before its expiry, with the signal behind it; its symbol."""
    symbol, name = contract(world, ticker, LATER), f"signal-of-{ticker}"
    opened = shift(SESSION, -4).open
    if signal:
        with world.desk.ledger.begin() as connection:
            connection.execute(
                insert(dispatch_recommendations).values(
                    signal_id=name,
                    session=opened.date(),
                    ticker=ticker,
                    action="BUY_CALL",
                    strategy="swing_trade",
                    direction="BULLISH",
                    bar_start=opened,
                    known_at=opened,
                    confidence=0.9,
                    watchlist_score=0.5,
                    urgent=False,
                    rule_set="v1",
                    config_hash="c",
                    factors={},
                    features={},
                    sentiment={},
                    published_at=opened,
                    published_by="run",
                )
            )
    values: dict[str, Any] = {"strategy": Strategy.SWING_TRADE, "opened_at": opened, "entry_delta": delta}
    if signal:
        values |= {"origin": "signal", "signal_id": name}
    acquire(world, {symbol: (quantity, lambda _: values)})
    return symbol


def rolled_to(world: Playground, position_id: str) -> tuple[positions.Position, ...]:
    with world.desk.ledger.connect() as connection:
        return positions.rolled_to(connection, position_id)


def decided(world: Playground, position_id: str) -> list[dict[str, Any]]:
    with world.desk.ledger.connect() as connection:
        return [d for _, kind, d in positions.events_of(connection, position_id) if kind == "roll_decided"]


def test_a_roll_that_is_due_is_ordered_and_every_gate_of_it_is_kept(world: Playground) -> None:
    symbol = swing(world, "NVDA", 2)
    old = held(world)[symbol]
    manage(world)
    (event,) = decided(world, old.position_id)
    assert event["outcome"] == "ROLL", event["said"]
    assert {gate["gate"] for gate in event["gates"]} >= {"kill_switch", "max_exposure", "contract", "sizing"}
    assert not {"duplicate_position", "ticker_daily_limit", "ticker_cooldown"} & {g["gate"] for g in event["gates"]}
    (new,) = rolled_to(world, old.position_id)
    assert sold(world, symbol) == {"roll": 2}
    assert (new.state, new.quantity, new.expiry) == (PositionState.OPEN, 2, MONTHLY)
    assert new.entry_delta is not None and abs(new.entry_delta - 0.5) <= 0.1
    assert [row["kind"] for row in alerts(world, symbol) if row["rule"] == "roll"] == ["ordered"]
    with world.desk.ledger.connect() as connection:
        assert positions.root_signal(connection, new.position_id) == "signal-of-NVDA"
        assert orders.live_intents(connection, ACCOUNT) == ()
    assert manage_here(world).reconciled


def test_why_tells_a_rolled_position_from_the_signal_to_both_legs(world: Playground) -> None:
    with world.desk.ledger.connect() as connection:
        (new,) = [one for one in positions.live_positions(connection, ACCOUNT) if one.origin == "roll"]
        rules = Rules(
            config_hash="c",
            rule_sets=frozenset({RULE_SET}),
            signals=world.desk.settings.strategy.signals,
            watchlist=world.desk.settings.strategy.watchlist,
            news=world.desk.settings.strategy.news_view,
            presets={},
        )
        for asked in (new.position_id, new.rolled_from or "", "signal-of-NVDA"):
            if asked.startswith("signal"):
                pages = explanations.positions_of(connection, asked)
                assert [row["position_id"] for row in pages] == [new.rolled_from, new.position_id]
                continue
            page = why(connection, world.desk.frames, rules, Question(asked))
            text = plain(blocks(page))
            assert f"in place of position {new.rolled_from}" in text
            assert f"into {new.symbol}, net limits" in text
            assert "as one order of two legs at a net price" in text and "a leg of ta-large-ro-" in text
            assert "roll judged at" in text and "gates, all passed" in text


def test_what_may_not_be_bought_is_told_with_its_reason_and_not_asked_again_every_minute(world: Playground) -> None:
    symbol = swing(world, "MSFT", delta=0.99)
    old = held(world)[symbol]
    world.minute(world.desk.clock.now() + MINUTE)
    manage(world)
    manage(world)
    (event,) = decided(world, old.position_id)
    assert event["outcome"] == "SKIP" and "contract" in event["said"]
    assert "contract" in [gate["gate"] for gate in event["gates"] if not gate["passed"]]
    (told,) = [row for row in alerts(world, symbol) if row["rule"] == "roll"]
    assert told["kind"] == "due" and "not ordered" in told["reason"]
    assert f"sell 1 {symbol}" in told["recommended_action"]
    assert (held(world)[symbol].quantity, rolled_to(world, old.position_id)) == (1, ())
    world.desk.clock.wait_until(world.desk.clock.now() + 15 * MINUTE)
    world.minute(world.desk.clock.now() + MINUTE)
    manage(world)
    assert len(decided(world, old.position_id)) == 2, "later it is judged again"


def test_a_position_without_a_signal_of_ours_is_told_and_not_rolled(world: Playground) -> None:
    symbol = swing(world, "META", signal=False)
    manage(world)
    (told,) = [row for row in alerts(world, symbol) if row["rule"] == "roll"]
    assert told["kind"] == "due" and "no signal of ours" in told["reason"]
    assert held(world)[symbol].quantity == 1


def test_more_than_the_account_may_buy_is_rolled_in_part_and_the_rest_is_held(world: Playground) -> None:
    symbol = swing(world, "BAC", 30)
    old = held(world)[symbol]
    world.minute(world.desk.clock.now() + MINUTE)
    manage(world)
    (event,) = decided(world, old.position_id)
    assert event["outcome"] == "ROLL" and 1 <= event["quantity"] <= 10, event["said"]
    (new,) = rolled_to(world, old.position_id)
    now = held(world)
    assert (now[symbol].quantity, now[new.symbol].quantity) == (30 - event["quantity"], event["quantity"])


def test_the_kill_switch_rolls_nothing(world: Playground) -> None:
    symbol = swing(world, "KO")
    set_switch(world, KillMode.ENTRIES)
    world.minute(world.desk.clock.now() + MINUTE)
    manage(world)
    set_switch(world, KillMode.OFF)
    assert (held(world)[symbol].quantity, sold(world, symbol)) == (1, {})
    assert decided(world, held(world)[symbol].position_id) == []


@pytest.mark.parametrize(
    ("level", "configured", "ordered"), [(3, True, True), (3, False, False), (2, True, False), (None, True, False)]
)
def test_rolls_are_ordered_where_it_is_configured_and_the_broker_takes_several_legs(
    level: int | None, configured: bool, ordered: bool
) -> None:
    assert orders_rolls(builders.account(options_level=level), ExitConfig(order_rolls=configured)) is ordered


def test_what_a_roll_sells_is_not_held_any_more_and_its_money_may_be_used() -> None:
    mine, other = builders.held("AAPL", quantity=4), builders.held("MSFT")
    before = builders.account(positions=(mine, other), options_buying_power=Decimal(100))
    bid = Quote(mine.symbol, Decimal("2.00"), Decimal("2.10"), None)
    part, all_of_it = without(before, mine, 3, bid), without(before, mine, 4, bid)
    assert {one.underlying: one.quantity for one in part.positions} == {"AAPL": 1, "MSFT": other.quantity}
    assert [one.underlying for one in all_of_it.positions] == ["MSFT"]
    assert (part.options_buying_power, all_of_it.options_buying_power) == (Decimal(700), Decimal(900))
    assert without(before, mine, 4, None).options_buying_power == Decimal(100), "what is unknown frees nothing"
