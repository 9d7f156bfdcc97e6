"""A world's Dagster home: the packaged ``dagster.yaml``, so that every world has the same instance settings."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from trading_assets.world.paths import World

#: Runs inside one process, one after the other, print nothing; capturing it would start two processes for every run.
_UNCAPTURED = """
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""


def instance_settings(*, capture: bool = True) -> str:
    """The text of ``dagster.yaml``."""
    text = files("trading_assets.defaults").joinpath("dagster.yaml").read_text()
    return text if capture else text + _UNCAPTURED


def write_dagster_home(world: World, *, capture: bool = True) -> Path:
    """Write ``dagster.yaml`` into the world's Dagster folder and return the folder (``DAGSTER_HOME``).

    Without ``capture`` what runs print is not kept. Their logs and events are, in either case.
    """
    world.create()
    text = instance_settings(capture=capture)
    target = world.dagster / "dagster.yaml"
    if not target.exists() or target.read_text() != text:
        target.write_text(text)
    return world.dagster
