"""The demo as a person runs it: a whole day, repeatable, explained, and impossible to make trade by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trading_assets_tests.e2e.demo_runs import EVENTFUL, DemoWorld, without_wall_clock


def test_a_day_ends_consistent_with_trades_denials_and_their_reasons(
    eventful_day: tuple[DemoWorld, dict[str, object]],
) -> None:
    _, summary = eventful_day
    assert summary["consistent"] is True
    assert summary["session"] == "2026-03-11"
    assert summary["failed_runs"] == {}
    account = summary["accounts"]["large"]  # type: ignore[index]
    assert account["entries"] >= 1
    tiny = summary["accounts"]["tiny"]  # type: ignore[index]
    for one in (account, tiny):
        assert one["statuses"].get("EXECUTED", 0) == one["entries"] + one["adds"], "each purchase has its signal"
    assert tiny["denials"] or tiny["entries"], "it follows the day trades"
    assert tiny["open_positions"] == 0, "it holds nothing overnight"
    assert sum(account["exits"].values()) >= 1
    assert account["denials"], "some signal should have been denied by a gate"
    assert account["orders"] >= account["entries"] * 2


@pytest.mark.patient
def test_equal_arguments_give_an_equal_day(
    eventful_day: tuple[DemoWorld, dict[str, object]], module_world_home: Path
) -> None:
    again = DemoWorld(module_world_home / "again", EVENTFUL).finish()
    assert without_wall_clock(again) == without_wall_clock(eventful_day[1])


def test_every_fill_is_listed_with_its_instant_and_reason(eventful_day: tuple[DemoWorld, dict[str, object]]) -> None:
    world, summary = eventful_day
    listed = world.tool("data", "executions", "--session", "2026-03-11", "--world", "demo", "--json")
    assert listed.returncode == 0, listed.stderr
    rows = json.loads(listed.stdout)
    assert len(rows) == sum(account["fills"] for account in summary["accounts"].values())  # type: ignore[attr-defined]
    assert all(row["executed_at"].endswith("+00:00") and row["reason"] and row["quantity"] > 0 for row in rows)


def test_an_unknown_session_or_seed_gets_one_clear_error_and_exit_code_2(world_home: Path) -> None:
    world = DemoWorld(world_home, [])
    world_home.mkdir(exist_ok=True)
    for arguments, expected in (
        (["demo", "--session", "2026-03-14"], "not a trading session"),
        (["demo", "--session", "soon"], "YYYY-MM-DD"),
        (["demo", "--seed", "-1"], "--seed"),
        (["demo", "--scenario", "apocalypse"], "scenario"),
    ):
        result = world.asked(*arguments)
        assert result.returncode == 2, (arguments, result.stdout, result.stderr)
        assert expected in result.stderr, (arguments, result.stderr)
