"""What a discovery looks at, as it was known at one instant: events in the news, volume surges, tracked tickers.

What belongs here: choosing and ordering. What does not: reading ledgers and frames (the asset does), judging a ticker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from trading_assets.market.bars import latest_versions, usable
from trading_assets.market.sessions import MINUTE, Session
from trading_assets.market.splits import adjusted
from trading_assets.news.discovery.config import DiscoveryConfig


@dataclass(frozen=True, slots=True)
class Article:
    """A story with its score, as stored. ``tickers`` are all companies that it is known to name."""

    event_uid: str
    cluster_id: str
    source: str
    title: str
    tickers: tuple[str, ...]
    published_at: datetime | None
    known_at: datetime
    score: float | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Event:
    """A cluster of stories. ``score``: their confidence-weighted mean in [-1, 1]; None if none is scored."""

    cluster_id: str
    event_uid: str
    title: str
    sources: tuple[str, ...]
    stories: int
    tickers: tuple[str, ...]
    score: float | None
    newest_at: datetime


@dataclass(frozen=True, slots=True)
class Volume:
    """Volume of a session up to one of its minutes, as a multiple of the same part of ``sessions`` earlier ones."""

    ticker: str
    ratio: float
    session: str
    minutes: int
    sessions: int


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that is shown. ``volumes`` of every ticker whose usual volume is known, ``surges`` the great ones;
    ``tracked`` says of each ticker why it is."""

    as_of: datetime
    events: tuple[Event, ...]
    volumes: Mapping[str, Volume]
    surges: tuple[Volume, ...]
    tracked: Mapping[str, tuple[str, ...]]

    def as_json(self) -> dict[str, Any]:
        """As kept with the run."""
        events = [{**asdict(event), "newest_at": event.newest_at.isoformat()} for event in self.events]
        return {
            "events": events,
            "surges": [asdict(surge) for surge in self.surges],
            "volumes": {ticker: round(volume.ratio, 4) for ticker, volume in sorted(self.volumes.items())},
            "tracked": {ticker: list(why) for ticker, why in sorted(self.tracked.items())},
        }

    def sources_of(self, ticker: str) -> dict[str, Any]:
        """What of the context speaks for ``ticker``: ids of events and stories, its volume, why it is tracked."""
        events = [event for event in self.events if ticker in event.tickers]
        found: dict[str, Any] = {}
        if events:
            found["events"] = [{"cluster_id": each.cluster_id, "event_uid": each.event_uid} for each in events]
        if ticker in self.volumes:
            found["volume"] = asdict(self.volumes[ticker])
        if ticker in self.tracked:
            found["tracked"] = list(self.tracked[ticker])
        return found


def gather(
    as_of: datetime,
    articles: Iterable[Article],
    volumes: Iterable[Volume],
    tracked: Mapping[str, tuple[str, ...]],
    config: DiscoveryConfig,
) -> Context:
    """The context at ``as_of``: of all that was known then the newsiest events and the greatest surges."""
    known = {volume.ticker: volume for volume in volumes}
    surges = sorted(
        (volume for volume in known.values() if volume.ratio > config.surge),
        key=lambda each: (-each.ratio, each.ticker),
    )
    return Context(
        as_of=as_of,
        events=tuple(events_of(articles, as_of, config)[: config.stories]),
        volumes=known,
        surges=tuple(surges[: config.surges]),
        tracked=dict(tracked),
    )


def events_of(articles: Iterable[Article], as_of: datetime, config: DiscoveryConfig) -> list[Event]:
    """Clusters of the last hours as known at ``as_of``: those that most sources tell first, then the newest.

    A story counts by when it was known; one that says it is older than these hours, or of the future, is no news.
    """
    since = as_of - timedelta(hours=config.story_hours)
    clusters: dict[str, list[Article]] = {}
    for article in articles:
        published = article.published_at or article.known_at
        if since < article.known_at <= as_of and since < published <= as_of:
            clusters.setdefault(article.cluster_id, []).append(article)
    found = [_event(cluster, stories) for cluster, stories in clusters.items()]
    return sorted(found, key=lambda event: (-len(event.sources), -event.newest_at.timestamp(), event.cluster_id))


