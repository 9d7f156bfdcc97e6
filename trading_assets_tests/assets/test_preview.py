"""What a person sees of a materialization: a few rows as text that is nothing but text, and honest numbers."""

from __future__ import annotations

import html
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest
from markdown_it import MarkdownIt

from trading_assets.assets.daily_bars import _extended
from trading_assets.assets.frame_asset import Finding, Product, _result, coverage, lag
from trading_assets.assets.preview import table
from trading_assets.assets.scope import Kind, Scope
from trading_assets.market.frames import BARS, INSTANT
from trading_assets.resources.desk import Desk
from trading_assets.world.recording import BARS_FILE, begins

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)


def desk_of(**parts: Any) -> Desk:
    return cast("Desk", SimpleNamespace(**parts))


def test_a_headline_cannot_put_a_link_a_picture_or_a_column_into_the_table() -> None:
    shown = table([{"title": "Buy | now ![x](http://a.b/c.png) <img src=x> `rm`\nnext"}], {"title": "title"}).value
    assert shown is not None
    row = shown.splitlines()[2]
    for special in ("|", "!", "[", "]", "(", ")", "<", ">", "`", ":"):
        inner = row.removeprefix("| ").removesuffix(" |")
        assert all(inner[at - 1] == "\\" for at, char in enumerate(inner) if char == special), special
    assert len(shown.splitlines()) == 3, "a line break stays within its row"


@pytest.mark.parametrize(
    "reason",
    [
        "![x](/graphql?query=mutation)",
        "<img src='/graphql?query=mutation'>",
        r"\![x](http://a.b/c.png)",
        "![x][y]",
        "<http://a.b>",
    ],
)
def test_a_servers_reason_is_nothing_but_text_in_the_description_of_a_check(reason: str) -> None:
    """The UI reads it as Markdown, and its own address does what a picture's address says."""
    said = f"feeds that fail: a (1 times: HTTP 500 {reason}; never read)"
    product = cast("Product", SimpleNamespace(name="news"))
    result = _result(product, "feeds_answer", {"feeds_answer": Finding("feeds_answer", False, said)})
    page = MarkdownIt().render(f"{result.description}\n\n[y]: /graphql").strip()
    assert html.unescape(page.removeprefix("<p>").removesuffix("</p>")) == said
    assert "<" not in page.removeprefix("<p>").removesuffix("</p>")


def test_a_table_is_cut_off_and_says_so_and_null_is_an_empty_cell() -> None:
    shown = table([{"a": None, "at": NOW}] * 12, {"a": "first", "at": "New York"}, limit=3).value
    assert shown is not None
    assert shown.splitlines()[2] == r"|  | 11\:00 |"
    assert shown.endswith("and 9 more")


@pytest.mark.parametrize(("kind", "expected"), [(Kind.LIVE, {"lag_s": 60.0}), (Kind.PAST, {}), (Kind.CURRENT, {})])
def test_only_a_live_minute_has_a_lag(kind: Kind, expected: dict[str, float]) -> None:
    scope = Scope("2026-03-11", kind, NOW)
    assert lag(scope, NOW - timedelta(minutes=1)) == expected
    assert lag(scope, None) == {}


def test_what_is_not_known_is_left_out_and_never_zero() -> None:
    desk = desk_of(universe=("AAPL", "MSFT", "SPY"), universe_in=lambda day: ("AAPL",))
    live, rows = Scope("2026-03-11", Kind.LIVE, NOW), pl.DataFrame({"ticker": ["AAPL", "AAPL", "SPY"]})
    assert coverage(desk, live, rows) == {"tickers": 2, "tickers_missing": 1}
    past = Scope("2026-03-10", Kind.PAST, NOW)
    assert coverage(desk, past, rows) == {"tickers": 2, "tickers_missing": 0}, "by who was followed on that day"
    assert coverage(desk, live, pl.DataFrame(schema=BARS)) == {}


def test_daily_bars_before_a_tickers_recording_are_counted_as_extended(tmp_path: Any) -> None:
    # A bar at 23:30 UTC is of the same day in New York; one at 02:00 UTC is of the day before.
    instants = [datetime(2024, 7, 2, 23, 30, tzinfo=UTC), datetime(2024, 7, 3, 2, 0, tzinfo=UTC)]
    frame = pl.DataFrame({"ticker": ["A", "B"], "ts": instants}, schema={"ticker": pl.String, "ts": INSTANT})
    frame.write_parquet(tmp_path / BARS_FILE)
    since = begins(tmp_path)
    assert since == {"A": date(2024, 7, 2), "B": date(2024, 7, 2)}
    days = [date(2024, 6, 28), date(2024, 7, 1), date(2024, 7, 2)]
    rows = pl.DataFrame({"ticker": ["A", "A", "A", "B"], "session": [*days, days[0]]})
    recorded = desk_of(runtime=SimpleNamespace(recorded_since=lambda: since))
    assert _extended(recorded, rows) == {"bars_extended": 3}
    simulated = desk_of(runtime=SimpleNamespace(recorded_since=lambda: None))
    assert _extended(simulated, rows) == {}, "only a recording can be extended"
