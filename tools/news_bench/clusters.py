"""How right clusters are: on recorded headlines, on invented pairs, and on 20,000 made-up articles whose events are
known. Pairs of headlines: precision is the share of those in one cluster that belong together, recall the share of
those that belong together which are in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from news_bench._wires import articles
from trading_assets.news.clusters import ClusterIndex, story_time
from trading_assets.news.config import ClusterConfig
from trading_assets.news.recent import companies_named
from trading_assets_tests.news.cluster_labels import Figures, pair_figures, recorded_figures

if TYPE_CHECKING:
    from bench_news import Options

COUNT = 20_000
START = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


def run(options: Options) -> dict[str, Any]:
    """Figures of each set; the recorded one is left out without recorded data."""
    found: dict[str, Any] = {"invented_pairs": _ready(pair_figures())}
    if options.data is not None:
        found["recorded"] = _ready(recorded_figures(options.data))
    found["made_up"] = _made_up(COUNT // 10 if options.quick else COUNT).as_dict()
    return found


def _ready(figures: dict[str, Figures]) -> dict[str, Any]:
    return {name: each.as_dict() for name, each in figures.items()}


def _made_up(count: int) -> Figures:
    told = articles(count, START, timedelta(days=2), seed=11)
    index = ClusterIndex(ClusterConfig(), companies_named)
    clusters = []
    for number, each in enumerate(told):
        at = story_time(each.arrival.published_at, START + timedelta(days=3))
        arrival = each.arrival
        clusters.append(index.assign(f"{number:064d}", arrival.title, arrival.link, at, at, arrival.feed))
    right = _pairs((each.event, cluster) for each, cluster in zip(told, clusters, strict=True))
    together, true = _pairs(clusters), _pairs(each.event for each in told)
    return Figures(right=right, wrong=together - right, missed=true - right)


def _pairs(groups: Iterable[object]) -> int:
    return sum(size * (size - 1) // 2 for size in Counter(groups).values())
