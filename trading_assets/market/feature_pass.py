"""Features of many instants in one pass over bars whose versions are settled.

What belongs here: windows, sessions and longer timeframes as columns over all bars at once. What does not: which
version of a bar an instant knows (``features``), a formula that is not about bars of one ticker in a row.

Rows are sorted by ticker and time throughout. What is exact wherever it is computed (shifts, largest and smallest,
counts) runs over the whole column and is masked by the age of the row within its ticker; what accumulates rounding
(means, deviations, exponential means) runs per ticker, so that no ticker's last digit depends on another's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from trading_assets.domain.clock import require_utc
from trading_assets.market import indicators as ind
from trading_assets.market.bars import age_in_ticker, aged, back, instants, locate, per_ticker
from trading_assets.market.config import FeatureConfig
from trading_assets.market.frames import FEATURES, INSTANT
from trading_assets.market.sessions import MINUTE, Session
from trading_assets.market.timeframes import INTRADAY, mtf_alignment, with_newest
from trading_assets.market.volatility import daily_state, daily_states

# These lengths are part of stored column names and therefore no settings.
SMA_SHORT, SMA_LONG, RSI_WINDOW, ATR_WINDOW, DONCHIAN_WINDOW, PERFORMANCE_WINDOW = 20, 50, 14, 14, 20, 60
VOL_SHORT, VOL_LONG = 30, 120
#: A standard deviation of returns below this is rounding of a price that did not move.
_FLAT = 1e-9


@dataclass(frozen=True, slots=True)
class _Mean:
    """An exponential mean of the column ``of``, of which a ticker's first ``unknown`` rows are null and no other."""

    of: str
    window: int
    alpha: float
    unknown: int = 0


def floor_minute(instant: datetime) -> datetime:
    """``instant`` without its seconds, in UTC."""
    return require_utc(instant).replace(second=0, microsecond=0)


def deciding_bar(as_of: datetime) -> datetime:
    """Start of the only bar that decides at ``as_of``: the one that started a minute before ``as_of``'s minute."""
    return floor_minute(as_of) - MINUTE


def one_pass(
    bars: pl.DataFrame,
    daily: pl.DataFrame,
    sessions: Sequence[Session],
    moments: Sequence[datetime],
    config: FeatureConfig,
    warm_up: int,
) -> pl.DataFrame:
    """``FEATURES`` rows of ``moments``, by ticker and instant, with the ticker in the type it came in.

    ``bars`` (one row per ticker and minute, sorted, see ``bars.locate``) and ``daily`` are what every one of
    ``moments`` sees of its past. A decision sees the timeframes of its session and ``warm_up`` sessions before it.
    """
    # As ``deciding_bar`` has it: the bar that started a minute before the instant's minute.
    decided = pl.col("as_of").dt.truncate("1m") - MINUTE
    asked = locate(pl.DataFrame({"as_of": instants(moments)}).with_columns(decided.alias("ts")), sessions)
    deciding = asked.get_column("session_no").unique().sort().to_list()
    rows = _minute_features(bars, asked, deciding, sessions, config)
    rows = with_newest(rows, bars, sessions, config.span_factor, warm_up, ATR_WINDOW)
    days = [sessions[number].day for number in deciding]
    if len(days) == 1:
        rows = rows.join(daily_state(daily, days[0], config), on="ticker", how="left", maintain_order="left")
    else:
        numbers = pl.DataFrame(
            {"day": days, "session_no": deciding}, schema={"day": pl.Date(), "session_no": pl.Int64()}
        )
        states = daily_states(daily, days, config).join(numbers, on="day").drop("day")
        rows = rows.join(states, on=["ticker", "session_no"], how="left", maintain_order="left")
    # Times the reciprocal: the same last digit for one ticker alone as for many (see ``_session_features``).
    gap = pl.col("session_open") * (1 / pl.col("previous_close")) - 1
    return rows.with_columns(
        pl.col("rv_rank_sessions").fill_null(0),
        gap.alias("gap"),
        mtf_alignment(config.timeframe_weights).alias("mtf_alignment"),
    ).select(list(FEATURES))


