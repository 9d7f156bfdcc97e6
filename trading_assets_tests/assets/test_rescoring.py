"""Another model: partitions become stale, a backfill scores their stories anew, and no past decision changes.

Real Dagster instance, real ledger, real frames; the model is a BERT that was trained in this test run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, NoReturn

import polars as pl
import pytest
from dagster import AssetKey, DagsterEventType, DagsterInstance, Definitions, EventRecordsFilter
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleCauseCategory, StaleStatus
from dagster._core.loader import LoadingContextForTest
from sqlalchemy import Engine, select

from trading_assets.assets.universe import _articles
from trading_assets.automation.names import NEWS_JOB, NEWS_TICK
from trading_assets.automation.tickets import TICKET_TAG, issue
from trading_assets.definitions import build_definitions
from trading_assets.domain.errors import BrokerUnavailable
from trading_assets.jobs.backfill import QUIET, run_range
from trading_assets.ledger import news as store
from trading_assets.ledger.news import Story
from trading_assets.ledger.news_tables import inbound_events_classified
from trading_assets.news.classify import CHUNK, classify_day, classify_pending
from trading_assets.news.identity import event_uid
from trading_assets.news.lexicon import LexiconModel
from trading_assets.news.sentiment import Score
from trading_assets.news.tickers import TickerExtractor, universe_of
from trading_assets.resources.desk import Desk
from trading_assets.settings import load_settings
from trading_assets.strategy.config_signals import NewsViewConfig
from trading_assets.strategy.news_view import aggregate_sentiment
from trading_assets.world.frames import FrameStore
from trading_assets.world.paths import World, WorldKind
from trading_assets_tests.news.tiny_bert import trained_folder

DAY = date(2026, 3, 12)
TEN = datetime(2026, 3, 12, 14, 0, tzinfo=UTC)
SENTIMENT = AssetKey("sentiment")
SECRET = b"s" * 32


@dataclass
class SetClock:
    instant: datetime

    def now(self) -> datetime:
        return self.instant

    def wait_until(self, instant: datetime) -> None:
        self.instant = max(self.instant, instant)


@dataclass
class Place:
    """One world seen with one configuration: another model is another place over the same ledger and frames."""

    desk: Desk
    definitions: Definitions
    instance: DagsterInstance

    def minute(self, day: date = DAY, *, fails: bool = False) -> list[Any]:
        """A minute's run of the news, with its ticket; what the check of scored articles said."""
        now = self.desk.wall.now()
        ticket = issue(SECRET, job=NEWS_JOB, account=None, as_of=now, batch=str(self.desk.clock.now()), attempt=1)
        result = self.definitions.resolve_job_def(NEWS_JOB).execute_in_process(
            instance=self.instance,
            partition_key=day.isoformat(),
            tags={TICKET_TAG: ticket, "dagster/schedule_name": NEWS_TICK},
            run_config=QUIET,
            raise_on_error=False,
        )
        assert result.success is not fails, result.all_events
        return [each for each in result.get_asset_check_evaluations() if each.check_name == "every_article_scored"]

    def backfill(self, day: date = DAY) -> str:
        return run_range(self.definitions, self.instance, [SENTIMENT], day.isoformat(), day.isoformat())

    def status(self, day: date = DAY) -> tuple[StaleStatus, set[StaleCauseCategory]]:
        resolver = CachingStaleStatusResolver(
            self.instance, self.definitions.resolve_asset_graph(), LoadingContextForTest(self.instance)
        )
        causes = resolver.get_stale_causes(SENTIMENT, day.isoformat())
        return resolver.get_status(SENTIMENT, day.isoformat()), {each.category for each in causes}

    def rows(self, day: date = DAY) -> pl.DataFrame:
        return self.desk.frames.read("sentiment", [day.isoformat()])


@pytest.fixture
def clock() -> SetClock:
    return SetClock(TEN)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral(str(tmp_path)) as found:
        yield found


def place(
    model: dict[str, Any], database_url: str, home: Path, clock: SetClock, instance: DagsterInstance, **news: Any
) -> Place:
    world = World(home, "scored")
    world.create()
    (world.directory / "strategy.yaml").write_text(json.dumps({"news": {"model": model, **news}}))
    settings = load_settings(world=world, kind=WorldKind.PRACTICE, env={})

    def no_broker(_: object) -> NoReturn:
        raise BrokerUnavailable("no broker is needed to score")

    runtime = SimpleNamespace(
        connection=no_broker,
        ledger_url=database_url,
        clock=lambda: clock,
        ticket_secret=SECRET,
        exchange=None,
        recorded_tickers=lambda: None,
    )
    desk = Desk(lambda: settings, lambda _: runtime)  # type: ignore[arg-type,return-value]
    return Place(desk, build_definitions(desk), instance)


