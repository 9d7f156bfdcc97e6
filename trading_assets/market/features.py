"""Features per ticker and minute, from minute bars of this and earlier sessions and from daily bars.

One function, ``compute_features``. A feature at an instant sees only what was known at that instant: late and revised
bars enter from the first decision after they became known, and never sign a decision that is past. What does not
belong here: scores, directions, anything that decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil

import polars as pl

from trading_assets.domain.clock import require_utc
from trading_assets.market import indicators as ind
from trading_assets.market.bars import MINUTE_US, instants, latest_versions, locate, usable
from trading_assets.market.config import FeatureConfig
from trading_assets.market.frames import FEATURES, conform, empty
from trading_assets.market.sessions import MINUTE, Session
from trading_assets.market.splits import adjusted
from trading_assets.market.timeframes import (
    INTRADAY,
    completed_at,
    completed_slots,
    mtf_alignment,
    resample,
    slots_before,
    trend_of,
)
from trading_assets.market.volatility import daily_state

# These lengths are part of stored column names and therefore no settings.
SMA_SHORT, SMA_LONG, RSI_WINDOW, ATR_WINDOW, DONCHIAN_WINDOW, PERFORMANCE_WINDOW = 20, 50, 14, 14, 20, 60
VOL_SHORT, VOL_LONG = 30, 120
_COLUMNS = ("ticker", "ts", "open", "high", "low", "close", "volume", "vwap", "feed", "known_at")
#: A standard deviation of returns below this is rounding of a price that did not move.
_FLAT = 1e-9
#: Bars that are worked on at a time.
_PORTION = 400_000


def floor_minute(instant: datetime) -> datetime:
    """``instant`` without its seconds, in UTC."""
    return require_utc(instant).replace(second=0, microsecond=0)


def deciding_bar(as_of: datetime) -> datetime:
    """Start of the only bar that decides at ``as_of``: the one that started a minute before ``as_of``'s minute."""
    return floor_minute(as_of) - MINUTE


