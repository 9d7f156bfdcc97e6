"""The watchlist: every followed ticker scored on a five-minute grid, the best thirty as members, with hysteresis.

score = 0.40 technical + 0.30 volume + 0.20 sentiment + 0.10 performance, each 0 to 1. A ticker one of whose factors is
unknown has no score and cannot enter; a member without a score keeps its last one for half an hour.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from trading_assets.domain.values import Direction
from trading_assets.market.frames import INSTANT, WATCHLIST, empty
from trading_assets.market.sessions import MINUTE, Session
from trading_assets.strategy.confidence import with_base
from trading_assets.strategy.config_signals import NewsViewConfig, SignalConfig, WatchlistConfig
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


@dataclass(slots=True)
class _Verdict:
    """What one decision says about one ticker that is or was a member; ``listed``: a member before the list is cut.

    ``row`` is its scored row; without one, ``kept`` is the last row that had a score.
    """

    ticker: str
    score: float | None
    listed: bool
    member: bool
    entered_at: datetime | None
    last_feature_at: datetime
    reason: str
    row: int | None
    kept: dict[str, Any] | None = None
    as_of: datetime | None = None


@dataclass(slots=True)
class _Course:
    """The verdicts of successive decisions, and the members after the newest of them."""

    config: WatchlistConfig
    scored: pl.DataFrame
    members: dict[str, _Verdict]
    verdicts: list[_Verdict] = field(default_factory=list)
    #: Scored rows that say nothing because the member's last score is kept instead.
    replaced: list[int] = field(default_factory=list)

    def decide(self, as_of: datetime, at: dict[str, tuple[int, float | None]], entering: Sequence[_Verdict]) -> None:
        """The decision at ``as_of``: ``at`` finds a ticker's scored row; no one of ``entering`` is a member yet."""
        before = self.members
        verdicts = list(entering)
        for ticker, member in before.items():
            row, score = at.get(ticker, (None, None))
            if row is not None and score is not None:
                verdicts.append(self._stay(member, row, score, as_of))
            else:
                verdicts.append(self._keep(member, "no features" if row is None else "a factor is unknown", as_of))
                self.replaced += [] if row is None else [row]
        listed = [verdict for verdict in verdicts if verdict.listed]
        size = self.config.size
        if len(listed) > size:
            listed.sort(key=lambda v: (-(v.score if v.score is not None else -1), v.ticker))
        for position, verdict in enumerate(listed[size:], size + 1):
            verdict.member, verdict.entered_at = False, None
            verdict.reason = f"rank {position}: {size} better ones are there"
        self.verdicts += verdicts
        self.members = {verdict.ticker: verdict for verdict in listed[:size]}

    def _stay(self, member: _Verdict, row: int, score: float, as_of: datetime) -> _Verdict:
        stays = score >= self.config.leave_score
        reason = "stays" if stays else f"left: score {score:.2f} is below {self.config.leave_score:.2f}"
        entered_at = member.entered_at if stays else None
        return _Verdict(member.ticker, score, stays, stays, entered_at, as_of, reason, row)

    def _keep(self, member: _Verdict, why: str, as_of: datetime) -> _Verdict:
        silent = as_of - member.last_feature_at
        stays = silent < timedelta(minutes=self.config.retention_minutes)
        kept = member.kept if member.row is None else self.scored.row(member.row, named=True)
        return _Verdict(
            member.ticker,
            member.score,
            stays,
            stays,
            member.entered_at if stays else None,
            member.last_feature_at,
            f"{'stays' if stays else 'left'}: {why} for {silent / MINUTE:.0f} min",
            None,
            kept,
            as_of,
        )


