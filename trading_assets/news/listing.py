"""The broker's list of assets as the news need it: read once a day, kept in the ledger, old rather than none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, Engine

from trading_assets.domain.clock import NEW_YORK, Clock
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.ledger import companies as store
from trading_assets.ledger.companies import ListedCompany
from trading_assets.news.companies import canonical
from trading_assets.news.text import storable

_NAME = 300
_AGAIN_MINUTES = 15
#: A list of less than this part of the stored one was cut short, and names that are missing in it are not gone ...
_LEAST_PART = 0.5
#: ... unless the stored one is this old.
_BELIEVED_AFTER = timedelta(days=7)


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

    An empty answer is no list, and neither is one that was cut short: the old one stays too.
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
        with engine.connect() as connection:
            problem = incomplete(connection, len({asset.symbol for asset in assets}), now)
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


def incomplete(connection: Connection, symbols: int, now: datetime) -> str | None:
    """Why a list of so many ``symbols`` is none, against the stored one of these days; None if it is one."""
    if not symbols:
        return "the broker's list of assets is empty"
    seen, stored = store.last_seen(connection), store.count_listed(connection)
    if seen is None or now - seen > _BELIEVED_AFTER or symbols >= stored * _LEAST_PART:
        return None
    return f"the broker's list of assets was cut short: {symbols} symbols, and {stored} on {seen:%Y-%m-%d}"
