"""Which instrument a confidence buys: day trade, swing trade, stock, or none, with the reason.

What belongs here: the cases that ``momentum`` and ``webhook`` share. What does not: the confidence itself. The rows
have ``sign``, ``confidence``, ``volume_ratio`` and ``vol_ratio``; what is unknown was held by a case before these.
"""

from __future__ import annotations

import polars as pl

from trading_assets.domain.values import Strategy
from trading_assets.strategy.config_signals import SignalConfig, TradeMode
from trading_assets.strategy.rule_sets.ruling import Case
from trading_assets.strategy.rule_sets.wording import Number

CONFIDENCE, RATIO, VOL_RATIO = pl.col("confidence"), pl.col("volume_ratio"), pl.col("vol_ratio")
ACTING = ("confidence ", ", volume ratio ")


def acting(when: pl.Expr, strategy: Strategy) -> Case:
    """An entry; the reason says confidence and volume ratio."""
    return Case(when, ACTING, (Number(CONFIDENCE, 3), Number(RATIO)), strategy)


def thin_volume(config: SignalConfig) -> Case:
    """Too little volume for any signal."""
    least = config.min_volume_ratio
    return Case(least > RATIO, ("volume ratio ", f" is below {least:g}"), (Number(RATIO),))


def instruments(config: SignalConfig, asked: pl.Expr | None = None) -> list[Case]:
    """The cases from the most to the least demanding instrument; the last takes what is left.

    ``asked`` names the only strategy a row may take, null for any.
    """
    any_option = pl.lit(config.mode is not TradeMode.STOCK_ONLY)
    options = any_option & (config.max_vol_ratio >= VOL_RATIO)
    stocks = pl.lit(config.mode is not TradeMode.OPTIONS_ONLY)

    def free(strategy: Strategy) -> pl.Expr:
        return pl.lit(True) if asked is None else asked.is_null() | (asked == strategy.value)

    day = options & (config.day_confidence <= CONFIDENCE) & (config.day_volume_ratio <= RATIO)
    stock = stocks & (config.stock_confidence <= CONFIDENCE) & free(Strategy.STOCK)
    wild = any_option & (config.max_vol_ratio < VOL_RATIO) & (config.swing_confidence <= CONFIDENCE)
    needed = config.swing_confidence if config.mode is TradeMode.OPTIONS_ONLY else config.stock_confidence
    unmet = pl.lit(False) if asked is None else asked.is_not_null()
    return [
        acting(day & free(Strategy.DAY_TRADE), Strategy.DAY_TRADE),
        acting(options & (config.swing_confidence <= CONFIDENCE) & free(Strategy.SWING_TRADE), Strategy.SWING_TRADE),
        Case(stock & (pl.col("sign") == -1), ("stocks are not sold short",)),
        acting(stock, Strategy.STOCK),
        Case(wild, ("volatility ratio ", f" exceeds {config.max_vol_ratio:g}: no options"), (Number(VOL_RATIO),)),
        Case(unmet, ("confidence ", " is not enough for the strategy that was asked for"), (Number(CONFIDENCE, 3),)),
        Case(pl.lit(True), ("confidence ", f" is below {needed:g}"), (Number(CONFIDENCE, 3),)),
    ]
