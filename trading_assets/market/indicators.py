"""Classic indicators as polars expressions over one series of bars in time order.

Every function takes and returns an expression without any ``over``: the caller groups (``expr.over("ticker")``).
Fewer bars than a window needs give null, never a shorter window. Inputs must be free of NaN; leading nulls are
skipped by the recursive indicators. Each value depends on the bars up to its own alone.
"""

from __future__ import annotations

import polars as pl


def seeded(values: pl.Expr, window: int, alpha: float) -> pl.Expr:
    """Exponential mean that starts, at the ``window``-th known value, from the plain mean of the first ``window``."""
    count = values.is_not_null().cum_sum()
    seed = values.drop_nulls().head(window).mean()
    started = pl.when(count < window).then(None).when(count == window).then(seed).otherwise(values)
    return started.ewm_mean(alpha=alpha, adjust=False, ignore_nulls=True)


def wilder(values: pl.Expr, window: int) -> pl.Expr:
    """Wilder's smoothing: the mean of the first ``window`` values, then previous + (value - previous) / window."""
    return seeded(values, window, 1 / window)


def sma(values: pl.Expr, window: int) -> pl.Expr:
    """Plain mean of the last ``window`` values."""
    return values.rolling_mean(window)


def relative_strength(gain: pl.Expr, loss: pl.Expr) -> pl.Expr:
    """Relative strength index in [0, 100] from Wilder's mean gain and mean loss; null where both are zero."""
    moved = gain + loss
    return pl.when(moved > 0).then(100 * gain / moved)


def true_range(high: pl.Expr, low: pl.Expr, previous_close: pl.Expr, *, restart: pl.Expr | None = None) -> pl.Expr:
    """Wilder's true range in price units: the largest of high - low and the distances to the previous close.

    Where ``restart`` is true the previous close does not count and the true range is high - low. Elsewhere a missing
    previous close gives null.
    """
    reach = pl.max_horizontal(high - low, (high - previous_close).abs(), (low - previous_close).abs())
    full = pl.when(previous_close.is_not_null()).then(reach)
    return full if restart is None else pl.when(restart).then(high - low).otherwise(full)


def atr(ranges: pl.Expr, window: int) -> pl.Expr:
    """Wilder's average true range, in price units, from a series of true ranges."""
    return wilder(ranges, window)


def span_within(ordinal: pl.Expr, bars: int, factor: float, *, now: pl.Expr | None = None) -> pl.Expr:
    """Whether the last ``bars`` bars lie within ``factor`` x ``bars`` slots of session time, counted up to ``now``.

    ``ordinal`` numbers the slots (minutes, five minutes, sessions) of session time; ``now`` is the slot from which to
    look back, the bar's own by default. Null where there are fewer bars. The rule keeps a thin name's window from
    reaching back over hours: 20 one-minute bars may span 60 session minutes.
    """
    return (ordinal if now is None else now) - ordinal.shift(bars - 1) < factor * bars


def trend_state(close: pl.Expr, short: pl.Expr, long: pl.Expr) -> pl.Expr:
    """+1 if close > short mean > long mean, -1 if close < short < long, else 0; null if any of them is null."""
    return (
        pl.when(close.is_null() | short.is_null() | long.is_null())
        .then(None)
        .when((close > short) & (short > long))
        .then(1)
        .when((close < short) & (short < long))
        .then(-1)
        .otherwise(0)
        .cast(pl.Int64)
    )