def _minute_features(
    bars: pl.DataFrame, asked: pl.DataFrame, deciding: Sequence[int], sessions: Sequence[Session], config: FeatureConfig
) -> pl.DataFrame:
    """One row per instant and bar that decides at it, with everything that minute bars alone tell."""
    close, ordinal = pl.col("close"), pl.col("ordinal")
    same = (pl.col("ticker") == pl.col("ticker").shift(1)).fill_null(False)
    restart = ~same | (pl.col("session_no") != pl.col("session_no").shift(1))
    bars = bars.with_columns(
        age_in_ticker().alias("age"),
        restart.alias("restart"),
        pl.when(same).then(close.shift(1)).alias("previous"),
    )
    previous = pl.col("previous")
    material = bars.with_columns(
        (close - previous).clip(lower_bound=0.0).alias("gain"),
        (previous - close).clip(lower_bound=0.0).alias("loss"),
        ind.true_range(pl.col("high"), pl.col("low"), previous, restart=pl.col("restart")).alias("range"),
        pl.when(~pl.col("restart")).then(close / previous - 1).alias("return"),
    )
    windows = {
        "sma20": ind.sma(close, SMA_SHORT),
        "sma50": ind.sma(close, SMA_LONG),
        "deviation": close.rolling_std(config.bollinger_window, ddof=0),
        "mean_volume": pl.col("volume").rolling_mean(config.volume_window).shift(1),
    }
    if config.bollinger_window != SMA_SHORT:
        windows["middle"] = ind.sma(close, config.bollinger_window)
    frame = material.with_columns(*(per_ticker(window).alias(name) for name, window in windows.items()))
    frame = _smoothed(
        frame,
        {
            "gain": _Mean("gain", RSI_WINDOW, 1 / RSI_WINDOW, unknown=1),
            "loss": _Mean("loss", RSI_WINDOW, 1 / RSI_WINDOW, unknown=1),
            "atr14": _Mean("range", ATR_WINDOW, 1 / ATR_WINDOW),
            "fast": _Mean("close", config.macd_fast, 2 / (config.macd_fast + 1)),
            "slow": _Mean("close", config.macd_slow, 2 / (config.macd_slow + 1)),
        },
    ).with_columns((pl.col("fast") - pl.col("slow")).alias("macd"))
    signal = _Mean("macd", config.macd_signal, 2 / (config.macd_signal + 1), unknown=config.macd_slow - 1)
    frame = _smoothed(frame, {"macd_signal": signal})
    # bars back -> column with the slot of that bar, for the widths of the windows
    backs = {
        SMA_SHORT - 1, SMA_LONG - 1, RSI_WINDOW, ATR_WINDOW - 1, config.macd_slow - 1,
        config.macd_slow + config.macd_signal - 2, config.bollinger_window - 1, config.volume_window,
        PERFORMANCE_WINDOW, DONCHIAN_WINDOW,
    }  # fmt: skip
    if bars.get_column("feed").n_unique() > 1:
        changes = pl.col("feed").ne_missing(pl.col("feed").shift(1)).cast(pl.Int64).cum_sum()
        unmixed = back(changes, config.volume_window) == changes
    else:
        unmixed = pl.lit(True)
    frame = frame.with_columns(
        *(back(ordinal, bars_back).alias(f"slot_{bars_back}") for bars_back in backs),
        back(close, PERFORMANCE_WINDOW).alias("close_60"),
        aged(pl.col("high").rolling_max(DONCHIAN_WINDOW).shift(1), DONCHIAN_WINDOW).alias("donchian_high20"),
        aged(pl.col("low").rolling_min(DONCHIAN_WINDOW).shift(1), DONCHIAN_WINDOW).alias("donchian_low20"),
        unmixed.alias("unmixed"),
    )
    frame = _with_returns(frame)
    if len(deciding) < len(sessions):
        frame = frame.filter(pl.col("session_no").is_in(deciding))
    frame = _deciding(frame.with_columns(*_session_features()), asked, sessions)
    return (
        frame.with_columns(*_narrow_windows(config))
        .with_columns(*_derived())
        .select("session_no", "minute_no", "session_open", *(name for name in FEATURES if name in _MINUTE_COLUMNS))
    )


