"""The pages of the Dagster UI as a person reads and uses them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

LOCATION = "trading_assets"


@dataclass(frozen=True)
class Box:
    """Where something lies on the drawing of the lineage."""

    left: float
    top: float
    right: float
    bottom: float

    def contains(self, other: Box) -> bool:
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


@dataclass(frozen=True)
class Lineage:
    assets: dict[str, Box]
    groups: dict[str, Box]


def open_lineage(page: Page) -> None:
    """The global lineage with every group unfolded, once its drawing has settled."""
    page.goto("/asset-groups")
    expect(page.get_by_text("Global asset lineage")).to_be_visible()
    expect(page.locator("foreignObject.group").first).to_be_visible()
    page.keyboard.press("Alt+e")
    page.wait_for_url("**expanded=**")
    expect(page.locator("foreignObject").filter(has_text=re.compile("^positions")).last).to_be_visible()
    settled(page)


def lineage(page: Page, assets: set[str], groups: set[str]) -> Lineage:
    """Where the named assets and groups are drawn; one that is not drawn is left out."""
    found = Lineage({}, {})
    for node in page.locator("foreignObject").all():
        words = node.get_by_text(re.compile(r"^[\w ]+$")).all_inner_texts()
        name = words[0].strip() if words else ""
        x, y, width, height = (float(node.get_attribute(key) or 0) for key in ("x", "y", "width", "height"))
        box = Box(x, y, x + width, y + height)
        if "group" in (node.get_attribute("class") or "").split():
            if name in groups:
                found.groups[name] = box
        elif name in assets:
            found.assets[name] = box
    return found


def settled(page: Page) -> None:
    """Until the drawing is the same twice, half a second apart."""
    before = ""
    while (now := page.locator("foreignObject").evaluate_all(_PLACES)) != before:
        before = now
        page.wait_for_timeout(500)


_PLACES = "nodes => JSON.stringify(nodes.map(node => [node.textContent.length, node.getBoundingClientRect()]))"


def open_partition(page: Page, asset: str, key: str) -> None:
    """The page of one partition of an asset."""
    page.goto(f"/assets/{asset}?view=partitions&partition={key}")
    expect(page.get_by_text(key, exact=True).filter(visible=True).last).to_be_visible()
    expect(page.get_by_text("Latest materialization")).to_be_visible()


def metadata(page: Page) -> dict[str, str]:
    """The metadata table of an open partition: label to what stands beside it."""
    expect(page.get_by_role("cell", name="dagster/row_count")).to_be_visible()
    rows = [row.locator("td").all_inner_texts() for row in page.locator("tr").all()]
    return {cells[0].strip(): cells[1].strip() for cells in rows if len(cells) >= 2}


def number(text: str) -> int:
    return int(text.replace(",", ""))


def partitions_with(page: Page, status: str) -> int:
    """The count that the partitions page shows beside a status such as ``Materialized``."""
    label = page.get_by_text(re.compile(rf"^{status} \([\d,]+\)$"))
    expect(label).to_be_visible()
    return number(label.inner_text().split("(")[1].rstrip(")"))


def launch(page: Page, asset: str, selection: str, *, partitions: int) -> None:
    """Materialize the selected partitions from the asset's page, and follow the notice to what was launched."""
    page.goto(f"/assets/{asset}?view=partitions")
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"Launch runs to materialize {asset}")
    # The dialog offers the last 90 days of the calendar; the practice day may lie before them.
    dialog.get_by_text("Show all partitions").click()
    box = dialog.get_by_role("textbox").first
    box.fill(selection)
    box.press("Enter")
    expect(dialog.get_by_text(f"{partitions} partition{'s' if partitions > 1 else ''}", exact=True)).to_be_visible()
    dialog.get_by_role("button", name="Launch").click()
    notice = page.get_by_text(re.compile("^(Launched run|Created backfill) ")).last
    expect(notice).to_be_visible()
    page.get_by_role("button", name="View", exact=True).or_(page.get_by_role("link", name="View", exact=True)).click()


def log_filter(page: Page) -> Locator:
    return page.get_by_placeholder("Filter…")


def logged_steps(page: Page) -> list[str]:
    """Which step each shown line of a run's log is of; lines of the run itself have none."""
    shown = page.locator(".op-column-container").all_inner_texts()
    return [text.strip() for text in shown if text.strip() not in ("", "-", "–")]


def tick_rows(page: Page) -> Locator:
    """The rows of a sensor's or schedule's tick history."""
    return page.locator("tr").filter(has=page.get_by_text("View logs"))
