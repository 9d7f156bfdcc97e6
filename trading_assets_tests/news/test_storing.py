"""Articles become stories once, whichever way and however often they come, and a process may remember recent ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, func, select

from trading_assets.ledger import news as store
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.news import Story
from trading_assets.ledger.news_tables import inbound_events_raw
from trading_assets.ledger.schema import upgrade
from trading_assets.ledger.stories import RecentStory, recent_stories
from trading_assets.ledger.wires import WIRE
from trading_assets.news.config import ClusterConfig
from trading_assets.news.identity import event_uid
from trading_assets.news.storing import Arrival, store_arrivals

NOON = datetime(2026, 3, 12, 16, 0, tzinfo=UTC)
CONFIG = ClusterConfig()
BEATS = "Nvidia beats estimates as data center sales surge"


def article(
    title: str,
    guid: str | None = None,
    link: str | None = None,
    feed: str = "wire",
    at: datetime | None = NOON - timedelta(minutes=5),
) -> Arrival:
    return Arrival(feed, feed.title(), guid, link, title, None, at)


def stored(engine: Engine, *arrivals: Arrival, at: datetime = NOON) -> list[Story]:
    with engine.begin() as connection:
        store.lock_store(connection)
        return store_arrivals(connection, arrivals, at, CONFIG)


def titles(stories: list[Story]) -> list[str]:
    return [story.title for story in stories]


def clusters(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        rows = connection.execute(select(inbound_events_raw.c.event_uid, inbound_events_raw.c.cluster_id))
        return {row.event_uid: row.cluster_id for row in rows}


def test_a_story_is_stored_with_all_that_its_source_said(ledger: Engine) -> None:
    told = Arrival(
        "api", "Wire", "7", "https://x.example/7", "A \\u0041 \"quoted\" 'title' {}", "é ✓", NOON, ("NVDA", "BRK.B")
    )
    undated = article("Undated", "8", at=None)
    (first, second) = stored(ledger, told, undated, at=NOON + timedelta(microseconds=1))
    assert first == Story(
        event_uid=event_uid("7", None, "", None),
        cluster_id=event_uid("7", None, "", None),
        feed="api",
        source="Wire",
        title="A \\u0041 \"quoted\" 'title' {}",
        link="https://x.example/7",
        summary="é ✓",
        published_at=NOON,
        fetched_at=NOON + timedelta(microseconds=1),
        symbols=("NVDA", "BRK.B"),
    )
    with ledger.connect() as connection:
        kept = store.stories_between(connection, NOON, NOON + timedelta(days=1), NOON + timedelta(days=1))
    assert sorted(kept, key=lambda story: story.title) == [first, second]


def test_the_same_input_again_writes_nothing(ledger: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    # Look-ups and writes are made in parts: here in small ones.
    monkeypatch.setattr("trading_assets.ledger.stories._AT_ONCE", 7)
    monkeypatch.setattr("trading_assets.ledger.news._ADDED_AT_ONCE", 3)
    came = [
        article(f"Company number {n} wins a large contract", f"g{n % 30}", f"https://x.example/{n}") for n in range(40)
    ]
    assert len(stored(ledger, *came)) == 40
    assert stored(ledger, *came, at=NOON + timedelta(minutes=1)) == []
    with ledger.connect() as connection:
        columns = (func.count(), func.max(inbound_events_raw.c.fetched_at))
        assert connection.execute(select(*columns)).one() == (40, NOON)


# --- one article, one story -------------------------------------------------------------------------------------------


def test_F39_an_article_that_its_publisher_edits_stays_one_as_it_was_first(ledger: Engine) -> None:
    stored(ledger, article("Oil prices rise on Middle East tension", "oil", "https://x.example/oil"))
    edited = [
        article("Oil prices dip after early rise", "oil", "https://x.example/oil"),
        article("Oil prices rise on Middle East tension", "oil", "https://x.example/oil-2"),
        # Alone, a guid with another headline and another address is an edit as well.
        article("Oil settles lower", "oil", "https://x.example/oil-settles"),
    ]
    for n, each in enumerate(edited):
        assert stored(ledger, each, at=NOON + timedelta(minutes=n + 1)) == []


def test_F39_one_guid_for_two_articles_in_one_answer_loses_neither(ledger: Engine) -> None:
    filer = "https://www.sec.gov/Archives/edgar/data/{}/000119312526197916/0001193125-26-197916-index.htm"
    guid = "urn:tag:sec.gov,2008:accession-number=0001193125-26-197916"
    partnership = article("8-K - Prologue, L.P. (0001045610) (Filer)", guid, filer.format(1045610))
    company = article("8-K - Prologue, Inc. (0001045609) (Filer)", guid, filer.format(1045609))
    (first,) = stored(ledger, company)
    assert first.event_uid == event_uid(guid, None, "", None)
    (second,) = stored(ledger, partnership, company, at=NOON + timedelta(minutes=1))
    assert (second.title, second.event_uid) == (partnership.title, event_uid(None, partnership.link, "", None))
    assert second.cluster_id == first.cluster_id  # one filing, one event
    for n, came in enumerate([(company, partnership), (partnership,), (company,), (partnership, company)]):
        assert stored(ledger, *came, at=NOON + timedelta(minutes=2 + n)) == []


def test_F39_a_plain_number_as_guid_in_two_feeds_is_two_articles(ledger: Engine) -> None:
    ours = article("Fed holds rates steady", "1083", "https://one.example/fed", "one")
    theirs = article("Tesla recalls 12,000 cars", "1083", "https://two.example/tesla", "two")
    assert titles(stored(ledger, ours)) == [ours.title]
    assert titles(stored(ledger, theirs, at=NOON + timedelta(minutes=1))) == [theirs.title]
    assert stored(ledger, theirs, ours, at=NOON + timedelta(minutes=2)) == []
    # The same article through two feeds of one publisher is one.
    again = article("Fed holds rates steady", "1083", "https://one.example/fed", "one-top-news")
    assert stored(ledger, again, at=NOON + timedelta(minutes=3)) == []


PAGE = "https://one.example/fed"


@pytest.mark.parametrize("rounds", [1, 2], ids=["one_round", "two_rounds"])
@pytest.mark.parametrize(
    ("guid", "claim"),
    [("1083", ("1083", None)), ("1083", ("1083", PAGE)), (PAGE, (None, PAGE)), (PAGE, (PAGE, PAGE))],
    ids=["guid_alone", "guid_and_page", "page_of_a_permalink", "permalink"],
)
def test_F39_no_publisher_can_take_an_article_from_another_by_telling_its_guid_or_address_first(
    ledger: Engine, guid: str, claim: tuple[str | None, str | None], rounds: int
) -> None:
    real = article("Fed holds rates steady", guid, PAGE, "one")
    false = article("Fed raises rates by surprise", *claim, "hostile")
    if rounds == 1:
        assert sorted(titles(stored(ledger, false, real))) == sorted([false.title, real.title])
    else:
        assert titles(stored(ledger, false)) == [false.title]
        assert titles(stored(ledger, real, at=NOON + timedelta(minutes=1))) == [real.title]
    edited = article("Fed holds rates steady, as expected", guid, PAGE, "one")
    assert stored(ledger, real, false, edited, at=NOON + timedelta(minutes=2)) == []
    assert stored(ledger, false, edited, real, at=NOON + timedelta(minutes=3)) == []


@pytest.mark.parametrize("claim", [("alpaca:7", None), ("x", PAGE), (None, PAGE)], ids=["number", "guid", "page"])
def test_F39_no_feed_can_keep_the_brokers_article_out(ledger: Engine, claim: tuple[str | None, str | None]) -> None:
    false = article("Fed raises rates by surprise", *claim, "hostile")
    real = article("Fed holds rates steady", "alpaca:7", PAGE, WIRE)
    assert titles(stored(ledger, false)) == [false.title]
    assert titles(stored(ledger, real, at=NOON + timedelta(minutes=1))) == [real.title]
    # Edited by its own publisher it stays one, whichever way it comes.
    moved = article("Fed holds rates steady, as expected", None, PAGE, WIRE.upper())
    assert stored(ledger, real, false, moved, at=NOON + timedelta(minutes=2)) == []


@pytest.mark.parametrize("broker_first", [True, False], ids=["broker_first", "feed_first"])
def test_F39_a_page_that_its_publisher_uses_again_loses_no_article_to_the_broker_or_from_it(
    ledger: Engine, broker_first: bool
) -> None:
    told = article("Fed holds rates steady", "alpaca:7", PAGE, WIRE)
    later = replace(article("Tesla recalls 12,000 cars", "live-2", PAGE, "live"), source=told.source)
    came = [told, later] if broker_first else [later, told]
    for n, each in enumerate(came):
        assert titles(stored(ledger, each, at=NOON + timedelta(minutes=n))) == [each.title]
    edited = replace(article("Fed leaves rates steady at 4.5 %", "live-1", PAGE, "live"), source=told.source)
    assert stored(ledger, *came, edited, at=NOON + timedelta(minutes=3)) == []


@pytest.mark.parametrize("order", [0, 1], ids=["guid_first", "link_first"])
@pytest.mark.parametrize("rounds", [1, 2], ids=["one_round", "two_rounds"])
def test_F39_one_feed_gives_a_guid_and_another_only_the_link_and_the_article_is_one(
    ledger: Engine, order: int, rounds: int
) -> None:
    link = "https://x.example/nvda"
    came = [article(BEATS, "4711", link + "?utm_source=rss", "a"), article(BEATS, None, link, "b")]
    if order == 0:
        # What is stored is looked up by its address as it was written.
        came[0] = article(BEATS, "4711", link, "a")
    else:
        came.reverse()
    if rounds == 1:
        assert len(stored(ledger, *came)) == 1
    else:
        assert len(stored(ledger, came[0])) == 1
        assert stored(ledger, came[1], at=NOON + timedelta(days=9)) == []
    assert stored(ledger, *came, at=NOON + timedelta(days=10)) == []


@pytest.mark.parametrize("by", ["guid", "link", "the link of a guid", "the address of a guid", "the broker"])
def test_F39_a_feed_without_dates_keeps_no_dated_article_out_which_alone_counts(ledger: Engine, by: str) -> None:
    page = "https://x.example/beats"
    guid, link = {"guid": ("g", None), "the link of a guid": ("g", page)}.get(by, (None, page))
    undated = article(BEATS, guid, link, feed="undated", at=None)
    dated = article(BEATS, guid, link, feed="dated")
    if by == "the link of a guid":
        undated = replace(undated, guid=None)
    elif by == "the address of a guid":
        undated = replace(undated, guid="of another feed")
        dated = replace(dated, guid=None)
    elif by == "the broker":
        dated = replace(dated, guid="alpaca:1", feed=WIRE)
    assert [story.published_at for story in stored(ledger, undated)] == [None]
    later = NOON + timedelta(minutes=1)
    (second,) = stored(ledger, undated, dated, at=later)
    assert second.published_at == dated.published_at
    assert second.cluster_id == event_uid(undated.guid, undated.link, "", None), "one event, told once"
    again = replace(undated, feed="undated too"), replace(dated, feed="dated too"), undated, dated
    assert stored(ledger, *again, at=later + timedelta(minutes=1)) == [], "and each is stored once"


def test_F39_a_feed_whose_entries_all_lead_to_one_page_keeps_them_all(ledger: Engine) -> None:
    home = "https://x.example/"
    came = [article(f"Note number {n} of the desk", f"note-{n}", home) for n in range(3)]
    assert len(stored(ledger, *came, article("Daily note", "d1", home), article("Daily note", "d2", home))) == 5


# --- what a process remembers -----------------------------------------------------------------------------------------


def test_a_process_that_remembers_says_the_same_as_one_that_has_just_begun(
    ledger: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounds of a process, of another one in between, one that is rolled back, and a clock that was set back."""
    reads: list[datetime] = []

    def read(connection: Connection, since: datetime) -> list[RecentStory]:
        reads.append(since)
        return recent_stories(connection, since)

    monkeypatch.setattr("trading_assets.news.recent.recent_stories", read)
    numbers = iter(range(1000))

    def some(told: str) -> list[Arrival]:
        return [article(f"{each} {told}", f"{next(numbers)}") for each in ("Nvidia", "Apple", "Veloria", "Norvik")]

    beats, misses = (f"{verb} estimates as data center sales surge" for verb in ("beats", "misses"))
    plant = "opens a battery plant in Ohio"
    stored(ledger, *some(beats))
    assert len(reads) == 1
    stored(ledger, *some(beats), at=NOON + timedelta(minutes=1))
    assert len(reads) == 1, "what this process stored itself is not read again"

    other = open_ledger(database_url)
    stored(other, *some(misses), at=NOON + timedelta(minutes=2))
    other.dispose()
    reads.clear()
    joined = stored(ledger, *some(misses), at=NOON + timedelta(minutes=3))
    assert reads == [NOON], "only what came since is read"
    assert all(story.cluster_id != story.event_uid for story in joined)

    with ledger.connect() as connection:
        store.lock_store(connection)
        store_arrivals(connection, some(plant), NOON + timedelta(minutes=4), CONFIG)
        connection.rollback()
    after = stored(ledger, *some(plant), at=NOON + timedelta(minutes=5))
    assert all(story.cluster_id == story.event_uid for story in after), "no story joins one that was never stored"

    back = stored(ledger, *some(plant), at=NOON - timedelta(days=1))
    assert {story.cluster_id for story in back} == {story.cluster_id for story in after}
    assert len(set(clusters(ledger).values())) == 12

    fresh = open_ledger(database_url)
    (here,) = stored(ledger, article(f"Apple {misses}", "here"), at=NOON + timedelta(minutes=6))
    (there,) = stored(fresh, article(f"Apple {misses}", "there"), at=NOON + timedelta(minutes=6))
    fresh.dispose()
    (apple,) = (story.cluster_id for story in joined if story.title.startswith("Apple"))
    assert here.cluster_id == there.cluster_id == apple


