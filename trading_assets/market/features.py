"""Features per ticker and minute, from minute bars of this and earlier sessions and from daily bars.

``compute_features`` for the instants of one session, ``compute_features_over`` for those of many. A feature at an
instant sees only what was known at that instant: late and revised bars enter from the first decision after they became
known, and never sign a decision that is past. What does not belong here: formulas (``feature_pass``), scores,
directions, anything that decides.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from operator import lt

import numpy as np
import polars as pl

from trading_assets.domain.clock import require_utc
from trading_assets.market.bars import MINUTE_US, index_in, instants, latest_versions, locate, usable
from trading_assets.market.config import FeatureConfig
from trading_assets.market.feature_pass import deciding_bar, floor_minute, one_pass
from trading_assets.market.frames import FEATURES, conform, empty
from trading_assets.market.sessions import Session
from trading_assets.market.splits import adjusted

__all__ = ["compute_features", "compute_features_over", "deciding_bar", "floor_minute"]

_COLUMNS = ("ticker", "ts", "open", "high", "low", "close", "volume", "vwap", "feed", "known_at")
#: Bars that are worked on at a time.
_PORTION = 200_000
#: Portions that are worked on at once, in threads: a part of each step runs on one core.
_AT_ONCE = 2
_DAY = timedelta(days=1)
#: Bars of warm-up after which a smoothed value no longer shows where it started: Wilder's average of 14 five-minute
#: ranges keeps (13/14)^400 of it, less than 2e-13.
_SETTLED = 2_000


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
    moments = _rising(as_ofs)
    today = sessions[-1]
    if moments and not (today.open <= moments[0] and moments[-1] < today.open + timedelta(days=1)):
        raise ValueError(f"as_ofs must lie in the session {today.key}, saw {moments[0]} to {moments[-1]}")
    if not moments or bars.is_empty():
        return empty(FEATURES)

    seen_at = instants(moments).to_physical()
    sound, tickers = _sound(bars)
    if splits is not None:
        splits = splits.filter(pl.col("known_at") <= today.open)
        sound, daily_bars = adjusted(sound, splits, today.day), adjusted(daily_bars, splits, today.day)
    material = _when_seen(locate(sound, sessions), seen_at)
    del sound
    daily = _of(daily_bars, tickers)
    daily = daily.with_columns(_index_seen(seen_at, daily.get_column("known_at")).alias("seen")).filter(
        pl.col("seen") < len(moments)
    )
    late = pl.concat(
        [
            material.filter(pl.col("seen") > pl.col("due")).select("ticker", "seen"),
            daily.filter(pl.col("seen") > 0).select("ticker", "seen"),
        ]
    ).unique()
    disturbed = late.get_column("ticker").unique()
    warm_up = len(sessions) - 1
    parts = []
    if len(disturbed):
        shaken, shaken_daily = _only(material, disturbed), _only(daily, disturbed)
        material, daily = _without(material, disturbed), _without(daily, disturbed)
        # Between two instants at which something late became visible, every instant sees the same past: one pass.
        edges = sorted({0, *late.get_column("seen").to_list(), len(moments)})
        for start, stop in pairwise(edges):
            view = shaken.filter((pl.col("seen") < stop) & (pl.col("due") < stop))
            if not view.is_empty():
                view_daily = shaken_daily.filter(pl.col("seen") < stop)
                parts.append(
                    one_pass(latest_versions(view), view_daily, sessions, moments[start:stop], config, warm_up)
                )
    parts += _portions(material, daily, sessions, moments, config, warm_up)
    del material, daily
    return _in_order(parts, seen_at)


def compute_features_over(
    bars: pl.DataFrame,
    daily_bars: pl.DataFrame,
    *,
    sessions: Sequence[Session],
    as_ofs: Sequence[datetime],
    config: FeatureConfig,
    warm_up: int = 10,
    splits: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """What ``compute_features`` gives session by session, each with the ``warm_up`` sessions before it, in one pass.

    ``as_ofs`` may lie in any of ``sessions``. Which rows there are and what is null is the same. Numbers agree to nine
    digits, for a mean that runs on over a session's start rounds in another way; a trend may differ where two of the
    numbers it compares (close, means) are equal but for that rounding, in one row of 40,000 of recorded days. Tickers
    with late or revised material, with splits, or with too few bars for an average to forget its start are computed
    session by session. Raises ``ValueError`` on naive, unordered or foreign instants.
    """
    moments = _rising(as_ofs)
    by_session = _by_session(moments, sessions)
    if not moments or bars.is_empty():
        return empty(FEATURES)
    seen_at = instants(moments).to_physical()
    sound, tickers = _sound(bars)
    located = locate(sound, sessions)
    del sound
    material = _when_seen(located, seen_at)
    daily = _of(daily_bars, tickers)
    # A daily bar speaks from the first decision of the session after it.
    days = [sessions[number].day for number in by_session]
    firsts = [0, *accumulate(len(group) for group in by_session.values())]
    after = pl.Series(days, dtype=pl.Date()).search_sorted(daily.get_column("session"), side="right")
    due = pl.Series(firsts, dtype=pl.Int64()).gather(after)
    known = _index_seen(seen_at, daily.get_column("known_at"))
    apart = [
        material.filter(pl.col("seen") > pl.col("due")).get_column("ticker"),
        daily.filter((known > due) & (due < len(moments))).get_column("ticker"),
        _unsettled(located, list(by_session), len(sessions), warm_up),
    ]
    if splits is not None:
        apart.append(_of(splits, tickers).get_column("ticker"))
    disturbed = pl.concat(apart).unique()
    parts = []
    if len(disturbed):
        alone = bars.filter(pl.col("ticker").is_in(disturbed.cast(pl.String).implode()))
        alone_daily = daily_bars.filter(pl.col("ticker").is_in(disturbed.cast(pl.String).implode()))
        for number, group in by_session.items():
            window = sessions[max(0, number - warm_up) : number + 1]
            part = compute_features(
                alone.filter(pl.col("ts").is_between(window[0].open, window[-1].close)),
                alone_daily.filter(pl.col("session") < window[-1].day),
                sessions=window,
                as_ofs=group,
                config=config,
                splits=splits,
            )
            parts.append(part.with_columns(pl.col("ticker").cast(tickers)))
        material, daily = _without(material, disturbed), _without(daily, disturbed)
    parts += _portions(material, daily, sessions, moments, config, warm_up)
    del material, daily
    return _in_order(parts, seen_at)


def _rising(as_ofs: Sequence[datetime]) -> list[datetime]:
    moments = [require_utc(moment) for moment in as_ofs]
    if not all(map(lt, moments, moments[1:])):
        raise ValueError("as_ofs must rise strictly")
    return moments


def _by_session(moments: Sequence[datetime], sessions: Sequence[Session]) -> dict[int, list[datetime]]:
    """``moments`` by the index of their session."""
    groups: dict[int, list[datetime]] = {}
    start = 0
    for number, session in enumerate(sessions):
        later = sessions[number + 1].open if number + 1 < len(sessions) else None
        begin = bisect_left(moments, session.open, start)
        stop = len(moments) if later is None else bisect_left(moments, later, begin)
        stray = moments[start:begin] or [m for m in moments[max(begin, stop - 1) : stop] if m >= session.open + _DAY]
        if stray:
            raise ValueError(f"as_ofs must lie in sessions that are given, saw {stray[0]}")
        if stop > begin:
            groups[number] = list(moments[begin:stop])
        start = stop
    if start < len(moments):
        raise ValueError(f"as_ofs must lie in sessions that are given, saw {moments[start]}")
    return groups


def _sound(bars: pl.DataFrame) -> tuple[pl.DataFrame, pl.Enum]:
    """Usable rows of ``bars`` with the ticker as a number, and what these numbers mean, in order of the names."""
    keep = bars.select(usable()).to_series()
    bars = bars.select(_COLUMNS)
    sound = bars if keep.all() else bars.filter(keep)
    tickers = pl.Enum(sound.get_column("ticker").unique().sort())
    return sound.with_columns(pl.col("ticker").cast(tickers), pl.col("volume").cast(pl.Float64)), tickers


def _of(rows: pl.DataFrame, tickers: pl.Enum) -> pl.DataFrame:
    """Rows of ``tickers``."""
    return rows.with_columns(pl.col("ticker").cast(tickers, strict=False)).drop_nulls("ticker")


def _only(rows: pl.DataFrame, tickers: pl.Series) -> pl.DataFrame:
    return rows.filter(pl.col("ticker").is_in(tickers.implode()))


def _without(rows: pl.DataFrame, tickers: pl.Series) -> pl.DataFrame:
    return rows.filter(~pl.col("ticker").is_in(tickers.implode()))


def _unsettled(located: pl.DataFrame, deciding: Sequence[int], sessions: int, warm_up: int) -> pl.Series:
    """Tickers that some of ``deciding`` sees with fewer than ``_SETTLED`` bars of warm-up and earlier ones cut off."""
    counts = located.group_by("ticker", "session_no").len().sort("ticker", "session_no")
    upto = pl.col("len").cast(pl.Int64).cum_sum().over("ticker")
    counts = counts.select("ticker", "session_no", upto=upto)
    asked = (
        counts.select("ticker")
        .unique()
        .join(
            pl.DataFrame({"number": deciding}, schema={"number": pl.Int64()}).filter(pl.col("number") > warm_up),
            how="cross",
        )
    )
    for name, back in (("window", 1), ("cut", warm_up + 1)):
        asked = (
            asked.with_columns(last=pl.col("number") - back)
            .sort("last")
            .join_asof(
                counts.sort("session_no").rename({"upto": name}),
                left_on="last",
                right_on="session_no",
                by="ticker",
                check_sortedness=False,
            )
            .drop("session_no")
            .with_columns(pl.col(name).fill_null(0))
        )
    thin = (pl.col("cut") > 0) & (pl.col("window") - pl.col("cut") < _SETTLED)
    return asked.filter(thin).get_column("ticker").unique()


def _in_order(parts: list[pl.DataFrame], seen_at: pl.Series) -> pl.DataFrame:
    """The rows of ``parts`` as ``FEATURES``, by instant and ticker; ``parts`` are used up."""
    if not parts:
        return empty(FEATURES)
    keys = pl.concat([part.select("as_of", "ticker") for part in parts])
    # One key of whole numbers sorts faster than two columns; the codes of the tickers are in their order.
    instant = index_in(seen_at, keys.get_column("as_of").to_physical()) * 2**32
    key = instant + keys.get_column("ticker").to_physical().cast(pl.Int64)
    # A stable sort merges runs that rise already, and each ticker is one.
    order = pl.Series(np.argsort(key.to_numpy(), kind="stable"))
    del keys, instant, key

    def column(name: str) -> pl.Series:
        # Column by column: at no time are there two whole frames.
        whole = pl.concat([part.drop_in_place(name) for part in parts], rechunk=True)
        return whole.gather(order).cast(FEATURES[name])

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return conform(pl.DataFrame(list(pool.map(column, FEATURES))), FEATURES, "features")


def _portions(
    bars: pl.DataFrame,
    daily: pl.DataFrame,
    sessions: Sequence[Session],
    moments: Sequence[datetime],
    config: FeatureConfig,
    warm_up: int,
) -> list[pl.DataFrame]:
    """Features of ``moments``, all of which see the same versions of the bars before them, in portions of whole
    tickers of about ``_PORTION`` bars each: intermediate columns exist for a few portions at a time."""

    def work(some: tuple[pl.DataFrame, pl.DataFrame]) -> pl.DataFrame:
        return one_pass(latest_versions(some[0]), some[1], sessions, moments, config, warm_up)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(work, _by_tickers(bars, daily)))


def _by_tickers(bars: pl.DataFrame, daily: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The frames in portions of whole tickers."""
    if bars.is_empty():
        return
    if bars.height <= _PORTION:
        yield bars, daily
        return
    bars, daily = (
        rows if _codes(rows).is_sorted() else rows.sort("ticker", maintain_order=True) for rows in (bars, daily)
    )
    # As many portions as the threads can share evenly.
    portions = -(-bars.height // (_PORTION * _AT_ONCE)) * _AT_ONCE
    share = -(-bars.get_column("ticker").n_unique() // portions)
    highest = int(_codes(bars)[-1])
    edges = pl.Series([*range(0, highest + 1, share), highest + 1], dtype=pl.UInt32())
    cuts = [_codes(rows).cast(pl.UInt32).search_sorted(edges).to_list() for rows in (bars, daily)]
    for (start, stop), (first, last) in zip(*map(pairwise, cuts), strict=True):
        if stop > start:
            yield bars.slice(start, stop - start), daily.slice(first, last - first)


def _codes(rows: pl.DataFrame) -> pl.Series:
    return rows.get_column("ticker").to_physical()


def _index_seen(seen_at: pl.Series, known_at: pl.Series) -> pl.Series:
    """Index of the first decision at or after each knowledge time; the number of decisions if there is none."""
    return index_in(seen_at, known_at.to_physical())


def _when_seen(located: pl.DataFrame, seen_at: pl.Series) -> pl.DataFrame:
    """Rows some decision can see, with ``due`` (first decision at or after the bar's end) and ``seen`` (first one that
    knows it): ``seen`` > ``due`` is a late or revised bar."""
    ends = located.get_column("ts").to_physical() + MINUTE_US
    due = index_in(seen_at, ends, name="due")
    known = _index_seen(seen_at, located.get_column("known_at")).alias("seen")
    return (
        located.with_columns(due, known)
        .with_columns(pl.max_horizontal("seen", "due").alias("seen"))
        .filter(pl.col("seen") < len(seen_at))
    )