def _decide(
    scored: pl.DataFrame,
    previous: pl.DataFrame,
    as_ofs: Sequence[datetime],
    config: WatchlistConfig,
    afresh: Collection[datetime] = (),
) -> pl.DataFrame:
    """The decisions at ``as_ofs``, each building on the one before; ``scored`` is sorted by instant and ticker.

    Only where a ticker is or was a member does its row depend on others. Those few are judged one by one, all the
    rest at once.
    """
    members = {
        row["ticker"]: _Verdict(
            row["ticker"], row["score"], True, True, row["entered_at"], row["last_feature_at"], row["reason"], None, row
        )
        for row in previous.filter("member").to_dicts()
    }
    course = _Course(config, scored, members)
    tickers, scores = scored["ticker"].to_list(), scored["score"].to_list()
    moments = pl.Series(as_ofs, dtype=INSTANT).to_physical()
    starts, stops = (
        scored["as_of"].to_physical().search_sorted(moments, side=side).to_list() for side in ("left", "right")
    )
    enter = (scored["score"] >= config.enter_score).arg_true().to_list()
    for as_of, start, stop in zip(as_ofs, starts, stops, strict=True):
        if as_of in afresh:
            course.members = {}
        rows = range(start, stop)
        at = dict(zip(tickers[start:stop], zip(rows, scores[start:stop], strict=True), strict=True))
        chosen = enter[bisect_left(enter, start) : bisect_left(enter, stop)]
        course.decide(
            as_of,
            at if course.members else {},
            [
                _Verdict(tickers[row], scores[row], True, True, as_of, as_of, "entered", row)
                for row in chosen
                if tickers[row] not in course.members
            ],
        )
    return _rows(course)


def _rows(course: _Course) -> pl.DataFrame:
    """``WATCHLIST`` rows: strangers by their score alone, the others as their verdicts say."""
    config, scored = course.config, course.scored
    judged = [verdict for verdict in course.verdicts if verdict.row is not None]
    names = ("row", "listed", "member", "entered_at", "reason")
    verdicts = pl.DataFrame(
        [
            pl.Series("row", [verdict.row for verdict in judged], dtype=scored.schema["row"]),
            pl.Series("listed", [verdict.listed for verdict in judged], dtype=pl.Boolean()),
            pl.Series("member", [verdict.member for verdict in judged], dtype=pl.Boolean()),
            _instants("entered_at", [verdict.entered_at for verdict in judged]),
            pl.Series("reason", [verdict.reason for verdict in judged], dtype=pl.String()),
        ]
    )
    left_out = pl.Series(course.replaced, dtype=scored.schema["row"])
    low = f"is below {config.enter_score:.2f}"
    present = scored.join(verdicts, on="row", how="left", maintain_order="left")
    if course.replaced:
        present = present.filter(~pl.col("row").is_in(left_out.implode()))
    reasons, scores = present["reason"].to_list(), present["score"].to_list()
    said = [
        reason or ("no score: a factor is unknown" if score is None else f"score {score:.2f} {low}")
        for reason, score in zip(reasons, scores, strict=True)
    ]
    present = present.with_columns(
        pl.col("listed", "member").fill_null(value=False),
        pl.Series("reason", said, dtype=pl.String()),
        last_feature_at=pl.col("as_of"),
        rank=pl.lit(None, WATCHLIST["rank"]),
    )
    absent = [
        {
            **(verdict.kept or {}),
            **{name: getattr(verdict, name) for name in (*names[1:], "as_of", "last_feature_at")},
            "rank": None,
        }
        for verdict in course.verdicts
        if verdict.row is None
    ]
    order = [*WATCHLIST, "listed"]
    silent = pl.DataFrame(
        [{name: row[name] for name in order} for row in absent], schema={**WATCHLIST, "listed": pl.Boolean()}
    )
    rows = pl.concat([present.select(order), silent]).sort(
        "as_of", "listed", "score", "ticker", descending=[False, True, True, False], nulls_last=True
    )
    rank = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("as_of")
    return rows.with_columns(rank=rank).select(list(WATCHLIST))


def _instants(name: str, values: Sequence[datetime | None]) -> pl.Series:
    """A column of few distinct instants: each is converted once."""
    table: dict[datetime | None, int] = {}
    codes = [table.setdefault(value, len(table)) for value in values]
    return pl.Series(name, list(table), dtype=INSTANT).gather(codes)
