"""The watchlist: every followed ticker scored on a five-minute grid, the best thirty as members, with hysteresis.

score = 0.40 technical + 0.30 volume + 0.20 sentiment + 0.10 performance, each 0 to 1. A ticker one of whose factors is
unknown has no score and cannot enter; a member without a score keeps its last one for half an hour.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from trading_assets.domain.values import Direction
from trading_assets.market.frames import INSTANT, WATCHLIST, empty
from trading_assets.market.sessions import MINUTE, Session
from trading_assets.strategy.confidence import with_base
from trading_assets.strategy.config_signals import NewsViewConfig, SignalConfig, WatchlistConfig
from trading_assets.strategy.membership import Carried, Course, Floats, Integers, Outcome, Scores, follow
from trading_assets.strategy.news_view import aggregate_sentiment

#: ``direction`` of a ticker whose price and trend give none.
NO_DIRECTION = "NONE"
_FACTORS = ("technical", "volume_factor", "sentiment_factor", "performance_factor")
_DIRECTIONS = {1: Direction.BULLISH.value, -1: Direction.BEARISH.value, 0: NO_DIRECTION}


def grid(as_ofs: Sequence[datetime], session: Session, config: WatchlistConfig) -> list[datetime]:
    """Those of ``as_ofs`` (rising) that are the first in their five minutes of the session."""
    chosen: list[datetime] = []
    last: int | None = None
    for moment in as_ofs:
        slot = int((moment - session.open) / MINUTE) // config.every_minutes
        if slot != last:
            chosen.append(moment)
            last = slot
    return chosen


def is_due(last: datetime | None, as_of: datetime, session: Session, config: WatchlistConfig) -> bool:
    """Whether the watchlist is decided at ``as_of``, given that it was last decided at ``last`` (None: not yet)."""
    return last is None or len(grid([last, as_of], session, config)) == 2


def watchlist_over(
    features: pl.DataFrame,
    sentiment: pl.DataFrame,
    *,
    as_ofs: Sequence[datetime],
    previous: pl.DataFrame | None,
    config: WatchlistConfig,
    signals: SignalConfig,
    news: NewsViewConfig,
    afresh: Collection[datetime] = (),
) -> pl.DataFrame:
    """``WATCHLIST`` rows decided at each of ``as_ofs`` (rising, already on the grid), each building on the one before.

    ``features`` and ``sentiment`` are the session's stored frames; ``previous`` holds earlier watchlist rows, of which
    only the newest decision counts. At instants in ``afresh`` nobody is a member yet: so several sessions are decided
    at once, each from its first instant on as if alone.
    """
    if not as_ofs:
        return empty(WATCHLIST)
    moments = pl.DataFrame({"as_of": list(as_ofs)}, schema={"as_of": INSTANT})
    views = aggregate_sentiment(sentiment, as_ofs, news).select("as_of", "ticker", "sentiment")
    rows = features.join(moments, on="as_of", how="semi").join(views, on=["as_of", "ticker"], how="left")
    return _decide(_scores(rows, config, signals), _newest(previous), as_ofs, config, afresh)


def update_watchlist(
    features: pl.DataFrame,
    news: pl.DataFrame,
    previous: pl.DataFrame,
    as_of: datetime,
    config: WatchlistConfig,
    signals: SignalConfig,
) -> pl.DataFrame:
    """The decision at ``as_of``: one row per ticker with features now or membership before, by rank.

    Enter at rank <= 30 with a score >= 0.30; leave below 0.25, when thirty better ones are there, or after 30 minutes
    without features or with one that lacks a factor. Until then such a member keeps its last score and factors.
    """
    rows = features.join(news.select("ticker", "sentiment"), on="ticker", how="left")
    rows = rows.with_columns(pl.lit(as_of, dtype=INSTANT).alias("as_of"))
    return _decide(_scores(rows, config, signals), previous, [as_of], config)


def _newest(previous: pl.DataFrame | None) -> pl.DataFrame:
    if previous is None or previous.is_empty():
        return empty(WATCHLIST)
    return previous.filter(pl.col("as_of") == pl.col("as_of").max())


def _scores(rows: pl.DataFrame, config: WatchlistConfig, signals: SignalConfig) -> pl.DataFrame:
    """Score, factors and direction of each feature row, by instant and ticker."""
    sign = pl.col("sign")
    return (
        with_base(rows, signals)
        .with_columns(
            technical=pl.col("base"),
            # Times the reciprocal: polars divides one row by a number in another way than many, in the last digit.
            volume_factor=(pl.col("volume_ratio") * (1 / config.full_volume_ratio)).clip(0, 1),
            sentiment_factor=pl.when(pl.col("sentiment").is_null())
            .then(0.5)
            .otherwise((0.5 + 0.5 * sign * pl.col("sentiment")).clip(0, 1)),
            performance_factor=(0.5 + sign * pl.col("return_60") * (1 / config.full_return)).clip(0, 1),
            direction=sign.replace_strict(_DIRECTIONS, default=NO_DIRECTION, return_dtype=pl.String()),
        )
        .with_columns(
            score=config.weight_technical * pl.col("technical")
            + config.weight_volume * pl.col("volume_factor")
            + config.weight_sentiment * pl.col("sentiment_factor")
            + config.weight_performance * pl.col("performance_factor")
        )
        .select("as_of", "ticker", "score", "direction", *_FACTORS)
        .sort("as_of", "ticker")
        .with_row_index("row")
    )


def _decide(
    scored: pl.DataFrame,
    previous: pl.DataFrame,
    as_ofs: Sequence[datetime],
    config: WatchlistConfig,
    afresh: Collection[datetime] = (),
) -> pl.DataFrame:
    """The decisions at ``as_ofs``, each building on the one before; ``scored`` is sorted by instant and ticker."""
    carried = previous.filter("member")
    names = pl.concat([scored["ticker"], carried["ticker"]]).unique().sort()
    kind = pl.Enum(names)
    moments = pl.Series(as_ofs, dtype=INSTANT).to_physical().to_numpy()
    course = follow(
        Scores(
            moment=np.searchsorted(moments, scored["as_of"].to_physical().to_numpy()),
            ticker=scored["ticker"].cast(kind).to_physical().to_numpy().astype(np.int64),
            score=scored["score"].to_numpy(),
        ),
        Carried(
            ticker=carried["ticker"].cast(kind).to_physical().to_numpy().astype(np.int64),
            score=carried["score"].to_numpy(),
            entered=carried["entered_at"].to_physical().to_numpy(),
            seen=carried["last_feature_at"].to_physical().to_numpy(),
        ),
        moments=moments,
        afresh=[moment in afresh for moment in as_ofs],
        tickers=len(names),
        config=config,
    )
    return _rows(course, scored, carried, moments, config)


def _rows(
    course: Course, scored: pl.DataFrame, carried: pl.DataFrame, moments: Integers, config: WatchlistConfig
) -> pl.DataFrame:
    """``WATCHLIST`` rows of the verdicts, by instant and rank: members first, then those not listed, by score."""
    told = ["ticker", "score", "direction", *_FACTORS]
    base = pl.concat([scored.select(told), carried.select(told)])
    score = base["score"].to_numpy()[course.row]
    order = np.lexsort((course.ticker, -score, ~course.listed, course.moment))
    course, score = course.taken(order), score[order]
    entered = pl.Series(np.where(course.member, course.entered, 0)).cast(INSTANT)
    return (
        base[course.row]
        .with_columns(
            as_of=pl.Series(moments[course.moment]).cast(INSTANT),
            rank=1 + np.arange(len(order)) - np.searchsorted(course.moment, course.moment),
            member=pl.Series(course.member),
            entered_at=pl.select(pl.when(pl.Series(course.member)).then(entered)).to_series(),
            last_feature_at=pl.Series(course.seen).cast(INSTANT),
            reason=_reasons(course, score, moments, config),
        )
        .select([pl.col(name).cast(dtype) for name, dtype in WATCHLIST.items()])
    )


def _reasons(course: Course, score: Floats, moments: Integers, config: WatchlistConfig) -> pl.Series:
    """Why each row says what it says. What many rows say alike is put into words once."""
    texts = ["stays", "entered", "no score: a factor is unknown"]
    codes = np.full(len(score), -1, dtype=np.int64)
    codes[course.outcome == Outcome.STAYS] = 0
    codes[course.outcome == Outcome.ENTERED] = 1
    codes[(course.outcome == Outcome.STRANGER) & np.isnan(score)] = 2
    for place in np.unique(course.place[course.place > 0]).tolist():
        codes[course.place == place] = len(texts)
        texts.append(f"rank {place}: {config.size} better ones are there")

    def say(said: Integers, words: list[str]) -> None:
        codes[said] = np.arange(len(texts), len(texts) + len(words))
        texts.extend(words)

    said = np.flatnonzero((codes < 0) & (course.outcome == Outcome.STRANGER))
    say(said, [f"score {one:.2f} is below {config.enter_score:.2f}" for one in score[said].tolist()])
    said = np.flatnonzero((codes < 0) & (course.outcome == Outcome.LOW))
    say(said, [f"left: score {one:.2f} is below {config.leave_score:.2f}" for one in score[said].tolist()])
    said = np.flatnonzero(codes < 0)
    say(said, [_of_silence(course, row, moments) for row in said.tolist()])
    return pl.Series(texts, dtype=pl.String()).gather(codes)


def _of_silence(course: Course, row: int, moments: Integers) -> str:
    silent = timedelta(microseconds=int(moments[course.moment[row]] - course.seen[row]))
    why = "a factor is unknown" if course.unscored[row] else "no features"
    return f"{'stays' if course.outcome[row] == Outcome.SILENT_STAYS else 'left'}: {why} for {silent / MINUTE:.0f} min"
