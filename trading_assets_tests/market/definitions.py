"""Indicators as their authors define them, one expression over one series: what the features are held against.

The features reach the same values another way, over all tickers at once (``market.feature_pass``).
"""

from __future__ import annotations

import polars as pl

from trading_assets.market import indicators as ind


def ema(values: pl.Expr, window: int) -> pl.Expr:
    """Exponential mean with alpha 2 / (window + 1), started from the plain mean of the first ``window`` values."""
    return ind.seeded(values, window, 2 / (window + 1))


def rsi(close: pl.Expr, window: int) -> pl.Expr:
    """Wilder's relative strength index in [0, 100]; null for the first ``window`` bars and where nothing moved."""
    change = close.diff()
    gain, loss = change.clip(lower_bound=0.0), (-change).clip(lower_bound=0.0)
    return ind.relative_strength(ind.wilder(gain, window), ind.wilder(loss, window))


def macd(close: pl.Expr, fast: int, slow: int) -> pl.Expr:
    """Fast minus slow exponential mean, in price units; null before the slow one starts."""
    return ema(close, fast) - ema(close, slow)


def bollinger(close: pl.Expr, window: int, width: float) -> tuple[pl.Expr, pl.Expr]:
    """Upper and lower band: plain mean +- ``width`` population standard deviations of the last ``window`` closes."""
    middle = ind.sma(close, window)
    offset = width * close.rolling_std(window, ddof=0)
    return middle + offset, middle - offset
