"""The pictures of a day of news: sentiment by ticker with its stories, how much came in, and how the feeds answered.

Nothing here reads anything: values in, PNG out. The axis is the New York day from midnight to midnight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from trading_assets.domain.clock import NEW_YORK
from trading_assets.pictures import DOWN, FAINT, GAIN, INK, LOSS, UP, as_png, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Lanes of tickers and of feeds: with more the picture would be too tall to be looked at. It says how many there are.
LANES, FEED_LANES = 8, 20
#: Numbers of stories nearer to each other than this (hours, score) would be written over each other.
_NEAR_HOURS, _NEAR_SCORE = 1.4, 0.3
#: Colours of feeds, the busiest first; all others share the last one.
_FEEDS = ("#2563eb", "#c2410c", "#15803d", "#7c3aed", "#b45309", "#0e7490", FAINT)
_ANSWERS = {"fetched": GAIN, "not_modified": FAINT, "failed": LOSS}
_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Told:
    """One story about a ticker: when it was known here, its signed score in [-1, 1], its confidence, and its number in
    the table beside the picture; None if it has none there."""

    known_at: datetime
    score: float
    confidence: float
    number: int | None


@dataclass(frozen=True, slots=True)
class Lane:
    """One ticker: its stories, the first known first, and the sentiment that signals saw (instant, value; None where
    no story counted)."""

    ticker: str
    stories: Sequence[Told]
    seen: Sequence[tuple[datetime, float | None]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One answer of a feed; ``status`` is fetched, not_modified or failed."""

    at: datetime
    status: str


def draw_sentiment(day: str, begin: datetime, end: datetime, lanes: Sequence[Lane], tickers: int) -> bytes:
    """One lane per ticker (at most ``LANES``, not empty, of ``tickers`` that were named): dots are stories, as large as
    their confidence, numbered as in the table; the line is the sentiment of the last hour, broken where nothing
    counted."""
    from matplotlib.patheffects import withStroke

    shown = lanes[:LANES]
    said = f"{_shown(len(shown), tickers)} tickers; each dot a story, when it was known; line: what signals saw"
    figure, rows = _lanes(len(shown), f"Sentiment  {day}", said)
    for axes, lane in zip(rows, shown, strict=True):
        axes.axhline(0, color=FAINT, linewidth=0.8, zorder=1)
        times = [_hour(begin, at) for at, _ in lane.seen]
        axes.plot(
            times, [float("nan") if value is None else value for _, value in lane.seen], color=INK, linewidth=1.2,
            zorder=3, drawstyle="steps-post",
        )  # fmt: skip
        for story in lane.stories:
            x, colour = _hour(begin, story.known_at), UP if story.score > 0 else DOWN if story.score < 0 else FAINT
            axes.scatter([x], [story.score], s=18 + 60 * story.confidence, color=colour, alpha=0.75, zorder=4)
        for x, y, numbers in numbers_of(begin, lane.stories):
            axes.annotate(
                numbers, (x, y), xytext=(5, 5), textcoords="offset points", fontsize=7, color=INK, zorder=5,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )  # fmt: skip
        axes.set_ylim(-1.15, 1.15)
        axes.set_yticks([-1, 0, 1])
        axes.set_ylabel(lane.ticker, rotation=0, ha="right", va="center", fontsize=10, fontweight="bold", color=INK)
    _hours(rows, begin, end)
    return as_png(figure)


def numbers_of(begin: datetime, stories: Sequence[Told]) -> list[tuple[float, float, str]]:
    """Where which numbers are written (hour of the day, score): those of stories that lie near each other together, so
    that they can be read."""
    groups: list[tuple[float, float, list[int]]] = []
    for story in stories:
        if story.number is None:
            continue
        x, y = _hour(begin, story.known_at), story.score
        near = (each for each in groups if abs(each[0] - x) < _NEAR_HOURS and abs(each[1] - y) < _NEAR_SCORE)
        group = next(near, None)
        if group is None:
            groups.append((x, y, [story.number]))
        else:
            group[2].append(story.number)
    return [(x, y, _in_short(sorted(numbers))) for x, y, numbers in groups]


def _in_short(numbers: Sequence[int]) -> str:
    """``3``, ``3, 5``, ``3-6``; of more that do not follow each other the first and how many there are besides."""
    if len(numbers) <= 2:
        return ", ".join(map(str, numbers))
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return f"{numbers[0]} +{len(numbers) - 1}"


