"""Presets: the defaults, a preset laid over them, and the user's own ``strategy.yaml`` over both.

What belongs here: which presets there are and how one becomes a strategy. What does not: their numbers
(``trading_assets/defaults/presets``) and who follows which (``accounts.yaml``).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files
from typing import Any

import yaml

from trading_assets.config_files import merged, validated
from trading_assets.domain.errors import ConfigurationError
from trading_assets.domain.values import DEFAULT_PRESET
from trading_assets.strategy_config import StrategyConfig

#: Sections that every preset shares: one set of data, one watchlist, one way to ask news and broker.
COMMON_SECTIONS = ("universe", "collection", "features", "context", "news_view", "watchlist", "news", "broker")


class Preset(StrEnum):
    """A set of numbers that an account can choose."""

    DEFAULT = DEFAULT_PRESET
    SEEDS = "seeds"


def preset_overrides(preset: Preset) -> dict[str, Any]:
    """What ``preset`` changes of the defaults; nothing for the default one."""
    if preset is Preset.DEFAULT:
        return {}
    text = (files("trading_assets.defaults") / "presets" / f"{preset.value}.yaml").read_text()
    overrides: dict[str, Any] = yaml.safe_load(text)
    return overrides


def strategy_of(defaults: Mapping[str, Any], preset: Preset, own: Mapping[str, Any], where: str) -> StrategyConfig:
    """``defaults``, ``preset`` and the user's ``own`` values, each laid over the one before.

    Raises :class:`ConfigurationError` naming ``where`` and the key of a wrong value.
    """
    overrides = preset_overrides(preset)
    require_own_sections(overrides, preset.value)
    return validated(StrategyConfig, merged(merged(defaults, overrides), own), where)


def require_own_sections(overrides: Mapping[str, Any], name: str) -> None:
    """Raises :class:`ConfigurationError` if ``overrides`` touch a section that all presets share."""
    for section in COMMON_SECTIONS:
        if section in overrides:
            raise ConfigurationError(
                f"{section}: this section is common to all presets",
                where=f"preset {name}",
                mend="Set it in strategy.yaml, where it holds for every account.",
            )
