"""One identity per story, one cluster per event."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.ledger.stories import RecentStory
from trading_assets.news.clusters import ClusterIndex, story_time
from trading_assets.news.config import ClusterConfig
from trading_assets.news.headlines import Headline
from trading_assets.news.identity import event_uid, page_of
from trading_assets.news.recent import companies_named

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


@pytest.mark.parametrize(
    ("link", "page"),
    [
        (None, None),
        ("  ", None),
        (" https://x.example/a ", "https://x.example/a"),
        ("https://x.example/a?utm_source=rss&utm_medium=feed", "https://x.example/a"),
        ("https://x.example/a?id=7&utm_source=rss#utm_campaign=y", "https://x.example/a?id=7"),
        ("https://x.example/a?fbclid=1&ID=7&gclid=2", "https://x.example/a?ID=7"),
        ("https://x.example/a#xtor=RSS-3208", "https://x.example/a"),
        # What may name the story stays, letter for letter.
        ("HTTPS://X.example/a?b=%7E&c", "HTTPS://X.example/a?b=%7E&c"),
        ("https://x.example/day#item-3", "https://x.example/day#item-3"),
        ("https://x.example/a?mod=view&tid=5", "https://x.example/a?mod=view&tid=5"),
        ("https://x.example/a?", "https://x.example/a?"),
    ],
)
def test_a_link_is_its_page_without_what_is_there_for_tracking(link: str | None, page: str | None) -> None:
    assert page_of(link) == page
    assert page_of(page) == page


def test_tracking_in_a_link_makes_no_other_story_and_a_guid_is_taken_as_it_is() -> None:
    plain = event_uid(None, "https://x.example/a", "T", NOON)
    assert event_uid(None, "https://x.example/a?utm_source=rss", "T", NOON) == plain
    assert event_uid("https://x.example/a?utm_source=rss", None, "T", NOON) == uid("https://x.example/a?utm_source=rss")


def test_a_story_without_anything_has_no_identity() -> None:
    with pytest.raises(ValueError, match="no identity"):
        event_uid(None, " ", "", None)


def assigned(*titles: str, minutes_apart: float = 5, config: ClusterConfig | None = None) -> list[int]:
    """For each title the position of the title whose cluster it got."""
    index = ClusterIndex(config or ClusterConfig(), companies_named)
    uids = [uid(f"{position}") for position in range(len(titles))]
    moments = [NOON + timedelta(minutes=minutes_apart * position) for position in range(len(titles))]
    return [
        uids.index(index.assign(own, title, None, at, at)) for own, title, at in zip(uids, titles, moments, strict=True)
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


def test_two_filings_with_one_title_are_two_events_and_one_filing_of_two_companies_is_one() -> None:
    archive = "https://www.sec.gov/Archives/edgar/data"
    index = ClusterIndex(ClusterConfig())
    told = [
        ("8-K - Current report", f"{archive}/1/000121390025006497/0001213900-25-006497-index.htm"),
        ("8-K - Current report", f"{archive}/2/000121390024112698/0001213900-24-112698-index.htm"),
        ("Veloria Acquisition Corp. (0000000001) (Filer)", f"{archive}/1/000121390025006497/0001213900-25-006497.zip"),
    ]
    found = [index.assign(uid(f"{n}"), title, link, NOON, NOON) for n, (title, link) in enumerate(told)]
    assert found == [uid("0"), uid("1"), uid("0")]


WORDS = ["Apple", "Nvidia", "beats", "misses", "estimates", "sales", "surge", "fall", "3%", "5%", "chips", "deal"]


@given(st.lists(st.sampled_from(WORDS), max_size=60), st.randoms(use_true_random=False))
def test_clusters_depend_on_the_stories_that_are_there_and_not_on_how_they_came(
    words: list[str], chance: random.Random
) -> None:
    titles = [" ".join(words[start : start + 6]) for start in range(0, len(words), 6)]
    whole = ClusterIndex(ClusterConfig())
    stored: list[RecentStory] = []
    opened: dict[str, datetime] = {}
    for position, title in enumerate(titles):
        at = NOON + timedelta(minutes=position)
        own = uid(str(position))
        rebuilt = ClusterIndex(ClusterConfig())
        rebuilt.load(chance.sample(stored, len(stored)))
        expected = whole.assign(own, title, None, at, at)
        assert rebuilt.assign(own, title, None, at, at) == expected
        stored.append(RecentStory(own, expected, title, None, at, opened.setdefault(expected, at), at))


@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9), max_size=40),
    st.sampled_from([(0.3, 1), (0.5, 4), (0.6, 4), (0.8, 2), (1.0, 1)]),
)
def test_no_similar_story_is_overlooked_by_looking_up_leading_words_alone(
    titles: list[list[str]], setting: tuple[float, int]
) -> None:
    least, tokens = setting
    index = ClusterIndex(ClusterConfig(similarity=least, min_tokens=tokens))
    said: list[Headline] = []
    for position, title in enumerate(" ".join(words) for words in titles):
        new = index._entry(uid(str(position)), title, None, NOON, NOON)
        words = new.said.words
        if len(words) >= tokens:
            found = {other.event_uid for _, other in index._similar(new)}
            assert found >= {
                uid(str(n))
                for n, other in enumerate(said)
                if len(other.words) >= tokens
                and len(words & other.words) / len(words | other.words) >= least
                and (other.lead in words or new.said.lead in other.words)
            }
        index.assign(new.event_uid, title, None, NOON, NOON)
        said.append(new.said)


def test_a_forgotten_story_is_no_candidate_whether_it_is_still_held_or_not() -> None:
    title = "Nvidia beats estimates as data center sales surge"
    index = ClusterIndex(ClusterConfig())
    for n in range(4):
        index.assign(uid(f"other {n}"), f"Company number {n} wins a large contract", None, NOON, NOON)
    index.assign(uid("old"), title, None, NOON, NOON - timedelta(hours=1))
    index.forget(NOON)
    assert len(index.uids) == 4
    assert index.assign(uid("new"), title, None, NOON, NOON) == uid("new")
    index.forget(NOON + timedelta(minutes=1))
    assert index.uids == []


def test_a_story_counts_from_its_publication_but_never_after_its_receipt() -> None:
    assert story_time(None, NOON) == NOON
    assert story_time(NOON - timedelta(hours=1), NOON) == NOON - timedelta(hours=1)
    assert story_time(NOON + timedelta(days=365), NOON) == NOON