def tell(ledger: Engine, clock: SetClock, *titles: str) -> None:
    """Stories that arrive now."""
    now = clock.now()
    plain = Story("", "", "wire", "Wire", "", None, None, now - timedelta(minutes=1), now)
    named = [(event_uid(title, None, title, None), title) for title in titles]
    with ledger.begin() as connection:
        store.add_stories(connection, [replace(plain, event_uid=u, cluster_id=u, title=t) for u, t in named])


@pytest.mark.patient
def test_a_backfill_after_another_model_was_chosen_scores_anew_and_no_past_decision_changes(
    ledger: Engine, database_url: str, run_folder: Path, tmp_path: Path, clock: SetClock, instance: DagsterInstance
) -> None:
    before = place({}, database_url, tmp_path, clock, instance)
    tell(ledger, clock, "Nvidia beats estimates", "Tesla misses estimates", "株価が急騰しました")
    clock.instant += timedelta(seconds=20)
    (check,) = before.minute()
    assert not check.passed and "1 articles of the day" in str(check.description)
    assert "other letters than Latin" in str(check.description), "it says why"
    live = before.rows()
    assert set(live["model"]) == {"vader-finance"} and live["event_uid"].n_unique() == 2
    assert before.status() == (StaleStatus.FRESH, set())
    decided = aggregate_sentiment(live, [TEN + timedelta(minutes=5)], NewsViewConfig())
    assert decided.height == 2

    clock.instant += timedelta(days=1)
    folder = trained_folder(run_folder)
    after = place({"kind": "finbert", "name": str(folder), "path": "int8"}, database_url, tmp_path, clock, instance)
    assert after.status() == (StaleStatus.STALE, {StaleCauseCategory.CODE})
    assert after.desk.model.revision.endswith("+int8+clauses-1")
    run_id = after.backfill()
    assert after.status() == (StaleStatus.FRESH, set())
    assert before.status() == (StaleStatus.STALE, {StaleCauseCategory.CODE}), "back again is a change too"

    rows = after.rows()
    assert rows.head(live.height).equals(live), "what was observed live stays as it was"
    anew = rows.tail(rows.height - live.height)
    assert set(anew["model"]) == {"tiny-finbert"} and set(anew["revision"]) == {after.desk.model.revision}
    assert set(anew["event_uid"]) == set(live["event_uid"])
    assert set(anew["known_at"]) == set(anew["scored_at"]) == {clock.now()}
    every = [TEN + timedelta(minutes=number) for number in range(0, 26 * 60, 5)]
    view = NewsViewConfig()
    assert aggregate_sentiment(rows, every, view).equals(aggregate_sentiment(live, every, view))
    with ledger.connect() as connection:
        table = inbound_events_classified.c
        kept = connection.execute(select(table.model, table.revision, table.event_uid)).all()
    assert len(kept) == 4 and len({model for model, _, _ in kept}) == 2, "both versions are stored"
    told = [str(event.user_message) for event in instance.all_logs(run_id)]
    assert any("3 of 3 stories read by tiny-finbert" in text for text in told), "a long backfill says how far it is"
    last = instance.fetch_materializations(SENTIMENT, limit=1).records[0].asset_materialization
    assert last is not None and "other letters than Latin" in str(last.metadata["note"].value)

    after.backfill()
    assert after.rows().equals(rows), "a second backfill adds nothing"


def test_the_day_on_which_the_model_changes_says_how_much_of_it_only_another_model_has_scored(
    ledger: Engine, database_url: str, tmp_path: Path, clock: SetClock, instance: DagsterInstance
) -> None:
    def told() -> Any:
        last = instance.fetch_materializations(SENTIMENT, limit=1).records[0].asset_materialization
        assert last is not None
        return last.metadata["stories_of_another_model"].value

    tell(ledger, clock, "Nvidia soars to a record high", "Intel plunges on a weak outlook")
    place({}, database_url, tmp_path, clock, instance).minute()
    assert told() == 0
    clock.instant += timedelta(minutes=5)
    tell(ledger, clock, "Tesla misses estimates")
    after = place({}, database_url, tmp_path, clock, instance, tickers={"per_company": False})
    assert after.status()[0] is StaleStatus.STALE
    after.minute()
    assert after.status()[0] is StaleStatus.FRESH, "Dagster compares the newest run only"
    assert told() == 2
    after.backfill()
    assert told() == 2, "the current day is written by its minutes alone"
    clock.instant += timedelta(days=1)
    after.backfill()
    assert told() == 0


