"""The broker's list of assets as the news need it: read once a day, kept in the ledger, old rather than none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Engine

from trading_assets.domain.clock import NEW_YORK, Clock
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.ledger import companies as store
from trading_assets.ledger.companies import ListedCompany
from trading_assets.news.companies import canonical
from trading_assets.news.text import storable

_NAME = 300
_AGAIN_MINUTES = 15


class _Asset(Protocol):
    @property
    def symbol(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def exchange(self) -> str | None: ...
    @property
    def tradable(self) -> bool: ...
    @property
    def optionable(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class ListReport:
    """What came of a look at the list. ``error`` is None unless it was due and could not be read."""

    symbols: int
    asked: bool
    error: str | None = None


def refresh_list(engine: Engine, read: Callable[[], Sequence[_Asset]], clock: Clock) -> ListReport:
    """Read the list if the stored one is not of today (New York). If it cannot be read the old one stays.

    An empty answer is no list: the old one stays too.
    """
    now = clock.now()
    with engine.connect() as connection:
        seen = store.last_seen(connection)
        today = seen is not None and seen.astimezone(NEW_YORK).date() >= now.astimezone(NEW_YORK).date()
        # After a failure the broker is asked again four times an hour, not every minute; without any list, at once.
        if today or (seen is not None and now.minute % _AGAIN_MINUTES):
            return ListReport(store.count_listed(connection), asked=False)
    try:
        assets = read()
        problem = None if assets else "the broker's list of assets is empty"
    except TradingAssetsError as failure:
        assets, problem = (), str(failure)
    if problem is not None:
        with engine.connect() as connection:
            return ListReport(store.count_listed(connection), asked=True, error=problem)
    companies = [
        ListedCompany(
            canonical(asset.symbol),
            storable(asset.name, _NAME) or None if asset.name else None,
            asset.exchange,
            asset.tradable,
            asset.optionable,
        )
        for asset in assets
    ]
    with engine.begin() as connection:
        return ListReport(store.save_list(connection, companies, now), asked=True)
