"""Direction, base and factors of the ``momentum`` rule set as polars expressions over feature rows.

What belongs here: one expression per factor, with the formula in its docstring. What does not: instrument, thresholds
and identity of a signal (``strategy.signals``). A null input gives a null factor, never a neutral one.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from trading_assets.strategy.config_signals import SignalConfig


def raw_direction(config: SignalConfig) -> pl.Expr:
    """+1 bullish, -1 bearish, 0 none, from price and trend alone; null where an input is missing.

    Bullish: trend_state +1 and distance_sma20 >= -0.5 %; bearish mirrored; |distance| >= 2 % is stretched: none.
    """
    trend, distance = pl.col("trend_state"), pl.col("distance_sma20")
    return (
        pl.when(trend.is_null() | distance.is_null())
        .then(None)
        .when(distance.abs() >= config.stretched)
        .then(0)
        .when((trend == 1) & (distance >= -config.tolerance))
        .then(1)
        .when((trend == -1) & (distance <= config.tolerance))
        .then(-1)
        .otherwise(0)
        .cast(pl.Int64)
    )


def trend_factor(config: SignalConfig) -> pl.Expr:
    """min(1, |sma20 - sma50| / (2 x atr14)), 0 to 1; null without a positive ATR."""
    distance = (pl.col("sma20") - pl.col("sma50")).abs()
    return pl.when(pl.col("atr14") > 0).then((distance / (config.trend_scale_atr * pl.col("atr14"))).clip(0, 1))


def setup_factor(config: SignalConfig) -> pl.Expr:
    """max(0, 1 - |close - sma20| / (4 x atr14)), 0 to 1; null without a positive ATR."""
    distance = (pl.col("close") - pl.col("sma20")).abs()
    return pl.when(pl.col("atr14") > 0).then((1 - distance / (config.setup_scale_atr * pl.col("atr14"))).clip(0, 1))


def volatility_factor(config: SignalConfig) -> pl.Expr:
    """1.0 for a vol_ratio of 0.8 to 1.3, 0.7 below, 0.5 above; null without one."""
    ratio = pl.col("vol_ratio")
    return (
        pl.when(ratio.is_null())
        .then(None)
        .when(ratio < config.calm_from)
        .then(config.low_volatility)
        .when(ratio > config.calm_to)
        .then(config.high_volatility)
        .otherwise(config.usual_volatility)
    )


def timeframe_factor(direction: str = "sign") -> pl.Expr:
    """max(0, direction x mtf_alignment), 0 to 1; null without an alignment."""
    return (pl.col(direction) * pl.col("mtf_alignment")).clip(0, 1)


def base(config: SignalConfig) -> pl.Expr:
    """0.30 trend + 0.15 setup + 0.15 volatility + 0.40 multi-timeframe, from the four factor columns."""
    return (
        config.weight_trend * pl.col("trend_factor")
        + config.weight_setup * pl.col("setup_factor")
        + config.weight_volatility * pl.col("volatility_factor")
        + config.weight_timeframes * pl.col("mtf_factor")
    )


def sentiment_multiplier(config: SignalConfig) -> pl.Expr:
    """1 + 0.25 |s| min(n/5, 1) for aligned news, 1 - 0.20 |s| min(n/5, 1) for opposed, 1 without news."""
    strength = pl.col("sentiment").abs() * (pl.col("news_count") / config.full_news_count).clip(0, 1)
    agreement = pl.col("sentiment").sign() * pl.col("sign")
    return (
        pl.when(pl.col("sentiment").is_null())
        .then(1.0)
        .when(agreement > 0)
        .then(1 + config.sentiment_gain * strength)
        .when(agreement < 0)
        .then(1 - config.sentiment_loss * strength)
        .otherwise(1.0)
    )


def volume_multiplier(config: SignalConfig) -> pl.Expr:
    """By volume ratio: below 0.5 0, below 1.2 0.3, below 1.5 0.5, below 2 0.7, below 3 0.85, below 5 0.95, else 1."""
    ratio = pl.col("volume_ratio")
    chain: Any = pl.when(ratio.is_null()).then(None)
    for step in config.volume_steps:
        chain = chain.when(ratio < step.below).then(step.multiplier)
    result: pl.Expr = chain.otherwise(1.0)
    return result


def breakout_multiplier(config: SignalConfig) -> pl.Expr:
    """1 if the close lies beyond the Donchian band of the 20 bars before, in the direction; else 0.6."""
    beyond = (
        pl.when(pl.col("sign") == 1)
        .then(pl.col("close") > pl.col("donchian_high20"))
        .when(pl.col("sign") == -1)
        .then(pl.col("close") < pl.col("donchian_low20"))
    )
    return pl.when(beyond.is_null()).then(None).when(beyond).then(1.0).otherwise(config.no_breakout)


def index_multiplier(config: SignalConfig) -> pl.Expr:
    """0.8 if the index's one-day trend is opposed to the direction, else 1; null if that trend is unknown."""
    trend = pl.col("index_trend_1d")
    return (
        pl.when(trend.is_null()).then(None).when(trend * pl.col("sign") < 0).then(config.against_index).otherwise(1.0)
    )


def with_base(rows: pl.DataFrame, config: SignalConfig) -> pl.DataFrame:
    """``rows`` of features with ``sign``, the four factors and ``base`` (null without a direction)."""
    return (
        rows.with_columns(sign=raw_direction(config))
        .with_columns(
            trend_factor=trend_factor(config),
            setup_factor=setup_factor(config),
            volatility_factor=volatility_factor(config),
            mtf_factor=timeframe_factor(),
        )
        .with_columns(base=base(config))
    )
