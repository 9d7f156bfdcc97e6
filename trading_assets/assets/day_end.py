"""The end of a New York day: what came after its last run is recorded in its own partition by the first runs of the
next day."""

from __future__ import annotations

from datetime import timedelta

from trading_assets.assets.scope import Scope
from trading_assets.resources.desk import Desk

#: Runs look back for so long after midnight: what a busy evening left unscored may take some of them.
_AFTER = timedelta(minutes=30)


def day_that_ended(desk: Desk, scope: Scope, asset: str) -> Scope | None:
    """The day before, while its end may still be incomplete; None later, and for a day that was not lived."""
    from trading_assets.news.frames import day_bounds

    begun, _ = day_bounds(scope.day)
    key = (scope.day - timedelta(days=1)).isoformat()
    if scope.now - begun > _AFTER or not desk.frames.is_live(asset, key):
        return None
    return Scope(key, scope.kind, scope.now)
