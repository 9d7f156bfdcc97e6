"""One feed that tells thousands of stories slows no other down and hides none."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from sqlalchemy import Engine

from trading_assets.ledger import news as store
from trading_assets.ledger.article_texts import links_without_attempt
from trading_assets.ledger.news import Story
from trading_assets.ledger.stories import RecentStory
from trading_assets.news import candidates, clusters
from trading_assets.news.candidates import Entry
from trading_assets.news.classify import classify_pending
from trading_assets.news.clusters import ClusterIndex
from trading_assets.news.config import ClusterConfig
from trading_assets.news.headlines import Headline, read_headline
from trading_assets.news.lexicon import LexiconModel
from trading_assets.news.tickers import TickerExtractor
from trading_assets_tests.news.conftest import SetClock

NOON = datetime(2026, 3, 12, 16, 0, tzinfo=UTC)
HONEST = "Acme wins large contract from navy for quiet diesel engines"


def uid(key: object) -> str:
    return hashlib.sha256(str(key).encode()).hexdigest()


class Counted(ClusterIndex):
    """Counts what is done for each new story."""

    def __init__(self) -> None:
        super().__init__(ClusterConfig())
        self.looked_at: list[int] = []
        self.judged = 0
        led_alike = self._candidates.led_alike

        def counted(said: Headline) -> set[Entry]:
            found = led_alike(said)
            self.looked_at.append(len(found))
            return found

        self._candidates.led_alike = counted  # type: ignore[method-assign]

    def _compatible(self, one: Entry, other: Entry) -> bool:
        self.judged += 1
        return super()._compatible(one, other)


def numbers_differ() -> Iterator[str]:
    for n in range(250):
        yield f"Acme shares rise {n} % on strong demand in early trading"


def words_change_their_places() -> Iterator[str]:
    chance = random.Random(5)
    words = ["wins", "large", "contract", "from", "navy", "for", "quiet", "diesel", "engines", "and", "spare", "parts"]
    for n in range(250):
        yield f"Acme {' '.join(chance.sample(words, len(words)))} {n}"


def each_is_led_by_another_word_of_sixty() -> Iterator[str]:
    chance = random.Random(5)
    words = [f"word{first}{second}x" for first in "abcdefgh" for second in "abcdefgh"][:60]
    for n in range(250):
        yield f"{' '.join(chance.sample(words, len(words)))} {n}"


@pytest.mark.parametrize(
    "titles",
    [numbers_differ, words_change_their_places, each_is_led_by_another_word_of_sixty],
    ids=lambda made: str(made.__name__),
)
def test_F39_thousands_of_look_alikes_make_a_story_cost_no_more_than_hundreds(
    titles: Callable[[], Iterator[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "LOOKED_AT", 100)
    monkeypatch.setattr(clusters, "_JUDGED", 10)
    index = Counted()
    for n, title in enumerate(titles()):
        before = index.judged
        assert index.assign(uid(n), title, None, NOON, NOON, "flood") == uid(n)
        assert index.judged - before <= 10
    assert 90 <= max(index.looked_at) <= 100


def test_F39_a_flood_hides_no_story_that_another_feed_told() -> None:
    index = ClusterIndex(ClusterConfig())
    with mock.patch.multiple(candidates, LOOKED_AT=5, _TOGETHER=4), mock.patch.object(clusters, "_JUDGED", 2):
        index.assign(uid("honest"), HONEST, None, NOON, NOON, "wire")
        for n in range(40):
            at = NOON + timedelta(minutes=n)
            # All tickers of one address are one feed.
            index.assign(uid(n), f"{HONEST} worth {n} million", None, at, at, f"flood.T{n}")
        late = NOON + timedelta(hours=1)
        assert index.assign(uid("again"), f"{HONEST} - Reuters", None, late, late, "other") == uid("honest")
        # Also where only equal words, or one filing, make one event.
        index.assign(uid("short"), "Acme soars", None, NOON, NOON, "wire")
        for n in range(40):
            at = NOON + timedelta(minutes=n + 1)
            index.assign(uid(f"short {n}"), f"Acme soars (A{'BCDEFGHIJK'[n % 10]})", None, at, at, "flood")
        assert index.assign(uid("short again"), "Acme jumps", None, late, late, "other") == uid("short")


@pytest.mark.parametrize("seed", range(3))
def test_which_stories_are_looked_at_depends_on_those_that_are_held_and_not_on_how_they_came(seed: int) -> None:
    chance = random.Random(seed)
    words = ["Apple", "Nvidia", "beats", "misses", "sales", "surge", "3%", "chips"]
    whole = ClusterIndex(ClusterConfig())
    stored: list[RecentStory] = []
    opened: dict[str, datetime] = {}
    bounds = mock.patch.multiple(candidates, LOOKED_AT=6, _TOGETHER=3)
    with bounds, mock.patch.object(clusters, "_JUDGED", 1):
        for position in range(100):
            fetched_at = NOON + timedelta(minutes=position)
            at = fetched_at - timedelta(minutes=chance.randrange(6))
            title, feed = " ".join(chance.sample(words, chance.randrange(2, 7))), chance.choice("ab")
            since = fetched_at - timedelta(minutes=60)
            whole.forget(since)
            rebuilt = ClusterIndex(ClusterConfig())
            held = [story for story in stored if story.fetched_at >= since]
            for story in chance.sample(held, len(held)):
                rebuilt.load([story])
            said = read_headline(title)
            seen = {other.event_uid for other in whole._candidates.led_alike(said)}
            assert {other.event_uid for other in rebuilt._candidates.led_alike(said)} == seen
            own = uid(position)
            expected = whole.assign(own, title, None, at, fetched_at, feed)
            assert rebuilt.assign(own, title, None, at, fetched_at, feed) == expected
            first = opened.setdefault(expected, at)
            stored.append(RecentStory(own, expected, title, None, at, first, fetched_at, feed))


# --- who is scored, and whose articles are read -----------------------------------------------------------------------


def waiting(number: int, feed: str, minute: int) -> Story:
    own, at = uid(f"{feed} {number}"), NOON + timedelta(minutes=minute)
    link = f"https://{feed.partition('.')[0]}.example/{number}"
    return Story(own, own, feed, feed, f"Story number {number} of {feed}", link, None, at, at)


def test_F39_a_flood_puts_off_the_scores_of_its_own_stories_alone(ledger: Engine) -> None:
    flood = [waiting(n, f"flood.T{n % 3}", minute=9) for n in range(60)]
    others = [waiting(n, feed, minute=n) for feed in ("wire", "desk") for n in range(3)]
    with ledger.begin() as connection:
        store.add_stories(connection, [*flood, *others])
        by_turns = [story.feed.partition(".")[0] for story in store.unscored_by_turns(connection, None, 9)]
        links = links_without_attempt(connection, NOON)
    assert [set(by_turns[n : n + 3]) for n in (0, 3, 6)] == [{"flood", "wire", "desk"}] * 3
    assert {link.split(".example")[0] for _, link in links[:9]} == {"https://flood", "https://wire", "https://desk"}
    assert len(links) == 66
    model, clock = LexiconModel(), SetClock(NOON + timedelta(minutes=10))
    report = classify_pending(ledger, model, TickerExtractor({}), clock, 9, since=NOON)
    assert (report.pending, report.scored) == (9, 9)
    with ledger.connect() as connection:
        left = store.unscored_by_turns(connection, (model.name, model.revision), 100, NOON)
        assert {story.feed.partition(".")[0] for story in left} == {"flood"}
        assert len(left) == 57
        # Nothing was overlooked, and what came before the bound is not asked for.
        assert store.unscored_by_turns(connection, None, 100, NOON + timedelta(minutes=10)) == []
