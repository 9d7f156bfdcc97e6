"""Signals: direction, confidence with every factor, instrument, identity, and why nothing is done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from trading_assets.domain.identities import signal_id
from trading_assets.domain.values import Action, Direction, Strategy
from trading_assets.market.frames import DECISIONS, FEATURES, SENTIMENT, conform, empty
from trading_assets.strategy.config_signals import (
    NewsViewConfig,
    SignalConfig,
    TradeMode,
    VolumeStep,
    check_rule_sets,
)
from trading_assets.strategy.signals import RULE_SET, decide, to_signal
from trading_assets_tests.strategy.signal_builders import (
    AS_OF,
    MINUTE,
    MIRRORED,
    decision,
    decisions,
    feature,
    features,
    index,
    listed,
    story,
)

HYBRID, STOCKS = SignalConfig(mode=TradeMode.HYBRID), SignalConfig(mode=TradeMode.STOCK_ONLY)
STRONG: Mapping[str, Any] = {"volume_ratio": 5.0, "mtf_alignment": 1.0}


# --- direction --------------------------------------------------------------------------------------------------------


def test_a_rising_trend_near_its_mean_is_bullish_and_buys_a_call() -> None:
    row = decision(**STRONG)
    assert (row["direction"], row["action"], row["strategy"]) == ("BULLISH", "BUY_CALL", "day_trade")


def test_a_falling_trend_is_the_mirror_image() -> None:
    mirrored = dict(MIRRORED) | {"volume_ratio": 5.0, "mtf_alignment": -1.0}
    rising, falling = decision(**STRONG), decision(**mirrored, context=index(trend=-1))
    assert (falling["direction"], falling["action"], falling["strategy"]) == ("BEARISH", "BUY_PUT", "day_trade")
    assert falling["confidence"] == pytest.approx(rising["confidence"])
    against = decision(**mirrored, context=index(trend=1))
    assert against["confidence"] == pytest.approx(rising["confidence"] * 0.8) and against["action"] == "HOLD"


@pytest.mark.parametrize(
    ("changes", "direction"),
    [
        ({"distance_sma20": -0.005}, "BULLISH"),
        ({"distance_sma20": -0.0051}, None),
        ({"distance_sma20": 0.0199}, "BULLISH"),
        ({"distance_sma20": 0.02}, None),
        ({"trend_state": -1, "distance_sma20": 0.005}, "BEARISH"),
        ({"trend_state": -1, "distance_sma20": 0.0051}, None),
        ({"trend_state": -1, "distance_sma20": -0.02}, None),
        ({"trend_state": 0}, None),
        ({"trend_state": 0, "distance_sma20": 0.0}, None),
    ],
)
def test_direction_comes_from_trend_and_distance(changes: dict[str, Any], direction: str | None) -> None:
    row = decision(**changes)
    assert row["direction"] == direction
    assert direction is not None or row["action"] == "HOLD"


def test_good_news_does_not_turn_a_falling_trend_around() -> None:
    news = [story(score=1.0, ago=n) for n in range(1, 20)]
    row = decision(
        **(dict(MIRRORED) | {"volume_ratio": 5.0, "mtf_alignment": -1.0}), news=news, context=index(trend=-1)
    )
    assert row["direction"] == "BEARISH" and row["action"] in ("BUY_PUT", "HOLD")


# --- confidence -------------------------------------------------------------------------------------------------------


def test_the_worked_example_without_news() -> None:
    row = decision()
    assert row["trend_factor"] == pytest.approx(0.5)  # |100 - 99.6| / (2 x 0.4)
    assert row["setup_factor"] == pytest.approx(0.5)  # 1 - |100.8 - 100| / (4 x 0.4)
    assert row["volatility_factor"] == 1.0
    assert row["mtf_factor"] == pytest.approx(0.9)
    assert row["base"] == pytest.approx(0.735)
    multipliers = [row[f"{name}_multiplier"] for name in ("sentiment", "volume", "breakout", "index")]
    assert multipliers == [1.0, 0.85, 1.0, 1.0]
    assert row["confidence"] == pytest.approx(0.62475)
    assert row["action"] == "HOLD" and row["reason"] == "confidence 0.625 is below 0.65"


def test_the_worked_example_with_aligned_news_is_a_swing_trade() -> None:
    row = decision(news=[story(score=0.6, ago=n) for n in (5, 10, 15)])
    assert row["sentiment"] == pytest.approx(0.6) and row["news_count"] == 3 and row["news_age_s"] == 300
    assert row["sentiment_multiplier"] == pytest.approx(1 + 0.25 * 0.6 * 3 / 5)
    assert row["confidence"] == pytest.approx(0.735 * 1.09 * 0.85)
    assert (row["action"], row["strategy"]) == ("BUY_CALL", "swing_trade")


def test_the_worked_example_with_opposed_news() -> None:
    row = decision(news=[story(score=-0.5, ago=n) for n in range(1, 11)])
    assert row["sentiment_multiplier"] == pytest.approx(1 - 0.20 * 0.5)
    assert row["confidence"] == pytest.approx(0.735 * 0.9 * 0.85)


def test_neutral_news_changes_nothing() -> None:
    assert decision(news=[story(score=0.0)])["sentiment_multiplier"] == 1


@pytest.mark.parametrize(
    ("ratio", "multiplier"),
    [
        (0.0, 0.0),
        (0.49, 0.0),
        (0.5, 0.3),
        (1.19, 0.3),
        (1.2, 0.5),
        (1.49, 0.5),
        (1.5, 0.7),
        (1.99, 0.7),
        (2.0, 0.85),
        (2.99, 0.85),
        (3.0, 0.95),
        (4.99, 0.95),
        (5.0, 1.0),
        (50.0, 1.0),
    ],
)
def test_each_step_of_relative_volume_begins_where_it_says(ratio: float, multiplier: float) -> None:
    row = decision(volume_ratio=ratio)
    assert row["volume_multiplier"] == multiplier
    assert row["confidence"] == pytest.approx(0.735 * multiplier)


@pytest.mark.parametrize(("ratio", "value"), [(0.1, 0.7), (0.79, 0.7), (0.8, 1.0), (1.3, 1.0), (1.31, 0.5), (9.0, 0.5)])
def test_the_volatility_factor_prefers_the_usual(ratio: float, value: float) -> None:
    assert decision(vol_ratio=ratio)["volatility_factor"] == value


@pytest.mark.parametrize(("close", "multiplier"), [(100.7, 0.6), (100.71, 1.0)])
def test_a_breakout_lies_beyond_the_band(close: float, multiplier: float) -> None:
    assert decision(close=close)["breakout_multiplier"] == multiplier
    below = dict(MIRRORED) | {"close": 200 - close}
    assert decision(**below)["breakout_multiplier"] == multiplier


@pytest.mark.parametrize(("trend", "multiplier"), [(1, 1.0), (0, 1.0), (-1, 0.8)])
def test_only_an_index_against_the_direction_counts_against_it(trend: int, multiplier: float) -> None:
    assert decision(context=index(trend=trend))["index_multiplier"] == multiplier


def test_timeframes_against_the_direction_add_nothing_and_take_nothing() -> None:
    row = decision(mtf_alignment=-0.7)
    assert row["mtf_factor"] == 0 and row["base"] == pytest.approx(0.375)


def test_confidence_never_exceeds_one() -> None:
    row = decision(
        **STRONG, sma50=98.0, close=100.72, distance_sma20=0.0001, news=[story(score=1.0, ago=n) for n in range(1, 9)]
    )
    assert row["base"] > 0.9 and row["confidence"] == 1.0


@pytest.mark.parametrize(
    ("ratio", "distance", "urgent"), [(2.5, 0.01, True), (2.49, 0.01, False), (2.5, 0.0099, False), (3.0, -0.01, True)]
)
def test_urgent_is_much_volume_far_from_the_mean(ratio: float, distance: float, urgent: bool) -> None:
    assert decision(volume_ratio=ratio, distance_sma20=distance)["urgent"] is urgent


# --- missing is not zero ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "volume_ratio",
        "vol_ratio",
        "mtf_alignment",
        "atr14",
        "sma50",
        "donchian_high20",
        "trend_state",
        "distance_sma20",
    ],
)
def test_an_unknown_input_holds_and_says_so(name: str) -> None:
    changes: dict[str, Any] = dict(STRONG) | {name: None}
    row = decision(**changes)
    assert row["action"] == "HOLD" and row["confidence"] is None and "unknown" in row["reason"]
    assert row["signal_id"] is None and row["strategy"] is None


@pytest.mark.parametrize("context", [index(trend=None), index([AS_OF - MINUTE])])
def test_an_unknown_index_trend_holds(context: pl.DataFrame) -> None:
    row = decision(**STRONG, context=context)
    assert row["action"] == "HOLD" and row["index_multiplier"] is None and "index_multiplier" in row["reason"]


def test_a_range_of_zero_is_no_scale() -> None:
    row = decision(**STRONG, atr14=0.0)
    assert row["action"] == "HOLD" and row["base"] is None


# --- instrument -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "strategy"),
    [
        # base 0.735 + 0.40 x 0.1 = 0.775 with all timeframes agreed
        ({"volume_ratio": 5.0, "mtf_alignment": 1.0}, "day_trade"),
        ({"volume_ratio": 3.0, "mtf_alignment": 1.0}, "swing_trade"),
        ({"volume_ratio": 2.0, "mtf_alignment": 1.0}, "swing_trade"),
        ({"volume_ratio": 1.9, "mtf_alignment": 1.0}, None),
    ],
)
def test_confidence_decides_between_day_swing_and_nothing(changes: dict[str, Any], strategy: str | None) -> None:
    row = decision(**changes)
    assert row["strategy"] == strategy
    assert row["action"] == ("HOLD" if strategy is None else "BUY_CALL")


def test_a_day_trade_needs_twice_the_usual_volume() -> None:
    plain = [VolumeStep(below=0.5, multiplier=0.0)]
    flat = SignalConfig(volume_steps=tuple(plain))
    for ratio, strategy in ((2.0, "day_trade"), (1.99, "swing_trade"), (1.2, "swing_trade"), (1.19, None)):
        assert decision(volume_ratio=ratio, mtf_alignment=1.0, config=flat)["strategy"] == strategy


def test_the_volume_gate_stands_by_itself() -> None:
    row = decision(volume_ratio=1.19, mtf_alignment=1.0, config=SignalConfig(swing_confidence=0.0))
    assert row["action"] == "HOLD" and row["reason"] == "volume ratio 1.19 is below 1.2"


def test_wild_volatility_blocks_options_but_not_stock() -> None:
    wild = {**STRONG, "vol_ratio": 2.01, "sma50": 98.0, "close": 100.75, "distance_sma20": 0.0075}
    row = decision(**wild)
    assert row["confidence"] > 0.75
    assert row["action"] == "HOLD" and row["reason"] == "volatility ratio 2.01 exceeds 2: no options"
    assert decision(**(wild | {"vol_ratio": 2.0}))["action"] == "BUY_CALL"
    assert decision(**wild, config=HYBRID)["action"] == "BUY_STOCK"


def test_hybrid_takes_stock_where_options_need_more_confidence() -> None:
    assert decision()["action"] == "HOLD"
    row = decision(config=HYBRID)
    assert (row["action"], row["strategy"]) == ("BUY_STOCK", "stock")
    assert decision(**STRONG, config=HYBRID)["strategy"] == "day_trade"
    assert decision(mtf_alignment=0.5, config=HYBRID)["action"] == "HOLD"


def test_stock_only_buys_stock_whatever_the_confidence() -> None:
    assert decision(**STRONG, config=STOCKS)["action"] == "BUY_STOCK"
    assert decision(config=STOCKS)["action"] == "BUY_STOCK"


@pytest.mark.parametrize("config", [HYBRID, STOCKS])
def test_stock_is_not_sold_short(config: SignalConfig) -> None:
    row = decision(**MIRRORED, config=config, context=index(trend=-1))
    assert row["action"] == "HOLD" and row["direction"] == "BEARISH" and "short" in row["reason"]


# --- rows -------------------------------------------------------------------------------------------------------------


def test_every_member_with_a_deciding_bar_gets_a_row_with_its_inputs() -> None:
    rows = [feature(ticker=name, trend_state=state) for name, state in (("AAA", 1), ("BBB", 0), ("CCC", 1))]
    seen = decisions(rows, watchlist=listed({"AAA": 0.7, "BBB": 0.6, "DDD": 0.5}))
    conform(seen, DECISIONS, "signals")
    assert sorted(seen["ticker"]) == ["AAA", "BBB"]
    row = seen.filter(pl.col("ticker") == "AAA").to_dicts()[0]
    assert (row["as_of"], row["ts"]) == (AS_OF, rows[0]["ts"])
    assert row["volume_ratio"] == 2.2 and row["watchlist_score"] == 0.7 and row["mtf_alignment"] == 0.9
    assert (row["rule_set"], row["config_hash"], row["live"]) == (RULE_SET, "h", True)
    assert all(reason for reason in seen["reason"])


def test_only_the_newest_watchlist_decision_counts_and_only_its_members() -> None:
    old, new = AS_OF - 6 * MINUTE, AS_OF - MINUTE
    lists = pl.concat([listed({"AAA": 0.9}, old), listed({"AAA": 0.2}, new, member=False), listed({"BBB": 0.4}, new)])
    rows = [feature(ticker=name, as_of=moment) for name in ("AAA", "BBB") for moment in (old + MINUTE, AS_OF)]
    seen = decisions(rows, watchlist=lists).select("as_of", "ticker").rows()
    assert sorted(seen) == [(old + MINUTE, "AAA"), (AS_OF, "BBB")]


def test_without_a_watchlist_nothing_is_decided() -> None:
    assert decisions([feature()], watchlist=listed({"AAA": 0.5}, AS_OF + MINUTE)).is_empty()
    assert decisions([feature()], as_ofs=[]).is_empty()


def test_simultaneous_signals_come_by_confidence_then_score_then_ticker() -> None:
    rows = [
        feature(ticker=name, volume_ratio=ratio, mtf_alignment=1.0)
        for name, ratio in (("DDD", 2.0), ("BBB", 5.0), ("CCC", 5.0), ("AAA", 5.0), ("EEE", 3.0))
    ]
    members = listed({"AAA": 0.5, "BBB": 0.5, "CCC": 0.9, "DDD": 0.9, "EEE": 0.9})
    assert decisions(rows, watchlist=members)["ticker"].to_list() == ["CCC", "AAA", "BBB", "EEE", "DDD"]


def test_the_order_of_inputs_does_not_matter() -> None:
    rows = [feature(ticker=f"T{n}", volume_ratio=1.0 + n / 3, mtf_alignment=1.0) for n in range(15)]
    news = [story(f"T{n % 15}", ago=n + 1, score=(n % 9 - 4) / 4) for n in range(40)]
    assert decisions(rows, news=news).equals(decisions(rows[::-1], news=news[::-1]))


# --- identity and repetition ------------------------------------------------------------------------------------------


def test_the_identity_names_rules_ticker_bar_action_and_strategy() -> None:
    row = decision(**STRONG)
    assert row["signal_id"] == signal_id(RULE_SET, "AAA", row["ts"], "BUY_CALL", "day_trade")
    later = decision(**STRONG, as_of=AS_OF + timedelta(seconds=20))
    assert later["signal_id"] == row["signal_id"]
    assert decision(**STRONG, as_of=AS_OF + MINUTE)["signal_id"] != row["signal_id"]


def minutes_of(ticker: str, *minutes: int, **changes: Any) -> list[dict[str, Any]]:
    return [feature(as_of=AS_OF + n * MINUTE, ticker=ticker, **(dict(STRONG) | changes)) for n in minutes]


def test_a_ticker_signals_once_per_direction_in_fifteen_minutes() -> None:
    seen = decisions(minutes_of("AAA", *range(32)))
    acting = [int((row["as_of"] - AS_OF) / MINUTE) for row in seen.to_dicts() if row["action"] != "HOLD"]
    assert acting == [0, 15, 30]
    held = seen.to_dicts()[14]
    assert "already signalled at 14:45" in held["reason"] and held["signal_id"] is None
    assert held["confidence"] == seen.to_dicts()[0]["confidence"]


def test_the_other_direction_and_other_tickers_are_free() -> None:
    down = minutes_of("AAA", 1, **(dict(MIRRORED) | {"mtf_alignment": -1.0, "sma50": 101.0}))
    seen = decisions(minutes_of("AAA", 0) + down + minutes_of("BBB", 1))
    assert sorted(seen["action"]) == ["BUY_CALL", "BUY_CALL", "BUY_PUT"]


def test_earlier_decisions_that_are_handed_in_silence_too_but_holds_do_not() -> None:
    before = decisions(minutes_of("AAA", 0) + minutes_of("BBB", 0, volume_ratio=1.0))
    assert sorted(before["action"]) == ["BUY_CALL", "HOLD"]
    after = decisions(minutes_of("AAA", 14) + minutes_of("BBB", 14), recent=before)
    assert dict(after.select("ticker", "action").iter_rows()) == {"AAA": "HOLD", "BBB": "BUY_CALL"}
    assert decisions(minutes_of("AAA", 15), recent=before)["action"].to_list() == ["BUY_CALL"]


def test_minute_by_minute_equals_the_whole_day() -> None:
    ratios = (5.0, 1.0, 3.0, 2.0)
    rows = [
        feature(as_of=AS_OF + n * MINUTE, ticker=f"T{k}", mtf_alignment=1.0, volume_ratio=ratios[(n + k) % 4])
        for n in range(40)
        for k in range(5)
    ]
    news = [story("T1", ago=-n, score=0.5) for n in range(0, 40, 7)]
    moments = [AS_OF + n * MINUTE for n in range(40)]
    members = listed({f"T{k}": 0.3 + k / 10 for k in range(5)})
    whole = decisions(rows, news=news, watchlist=members, context=index(moments))
    grown = empty(DECISIONS)
    for moment in moments:
        known = [row for row in rows if row["as_of"] <= moment]
        told = [row for row in news if row["known_at"] <= moment]
        step = decisions(known, news=told, watchlist=members, context=index([moment]), as_ofs=[moment], recent=grown)
        grown = pl.concat([grown, step])
    assert whole.equals(grown)
    assert 5 < (whole["action"] != "HOLD").sum() < whole.height


# --- values and configuration -----------------------------------------------------------------------------------------


def test_a_row_becomes_a_signal_with_factors_features_and_news() -> None:
    row = decision(**STRONG, news=[story(score=0.5)])
    signal = to_signal(row | {"atr14_5m": 0.9}, AS_OF.date())
    assert (signal.action, signal.strategy, signal.direction) == (
        Action.BUY_CALL,
        Strategy.DAY_TRADE,
        Direction.BULLISH,
    )
    assert signal.known_at == AS_OF and signal.bar_start == row["ts"] and signal.signal_id == row["signal_id"]
    assert signal.factors["base"] == row["base"] and signal.sentiment["news_count"] == 1
    assert signal.features["atr14_5m"] == 0.9


def test_nothing_live_comes_from_a_recomputation() -> None:
    rows = decide(
        features([feature(**STRONG)]),
        listed({"AAA": 0.5}),
        empty(SENTIMENT),
        index(),
        as_ofs=[AS_OF],
        recent=None,
        config=SignalConfig(),
        news=NewsViewConfig(),
        config_hash="h",
        live=False,
    )
    assert rows["live"].to_list() == [False] and rows["action"].to_list() == ["BUY_CALL"]


@pytest.mark.parametrize("name", ["seeds", "conservative", "premium_selling"])
def test_rules_without_complete_tables_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is refused"):
        check_rule_sets(("momentum", name))
    with pytest.raises(ValueError, match="stands twice"):
        check_rule_sets(("momentum", "momentum"))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"weight_trend": 0.5}, "add up to 1.2"),
        ({"mode": "options"}, "options_only"),
        ({"calm_from": 2.0}, "calm_from exceeds calm_to"),
        ({"volume_steps": [{"below": 2, "multiplier": 0.5}, {"below": 1, "multiplier": 0.7}]}, "must rise"),
        ({"swing_confidence": 1.2}, "less than or equal to 1"),
        ({"rule_sets": ["momentum"]}, "Extra inputs"),
        ({"gap_fade": {"start": 0.6}}, "more than 1"),
        ({"gap_fade": {"min_gap": 0.02}}, "does not exceed"),
        ({"webhook": {"sources": {"someone": 1.5}}}, "must lie in 0 to 1"),
    ],
)
def test_a_wrong_configuration_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        SignalConfig.model_validate(values)


def test_every_column_of_a_decision_comes_from_somewhere() -> None:
    row = decision(**STRONG, news=[story()])
    assert [name for name, value in row.items() if value is None] == ["own_factors"]
    assert set(feature()) == set(FEATURES)
