"""One prepared world for all tests of a worker that play in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_assets_tests.chaos.template import Template, prepared


@pytest.fixture(scope="session")
def template(session_world_home: Path) -> Iterator[Template]:
    """The prepared world, with its database server and what forks this worker's processes."""
    home = Path(tempfile.mkdtemp(dir=session_world_home))
    # Under root the database server runs as another user, who has to pass through this folder.
    home.chmod(0o711)
    with prepared(home) as made:
        yield made