def draw_volume(
    day: str, begin: datetime, end: datetime, arrived: Sequence[tuple[datetime, str]], stories: int
) -> bytes:
    """Articles per hour by feed (``arrived``: when stored, by which feed; not empty), stacked; ``stories`` counts the
    different events among them."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 3), dpi=100, facecolor="white")
    axes = figure.add_axes((0.065, 0.13, 0.72, 0.66))
    hours = range(int(_hour(begin, end)))
    busiest = [feed for feed, _ in Counter(feed for _, feed in arrived).most_common(len(_FEEDS) - 1)]
    counted = Counter((feed if feed in busiest else "others", int(_hour(begin, at))) for at, feed in arrived)
    bottom = [0] * len(hours)
    for name, colour in zip([*busiest, *["others"] * (len(_FEEDS) - len(busiest))], _FEEDS, strict=True):
        heights = [counted.pop((name, hour), 0) for hour in hours]
        if any(heights):
            axes.bar([hour + 0.5 for hour in hours], heights, 0.85, bottom, color=colour, label=name, zorder=3)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    said = f"{len(arrived)} articles of {stories} events, by the hour in which they came. New York time"
    figure.text(0.065, 0.9, f"News  {day}", fontsize=13, fontweight="bold", color=INK)
    figure.text(0.065, 0.83, said, fontsize=9, color="#4b5563")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), frameon=False, fontsize=8.5)
    _hours([axes], begin, end)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return as_png(figure)


def draw_health(day: str, begin: datetime, end: datetime, feeds: Mapping[str, Sequence[Attempt]]) -> bytes:
    """One lane per feed (at most ``FEED_LANES``, those with failures first; not empty): a mark per answer."""

    def failures(name: str) -> int:
        return sum(attempt.status == "failed" for attempt in feeds[name])

    shown = sorted(feeds, key=lambda name: (-failures(name), name))[:FEED_LANES]
    said = f"{_shown(len(shown), len(feeds))} feeds; green: new content, grey: unchanged, red: failed"
    figure, rows = _lanes(len(shown), f"Feeds  {day}", said, height=0.36)
    for axes, name in zip(rows, shown, strict=True):
        for status, colour in _ANSWERS.items():
            times = [_hour(begin, attempt.at) for attempt in feeds[name] if attempt.status == status]
            axes.vlines(times, 0, 1, color=colour, linewidth=0.8 if status == "not_modified" else 1.6, zorder=3)
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        axes.set_ylabel(_shortened(name), rotation=0, ha="right", va="center", fontsize=8.5, color=INK)
    _hours(rows, begin, end)
    return as_png(figure)


def _shortened(name: str) -> str:
    """The name as far as it fits beside its lane: one of a ticker's feed ends with the ticker."""
    return name if len(name) <= 22 else f"{name[:13]}…{name[-8:]}"


def _shown(some: int, all_of_them: int) -> str:
    return f"{some} of {all_of_them}" if some < all_of_them else "all"


def _lanes(count: int, title: str, said: str, height: float = 0.95) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    tall = 1.05 + height * count
    figure = Figure(figsize=(10, tall), dpi=100, facecolor="white")
    rows: Any = figure.subplots(count, 1, sharex=True, squeeze=False)
    figure.subplots_adjust(left=0.16, right=0.97, top=1 - 0.72 / tall, bottom=0.33 / tall, hspace=0.12)
    figure.text(0.02, 1 - 0.3 / tall, title, fontsize=13, fontweight="bold", color=INK)
    figure.text(0.02, 1 - 0.54 / tall, f"{said}. New York time", fontsize=9, color="#4b5563")
    return figure, [row[0] for row in rows]


def _hour(begin: datetime, at: datetime) -> float:
    """Hours after midnight: the axis. A day on which the clocks change has 23 or 25."""
    return (at - begin).total_seconds() / _SECONDS


def _hours(rows: Sequence[Axes], begin: datetime, end: datetime) -> None:
    length = _hour(begin, end)
    marks = [hour for hour in range(int(length) + 1) if hour % 3 == 0]
    for axes in rows:
        plain_axes(axes)
        axes.set_xlim(0, length)
        axes.set_xticks(marks, [f"{(begin + timedelta(hours=hour)).astimezone(NEW_YORK):%H:%M}" for hour in marks])
        axes.tick_params(labelbottom=axes is rows[-1])
