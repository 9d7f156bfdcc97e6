"""Presets: default numbers, a preset over them, the user's own over both; chosen per account."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from trading_assets.domain.errors import ConfigurationError
from trading_assets.presets import COMMON_SECTIONS, Preset, preset_overrides, require_own_sections
from trading_assets.settings import Settings, load_settings

TWO = "accounts:\n  mine: {preset: seeds, rule_sets: [momentum, gap_fade]}\n  other: {}\n"


def load(tmp_path: Path, accounts: str, strategy: str = "") -> Settings:
    named = {}
    for name, text in (("accounts", accounts), ("strategy", strategy)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        named[f"TRADING_ASSETS_{name.upper()}_FILE"] = str(path)
    return load_settings(tmp_path / "home", env=named)


def test_each_account_has_the_numbers_of_its_preset(tmp_path: Path) -> None:
    settings = load(tmp_path, TWO)
    seeds, plain = settings.strategy_for("mine"), settings.strategy_for("other")
    assert plain is settings.strategy and plain.signals.swing_confidence == 0.65
    assert {seeds.signals.day_confidence, seeds.signals.swing_confidence, seeds.signals.stock_confidence} == {0.45}
    assert (seeds.exits.day_stop, seeds.exits.swing_stop, seeds.exits.target) == (
        Decimal("0.25"),
        Decimal("0.25"),
        Decimal("0.5"),
    )
    assert (seeds.exits.trailing_arm, seeds.exits.trailing_give_back) == (Decimal("0.2"), Decimal("0.25"))
    assert (seeds.contracts.swing_dte.minimum, seeds.contracts.swing_dte.maximum) == (7, 30)
    assert (seeds.contracts.day_delta.low, seeds.contracts.day_delta.high) == (0.30, 0.50)
    assert settings.config_hashes[Preset.SEEDS] != settings.config_hashes[Preset.DEFAULT] == settings.config_hash
    assert settings.followed == {Preset.DEFAULT: ("momentum",), Preset.SEEDS: ("gap_fade", "momentum")}


def test_nothing_that_the_seeds_signal_is_denied_for_confidence_alone(tmp_path: Path) -> None:
    settings = load(tmp_path, TWO)
    seeds, plain = settings.strategy_for("mine"), settings.strategy
    assert {seeds.gates.min_confidence_day, seeds.gates.min_confidence_swing, seeds.gates.min_confidence_stock} == {
        0.45
    }
    assert [tier.min_confidence for tier in seeds.sizing.tiers] == [0.45] * 4
    same = [tier.model_copy(update={"min_confidence": 0.45}) for tier in plain.sizing.tiers]
    assert list(seeds.sizing.tiers) == same


def test_what_is_collected_and_watched_is_common_to_all_presets(tmp_path: Path) -> None:
    settings = load(tmp_path, TWO, "watchlist: {size: 12}")
    for section in COMMON_SECTIONS:
        assert getattr(settings.strategy_for("mine"), section) == getattr(settings.strategy, section)
        with pytest.raises(ConfigurationError, match=f"{section}: this section is common"):
            require_own_sections({section: {}}, "mine")
    require_own_sections(preset_overrides(Preset.SEEDS), "seeds")


def test_the_users_own_numbers_lie_over_every_preset(tmp_path: Path) -> None:
    settings = load(tmp_path, TWO, "exits: {target: 0.8}\nsignals: {swing_confidence: 0.5}")
    for account in ("mine", "other"):
        assert settings.strategy_for(account).exits.target == Decimal("0.8")
        assert settings.strategy_for(account).signals.swing_confidence == 0.5
    assert settings.strategy_for("mine").exits.day_stop == Decimal("0.25")


@pytest.mark.parametrize(
    ("account", "says"),
    [
        ("{preset: seed}", "accounts.mine.preset"),
        ("{rule_sets: [conservative]}", "its entry, size and exit tables do not exist"),
        ("{rule_sets: [premium_selling]}", "its entry, size and exit tables do not exist"),
        ("{rule_sets: [luck]}", "offered are momentum, gap_fade, webhook"),
        ("{rule_sets: []}", "at least 1 item"),
    ],
)
def test_a_preset_or_rule_set_that_is_not_offered_is_refused(tmp_path: Path, account: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load(tmp_path, f"accounts: {{mine: {account}}}")