def compute_features(
    bars: pl.DataFrame,
    daily_bars: pl.DataFrame,
    *,
    sessions: Sequence[Session],
    as_ofs: Sequence[datetime],
    config: FeatureConfig,
    splits: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """``FEATURES`` rows of the decisions at ``as_ofs``, sorted by ``as_of`` and ticker.

    ``bars`` (``frames.BARS``) hold the minutes of ``sessions``, the last of which is the session that decides; ten
    earlier ones warm up every window. Rows outside them or unusable (see ``bars.usable``) are ignored. ``as_ofs`` are
    instants of that last session in rising order. Per ``as_of`` each ticker whose bar ``deciding_bar(as_of)`` was
    known has one row; a bar that came later gives none, though it enters the windows of later decisions.

    Units: prices in dollars, ``distance_*``, ``gap``, ``return_60``, volatilities and ``daily_atr_pct`` as fractions.
    A value is null if its window has too few bars or spans more than ``config.span_factor`` times its length of
    session time (20 bars: 60 minutes), and never NaN. ``volume_ratio`` is also null if its window mixes feeds.
    Session VWAP weighs each bar's own VWAP (its (high + low + close) / 3 where the feed gives none) by volume.
    The values for one instant are the same whether it is computed alone or with others, given the same first session.
    ``splits`` (``splits.SPLITS``; none by default) that are in force in the last session and were known at its open
    turn earlier bars into its shares; one that becomes known later counts from the next session.
    Raises ``ValueError`` on naive, unordered or foreign instants.
    """
    if not sessions:
        raise ValueError("at least the deciding session is needed")
    moments = [require_utc(moment) for moment in as_ofs]
    if any(later <= earlier for earlier, later in pairwise(moments)):
        raise ValueError("as_ofs must rise strictly")
    today = sessions[-1]
    if moments and not (today.open <= moments[0] and moments[-1] < today.open + timedelta(days=1)):
        raise ValueError(f"as_ofs must lie in the session {today.key}, saw {moments[0]} to {moments[-1]}")
    if not moments or bars.is_empty():
        return empty(FEATURES)

    seen_at = instants(moments).to_physical()
    sound = bars.filter(usable()).select(_COLUMNS)
    tickers = pl.Enum(sound.get_column("ticker").unique().sort())
    sound = sound.with_columns(pl.col("ticker").cast(tickers), pl.col("volume").cast(pl.Float64))
    if splits is not None:
        splits = splits.filter(pl.col("known_at") <= today.open)
        sound, daily_bars = adjusted(sound, splits, today.day), adjusted(daily_bars, splits, today.day)
    material = _when_seen(locate(sound, sessions), seen_at)
    daily_bars = daily_bars.with_columns(pl.col("ticker").cast(tickers, strict=False)).drop_nulls("ticker")
    daily = daily_bars.with_columns(_index_seen(seen_at, daily_bars.get_column("known_at")).alias("seen")).filter(
        pl.col("seen") < len(moments)
    )
    late = pl.concat(
        [
            material.filter(pl.col("seen") > pl.col("due")).select("ticker", "seen"),
            daily.filter(pl.col("seen") > 0).select("ticker", "seen"),
        ]
    ).unique()
    disturbed = late.get_column("ticker").unique()
    parts = []
    calm = material.filter(~pl.col("ticker").is_in(disturbed.implode())) if len(disturbed) else material
    calm_daily = daily.filter(~pl.col("ticker").is_in(disturbed.implode())) if len(disturbed) else daily
    for some, some_daily in _by_tickers(calm, calm_daily):
        parts.append(_pass(some, some_daily, sessions, moments, config))
    if len(disturbed):
        # Between two instants at which something late became visible, every instant sees the same past: one pass.
        shaken = material.filter(pl.col("ticker").is_in(disturbed.implode()))
        shaken_daily = daily.filter(pl.col("ticker").is_in(disturbed.implode()))
        edges = sorted({0, *late.get_column("seen").to_list(), len(moments)})
        for start, stop in pairwise(edges):
            view = shaken.filter((pl.col("seen") < stop) & (pl.col("due") < stop))
            if not view.is_empty():
                view_daily = shaken_daily.filter(pl.col("seen") < stop)
                parts.append(_pass(view, view_daily, sessions, moments[start:stop], config))
    if not parts:
        return empty(FEATURES)
    rows = pl.concat(parts)
    # One key of whole numbers sorts faster than two columns; the codes of the tickers are in their order.
    key = pl.col("as_of").rank("dense").cast(pl.Int64) * len(tickers.categories) + pl.col("ticker").to_physical()
    rows = rows[rows.select(key.arg_sort()).to_series()]
    return conform(rows, FEATURES, "features")


def _by_tickers(bars: pl.DataFrame, daily: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The frames in portions of whole tickers, of about ``_PORTION`` bars each: all intermediate columns exist for one
    portion at a time."""
    if bars.height <= _PORTION:
        if not bars.is_empty():
            yield bars, daily
        return
    tickers = bars.get_column("ticker").unique()
    share = max(1, len(tickers) * _PORTION // bars.height)
    code = pl.col("ticker").to_physical()
    codes = bars.get_column("ticker").to_physical()
    for first in range(0, int(codes.max() or 0) + 1, share):  # type: ignore[arg-type]
        chosen = (code >= first) & (code < first + share)
        some = bars.filter(chosen)
        if not some.is_empty():
            yield some, daily.filter(chosen)


def _index_seen(seen_at: pl.Series, known_at: pl.Series) -> pl.Series:
    """Index of the first decision at or after each knowledge time; the number of decisions if there is none."""
    return seen_at.search_sorted(known_at.to_physical(), side="left").cast(pl.Int64)


def _when_seen(located: pl.DataFrame, seen_at: pl.Series) -> pl.DataFrame:
    """Rows some decision can see, with ``due`` (first decision at or after the bar's end) and ``seen`` (first one that
    knows it): ``seen`` > ``due`` is a late or revised bar."""
    ends = located.get_column("ts").to_physical() + MINUTE_US
    due = seen_at.search_sorted(ends, side="left").cast(pl.Int64).alias("due")
    known = _index_seen(seen_at, located.get_column("known_at")).alias("seen")
    return (
        located.with_columns(due, known)
        .with_columns(pl.max_horizontal("seen", "due").alias("seen"))
        .filter(pl.col("seen") < len(seen_at))
    )


def _pass(
    material: pl.DataFrame,
    daily: pl.DataFrame,
    sessions: Sequence[Session],
    moments: Sequence[datetime],
    config: FeatureConfig,
) -> pl.DataFrame:
    """Features of ``moments``, all of which see the same versions of the bars before them."""
    bars = latest_versions(material)
    decisions = pl.DataFrame({"as_of": instants(moments), "ts": instants([deciding_bar(m) for m in moments])})
    minute = _minute_features(bars, sessions, config).join(decisions, on="ts", how="inner", maintain_order="left")
    minute = minute.with_columns((pl.col("ts") + MINUTE).alias("end"))
    frame = _with_timeframes(minute, bars, sessions, config)
    frame = frame.join(daily_state(daily, sessions[-1].day, config), on="ticker", how="left")
    # Times the reciprocal: the same last digit for one ticker alone as for many (see ``_session_features``).
    gap = pl.col("session_open") * (1 / pl.col("previous_close")) - 1
    return (
        frame.with_columns(pl.col("rv_rank_sessions").fill_null(0), gap.alias("gap"))
        .with_columns(mtf_alignment(config.timeframe_weights).alias("mtf_alignment"))
        .select(list(FEATURES))
    )


def _minute_features(bars: pl.DataFrame, sessions: Sequence[Session], config: FeatureConfig) -> pl.DataFrame:
    """One row per bar of the last session, with everything that minute bars alone tell.

    ``bars`` is sorted by ticker and time. Windows are computed per ticker first; whether a window is too wide is
    judged afterwards, on the rows of the last session alone.
    """
    close, ordinal = pl.col("close"), pl.col("ordinal")
    same = (pl.col("ticker") == pl.col("ticker").shift(1)).fill_null(False)
    restart = ~same | (pl.col("session_no") != pl.col("session_no").shift(1))
    previous = pl.when(same).then(close.shift(1))
    material = bars.with_columns(
        (close - previous).clip(lower_bound=0.0).alias("gain"),
        (previous - close).clip(lower_bound=0.0).alias("loss"),
        ind.true_range(pl.col("high"), pl.col("low"), previous, restart=restart).alias("range"),
        pl.when(~restart).then(close / previous - 1).alias("return"),
    )
    returns = pl.col("return").drop_nulls()
    # A session's first bar has no return: it sees the returns before it.
    newest_return = pl.col("return").is_not_null().cum_sum().cast(pl.Int64) - 1
    newest_return = pl.when(newest_return >= 0).then(newest_return)
    return_at = ordinal.filter(pl.col("return").is_not_null())
    middle = ind.sma(close, config.bollinger_window)
    windows = {
        "sma20": ind.sma(close, SMA_SHORT),
        "sma50": ind.sma(close, SMA_LONG),
        "gain": ind.wilder(pl.col("gain"), RSI_WINDOW),
        "loss": ind.wilder(pl.col("loss"), RSI_WINDOW),
        "atr14": ind.atr(pl.col("range"), ATR_WINDOW),
        "macd": ind.macd(close, config.macd_fast, config.macd_slow),
        "middle": middle,
        "bollinger_upper": ind.bollinger(close, config.bollinger_window, config.bollinger_width)[0],
        "mean_volume": pl.col("volume").rolling_mean(config.volume_window).shift(1),
        "return_vol_30": returns.rolling_std(VOL_SHORT).gather(newest_return),
        "return_vol_120": returns.rolling_std(VOL_LONG).gather(newest_return),
        "oldest_30": return_at.shift(VOL_SHORT - 1).gather(newest_return),
        "oldest_120": return_at.shift(VOL_LONG - 1).gather(newest_return),
        "donchian_high20": pl.col("high").rolling_max(DONCHIAN_WINDOW).shift(1),
        "donchian_low20": pl.col("low").rolling_min(DONCHIAN_WINDOW).shift(1),
    }
    # bars back -> column with the slot of that bar, for the widths of the windows
    backs = {
        SMA_SHORT - 1, SMA_LONG - 1, RSI_WINDOW, ATR_WINDOW - 1, config.macd_slow - 1,
        config.macd_slow + config.macd_signal - 2, config.bollinger_window - 1, config.volume_window,
        PERFORMANCE_WINDOW, DONCHIAN_WINDOW,
    }  # fmt: skip
    if bars.get_column("feed").n_unique() > 1:
        changes = pl.col("feed").ne_missing(pl.col("feed").shift(1)).cast(pl.Int64).cum_sum()
        windows["unmixed"] = changes == changes.shift(config.volume_window)
    else:
        windows["unmixed"] = pl.lit(True)
    frame = material.with_columns(*(window.over("ticker").alias(name) for name, window in windows.items()))
    # Not by group: a shift is exact anywhere, and where it leaves the ticker it is null.
    slots = {f"slot_{back}": _shifted(ordinal, back) for back in backs} | {
        "close_60": _shifted(close, PERFORMANCE_WINDOW)
    }
    frame = frame.with_columns(**slots)
    signal = ind.ema(pl.col("macd"), config.macd_signal).over("ticker")
    frame = frame.with_columns(signal.alias("macd_signal")).filter(pl.col("session_no") == len(sessions) - 1)
    frame = frame.with_columns(*_narrow_windows(config), *_session_features())
    return frame.with_columns(*_derived())


def _shifted(column: pl.Expr, bars: int) -> pl.Expr:
    """The value ``bars`` rows before, null where that row is another ticker's."""
    return pl.when(pl.col("ticker") == pl.col("ticker").shift(bars)).then(column.shift(bars))


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

    upper, middle = pl.col("bollinger_upper"), pl.col("middle")
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
    """Session VWAP and open, on a frame of one session's bars per ticker."""
    own = pl.col("vwap")
    # Times a third: polars divides one row by a number in another way than many, in the last digit.
    typical = (pl.col("high") + pl.col("low") + pl.col("close")) * (1 / 3)
    price = pl.when(own.is_finite() & (own > 0)).then(own).otherwise(typical)
    traded = pl.col("volume").cum_sum()
    vwap = pl.when(traded > 0).then((price * pl.col("volume")).cum_sum() / traded)
    return [vwap.over("ticker").alias("vwap"), pl.col("open").first().over("ticker").alias("session_open")]


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


def _with_timeframes(
    rows: pl.DataFrame, bars: pl.DataFrame, sessions: Sequence[Session], config: FeatureConfig
) -> pl.DataFrame:
    """``rows`` with the trends of the completed longer bars and the five-minute average true range."""
    today = sessions[-1]
    longer, frame = bars, rows
    for column, minutes in INTRADAY.items():
        longer = resample(longer, sessions, minutes)
        trends = trend_of(longer, "slot", config.span_factor)
        values = ["trend", "trend_until"]
        if minutes == 5:
            restart = (pl.col("session_no") != pl.col("session_no").shift(1)).fill_null(True)
            previous = pl.col("close").shift(1)
            ranges = ind.true_range(pl.col("high"), pl.col("low"), previous, restart=restart)
            average = ind.atr(ranges, ATR_WINDOW)
            reach = pl.col("slot").shift(ATR_WINDOW - 1) + ceil(config.span_factor * ATR_WINDOW) - 1
            trends = trends.with_columns(average.over("ticker").alias("atr"), reach.over("ticker").alias("atr_until"))
            values += ["atr", "atr_until"]
        frame = completed_at(frame, trends, values)
        earlier = slots_before(sessions, minutes)[-1]
        # By minutes after the open at which the deciding bar ends.
        complete = [earlier + completed_slots(today, minutes, end) - 1 for end in range(today.minutes + 1)]
        newest = pl.Series("newest", complete, pl.Int64()).gather(frame.get_column("minute_no") + 1)
        frame = frame.with_columns(newest).with_columns(
            pl.when(pl.col("trend_until") >= pl.col("newest")).then(pl.col("trend")).alias(column)
        )
        if minutes == 5:
            frame = frame.with_columns(
                pl.when(pl.col("atr_until") >= pl.col("newest")).then(pl.col("atr")).alias("atr14_5m")
            )
        frame = frame.drop("trend", "trend_until", "newest")
    return frame
