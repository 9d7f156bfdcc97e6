"""Killing this process at a named point, to prove in a practice world that nothing is lost or doubled.

``TRADING_ASSETS_CRASH_AT="submission.after_post:2"`` kills the process with SIGKILL at the second time it reaches that
point; with ``:group`` appended the whole process group dies.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping

from trading_assets.domain import crashpoints
from trading_assets.domain.errors import ConfigurationError
from trading_assets.world.paths import WorldKind

VARIABLE = "TRADING_ASSETS_CRASH_AT"


def install(kind: WorldKind, env: Mapping[str, str] = os.environ) -> bool:
    """Arm the point that the variable names; False if it is not set.

    Raises :class:`ConfigurationError` in a paper or live world, and for a point or count that does not exist.
    """
    wanted = env.get(VARIABLE)
    if not wanted:
        return False
    if kind is not WorldKind.PRACTICE:
        raise ConfigurationError(
            f"crash points exist in practice worlds only, this is a {kind} world",
            where=VARIABLE,
            mend="Unset the variable.",
        )
    point, _, rest = wanted.partition(":")
    count, _, group = rest.partition(":")
    if point not in crashpoints.POINTS or not count.isdigit() or int(count) < 1 or group not in ("", "group"):
        raise ConfigurationError(
            f"cannot read {wanted!r}",
            where=VARIABLE,
            mend=f"Use 'point:count' or 'point:count:group' with one of: {', '.join(crashpoints.POINTS)}.",
        )
    crashpoints.install(_killer(point, int(count), whole_group=bool(group)))
    return True


def _killer(point: str, count: int, *, whole_group: bool) -> Callable[[str], None]:
    seen = 0

    def reached(name: str) -> None:
        nonlocal seen
        if name != point:
            return
        seen += 1
        if seen == count:
            target = os.getpgrp() if whole_group else os.getpid()
            (os.killpg if whole_group else os.kill)(target, signal.SIGKILL)

    return reached
