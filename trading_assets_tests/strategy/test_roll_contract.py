"""Into which contract a position is rolled, and at which net prices."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from trading_assets.domain.values import ContractSnapshot, Direction
from trading_assets.strategy.config_trading import ContractConfig, OrderConfig
from trading_assets.strategy.contracts import ContractSelection
from trading_assets.strategy.roll_contract import RollTarget, choose_roll, roll_ladder, roll_query
from trading_assets.strategy.volatility_rank import VolatilityRank
from trading_assets_tests.strategy.trading_builders import FULL, NOON, quote, snapshot

RANK = VolatilityRank(0.4, "iv", 200)
#: FULL is 4 February 2026; the March monthly is 44 days away.
EXPIRY, DAYS = date(2026, 3, 20), 44
WANTED = RollTarget(EXPIRY, 0.52, 0.10)


def row(strike: str, delta: float | None, **changes: Any) -> ContractSnapshot:
    return snapshot(strike, delta=delta, **{"dte": DAYS, **changes})


def choose(*rows: ContractSnapshot, target: RollTarget = WANTED, rank: VolatilityRank = RANK) -> ContractSelection:
    return choose_roll(
        rows,
        target,
        spot=Decimal(100),
        direction=Direction.BULLISH,
        session=FULL,
        as_of=NOON,
        iv_rank=rank,
        config=ContractConfig(),
    )


def chosen(selection: ContractSelection) -> Decimal | None:
    return None if selection.chosen is None else selection.chosen.contract.strike


def test_the_nearest_delta_wins_over_the_better_quality() -> None:
    near = row("99", 0.53, bid="2.40", ask="2.55", volume=300)
    better = row("100", 0.48)
    found = choose(better, near)
    assert chosen(found) == Decimal(99)
    assert "0.53" in found.reason and "0.52" in found.reason
    quality = {one.symbol: one.quality or 0 for one in found.candidates}
    assert quality[better.contract.symbol] > quality[near.contract.symbol]


@pytest.mark.parametrize(("delta", "taken"), [(0.42, True), (0.62, True), (0.41, False), (0.63, False)])
def test_a_delta_may_differ_by_the_tolerance_and_no_more(delta: float, taken: bool) -> None:
    found = choose(row("100", delta))
    assert (chosen(found) is not None) is taken
    if not taken:
        assert "within 0.10 of 0.52" in found.reason


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"at": NOON - timedelta(seconds=61)}, "quote_age"),
        ({"bid": "2.00", "ask": "2.60"}, "spread"),
        ({"bid": "0.20", "ask": "0.21"}, "premium"),
        ({"volume": 10, "open_interest": 10}, "liquidity"),
        ({"dte": DAYS + 7}, "expiry"),
        ({"tradable": False}, "tradable"),
        ({"root": "NVDA1"}, "deliverable"),
    ],
)
def test_what_no_purchase_may_take_no_roll_may(changes: dict[str, Any], code: str) -> None:
    found = choose(row("100", 0.52, **changes))
    assert found.chosen is None
    assert code in found.reason or any(code in said for one in found.candidates for said in one.refusals), found


def test_an_expensive_volatility_and_an_empty_chain_refuse() -> None:
    assert choose(row("100", 0.52), rank=VolatilityRank(0.95, "iv", 200)).chosen is None
    assert choose(row("100", 0.52), rank=VolatilityRank(None, "none", 0)).chosen is None
    assert choose().reason == "the chain is empty"


def test_what_is_left_of_a_part_goes_into_the_same_contract() -> None:
    first, other = row("100", 0.50), row("99", 0.52)
    assert chosen(choose(first, other)) == Decimal(99)
    only = replace(WANTED, only=first.contract.symbol)
    assert chosen(choose(first, other, target=only)) == Decimal(100)
    assert choose(other, target=only).chosen is None


def test_the_query_is_the_one_expiry_within_the_range_of_strikes() -> None:
    query = roll_query(WANTED, Direction.BEARISH, Decimal(100), FULL, ContractConfig())
    assert (query.min_expiry, query.max_expiry, query.right.value) == (EXPIRY, EXPIRY, "put")
    assert (query.min_strike, query.max_strike) == (Decimal(90), Decimal(110))


def test_net_limits_rise_to_what_both_quotes_give_at_once() -> None:
    rungs = roll_ladder(quote("2.00", "2.10"), quote("3.00", "3.20"), OrderConfig())
    # Net between 0.90 (at the near sides) and 1.20 (at the far sides): 1.05 + 25 % and + 40 % of 0.30, then 1.20.
    assert [rung.limit for rung in rungs] == [Decimal("1.12"), Decimal("1.17"), Decimal("1.20")]
    assert {rung.seconds for rung in rungs} == {10}


def test_a_roll_that_brings_money_has_negative_limits_and_never_asks_for_less_than_the_quotes_give() -> None:
    rungs = roll_ladder(quote("5.00", "5.10"), quote("3.00", "3.01"), OrderConfig())
    assert [rung.limit for rung in rungs] == [Decimal("-2.02"), Decimal("-2.01"), Decimal("-1.99")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, quote("3.00", "3.20")),
        (quote("2.00", "2.10"), None),
        (quote("2.20", "2.10"), quote("3.00", "3.20")),
        (quote("2.00", "2.10"), quote("3.30", "3.20")),
        (quote("0", "0.05"), quote("3.00", "3.20")),
        (quote("2.00", None), quote("3.00", "3.20")),
    ],
)
def test_without_two_whole_quotes_there_is_no_price(old: Any, new: Any) -> None:
    assert roll_ladder(old, new, OrderConfig()) == ()
