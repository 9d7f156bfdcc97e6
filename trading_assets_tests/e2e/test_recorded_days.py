"""Recorded minute bars, played from a person's file: untidy, in local time, over two sessions in a row."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from trading_assets.market.sessions import shift
from trading_assets.simulation.market import SimulatedMarket
from trading_assets_tests.e2e.demo_runs import DemoWorld

LAST = date(2026, 3, 13)
FIRST = shift(LAST, -1).day
TICKERS = ("AAPL", "AMD", "KO", "NVDA", "SPY", "TSLA")
ZONE = "America/New_York"


@pytest.fixture(scope="module")
def recording(module_world_home: Path) -> Path:
    """Two weeks of six names as CSV: local instants without a zone, shuffled, rows twice, bars after the close."""
    market = SimulatedMarket(5, LAST, history_sessions=12)
    parts = [
        market.minute_bars(ticker, session.day).with_columns(symbol=pl.lit(ticker))
        for session in market.sessions
        for ticker in TICKERS
    ]
    bars = pl.concat(parts).select("symbol", "ts", "open", "high", "low", "close", "volume")
    late = bars.filter(pl.col("ts") == market.session.close - timedelta(minutes=1)).with_columns(
        pl.col("ts") + timedelta(minutes=31)
    )
    untidy = pl.concat([bars, bars.head(40), late]).sample(fraction=1.0, shuffle=True, seed=2)
    when = pl.col("ts").dt.convert_time_zone(ZONE).dt.replace_time_zone(None).dt.to_string("%Y-%m-%d %H:%M:%S")
    path = module_world_home / "recorded.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    untidy.with_columns(when=when).drop("ts").write_csv(path)
    return path


def arguments(recording: Path, *more: str) -> list[str]:
    named = ["--bars-columns", "ts=when,ticker=symbol", "--bars-tz", ZONE]
    return ["--bars", str(recording), *named, "--step", "30", "--session", FIRST.isoformat(), *more]


@pytest.mark.patient
def test_two_recorded_sessions_in_a_row_end_consistent_and_say_what_was_modelled(
    recording: Path, module_world_home: Path
) -> None:
    world = DemoWorld(module_world_home / "two", arguments(recording, "--sessions", "2"))
    summary = world.finish()
    assert summary["consistent"] is True
    assert summary["failed_runs"] == {}
    assert summary["source"] == "recorded"
    assert summary["articles"] == 0, "no news is made up"
    assert any("option chains" in what for what in summary["modelled"])
    counts = summary["recording"]
    assert counts["exact_duplicates"] == 40
    assert counts["outside_session"] == len(TICKERS)
    assert counts["tickers"] == len(TICKERS)
    assert counts["composite_index"] is None, "the index was recorded"
    assert list(summary["wall_clock"]["session_seconds"]) == [FIRST.isoformat(), LAST.isoformat()]
    shown = world.tool("data", "signals", "--session", LAST.isoformat(), "--world", "demo", "--json")
    assert shown.returncode == 0, shown.stderr
    assert isinstance(json.loads(shown.stdout), list)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--session", "2025-01-02"], "has no bar of 2025-01-02"),
        (["--bars-columns", "ts=time,ticker=symbol"], "it lacks ts"),
        (["--bars-tz", "Mars/Olympus"], "is no time zone"),
        (["--bars-label", "middle"], "is no label"),
        (["--bars", "/nowhere.parquet"], "there is no file /nowhere.parquet"),
    ],
)
def test_a_recording_that_cannot_be_played_is_refused_in_one_sentence(
    recording: Path, world_home: Path, change: list[str], said: str
) -> None:
    result = DemoWorld(world_home, []).asked("demo", *arguments(recording, *change))
    assert result.returncode == 2, (result.stdout, result.stderr)
    assert said in " ".join(result.stderr.split())