def _smoothed(frame: pl.DataFrame, means: Mapping[str, _Mean]) -> pl.DataFrame:
    """``frame`` with exponential means as ``indicators.seeded`` takes them, ticker by ticker.

    A mean starts where its values have been known for a window, from their plain mean.
    """
    age = pl.col("age")
    seeds = {
        f"_{name}": pl.col(mean.of).drop_nulls().head(mean.window).mean().over("ticker") for name, mean in means.items()
    }
    starts = {
        f"_{name}": pl.when(age == mean.unknown + mean.window - 1)
        .then(pl.col(f"_{name}"))
        .otherwise(aged(pl.col(mean.of), mean.unknown + mean.window))
        for name, mean in means.items()
    }
    smooth = {
        name: per_ticker(pl.col(f"_{name}").ewm_mean(alpha=mean.alpha, adjust=False, ignore_nulls=True))
        for name, mean in means.items()
    }
    return frame.with_columns(**seeds).with_columns(**starts).with_columns(**smooth).drop(starts)


def _with_returns(frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` with the standard deviations of returns, and the slot of the oldest return of each.

    A session's first bar has no return: it sees the returns before it.
    """
    values = {"return_vol_30": VOL_SHORT, "return_vol_120": VOL_LONG}
    returns = frame.filter(pl.col("return").is_not_null()).select("ticker", "ordinal", "return")
    returns = returns.select(
        "ticker",
        *(per_ticker(pl.col("return").rolling_std(bars)).alias(name) for name, bars in values.items()),
        *(
            pl.when(pl.col("ticker") == pl.col("ticker").shift(bars - 1))
            .then(pl.col("ordinal").shift(bars - 1))
            .alias(f"oldest_{bars}")
            for bars in values.values()
        ),
    )
    newest = frame.get_column("return").is_not_null().cum_sum().cast(pl.Int64) - 1
    if newest.is_empty() or returns.is_empty():
        return frame.with_columns(
            *(pl.lit(None, pl.Float64).alias(name) for name in values),
            *(pl.lit(None, pl.Int64).alias(f"oldest_{bars}") for bars in values.values()),
        )
    seen = returns.select(pl.all().gather(newest.clip(lower_bound=0)))
    own = (newest >= 0) & (seen.get_column("ticker") == frame.get_column("ticker"))
    return frame.with_columns(seen.select(pl.when(own).then(pl.exclude("ticker"))))


def _deciding(frame: pl.DataFrame, asked: pl.DataFrame, sessions: Sequence[Session]) -> pl.DataFrame:
    """Rows of ``frame`` that decide, with ``as_of`` and ``end``; a bar decides once for each instant of its minute."""
    minutes = sum(session.minutes for session in sessions)
    if asked.get_column("ordinal").n_unique() < asked.height:
        frame = frame.join(asked.select("ordinal", "as_of"), on="ordinal", how="inner", maintain_order="left")
    else:
        empty = pl.repeat(None, minutes, dtype=pl.Int64(), eager=True)
        table = empty.scatter(asked.get_column("ordinal"), asked.get_column("as_of").to_physical())
        found = table.gather(frame.get_column("ordinal")).cast(INSTANT)
        frame = frame.with_columns(found.alias("as_of"))
        if found.null_count():
            frame = frame.filter(pl.col("as_of").is_not_null())
    return frame


def _narrow_windows(config: FeatureConfig) -> list[pl.Expr]:
    """Window values, null where the window spans too much session time."""
    ordinal, factor = pl.col("ordinal"), config.span_factor

    def within(value: pl.Expr, bars: int) -> pl.Expr:
        return pl.when(ordinal - pl.col(f"slot_{bars - 1}") < factor * bars).then(value)

    def before(value: pl.Expr, bars: int) -> pl.Expr:
        # The window ends one bar earlier, and the gap to the deciding bar counts into its span.
        return pl.when(ordinal - pl.col(f"slot_{bars}") <= factor * bars).then(value)

    def deviation(bars: int) -> pl.Expr:
        value = pl.col(f"return_vol_{bars}")
        cleaned = pl.when(value > _FLAT).then(value).when(value.is_not_null()).then(0.0)
        return pl.when(ordinal - pl.col(f"oldest_{bars}") < factor * bars).then(cleaned)

    middle = pl.col("sma20" if config.bollinger_window == SMA_SHORT else "middle")
    upper = middle + config.bollinger_width * pl.col("deviation")
    columns = {
        "sma20": within(pl.col("sma20"), SMA_SHORT),
        "sma50": within(pl.col("sma50"), SMA_LONG),
        "rsi14": within(ind.relative_strength(pl.col("gain"), pl.col("loss")), RSI_WINDOW + 1),
        "atr14": within(pl.col("atr14"), ATR_WINDOW),
        "macd": within(pl.col("macd"), config.macd_slow),
        "macd_signal": within(pl.col("macd_signal"), config.macd_slow + config.macd_signal - 1),
        "bollinger_upper": within(upper, config.bollinger_window),
        "bollinger_lower": within(2 * middle - upper, config.bollinger_window),
        "mean_volume": pl.when(pl.col("unmixed")).then(before(pl.col("mean_volume"), config.volume_window)),
        "return_vol_30": deviation(VOL_SHORT),
        "return_vol_120": deviation(VOL_LONG),
        "return_60": within(pl.col("close") / pl.col("close_60") - 1, PERFORMANCE_WINDOW + 1),
        "donchian_high20": before(pl.col("donchian_high20"), DONCHIAN_WINDOW),
        "donchian_low20": before(pl.col("donchian_low20"), DONCHIAN_WINDOW),
    }
    return [column.alias(name) for name, column in columns.items()]


def _session_features() -> list[pl.Expr]:
    """Session VWAP and open, on a frame of whole sessions per ticker."""
    own = pl.col("vwap")
    # Times a third: polars divides one row by a number in another way than many, in the last digit.
    typical = (pl.col("high") + pl.col("low") + pl.col("close")) * (1 / 3)
    price = pl.when(own.is_finite() & (own > 0)).then(own).otherwise(typical)
    run = pl.col("restart").cast(pl.UInt32).cum_sum().set_sorted()
    worth = (price * pl.col("volume")).cum_sum().over(run, mapping_strategy="explode")
    traded = pl.col("volume").cum_sum().over(run, mapping_strategy="explode")
    return [
        pl.when(traded > 0).then(worth / traded).alias("vwap"),
        pl.col("open").first().over(run).alias("session_open"),
    ]


def _derived() -> list[pl.Expr]:
    """Features that follow from others of the same row. A divisor of zero gives null."""
    close = pl.col("close")
    return [
        pl.col("volume").cast(pl.Int64),
        ((close - pl.col("sma20")) / pl.col("sma20")).alias("distance_sma20"),
        ((close - pl.col("sma50")) / pl.col("sma50")).alias("distance_sma50"),
        (pl.col("macd") - pl.col("macd_signal")).alias("macd_histogram"),
        pl.when(pl.col("mean_volume") > 0).then(pl.col("volume") / pl.col("mean_volume")).alias("volume_ratio"),
        pl.when(pl.col("return_vol_120") > 0)
        .then(pl.col("return_vol_30") / pl.col("return_vol_120"))
        .alias("vol_ratio"),
        ind.trend_state(close, pl.col("sma20"), pl.col("sma50")).alias("trend_state"),
    ]


#: Features that minute bars alone tell.
_MINUTE_COLUMNS = frozenset(FEATURES) - {
    *INTRADAY, "trend_1d", "mtf_alignment", "atr14_5m", "gap", "daily_atr_pct", "daily_atr_pct_median60", "rv_rank",
    "rv_rank_sessions",
}  # fmt: skip
