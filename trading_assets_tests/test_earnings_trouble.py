"""A broken earnings calendar denies entries, is reported, and keeps nothing else from working."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from trading_assets.cli import app
from trading_assets.domain.errors import ConfigurationError
from trading_assets.settings import load_settings
from trading_assets.world.paths import World


def test_settings_load_without_the_calendar_and_say_what_is_wrong(tmp_path: Path) -> None:
    world = World(tmp_path, "play")
    world.create()
    (world.directory / "strategy.yaml").write_text("gates: {earnings_calendar: calendar.csv}\n")
    (world.directory / "calendar.csv").write_text("ticker,date\nAAPL,TBD\n")
    settings = load_settings(world=world, env={})
    assert settings.earnings is None
    assert settings.earnings_trouble is not None and "line 2" in str(settings.earnings_trouble)
    outcome = CliRunner().invoke(
        app, ["config", "check", "--world", "play"], env={"TRADING_ASSETS_HOME": str(tmp_path)}
    )
    assert isinstance(outcome.exception, ConfigurationError) and "line 2" in str(outcome.exception)