def test_a_minute_that_comes_to_its_day_after_midnight_is_no_backfill(
    ledger: Engine, database_url: str, tmp_path: Path, clock: SetClock, instance: DagsterInstance
) -> None:
    tell(ledger, clock, "Nvidia soars to a record high", "Intel plunges on a weak outlook")
    before = place({}, database_url, tmp_path, clock, instance)
    before.minute()
    lived = before.rows()
    clock.instant += timedelta(days=1)
    after = place({}, database_url, tmp_path, clock, instance, tickers={"per_company": False})
    after.minute()
    assert after.rows().equals(lived), "what another model has scored is scored anew by a backfill alone"
    after.backfill()
    assert after.rows().height == 2 * lived.height


def test_F42_a_model_that_cannot_be_used_fails_the_minute_with_its_reason_and_stores_nothing(
    ledger: Engine, database_url: str, tmp_path: Path, clock: SetClock, instance: DagsterInstance
) -> None:
    gone = place(
        {"kind": "finbert", "name": "acme/nowhere", "revision": "a" * 40}, database_url, tmp_path, clock, instance
    )
    tell(ledger, clock, "Nvidia beats estimates")
    (check,) = gone.minute(fails=True)
    assert not check.passed and "acme/nowhere are not on this machine" in str(check.description)
    with ledger.connect() as connection:
        assert connection.execute(select(inbound_events_classified)).all() == []
    assert gone.rows().is_empty()
    records = instance.get_event_records(EventRecordsFilter(DagsterEventType.ASSET_MATERIALIZATION), limit=10)
    assert records, "news were stored all the same"
    clock.instant += timedelta(minutes=1)
    (check,) = place({}, database_url, tmp_path, clock, instance).minute()
    assert check.passed


def test_a_minute_scores_for_a_bounded_time_the_newest_first_and_leaves_the_backlog_of_a_switch_alone(
    ledger: Engine, clock: SetClock
) -> None:
    model, extractor = LexiconModel(), TickerExtractor(universe_of(["NVDA"]))
    tell(ledger, clock, *(f"Old story number {number}" for number in range(10)))
    clock.instant += timedelta(hours=8)
    tell(ledger, clock, *(f"Story number {number}" for number in range(CHUNK + 6)))
    recent = clock.now() - timedelta(hours=6)
    first = classify_pending(ledger, model, extractor, clock, 500, since=recent, seconds=1e-9)
    assert (first.pending, first.scored, first.left) == (CHUNK + 6, CHUNK, 6)
    second = classify_pending(ledger, model, extractor, clock, 500, since=recent, seconds=1e-9)
    assert (second.pending, second.scored, second.left) == (6, 6, 0)

    class Other(LexiconModel):
        name = "another"

    switched = Other()
    assert classify_pending(ledger, switched, extractor, clock, 500, since=recent).pending == 0
    told: list[str] = []
    day = classify_day(ledger, switched, extractor, clock, TEN, TEN + timedelta(days=1), tell=told.append)
    assert (day.scored, day.failed) == (CHUNK + 16, 0)
    assert told == [f"{CHUNK + 16} of {CHUNK + 16} stories read by another {switched.revision}, 0 could not be scored"]
    assert classify_day(ledger, switched, extractor, clock, TEN, TEN + timedelta(days=1)).scored == 0