def test_stories_that_another_process_grouped_otherwise_after_a_rollback_are_read_anew(
    ledger: Engine, database_url: str
) -> None:
    first, second, third = (article("Norvik opens a battery plant in Ohio", each) for each in ("1", "2", "3"))
    stored(ledger, article("Something else", "else"))
    with ledger.connect() as connection:
        store.lock_store(connection)
        lost = store_arrivals(connection, [first, second], NOON + timedelta(minutes=1), CONFIG)
        connection.rollback()
    other = open_ledger(database_url)
    for n, each in enumerate(
        [second, first] if lost[0].event_uid == event_uid("1", None, "", None) else [first, second]
    ):
        stored(other, each, at=NOON + timedelta(minutes=2 + n))
    other.dispose()
    told = clusters(ledger)
    assert lost[0].cluster_id == lost[1].cluster_id, "they are one event"
    assert told[lost[0].event_uid] == told[lost[1].event_uid] == lost[1].event_uid, "which another story opened"
    (story,) = stored(ledger, third, at=NOON + timedelta(minutes=4))
    assert story.cluster_id == lost[1].event_uid


def test_members_never_move_and_how_arrivals_are_split_into_rounds_makes_no_other_cluster(
    ledger: Engine, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_assets.news.storing._AT_ONCE", 4)
    forms = ("{} beats estimates as data center sales surge", "UPDATE 1-{} tops estimates as data-center sales soar")
    subjects = ("Nvidia", "Apple", "Veloria", "Norvik", "Boeing")
    came = [
        article(form.format(subject), f"{subject} {n}", at=NOON + timedelta(minutes=7 * n + len(subject)))
        for n, form in enumerate(forms * 2)
        for subject in subjects
    ]
    came.sort(key=lambda each: (each.published_at or NOON, each.guid or ""))
    late = NOON + timedelta(hours=2)
    stored(ledger, *came, at=late)
    whole = clusters(ledger)
    second = open_ledger(empty_database_url)
    upgrade(second)
    seen: dict[str, str] = {}
    for start in range(0, len(came), 3):
        stored(second, *came[start : start + 3], at=late + timedelta(seconds=start))
        now = clusters(second)
        assert seen.items() <= now.items()
        seen = now
    second.dispose()
    assert seen == whole
    assert len(set(whole.values())) == len(subjects)
