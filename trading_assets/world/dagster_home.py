"""A world's Dagster home: the packaged ``dagster.yaml``, so that every world has the same instance settings."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from trading_assets.world.paths import World


def write_dagster_home(world: World) -> Path:
    """Write ``dagster.yaml`` into the world's Dagster folder and return the folder (``DAGSTER_HOME``)."""
    world.create()
    text = files("trading_assets.defaults").joinpath("dagster.yaml").read_text()
    target = world.dagster / "dagster.yaml"
    if not target.exists() or target.read_text() != text:
        target.write_text(text)
    return world.dagster