def test_after_a_change_of_the_model_a_discovery_still_looks_at_the_stories_of_the_hours_before(
    ledger: Engine, database_url: str, tmp_path: Path, clock: SetClock, instance: DagsterInstance
) -> None:
    tell(ledger, clock, "Nvidia soars to a record high", "Intel plunges on a weak outlook")
    before = place({}, database_url, tmp_path, clock, instance)
    before.minute()
    clock.instant += timedelta(minutes=5)
    after = place({}, database_url, tmp_path, clock, instance, tickers={"per_company": False})
    assert after.desk.model.revision != before.desk.model.revision
    seen = _articles(after.desk, clock.now(), ())
    assert sorted((each.title, each.tickers) for each in seen) == [
        ("Intel plunges on a weak outlook", ("INTC",)),
        ("Nvidia soars to a record high", ("NVDA",)),
    ]
    extractor = after.desk.tickers
    assert classify_day(ledger, after.desk.model, extractor, clock, TEN, TEN + timedelta(days=1)).scored == 2
    again = _articles(after.desk, clock.now(), ())
    assert sorted(each.title for each in again) == sorted(each.title for each in seen), "each story once"


def test_a_score_that_was_made_a_while_before_it_was_recorded_is_known_from_its_record_on(
    ledger: Engine, database_url: str, tmp_path: Path, clock: SetClock, instance: DagsterInstance
) -> None:
    """A run of the session beside the slow one cannot see it meanwhile: computed anew, its decision must not either."""
    world = place({}, database_url, tmp_path, clock, instance)

    class Slow(LexiconModel):
        def score(self, texts: Sequence[str]) -> list[Score]:
            clock.instant += timedelta(minutes=1)
            return super().score(texts)

    world.desk.__dict__["model"] = Slow()
    tell(ledger, clock, *(f"Nvidia beats estimates of plant {number}" for number in range(CHUNK + 5)))
    world.minute()
    rows = world.rows()
    assert rows["scored_at"].n_unique() == 2 and rows["event_uid"].n_unique() == CHUNK + 5
    assert set(rows["known_at"]) == {clock.now()} == {rows["scored_at"].max()}
    between = min(rows["scored_at"].to_list()) + timedelta(seconds=30)
    assert aggregate_sentiment(rows, [between], NewsViewConfig()).is_empty()


class InTheMiddle(FrameStore):
    """A store in which a run of the session looks at the news while they are being written."""

    def __init__(self, root: Path, clock: SetClock) -> None:
        super().__init__(root)
        self._clock = clock
        self.seen: list[tuple[datetime, pl.DataFrame]] = []

    def _look(self) -> None:
        as_of = self._clock.now()
        self.seen.append((as_of, FrameStore(self.root).read_settled("sentiment", DAY.isoformat())))

    def _write(self, target: Path, frame: pl.DataFrame) -> None:  # type: ignore[override]
        if target.parent.parent.name == "sentiment":
            self._clock.instant += timedelta(milliseconds=300)
            self.beside = Thread(target=self._look)
            self.beside.start()
            self.beside.join(0.3)
        super()._write(target, frame)


def test_what_a_decision_could_see_while_scores_were_being_recorded_is_what_it_sees_when_it_is_computed_anew(
    ledger: Engine, database_url: str, tmp_path: Path, clock: SetClock, instance: DagsterInstance
) -> None:
    world = place({}, database_url, tmp_path, clock, instance)
    frames = InTheMiddle(world.desk.frames.root, clock)
    world.desk.__dict__["frames"] = frames
    tell(ledger, clock, "Nvidia beats estimates")
    world.minute()
    frames.beside.join()
    [(as_of, seen)] = frames.seen
    lived = aggregate_sentiment(seen, [as_of], NewsViewConfig())
    assert aggregate_sentiment(world.rows(), [as_of], NewsViewConfig()).equals(lived)


def test_what_came_after_the_last_run_of_a_day_is_recorded_in_that_day(
    ledger: Engine, database_url: str, tmp_path: Path, clock: SetClock, instance: DagsterInstance
) -> None:
    world, midnight, tomorrow = place({}, database_url, tmp_path, clock, instance), TEN.replace(hour=4), DAY
    today, seconds = tomorrow - timedelta(days=1), timedelta(seconds=1)
    clock.instant = midnight - 40 * seconds
    tell(ledger, clock, "Nvidia beats estimates")
    world.minute(today)
    clock.instant = midnight - 10 * seconds
    tell(ledger, clock, "Tesla misses estimates")
    for number in (0, 1):
        clock.instant = midnight + (20 + 60 * number) * seconds
        world.minute(tomorrow)
        assert world.desk.frames.read("news", [today.isoformat()]).height == 2
        assert sorted(world.rows(today)["ticker"]) == ["NVDA", "TSLA"]
    assert world.rows(today)["known_at"].to_list() == [midnight - 40 * seconds, midnight + 20 * seconds]
    assert world.rows(tomorrow).is_empty()