def _event(cluster_id: str, articles: Sequence[Article]) -> Event:
    stories = sorted(articles, key=lambda article: (article.known_at, article.event_uid))
    first = next((article for article in stories if article.event_uid == cluster_id), stories[0])
    scored = [
        (article.score, article.confidence)
        for article in stories
        if article.score is not None and article.confidence is not None
    ]
    weight = sum(confidence for _, confidence in scored)
    return Event(
        cluster_id=cluster_id,
        event_uid=first.event_uid,
        title=first.title,
        sources=tuple(sorted({article.source for article in stories})),
        stories=len(stories),
        tickers=tuple(dict.fromkeys(ticker for article in stories for ticker in article.tickers)),
        score=sum(score * confidence for score, confidence in scored) / weight if weight > 0 else None,
        newest_at=stories[-1].known_at,
    )


def volumes_of(
    read: Callable[[Session], pl.DataFrame],
    splits: pl.DataFrame,
    sessions: Sequence[Session],
    as_of: datetime,
    config: DiscoveryConfig,
) -> list[Volume]:
    """Each ticker's volume in the last of ``sessions``, up to the newest minute known at ``as_of``, as a multiple of
    its mean over the same minutes of the earlier ones. ``read`` gives a session's minute bars (``frames.BARS``).

    Not known, and left out: a ticker without a bar in the last session, with bars in fewer than ``surge_sessions``
    earlier ones, or whose bars come from more than one feed. Earlier volumes are in today's shares.
    """
    *earlier, today = sessions
    known_splits = splits.filter(pl.col("known_at") <= as_of)
    bars = read(today).filter(pl.col("known_at") <= as_of)
    newest = bars.filter(pl.col("ts").is_between(today.open, today.close, closed="left"))["ts"].max()
    if newest is None:
        return []
    minutes = int((newest + MINUTE - today.open) / MINUTE)  # type: ignore[operator]

    def summed(bars: pl.DataFrame, session: Session) -> pl.DataFrame:
        part = latest_versions(bars.filter((pl.col("known_at") <= as_of) & usable()))
        part = part.filter(pl.col("ts").is_between(session.open, session.open + MINUTE * minutes, closed="left"))
        return (
            adjusted(part, known_splits, today.day)
            .group_by(pl.col("ticker").cast(pl.String()))
            .agg(
                pl.col("volume").sum().cast(pl.Float64()),
                pl.col("feed").cast(pl.String()).n_unique().alias("feeds"),
                pl.col("feed").cast(pl.String()).first(),
            )
        )

    now = summed(bars, today)
    # Session by session, for the minutes of many tickers are many. A half day has no such part.
    sums = [summed(read(session), session) for session in earlier if session.minutes >= minutes]
    before = (
        pl.concat([now.clear(), *sums])
        .group_by("ticker")
        .agg(
            pl.col("volume").mean().alias("usual"),
            pl.len().alias("sessions"),
            pl.col("feeds").max().alias("feeds_before"),
            pl.col("feed").n_unique().alias("changes"),
            pl.col("feed").first().alias("feed_before"),
        )
    )
    known_usual = now.join(before, on="ticker").filter(
        (pl.col("sessions") >= config.surge_sessions)
        & (pl.col("usual") > 0)
        & (pl.max_horizontal("feeds", "feeds_before", "changes") == 1)
        & (pl.col("feed") == pl.col("feed_before"))
    )
    return [
        Volume(row["ticker"], row["volume"] / row["usual"], today.key, minutes, row["sessions"])
        for row in known_usual.sort("ticker").iter_rows(named=True)
    ]
