"""Who is followed: the configured tickers, or the newest universe that was discovered and what is open besides.

A universe counts from the instant at which it became known: a live run follows the newest one, a rebuild of a past day
those that were known in it. The index is always among them, and so is what any account has open: it is never dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING

from trading_assets.market.sessions import require_session
from trading_assets.strategy_config import TICKER

if TYPE_CHECKING:
    from trading_assets.resources.desk import Desk


def configured(desk: Desk) -> tuple[str, ...]:
    """The configured tickers and the index. A recorded world follows what its recording has: all of it, or what a
    universe of one's own names of it."""
    from trading_assets.strategy_config import UniverseConfig

    strategy = desk.settings.strategy
    named = {*strategy.universe.tickers, strategy.context.index}
    recorded = desk.runtime.recorded_tickers()
    if recorded is None:
        return tuple(sorted(named))
    chosen = strategy.universe.tickers != UniverseConfig().tickers
    return tuple(sorted(named & set(recorded) if chosen else recorded))


def discovers(desk: Desk) -> bool:
    """Whether the universe is discovered. Beyond what a recording has there is nothing to discover."""
    from trading_assets.news.discovery.config import Mode

    return desk.settings.strategy.universe.mode is Mode.DISCOVERED and desk.runtime.recorded_tickers() is None


def followed_now(desk: Desk) -> tuple[str, ...]:
    """Who is followed now; until a first discovery succeeded, the configured tickers."""
    from trading_assets.ledger import universe as store

    if not desk.discovers:
        return desk.configured_universe
    with desk.ledger.connect() as connection:
        newest = store.newest_following(connection)
        open_in = store.at_stake(connection)
    base = desk.configured_universe if newest is None else newest.symbols
    return _ordered({*base, *open_in, desk.settings.strategy.context.index})


def followed_in(desk: Desk, day: date) -> tuple[str, ...]:
    """Everyone who was followed at any time of the session ``day``, by what was known in it."""
    from trading_assets.ledger import universe as store

    if not desk.discovers:
        return desk.configured_universe
    session = require_session(day)
    with desk.ledger.connect() as connection:
        followings = store.followings_between(connection, session.open, session.close)
        open_in = store.at_stake_between(connection, session.open, session.close)
    found = {*open_in, desk.settings.strategy.context.index}
    if not followings or followings[0].known_at > session.open:
        found.update(desk.configured_universe)
    return _ordered(found.union(*(following.symbols for following in followings)))


def _ordered(symbols: Iterable[str]) -> tuple[str, ...]:
    """``symbols`` in order. What a broker holds may be called as no stock is, and its data server refuses a whole
    question for one such name: it is managed by its own quotes and not asked about here."""
    return tuple(sorted(symbol for symbol in symbols if re.fullmatch(TICKER, symbol)))


def entered_since(desk: Desk, since: datetime) -> Mapping[str, datetime]:
    """Who is followed now and was not at some time from ``since`` on, each with the instant from which it is again.

    Of these a session's material may be missing in part: see ``assets.entrants``.
    """
    from trading_assets.ledger import universe as store

    if not desk.discovers:
        return {}
    with desk.ledger.connect() as connection:
        followings = store.followings_between(connection, since)
        opened = store.at_stake_since(connection)
    told = [(following.known_at, following.symbols) for following in followings]
    if not followings or followings[0].known_at > since:
        told.insert(0, (since, frozenset(desk.configured_universe)))
    found: dict[str, datetime] = {}
    for ticker in set(desk.universe) - {desk.settings.strategy.context.index}:
        absent = [number for number, (_, symbols) in enumerate(told) if ticker not in symbols]
        if absent:
            # One that no universe names is followed because something is open in it, and since that was opened.
            named = absent[-1] + 1 < len(told)
            at = told[absent[-1] + 1 if named else -1][0]
            found[ticker] = at if named else max(at, opened.get(ticker, at))
    return dict(sorted(found.items()))
