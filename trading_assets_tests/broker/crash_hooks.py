"""What happens beside an act while it passes one of its named points: a hook on the crash points, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trading_assets.domain import crashpoints


@contextmanager
def at(point: str, happens: Callable[[], None]) -> Iterator[None]:
    """The first time that ``point`` is passed, this happens; it must be passed within the block."""
    happened: list[str] = []

    def hook(name: str) -> None:
        if name == point and not happened:
            happened.append(name)
            happens()

    crashpoints.install(hook)
    try:
        yield
    finally:
        crashpoints.install(None)
    assert happened, f"{point} was not passed"
