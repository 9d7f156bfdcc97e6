"""Contract selection: what is fetched, what is refused, what is best."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_assets.domain.values import ContractSnapshot, Direction, Right, Strategy
from trading_assets.strategy.config_trading import ContractConfig, QualityConfig
from trading_assets.strategy.contract_quality import delta_points, quality_of, quality_parts, volume_points
from trading_assets.strategy.contracts import Candidate, ContractSelection, chain_query, dte_window, select_contract
from trading_assets.strategy.volatility_rank import VolatilityRank
from trading_assets_tests.strategy.trading_builders import FULL, HALF, NOON, before_close, snapshot

CONFIG = ContractConfig()
RANK = VolatilityRank(0.4, "iv", 200)


def select(chain: list[ContractSnapshot], **changes: Any) -> ContractSelection:
    arguments: dict[str, Any] = {
        "spot": Decimal(180),
        "direction": Direction.BULLISH,
        "strategy": Strategy.DAY_TRADE,
        "session": FULL,
        "as_of": NOON,
        "iv_rank": RANK,
        "config": CONFIG,
    }
    return select_contract(chain, **{**arguments, **changes})


def codes(selection: ContractSelection, symbol: str) -> set[str]:
    found: Candidate = next(item for item in selection.candidates if item.symbol == symbol)
    return {refusal.split(":")[0] for refusal in found.refusals}


def test_the_worked_check_of_the_quality_formula_gives_85_09() -> None:
    row = snapshot("722.5", bid="16.90", ask="17.40", volume=850, delta=0.48, dte=20, underlying="QQQ")
    parts = quality_parts(row, target=Decimal("720.93"), band=CONFIG.swing_delta, config=CONFIG)
    assert {name: round(points or 0, 2) for name, points in parts.items()} == {
        "spread": 28.34,
        "volume": 27.19,
        "delta": 20.0,
        "strike": 9.56,
    }
    quality = quality_of(parts, CONFIG)
    assert quality is not None and round(quality, 2) == 85.09
    chosen = select([row], spot=Decimal("720.93"), strategy=Strategy.SWING_TRADE)
    assert chosen.chosen == row and round(chosen.quality or 0, 2) == 85.09


def test_a_feed_without_volume_scales_the_other_parts_to_100() -> None:
    blind = CONFIG.model_copy(update={"feed_has_volume": False})
    row = snapshot("180", bid="2.50", ask="2.50", volume=None, delta=0.50)
    parts = quality_parts(row, target=Decimal(180), band=blind.swing_delta, config=blind)
    assert parts["volume"] is None
    assert quality_of(parts, blind) == pytest.approx(100)


def test_an_unknown_volume_on_a_feed_with_volume_earns_nothing_and_is_recorded_as_unknown() -> None:
    row = snapshot("180", bid="2.50", ask="2.50", volume=None)
    parts = quality_parts(row, target=Decimal(180), band=CONFIG.day_delta, config=CONFIG)
    assert parts["volume"] is None
    assert quality_of(parts, CONFIG) == pytest.approx(70)


@pytest.mark.parametrize(
    ("volume", "points"), [(0, 0), (199, 0), (200, 15), (600, 22.5), (850, 27.1875), (1000, 30), (5000, 30)]
)
def test_volume_points_rise_in_a_straight_line_between_200_and_1000(volume: int, points: float) -> None:
    assert volume_points(volume, CONFIG.quality) == pytest.approx(points)


@pytest.mark.parametrize(
    ("delta", "points"),
    [
        (0.30, 20),
        (-0.40, 20),
        (0.35, 20),
        (0.25, 15),
        (0.45, 15),
        (-0.46, 10),
        (0.55, 10),
        (0.15, 10),
        (0.14, 5),
        (0.9, 5),
    ],
)
def test_delta_points_follow_the_distance_to_the_band(delta: float, points: float) -> None:
    assert delta_points(delta, CONFIG.day_delta, CONFIG.quality) == points


def test_the_query_covers_ten_percent_of_spot_and_the_strategy_window_with_the_fallback() -> None:
    day = chain_query(Direction.BULLISH, Strategy.DAY_TRADE, Decimal("180.07"), FULL.day, CONFIG)
    assert (day.min_expiry, day.max_expiry) == (FULL.day, FULL.day + timedelta(days=6))
    assert (day.min_strike, day.max_strike) == (Decimal("162.07"), Decimal("198.07"))
    assert day.right is Right.CALL
    swing = chain_query(Direction.BEARISH, Strategy.SWING_TRADE, Decimal(180), FULL.day, CONFIG)
    assert (swing.min_expiry, swing.max_expiry) == (FULL.day + timedelta(days=14), FULL.day + timedelta(days=30))
    assert swing.right is Right.PUT


def test_stocks_and_unknown_spots_have_no_query() -> None:
    with pytest.raises(ValueError, match="trades no options"):
        dte_window(Strategy.STOCK, CONFIG)
    for spot in (Decimal(0), Decimal("NaN")):
        with pytest.raises(ValueError, match="positive price"):
            chain_query(Direction.BULLISH, Strategy.DAY_TRADE, spot, FULL.day, CONFIG)


def test_a_day_trade_takes_the_strike_whose_delta_is_closest_to_035() -> None:
    chain = [
        snapshot("178", delta=0.60),
        snapshot("181", delta=0.44),
        snapshot("182.5", delta=0.36),
        snapshot("185", delta=0.22),
    ]
    found = select(chain)
    assert found.chosen is not None and found.chosen.contract.strike == Decimal("182.5")
    assert found.day_trade_exits and not found.fallback
    best = {item.symbol: item.parts["strike"] for item in found.candidates}
    assert best[chain[2].contract.symbol] == 10


def test_each_expiry_has_its_own_target_strike() -> None:
    chain = [snapshot("182", delta=0.35, dte=0), snapshot("184", delta=0.35, dte=1), snapshot("182", delta=0.48, dte=1)]
    parts = {item.symbol: item.parts["strike"] for item in select(chain).candidates}
    assert parts[chain[0].contract.symbol] == 10 and parts[chain[1].contract.symbol] == 10
    assert (parts[chain[2].contract.symbol] or 0) < 10


def test_the_nearest_later_expiry_serves_where_none_of_today_or_tomorrow_is_listed() -> None:
    chain = [snapshot("182", dte=5), snapshot("182", dte=2, bid="2.40", ask="2.60")]
    found = select(chain)
    assert found.fallback and found.day_trade_exits
    assert found.chosen is not None and found.chosen.contract.expiry == FULL.day + timedelta(days=2)
    assert codes(found, chain[0].contract.symbol) == {"expiry"}


def test_a_listed_contract_of_today_closes_the_fallback_even_if_it_is_refused() -> None:
    chain = [snapshot("182", dte=0, bid=None), snapshot("182", dte=5)]
    found = select(chain)
    assert found.chosen is None and not found.fallback


def test_F41_an_adjusted_listing_does_not_count_as_listed() -> None:
    odd = snapshot("182", dte=0, root="NVDA1")
    found = select([odd, snapshot("182", dte=3)])
    assert found.fallback and found.chosen is not None
    assert codes(found, odd.contract.symbol) >= {"deliverable", "expiry"}


@pytest.mark.parametrize("strategy", [Strategy.DAY_TRADE, Strategy.SWING_TRADE])
def test_F41_an_expired_contract_that_is_still_listed_is_not_chosen(strategy: Strategy) -> None:
    gone = [snapshot("180", dte=-1, delta=0.5), snapshot("182", dte=-20)]
    found = select(gone, strategy=strategy)
    assert found.chosen is None
    assert all(codes(found, row.contract.symbol) == {"expiry"} for row in gone)


def test_F41_an_expired_contract_does_not_stand_in_for_todays() -> None:
    found = select([snapshot("182", dte=-1), snapshot("182", dte=3)])
    assert found.fallback and found.chosen is not None and found.chosen.contract.expiry > FULL.day


def test_a_swing_has_no_fallback() -> None:
    found = select([snapshot("180", dte=7, delta=0.5)], strategy=Strategy.SWING_TRADE)
    assert found.chosen is None and not found.day_trade_exits
    assert found.reason == "none of 1 contracts has the right expiry and strike: expiry 1"


def test_the_reason_counts_what_refused_the_contracts_that_were_meant() -> None:
    dear, thin = snapshot("180", dte=0, bid="0.10", ask="0.12"), snapshot("182", dte=0, volume=1, open_interest=1)
    found = select([dear, thin, snapshot("180", dte=40), snapshot("300", dte=0)])
    assert found.chosen is None
    assert found.reason.startswith("all 2 contracts of the right expiry and strike were refused: ")
    assert "liquidity 1" in found.reason and "premium 1" in found.reason


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"right": Right.PUT, "delta": -0.35}, "right"),
        ({"root": "NVDA1"}, "deliverable"),
        ({"multiplier": 10}, "deliverable"),
        ({"tradable": False}, "tradable"),
        ({"dte": 2}, "expiry"),
        ({"strike": "198.5"}, "strike"),
        ({"bid": None}, "quote"),
        ({"ask": None}, "quote"),
        ({"bid": "NaN"}, "quote"),
        ({"bid": "2.60", "ask": "2.50"}, "quote"),
        ({"bid": "2.30", "ask": "2.60"}, "spread"),
        ({"bid": "0", "ask": "2.60"}, "spread"),
        ({"bid": "0.28", "ask": "0.29"}, "premium"),
        ({"volume": 99, "open_interest": 499}, "liquidity"),
        ({"volume": None, "open_interest": None}, "liquidity"),
        ({"at": None}, "quote_age"),
        ({"at": NOON - timedelta(seconds=61)}, "quote_age"),
        ({"at": NOON + timedelta(minutes=2)}, "quote_age"),
        ({"delta": None, "bid": None}, "delta"),
        ({"delta": 0.9, "volume": 100, "bid": "2.38", "ask": "2.62"}, "quality"),
    ],
)
def test_each_fault_refuses_the_contract_and_a_faultless_one_is_bought(changes: dict[str, Any], code: str) -> None:
    good = snapshot("182", dte=1, bid="2.40", ask="2.60")
    bad = snapshot(**{"strike": "182.5", **changes})
    found = select([good, bad])
    assert found.chosen == good
    assert code in codes(found, bad.contract.symbol)


@pytest.mark.parametrize(
    ("volume", "interest", "liquid"),
    [(100, 0, True), (99, 500, True), (None, 500, True), (100, None, True), (99, None, False), (None, 499, False)],
)
def test_volume_or_open_interest_makes_a_contract_liquid(
    volume: int | None, interest: int | None, liquid: bool
) -> None:
    row = snapshot("182", volume=volume, open_interest=interest)
    assert ("liquidity" not in codes(select([row]), row.contract.symbol)) is liquid


def test_a_feed_that_never_has_volume_or_interest_is_not_asked_for_them() -> None:
    blind = CONFIG.model_copy(update={"feed_has_volume": False, "feed_has_open_interest": False})
    row = snapshot("182", volume=None, open_interest=None)
    assert select([row], config=blind).chosen == row


@pytest.mark.parametrize("session", [FULL, HALF])
def test_no_entry_into_an_expiring_contract_from_150_minutes_before_its_own_close(session: Any) -> None:
    for minutes, bought in ((151, True), (150, False), (30, False)):
        at = before_close(minutes, session)
        row = snapshot("182", at=at, session=session)
        found = select([row], as_of=at, session=session)
        assert (found.chosen is not None) is bought
        assert ("expiry_cutoff" in codes(found, row.contract.symbol)) is not bought
    tomorrow = snapshot("182", at=before_close(30, session), session=session, dte=1)
    assert select([tomorrow], as_of=before_close(30, session), session=session).chosen is not None


@pytest.mark.parametrize(
    "rank",
    [
        VolatilityRank(None, "none", 0),
        VolatilityRank(float("nan"), "iv", 200),
        VolatilityRank(0.81, "iv", 200),
        VolatilityRank(0.5, "iv", 59),
        VolatilityRank(0.5, "realised", 9),
        VolatilityRank(-1.0, "iv", 200),
    ],
)
def test_an_unknown_thin_or_high_volatility_rank_refuses_everything_and_says_so(rank: VolatilityRank) -> None:
    found = select([snapshot("182")], iv_rank=rank)
    assert found.chosen is None and found.reason.startswith("iv_rank")
    assert found.candidates and found.candidates[0].quality is not None


def test_an_unknown_spot_or_an_empty_chain_chooses_nothing() -> None:
    assert select([snapshot("182")], spot=Decimal("NaN")).reason == "the price of the underlying is unknown"
    assert select([]).reason == "the chain is empty"


def test_F41_missing_greeks_are_computed_and_marked() -> None:
    row = snapshot("182", delta=None, bid="1.45", ask="1.50", dte=1)
    found = select([row])
    assert found.chosen is not None and found.chosen.greeks_source == "computed"
    assert found.chosen.delta is not None and 0 < found.chosen.delta < 1
    assert found.chosen.theta is not None and found.chosen.theta < 0


def test_F41_a_sentinel_delta_is_replaced_and_greeks_of_the_feed_are_kept() -> None:
    sentinel = replace(snapshot("182", bid="1.45", ask="1.50", dte=1), delta=-999.0)
    kept = snapshot("183", delta=0.33)
    found = {row.symbol: row for row in select([sentinel, kept]).candidates}
    assert found[sentinel.contract.symbol].parts["delta"] is not None
    assert select([kept]).chosen == kept


def test_ties_go_to_the_tighter_spread_then_the_nearer_expiry() -> None:
    flat = ContractConfig(quality=QualityConfig(spread_points=0, volume_points=30, delta_points=40, strike_points=30))
    wide, tight = snapshot("182", bid="2.40", ask="2.60"), snapshot("182", dte=1)
    assert select([wide, tight], config=flat).chosen == tight
    near = snapshot("182", bid="2.45", ask="2.55")
    assert select([tight, near], config=flat).chosen == near


@given(st.permutations(["178", "180", "181", "182", "183"]))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_chain_does_not_matter(strikes: list[str]) -> None:
    chain = [snapshot(strike, dte=1) for strike in strikes]
    found = select(chain)
    # All deltas are equally close to the target: the strike nearest to spot is the target.
    assert found.chosen is not None and found.chosen.contract.strike == Decimal(180)
    assert [item.symbol for item in found.candidates] == [row.contract.symbol for row in chain]


@given(
    spread=st.decimals("0.01", "1.5", places=2),
    wider=st.decimals("0", "1", places=2),
    volume=st.integers(0, 2000),
    fewer=st.integers(0, 2000),
    age=st.integers(0, 90),
    older=st.integers(0, 90),
    rank=st.floats(0, 1),
    higher=st.floats(0, 1),
)
@settings(max_examples=150, deadline=None)
def test_a_worse_market_never_turns_a_refusal_into_a_choice(
    spread: Decimal, wider: Decimal, volume: int, fewer: int, age: int, older: int, rank: float, higher: float
) -> None:
    def chosen(width: Decimal, traded: int, seconds: int, value: float) -> bool:
        row = snapshot(
            "182",
            bid=str(Decimal(3) - width / 2),
            ask=str(Decimal(3) + width / 2),
            volume=traded,
            open_interest=0,
            at=NOON - timedelta(seconds=seconds),
        )
        return select([row], iv_rank=VolatilityRank(min(1.0, value), "iv", 100)).chosen is not None

    if not chosen(spread, volume, age, rank):
        assert not chosen(spread + wider, max(0, volume - fewer), age + older, rank + higher)


def test_unknown_keys_and_impossible_numbers_of_the_configuration_are_refused() -> None:
    for bad in (
        {"max_spred": 0.1},
        {"max_spread": 2},
        {"quality": {"spread_points": 50}},
        {"day_dte": {"minimum": 3, "maximum": 1}},
    ):
        with pytest.raises(ValidationError):
            ContractConfig.model_validate(bad)


def test_an_add_buys_the_contract_that_is_held_though_another_is_better() -> None:
    chain = [snapshot("179", delta=0.46, dte=20), snapshot("180", delta=0.5, dte=20)]
    best = select(chain, strategy=Strategy.SWING_TRADE)
    assert best.chosen is not None and best.chosen.contract.strike == 180
    found = select(chain, strategy=Strategy.SWING_TRADE, only=chain[0].contract.symbol)
    assert found.chosen is not None and found.chosen.contract.strike == 179
    assert found.candidates == best.candidates, "it is judged among all others"
    assert found.quality == best.candidates[0].quality
    assert select(chain, strategy=Strategy.SWING_TRADE, only="NVDA990101C00001000").chosen is None


def test_a_held_contract_that_became_illiquid_is_not_bought_again() -> None:
    wide = snapshot("179", delta=0.46, dte=20, bid="2.00", ask="3.00")
    found = select([wide, snapshot("180", delta=0.5, dte=20)], strategy=Strategy.SWING_TRADE, only=wide.contract.symbol)
    assert found.chosen is None and "was refused" in found.reason and "spread" in found.reason
