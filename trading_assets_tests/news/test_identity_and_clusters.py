"""One identity per story, one cluster per event."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.news.clusters import ClusterIndex, KnownStory, story_time
from trading_assets.news.config import ClusterConfig
from trading_assets.news.identity import event_uid
from trading_assets.news.tickers import TickerExtractor, curated_companies

NOON = datetime(2026, 3, 12, 16, 0, tzinfo=UTC)


def uid(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def test_the_guid_comes_first_then_the_link_then_title_and_time() -> None:
    assert event_uid("g", "https://x/1", "T", NOON) == uid("g")
    assert event_uid(None, "https://x/1", "T", NOON) == uid("https://x/1")
    assert event_uid("  ", " https://x/1 ", "T", NOON) == uid("https://x/1")
    by_title = event_uid(None, None, "T", NOON)
    assert by_title != event_uid(None, None, "T", NOON + timedelta(seconds=1))
    assert by_title != event_uid(None, None, "T", None)
    assert by_title == event_uid(None, "", " T ", NOON.astimezone())


def test_a_story_without_anything_has_no_identity() -> None:
    with pytest.raises(ValueError, match="no identity"):
        event_uid(None, " ", "", None)


def assigned(*titles: str, minutes_apart: float = 5, config: ClusterConfig | None = None) -> list[int]:
    """For each title the position of the title whose cluster it got."""
    index = ClusterIndex(config or ClusterConfig(), TickerExtractor(curated_companies()).symbols_in)
    uids = [uid(f"{position}") for position in range(len(titles))]
    return [
        uids.index(index.assign(own, title, NOON + timedelta(minutes=minutes_apart * position)))
        for position, (own, title) in enumerate(zip(uids, titles, strict=True))
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "Nvidia beats estimates as data center sales surge",
            "Nvidia beats estimates as data center sales surge - Reuters",
        ),
        (
            "Nvidia beats estimates as data center sales surge",
            "UPDATE 2-Nvidia beats estimates as data-center sales surge",
        ),
        ("Apple to buy chip startup for $2 billion", "Apple buys chip startup for $2 billion"),
        (
            "Fed holds rates steady, signals two cuts this year",
            "Fed holds rates steady and signals two cuts this year | CNBC",
        ),
        ("Market wrap", "Market Wrap"),
    ],
)
def test_the_same_event_over_two_feeds_is_one_cluster(first: str, second: str) -> None:
    assert assigned(first, second) == [0, 0]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Apple shares rise 3% in early trading Monday", "Nvidia shares rise 3% in early trading Monday"),
        ("Shares of Apple rise 3% in early trading Monday", "Shares of Nvidia rise 3% in early trading Monday"),
        ("Acme shares rise 3% in early trading Monday", "Zenith shares rise 3% in early trading Monday"),
        ("Tesla recalls 12,000 cars over brake fault", "Tesla recalls 48,000 cars over brake fault"),
        ("8-K - ACME CORP (0001610001) (Filer)", "8-K - ZENITH CORP (0001610002) (Filer)"),
        ("Market wrap", "Market watch"),
        ("", ""),
    ],
)
def test_a_shared_template_does_not_make_one_event(first: str, second: str) -> None:
    assert assigned(first, second) == [0, 1]


def test_stories_further_apart_than_the_window_are_two_events() -> None:
    title = "Stocks making the biggest moves in midday trading"
    assert assigned(title, title, minutes_apart=24 * 60) == [0, 0]
    assert assigned(title, title, minutes_apart=24 * 60 + 1) == [0, 1]


def test_a_daily_column_does_not_drag_one_cluster_through_the_year() -> None:
    title = "Stocks making the biggest moves in midday trading"
    assert assigned(title, title, title, title, minutes_apart=16 * 60) == [0, 0, 2, 2]


def test_a_third_story_joins_the_cluster_of_the_first() -> None:
    titles = ("Nvidia beats estimates as sales surge", "Nvidia beats estimates as its sales surge 40%") * 2
    assert assigned(*titles) == [0, 0, 0, 0]


WORDS = ["Apple", "Nvidia", "beats", "misses", "estimates", "sales", "surge", "fall", "3%", "5%", "chips", "deal"]


@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_clusters_do_not_depend_on_how_often_the_index_was_rebuilt(words: list[str]) -> None:
    titles = [" ".join(words[start : start + 6]) for start in range(0, len(words), 6)]
    whole = ClusterIndex(ClusterConfig())
    stored: list[KnownStory] = []
    for position, title in enumerate(titles):
        at = NOON + timedelta(minutes=position)
        rebuilt = ClusterIndex(ClusterConfig())
        rebuilt.load(stored)
        expected = whole.assign(uid(str(position)), title, at)
        assert rebuilt.assign(uid(str(position)), title, at) == expected
        stored.append(KnownStory(uid(str(position)), expected, title, at))


def test_a_story_counts_from_its_publication_but_never_after_its_receipt() -> None:
    assert story_time(None, NOON) == NOON
    assert story_time(NOON - timedelta(hours=1), NOON) == NOON - timedelta(hours=1)
    assert story_time(NOON + timedelta(days=365), NOON) == NOON
