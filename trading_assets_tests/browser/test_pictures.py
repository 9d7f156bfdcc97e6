"""The pictures of the UI that the documents show, taken from the same day as the tests.

``make screenshots`` refreshes them in ``docs/images``; without ``TRADING_ASSETS_SCREENSHOTS`` they go to a temporary
folder, so that every run of the tests shows that they can be taken.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from trading_assets.automation.names import DISPATCHER_JOB, DISPATCHER_TICK
from trading_assets.automation.tickets import ACCOUNT_TAG
from trading_assets_tests.browser.chromium import page_of
from trading_assets_tests.browser.conftest import OpenDay
from trading_assets_tests.browser.ui import (
    LOCATION,
    log_filter,
    metadata,
    open_lineage,
    open_partition,
    settled,
    tick_rows,
)

pytestmark = pytest.mark.browser
SCREENSHOTS_VARIABLE = "TRADING_ASSETS_SCREENSHOTS"
SESSION = "2026-03-11"
HISTORY = "2026-03-10"
PNG = b"\x89PNG\r\n\x1a\n"
#: What a page of documentation may weigh.
HEAVIEST = 250_000


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get(SCREENSHOTS_VARIABLE)
    chosen = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


def taken(page: Page, folder: Path, name: str) -> None:
    """Save what is seen; it is a picture, and light enough to be shown."""
    target = folder / f"ui-{name}.png"
    page.mouse.move(0, 0)
    content = b""
    # Until what is drawn stays as it is. Some pages count seconds: those are taken as they are in the end.
    for _ in range(8):
        before, content = content, page.screenshot(path=target, animations="disabled", caret="hide")
        if content == before:
            break
        page.wait_for_timeout(500)
    assert content.startswith(PNG)
    assert 20_000 < len(content) < HEAVIEST, f"{target} has {len(content)} bytes"


def test_a_picture_of_the_lineage(browser: Browser, day: OpenDay, folder: Path) -> None:
    # Wide enough for nodes that tell their state, and drawn smaller to fit a document.
    with page_of(browser, day.address, {"width": 3300, "height": 2000}, scale=0.5) as page:
        page.goto("/asset-groups")
        page.get_by_text("Hide navigation").click()
        open_lineage(page)
        page.locator("button:has([aria-label=panel_show_right])").click()
        settled(page)
        expect(page.get_by_text("Latest event").first).to_be_visible()
        expect(page.get_by_text(re.compile("^Loading"))).to_have_count(0)
        taken(page, folder, "lineage")


def test_a_picture_of_a_partition(page: Page, folder: Path) -> None:
    open_partition(page, "bars", HISTORY)
    assert metadata(page)
    taken(page, folder, "partition")


def test_a_picture_of_a_runs_log(browser: Browser, day: OpenDay, folder: Path) -> None:
    """A dispatcher's run of the day: what it took, and what came of every signal."""
    with page_of(browser, day.address, {"width": 1600, "height": 1250}, scale=0.9) as page:
        page.goto(f"/runs?q[0]=job:{DISPATCHER_JOB}&q[1]=tag:{ACCOUNT_TAG}=large")
        run = page.locator("a[href*='/runs/']").first.get_attribute("href") or ""
        page.goto(run.split("?")[0])
        expect(page.get_by_text("Success", exact=True)).to_be_visible()
        log_filter(page).fill("step:dispatch")
        # The log holds the lines on the screen, and begins at its end.
        expect(page.get_by_text(re.compile("^Finished execution of step"))).to_be_visible()
        page.mouse.move(1000, 900)
        page.mouse.wheel(0, -5000)
        expect(page.get_by_text(re.compile("signal .*account large")).first).to_be_visible()
        taken(page, folder, "run-logs")


def test_a_picture_of_a_sensors_ticks(page: Page, folder: Path) -> None:
    page.goto(f"/locations/{LOCATION}/sensors/{DISPATCHER_TICK}")
    expect(tick_rows(page).nth(4)).to_be_visible()
    taken(page, folder, "sensors")
