"""Rule sets beside the default one: gaps that are faded and signals from outside, and what all of them share."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.market.frames import SENTIMENT, WEBHOOK_INPUTS, empty
from trading_assets.strategy.config_signals import GapFadeConfig, NewsViewConfig, SignalConfig, TradeMode, WebhookConfig
from trading_assets.strategy.rule_sets.wording import Number, distinct, sentences
from trading_assets.strategy.signals import RULE_SET, decide, to_signal
from trading_assets_tests.strategy.signal_builders import MINUTE, decisions, feature, features, index, listed

#: 9:59 New York; the bar of 9:58 decides, within the first hour.
EARLY = datetime(2026, 3, 11, 13, 59, tzinfo=UTC)
GAP_UP = {"gap": 0.014, "vwap": 101.0, "close": 100.5, "trend_state": -1, "volume_ratio": 2.0, "vol_ratio": 3.0}
BELIEVED = SignalConfig(webhook=WebhookConfig(sources={"desk": 0.8, "blog": 0.3}))


def judged(
    *rows: dict[str, Any],
    rules: tuple[str, ...],
    config: SignalConfig | None = None,
    external: list[dict[str, Any]] | None = None,
    preset: str = "default",
    recent: pl.DataFrame | None = None,
) -> pl.DataFrame:
    moments = sorted({row["as_of"] for row in rows})
    return decide(
        features(rows),
        listed({row["ticker"]: 0.5 for row in rows}, moments[0] - MINUTE),
        empty(SENTIMENT),
        index(moments),
        as_ofs=moments,
        recent=recent,
        config=SignalConfig() if config is None else config,
        news=NewsViewConfig(),
        config_hash="h",
        live=True,
        rule_sets=rules,
        preset=preset,
        external=pl.DataFrame(external or [], schema=WEBHOOK_INPUTS),
    )


def faded(config: SignalConfig | None = None, at: datetime = EARLY, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = GAP_UP | changes
    (row,) = judged(feature(as_of=at, **values), rules=("gap_fade",), config=config).to_dicts()
    return row


def heard(config: SignalConfig = BELIEVED, *, ago: float = 30, row: dict[str, Any] | None = None, **said: Any) -> Any:
    plain: dict[str, Any] = {"volume_ratio": 2.5, "vol_ratio": 1.0, "trend_state": 1} | (row or {})
    given_ = {"source": "desk", "ticker": "AAA", "direction": "BULLISH", "strategy": None} | said
    given_["received_at"] = EARLY - timedelta(seconds=ago)
    rows = judged(feature(as_of=EARLY, **plain), rules=("webhook",), config=config, external=[given_]).to_dicts()
    return rows[0] if rows else None


# --- gap_fade ---------------------------------------------------------------------------------------------------------


def test_a_gap_up_that_has_turned_is_faded_with_a_put() -> None:
    row = faded()
    # 0.55 + 0.15 x (1.4 % - 0.8 %) / (2 % - 0.8 %) + 0.15 beyond VWAP + 0.15 with the trend
    assert row["confidence"] == pytest.approx(0.925)
    assert (row["action"], row["strategy"], row["direction"]) == ("BUY_PUT", "day_trade", "BEARISH")
    assert json.loads(row["own_factors"]) == {
        "gap": 0.014,
        "size_factor": pytest.approx(0.5),
        "turned_factor": 1.0,
        "agreed_factor": 1.0,
    }
    assert to_signal(row, EARLY.date()).factors["size_factor"] == pytest.approx(0.5)


def test_a_gap_down_is_the_mirror_image() -> None:
    row = faded(gap=-0.014, vwap=100.0, trend_state=1)
    assert (row["action"], row["confidence"]) == ("BUY_CALL", pytest.approx(0.925))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gap": 0.0079}, "gap of +0.79% is smaller than 0.80%"),
        ({"gap": None}, "unknown: gap"),
        ({"gap": -0.9}, "gap of -90.00% exceeds 15%: a corporate action is suspected"),
        ({"vwap": None, "volume_ratio": None}, "unknown: volume_ratio, vwap"),
        ({"trend_state": 0}, "no trend: no options"),
        ({"volume_ratio": 1.1}, "volume ratio 1.10 is below 1.2"),
        ({"trend_state": 1, "vwap": 100.0}, "confidence 0.625 is below 0.75"),
    ],
)
def test_a_gap_that_is_not_faded_says_why(changes: dict[str, Any], reason: str) -> None:
    row = faded(**changes)
    assert (row["action"], row["reason"], row["signal_id"]) == ("HOLD", reason, None)


def test_gaps_are_faded_in_the_first_hour_only_and_not_with_stock() -> None:
    last = datetime(2026, 3, 11, 14, 30, tzinfo=UTC)
    assert faded(at=last)["action"] == "BUY_PUT"
    late: dict[str, Any] = dict(GAP_UP)
    assert judged(feature(as_of=last + MINUTE, **late), rules=("gap_fade",)).is_empty()
    assert "stock_only" in faded(SignalConfig(mode=TradeMode.STOCK_ONLY))["reason"]


@settings(deadline=None, max_examples=25)
@given(gap=st.floats(-0.5, 0.5), vwap=st.floats(1, 1000), trend=st.sampled_from([-1, 0, 1]))
def test_the_confidence_of_a_gap_lies_between_its_start_and_one(gap: float, vwap: float, trend: int) -> None:
    found = faded(gap=gap, vwap=vwap, trend_state=trend)["confidence"]
    assert (found is None) == (abs(gap) < GapFadeConfig().min_gap)
    assert found is None or 0.55 <= found <= 1


# --- webhook ----------------------------------------------------------------------------------------------------------


def test_a_configured_source_gives_its_confidence() -> None:
    row = heard()
    assert (row["action"], row["strategy"], row["confidence"]) == ("BUY_CALL", "day_trade", 0.8)
    assert heard(strategy="swing_trade")["strategy"] == "swing_trade"
    assert json.loads(row["own_factors"])["source"] == "desk"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"source": "stranger"}, "the source of the signal has no confidence in the configuration"),
        ({"direction": "UP"}, "the signal has no direction that is known here"),
        ({"strategy": "lottery"}, "the signal asks for a strategy unknown here"),
        ({"source": "blog"}, "confidence 0.300 is below 0.65"),
        (
            {"source": "blog", "strategy": "day_trade"},
            "confidence 0.300 is not enough for the strategy that was asked for",
        ),
        ({"row": {"vol_ratio": None}}, "unknown: vol_ratio"),
        ({"row": {"vol_ratio": 2.1}}, "volatility ratio 2.10 exceeds 2: no options"),
        ({"row": {"trend_state": 0}}, "no trend: nothing from outside is taken"),
    ],
)
def test_an_outside_signal_that_is_not_taken_says_why(said: dict[str, Any], reason: str) -> None:
    row = heard(**said)
    assert (row["action"], row["reason"]) == ("HOLD", reason)


def test_without_configured_sources_nobody_is_believed() -> None:
    assert "no confidence" in heard(SignalConfig())["reason"]


def test_an_outside_signal_is_heard_after_its_receipt_until_it_is_old() -> None:
    assert heard(ago=1e-6) is not None and heard(ago=299) is not None
    assert heard(ago=0) is None, "the instant of its receipt is that of an earlier decision"
    assert heard(ago=-1) is None and heard(ago=300) is None and heard(ticker="ZZZ") is None


# --- what they share --------------------------------------------------------------------------------------------------


def test_rule_sets_and_presets_repeat_and_are_named_apart() -> None:
    strong: dict[str, Any] = {"mtf_alignment": 1.0, "volume_ratio": 5.0, "gap": -0.02, "vwap": 100.0}
    rows = [feature(as_of=EARLY + n * MINUTE, **strong) for n in range(3)]
    both = judged(*rows, rules=("momentum", "gap_fade"))
    acting = both.filter(pl.col("action") != "HOLD")
    assert sorted(acting["rule_set"]) == ["gap_fade-1", "momentum-1"] and both.height == 6
    assert acting["rule_set"][0] == "gap_fade-1"  # the more confident of one instant comes first
    alone = judged(*rows, rules=("momentum",))
    assert both.filter(pl.col("rule_set") == RULE_SET).equals(alone)
    other = judged(*rows, rules=("momentum",), preset="seeds", recent=alone)
    assert other["action"].to_list() == alone["action"].to_list()
    assert set(other["signal_id"].drop_nulls()).isdisjoint(alone["signal_id"].drop_nulls())


def test_decisions_of_the_default_rules_stay_as_they_were() -> None:
    """The bytes of actions, confidences, identities and reasons over a fixed grid of rows, as first published."""
    ratios, distances = (0.3, 1.125, 1.25, 1.9, 2.2, 3.005, 5.0, None), (-0.02125, -0.006, -0.005, 0.008, 0.0199, None)
    rows = [
        feature(ticker=f"T{r}{d}{t}", volume_ratio=ratio, distance_sma20=distance, trend_state=t, mtf_alignment=0.95)
        for r, ratio in enumerate(ratios)
        for d, distance in enumerate(distances)
        for t in (-1, 0, 1)
    ]
    seen = decisions(rows, config=SignalConfig(mode=TradeMode.HYBRID))
    text = "\n".join("|".join(map(str, row)) for row in seen.select(PINNED).rows())
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN
    assert seen["action"].value_counts().sort("action").rows() == COUNTED


PINNED = ("ticker", "action", "strategy", "direction", "signal_id", "confidence", "base", "urgent", "reason")
GOLDEN = "dde1daf651deb9a4d92d54be1f50319cad4f9fa8f39eb54e0b18c0b9057006fc"
COUNTED = [("BUY_CALL", 6), ("BUY_STOCK", 3), ("HOLD", 135)]


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.floats(-1e13, 1e13), st.floats(-10, 10), st.integers(-4000, 4000).map(lambda n: n / 1000))),
    st.sampled_from([2, 3]),
    st.booleans(),
)
def test_a_number_in_a_reason_is_rounded_as_python_rounds(values: list[float], places: int, signed: bool) -> None:
    texts, codes = distinct(Number(pl.col("value"), places, signed), np.array(values, dtype=np.float64))
    sign = "+" if signed else ""
    assert [texts[code] for code in codes.tolist()] == [f"{value:{sign}.{places}f}" for value in values]


def test_values_that_are_told_alike_share_a_text_and_an_unknown_one_is_left_out() -> None:
    values = np.array([1.231, 1.229, 2.675, 2.675, np.nan, np.inf, -0.0])
    texts, codes = distinct(Number(pl.col("value")), values)
    assert codes[0] == codes[1]
    assert [texts[code] for code in codes.tolist()] == ["1.23", "1.23", "2.67", "2.67", "", "inf", "-0.00"]


def test_a_sentence_joins_its_texts_and_numbers_in_turn() -> None:
    numbers = (Number(pl.col("a")), Number(pl.col("b"), 1, signed=True))
    values = [np.array([1.0, 1.0, 2.0]), np.array([0.5, 0.51, 0.5])]
    words, codes = sentences(("from ", " to "), numbers, values)
    assert [words[code] for code in codes.tolist()] == ["from 1.00 to +0.5", "from 1.00 to +0.5", "from 2.00 to +0.5"]
    assert sentences(("a ", " b ", " c"), numbers, values)[0] == ["a 1.00 b +0.5 c", "a 2.00 b +0.5 c"]
