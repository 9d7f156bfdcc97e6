"""The earnings calendar that strategy.yaml may name: read at load, refused by file and line."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from trading_assets.domain.errors import ConfigurationError
from trading_assets.earnings_file import read_earnings
from trading_assets.settings import load_settings
from trading_assets.world.paths import World, WorldKind


def test_days_are_read_by_ticker_and_a_relative_name_lies_beside_the_strategy(tmp_path: Path) -> None:
    world = World(tmp_path, "w")
    world.create()
    (world.directory / "strategy.yaml").write_text("gates: {earnings_calendar: calendar.csv}\n")
    (world.directory / "calendar.csv").write_text("Ticker,Date\nNVDA,2026-05-20\n\nNVDA,2026-02-25\nAAPL, 2026-01-29\n")
    settings = load_settings(world=world, kind=WorldKind.PRACTICE, env={})
    assert settings.earnings == {"NVDA": (date(2026, 2, 25), date(2026, 5, 20)), "AAPL": (date(2026, 1, 29),)}


def test_without_a_name_there_is_no_calendar_and_an_empty_file_is_one(tmp_path: Path) -> None:
    assert read_earnings(None, "anything") is None
    (tmp_path / "c.csv").write_text("ticker,date\n")
    assert read_earnings(str(tmp_path / "c.csv"), "packaged strategy.yaml") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("", "expected the columns ticker,date, saw nothing"),
        ("symbol,day\nNVDA,2026-02-25\n", "saw symbol,day"),
        ("ticker,date\nNVDA,25.02.2026\n", "line 2: expected ticker,YYYY-MM-DD"),
        ("ticker,date\nNVDA\n", "line 2: expected"),
        ("ticker,date\nNVDA,2026-02-25,x\n", "line 2: expected"),
        ("ticker,date\nNVDA,2026-02-25\nnvidia,2026-02-25\n", "line 3: 'nvidia' is no ticker"),
    ],
)
def test_a_file_that_is_no_calendar_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "c.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"gates\.earnings_calendar") as refused:
        read_earnings(str(path), "strategy.yaml")
    assert words in str(refused.value)
