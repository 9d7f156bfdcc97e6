"""``config show --path``, ``config show --accounts`` and ``config diff``: every field explained, every change found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trading_assets.cli import app
from trading_assets.config_fields import at_path, differences, field_lines
from trading_assets.domain.errors import ConfigurationError
from trading_assets.strategy_config import StrategyConfig

DEFAULTS = StrategyConfig.model_validate({})


@pytest.fixture(autouse=True)
def _a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADING_ASSETS_HOME", str(tmp_path / "home"))
    for name in ("WORLD", "MODE", "STRATEGY_FILE", "ACCOUNTS_FILE"):
        monkeypatch.delenv(f"TRADING_ASSETS_{name}", raising=False)


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["config", *arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_every_field_has_a_meaning_and_its_default() -> None:
    lines = list(field_lines(DEFAULTS, DEFAULTS))
    assert len(lines) > 150
    assert [line.path for line in lines if not line.description] == []
    assert [line.path for line in lines if line.changed or line.value != line.default] == []
    assert len({line.path for line in lines}) == len(lines)


def test_a_setting_is_shown_with_value_default_range_and_meaning(tmp_path: Path) -> None:
    (tmp_path / "strategy.yaml").write_text("exits: {day_stop: 0.4}\n")
    assert said("show", "--path", "exits.day_stop") == (
        "exits.day_stop\n  value    0.4  (changed)\n  default  0.5\n  range    above 0, at most 1\n"
        "  meaning  stop of a day trade\n"
    )
    (line,) = json.loads(said("show", "--path", "sizing.tiers[3].max_contracts", "--json"))
    assert line == {
        "path": "sizing.tiers[3].max_contracts",
        "value": 10,
        "default": 10,
        "allowed": "at least 1, at most 1000",
        "description": "most contracts per trade",
        "changed": False,
    }
    whole = {line["path"] for line in json.loads(said("show", "--path", "exits", "--json"))}
    assert whole == {line.path for line in field_lines(DEFAULTS, DEFAULTS) if line.path.startswith("exits.")}


def test_the_limits_of_the_accounts_are_shown(tmp_path: Path) -> None:
    (tmp_path / "accounts.yaml").write_text("accounts: {small: {limits: {max_positions: 2}}, other: {}}\n")
    lines = {line["path"]: line for line in json.loads(said("show", "--accounts", "--json"))}
    assert lines["accounts.small.limits.max_positions"]["value"] == 2
    assert lines["accounts.small.limits.max_positions"]["changed"] is True
    assert lines["accounts.other.limits.max_positions"]["value"] is None
    assert all(path.startswith(("accounts.small.limits.", "accounts.other.limits.")) for path in lines)
    one = said("show", "--path", "accounts.small.limits.max_positions")
    assert "value    2  (changed)" in one and "default  null" in one and "at least 1" in one
    assert "_KEY" not in said("show", "--accounts"), "limits, not credentials or their names"


@pytest.mark.parametrize(
    ("path", "mend"),
    [
        ("exits.day_stp", "Did you mean 'exits.day_stop'?"),
        ("exit", "Did you mean 'exits'?"),
        ("%%%", "Sections are: universe,"),
        ("", "Sections are: universe,"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_closest_one(path: str, mend: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no setting") as refusal:
        at_path(list(field_lines(DEFAULTS, DEFAULTS)), path)
    assert mend in str(refusal.value)
    assert isinstance(CliRunner().invoke(app, ["config", "show", "--path", path]).exception, ConfigurationError)


def test_no_override_is_no_difference() -> None:
    assert said("diff") == "no difference to the packaged defaults\n"
    assert json.loads(said("diff", "--json")) == []


def test_differences_are_listed_by_key_and_a_value_written_otherwise_is_none(tmp_path: Path) -> None:
    (tmp_path / "strategy.yaml").write_text(
        "exits: {day_stop: 0.50}\nuniverse: {tickers: [INTC, AMD], sectors: {INTC: Chips, NEW: Space}}\n"
        "signals: {swing_confidence: 0.7}\n"
    )
    rows = json.loads(said("diff", "--json"))
    assert {row["key"] for row in rows} == {
        "universe.tickers",
        "universe.sectors.INTC",
        "universe.sectors.NEW",
        "signals.swing_confidence",
    }
    by_key = {row["key"]: row for row in rows}
    assert by_key["signals.swing_confidence"] == {"key": "signals.swing_confidence", "default": 0.65, "yours": 0.7}
    assert by_key["universe.sectors.NEW"]["default"] is None
    text = said("diff").splitlines()
    assert text[0].split() == ["key", "default", "yours"]
    assert text[-1].split() == ["signals.swing_confidence", "0.65", "0.7"]


def test_two_strategy_files_are_compared_over_the_same_defaults(tmp_path: Path) -> None:
    (tmp_path / "strategy.yaml").write_text("signals: {swing_confidence: 0.7}\n")
    other = tmp_path / "other.yaml"
    other.write_text("signals: {swing_confidence: 0.7, stock_confidence: 0.6}\n")
    (row,) = json.loads(said("diff", "--against", str(other), "--json"))
    assert row == {"key": "signals.stock_confidence", "other": 0.6, "yours": 0.55}
    other.write_text("signals: {swing_confidence: 0.7}\n")
    assert said("diff", "--against", str(other)) == f"no difference to {other}\n"


@pytest.mark.parametrize(
    "content", [None, "signals: {swing: 0.7}\n", "signals: [\n"], ids=["none", "unknown", "broken"]
)
def test_a_file_that_cannot_be_compared_with_is_refused(tmp_path: Path, content: str | None) -> None:
    other = tmp_path / "other.yaml"
    if content is not None:
        other.write_text(content)
    result = CliRunner().invoke(app, ["config", "diff", "--against", str(other)])
    assert isinstance(result.exception, ConfigurationError)
    assert str(other) in str(result.exception)


def test_lists_of_sections_are_compared_item_by_item_while_they_are_equally_long() -> None:
    left = {"tiers": [{"name": "a", "size": 1}, {"name": "b", "size": 2}]}
    right = {"tiers": [{"name": "a", "size": 1}, {"name": "b", "size": 3}]}
    assert [(row.path, row.other, row.yours) for row in differences(left, right)] == [("tiers[1].size", 2, 3)]
    assert [row.path for row in differences(left, {"tiers": left["tiers"][:1]})] == ["tiers"]
    assert differences(left, left) == []
