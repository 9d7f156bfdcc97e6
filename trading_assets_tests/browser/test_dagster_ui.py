"""What a person sees and does in the Dagster UI on a finished day."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import NoReturn

import pytest
from playwright.sync_api import Page, expect

from trading_assets.automation.names import (
    CLOSING_TICK,
    DISCOVERY_TICK,
    DISPATCHER_JOB,
    DISPATCHER_TICK,
    FAILURE_TICK,
    MINUTE_JOB,
    MINUTE_TICK,
    NEWS_JOB,
    NEWS_REPORT_TICK,
    NEWS_TICK,
    POSITION_MANAGER_TICK,
)
from trading_assets.definitions import build_definitions
from trading_assets.resources.desk import Desk
from trading_assets.strategy_config import StrategyConfig
from trading_assets_tests.browser.conftest import OpenDay
from trading_assets_tests.browser.ui import (
    LOCATION,
    launch,
    lineage,
    log_filter,
    logged_steps,
    metadata,
    number,
    open_lineage,
    open_partition,
    partitions_with,
    tick_rows,
)

pytestmark = pytest.mark.browser
TODAY = "2026-03-11"
YESTERDAY = "2026-03-10"
#: A session without a stored bar, and three around a holiday (Monday the 16th) and a weekend.
UNTOUCHED = "2026-02-20"
THREE_SESSIONS = ("2026-02-13", "2026-02-17", "2026-02-18")
HEADLINE_TO_FILL = ["news", "sentiment", "watchlist", "signals", "orders", "executions", "positions"]
BAR_TO_SIGNAL = ["bars", "features", "market_context", "signals"]


def declared_groups() -> dict[str, str]:
    """The group of every asset, as the code declares it. Nothing of a world is opened for that."""

    def unused(*_: object) -> NoReturn:
        raise AssertionError("reading the definitions opens no world")

    settings = SimpleNamespace(strategy=StrategyConfig())
    specs = build_definitions(Desk(lambda: settings, unused)).resolve_all_asset_specs()  # type: ignore[arg-type,return-value]
    return {spec.key.to_user_string(): spec.group_name or "default" for spec in specs}


def test_the_global_lineage_shows_every_asset_in_its_group_from_the_headline_to_the_fill(page: Page) -> None:
    declared = declared_groups()
    open_lineage(page)
    shown = lineage(page, set(declared), set(declared.values()))
    assert set(shown.assets) == set(declared)
    assert set(shown.groups) == set(declared.values())
    for asset, group in declared.items():
        assert shown.groups[group].contains(shown.assets[asset]), f"{asset} lies outside its group {group}"
    for path in (HEADLINE_TO_FILL, BAR_TO_SIGNAL):
        places = [shown.assets[asset].left for asset in path]
        assert places == sorted(set(places)), f"{path} should read from left to right"


def test_the_page_of_a_session_shows_the_numbers_that_its_files_hold(page: Page, day: OpenDay) -> None:
    stored = day.frames.partitions("bars")
    open_partition(page, "bars", YESTERDAY)
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()
    assert partitions_with(page, "Materialized") == len(stored)
    shown = metadata(page)
    # One run imported the sessions before the demo's; each has its own numbers.
    assert number(shown["partitions"]) > 1
    rows = day.frames.read("bars", [YESTERDAY])
    assert rows.height > 0
    assert number(shown["dagster/row_count"]) == number(shown["rows_written"]) == rows.height
    assert number(shown["bytes"]) == day.frames.size_bytes("bars", YESTERDAY)
    assert number(shown["tickers"]) == rows["ticker"].n_unique()
    assert shown["dagster/uri"] == str(day.frames.folder("bars", YESTERDAY))


def test_the_page_of_a_calendar_day_shows_its_news_and_a_day_without_any_shows_none(page: Page, day: OpenDay) -> None:
    open_partition(page, "news", TODAY)
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()
    shown = metadata(page)
    assert shown["dagster/uri"] == str(day.frames.folder("news", TODAY))
    assert number(shown["dagster/row_count"]) == day.frames.read("news", [TODAY]).height
    assert day.frames.partitions("news") == [TODAY]
    assert partitions_with(page, "Materialized") == 1
    open_partition(page, "news", YESTERDAY)
    expect(page.get_by_text("No metadata entries")).to_be_visible()


@pytest.mark.parametrize("asset", ["orders", "executions", "positions"])
def test_what_the_acting_jobs_booked_stands_on_the_page_of_the_session(page: Page, asset: str) -> None:
    open_partition(page, asset, TODAY)
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()
    assert partitions_with(page, "Materialized") == 1
    expect(page.get_by_text("No metadata entries")).to_have_count(0)
    assert page.locator("a[href*='/runs/']").count() >= 1, "a fill leads back to the run that booked it"


def test_a_past_session_materialized_by_hand_succeeds_and_its_run_says_what_was_written(
    page: Page, day: OpenDay
) -> None:
    assert not day.frames.exists("bars", UNTOUCHED)
    launch(page, "bars", UNTOUCHED, partitions=1)
    expect(page).to_have_url(re.compile("/runs/[0-9a-f-]{36}"))
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    expect(page.get_by_text(f"partition: {UNTOUCHED}")).to_be_visible()
    written = day.frames.read("bars", [UNTOUCHED]).height
    assert written > 0
    log_filter(page).fill("step:bars")
    expect(page.get_by_text(re.compile(rf"^bars {UNTOUCHED}: {written} rows rebuilt"))).to_be_visible()
    open_partition(page, "bars", UNTOUCHED)
    shown = metadata(page)
    assert number(shown["dagster/row_count"]) == number(shown["rows_written"]) == written
    assert number(shown["bytes"]) == day.frames.size_bytes("bars", UNTOUCHED)


def test_a_backfill_of_three_sessions_around_a_holiday_completes(page: Page, day: OpenDay) -> None:
    before = day.frames.partitions("bars")
    launch(page, "bars", f"[{THREE_SESSIONS[0]}...{THREE_SESSIONS[-1]}]", partitions=3)
    expect(page).to_have_url(re.compile("/runs/b/"))
    expect(page.get_by_text("100% completed")).to_be_visible()
    # The word heads a column of counts, too.
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(2)
    # Targeted, in progress, succeeded, failed: beside the bar, in a table that is not marked up as one.
    beside = page.locator("body").inner_text().split("100% completed")[1].split()
    assert beside[:4] == ["3", "0", "3", "0"]
    assert sorted(set(day.frames.partitions("bars")) - set(before)) == list(THREE_SESSIONS)
    for key in THREE_SESSIONS:
        assert day.frames.read("bars", [key]).height > 0
    open_partition(page, "bars", THREE_SESSIONS[1])
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()


def test_a_runs_log_filtered_by_asset_shows_that_assets_own_lines_and_no_others(page: Page) -> None:
    open_partition(page, "signals", TODAY)
    page.locator("a[href*='/runs/']").first.click()
    expect(page).to_have_url(re.compile("/runs/[0-9a-f-]{36}"))
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    # The log keeps only the lines in the document that fit on the screen.
    page.set_viewport_size({"width": 1600, "height": 8000})
    log_filter(page).fill("")
    expect(page.get_by_text("RUN_SUCCESS")).to_be_visible()
    assert {"bars", "features", "signals"} <= set(logged_steps(page))
    for asset in ("bars", "features", "signals"):
        log_filter(page).fill(f"step:{asset}")
        expect(page.get_by_text(f'Started execution of step "{asset}".')).to_be_visible()
        expect(
            page.get_by_text(re.compile(rf"^{asset} {TODAY}: (\d+ new|nothing new: the) rows as of 20:00:00 UTC"))
        ).to_be_visible()
        expect(page.get_by_text("RUN_SUCCESS")).to_have_count(0)
        assert set(logged_steps(page)) == {asset}


def test_the_automation_page_lists_every_schedule_and_sensor_with_its_switch_on(page: Page) -> None:
    page.goto("/automation")
    schedules = (NEWS_TICK, MINUTE_TICK, CLOSING_TICK, NEWS_REPORT_TICK, DISCOVERY_TICK)
    for name in (*schedules, DISPATCHER_TICK, POSITION_MANAGER_TICK, FAILURE_TICK):
        expect(page.get_by_text(name, exact=True).filter(visible=True)).to_be_visible()
    expect(page.get_by_text("Standard sensor")).to_have_count(2)
    expect(page.get_by_text("Scheduled Every minute")).to_have_count(2)
    expect(page.get_by_text("Scheduled Every 5 minutes")).to_have_count(2)
    switches = page.get_by_role("checkbox", checked=True)
    expect(switches.nth(5)).to_be_attached()


@pytest.mark.parametrize(("sensor", "job"), [(DISPATCHER_TICK, DISPATCHER_JOB)])
def test_a_sensors_ticks_say_that_nothing_was_asked_for_and_why(page: Page, sensor: str, job: str) -> None:
    page.goto(f"/locations/{LOCATION}/sensors/{sensor}")
    expect(tick_rows(page).nth(1)).to_be_visible()
    expect(page.get_by_role("link", name=job, exact=True)).to_be_visible()
    # The newest tick may be at work in this moment: those that ended say what they asked for.
    ended = tick_rows(page).filter(has_not_text="Evaluating").first
    expect(ended.locator("td").nth(1)).to_have_text("0 runs requested")
    ended.get_by_role("button", name="0 runs requested").click()
    expect(page.get_by_text("the market is closed").first).to_be_visible()


@pytest.mark.parametrize(("schedule", "job"), [(MINUTE_TICK, MINUTE_JOB), (NEWS_TICK, NEWS_JOB)])
def test_a_schedules_ticks_lead_to_the_runs_that_they_asked_for(page: Page, schedule: str, job: str) -> None:
    page.goto(f"/locations/{LOCATION}/schedules/{schedule}")
    asked = tick_rows(page).filter(has_text="1 run requested").first
    expect(asked).to_be_visible()
    expect(page.get_by_text("America/New_York")).to_be_visible()
    page.goto(asked.locator("a[href*='/runs/']").first.get_attribute("href") or "the tick names no run")
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    expect(page.get_by_text(f"Launched by {schedule}")).to_be_visible()
    expect(page.get_by_role("link", name=job, exact=True)).to_be_visible()
