"""Who is followed: the configured tickers, or the newest universe that was discovered, and what is open besides.

A universe counts from the instant at which it became known: a live run follows the newest one, a rebuild of a past day
those that were known in it. The ledger has a row for each change, also of the configured list. The index is always
among them, and so is what any account has open: it is never dropped, and followed for what is open in it alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING

from trading_assets.market.sessions import require_session
from trading_assets.strategy_config import TICKER

if TYPE_CHECKING:
    from trading_assets.ledger.universe import Following
    from trading_assets.resources.desk import Desk

#: Who may be entered, each with the instant from which on.
Eligible = tuple[tuple[datetime, frozenset[str]], ...]
_STOCK = re.compile(r"[A-Z]{1,6}(\.[A-Z]{1,3})?")


def configured(desk: Desk) -> tuple[str, ...]:
    """The configured tickers and the index. A recorded world follows what its recording has: all of it, or what a
    universe of one's own names of it."""
    strategy = desk.settings.strategy
    named = {*strategy.universe.tickers, strategy.context.index}
    recorded = desk.runtime.recorded_tickers()
    if recorded is None:
        return tuple(sorted(named))
    return tuple(sorted(named & set(recorded) if strategy.universe.chosen else recorded))


def discovers(desk: Desk) -> bool:
    """Whether the universe is discovered. Beyond what a recording has there is nothing to discover."""
    return desk.settings.strategy.universe.discovers and desk.runtime.recorded_tickers() is None


def followed_now(desk: Desk) -> tuple[str, ...]:
    """Who is followed now; until a first discovery succeeded, the configured tickers."""
    from trading_assets.ledger import universe as store

    with desk.ledger.connect() as connection:
        newest = store.newest_following(connection) if desk.discovers else None
        open_in = store.at_stake(connection)
    if newest is None or newest.method == store.CONFIGURED:
        return _ordered(desk, desk.configured_universe, open_in)
    return _ordered(desk, {_index(desk)}, newest.symbols.union(open_in))


def followed_in(desk: Desk, day: date) -> tuple[str, ...]:
    """Everyone who was followed at any time of the session ``day``, by what was known in it. Where the configured
    tickers are followed, they too: of a day before one was added its bars can be looked at."""
    from trading_assets.ledger import universe as store

    session = require_session(day)
    with desk.ledger.connect() as connection:
        followings = store.followings_between(connection, session.open, session.close)
        open_in = store.at_stake_between(connection, session.open, session.close)
    found: set[str] = set()
    for following in followings:
        if following.method == store.CONFIGURED:
            found |= following.symbols
        else:
            open_in |= following.symbols
    if desk.discovers:
        found.add(_index(desk))
    if not desk.discovers or not followings or followings[0].known_at > session.open:
        found.update(desk.configured_universe)
    return _ordered(desk, found, open_in)


def may_enter(desk: Desk, day: date) -> Eligible:
    """Who may be entered in the session ``day``, by what was known at each of its instants, oldest first.

    The first counts from before the open. What is followed only because something is open in it may not.
    """
    from trading_assets.ledger import universe as store

    session, index = require_session(day), _index(desk)
    with desk.ledger.connect() as connection:
        followings = store.followings_between(connection, session.open, session.close)
    told = [(following.known_at, following.active | {index}) for following in followings]
    if not told or told[0][0] > session.open:
        told.insert(0, (session.open, frozenset(desk.configured_universe)))
    return tuple(told)


def _index(desk: Desk) -> str:
    return desk.settings.strategy.context.index


def _ordered(desk: Desk, named: Iterable[str], open_in: Iterable[str]) -> tuple[str, ...]:
    """Both, in order. What a broker holds may be called as no stock is, and its data server refuses a whole question
    for one such name: it is managed by its own quotes and not asked about here, also where a discovery kept it. Of a
    recorded world what it has."""
    recorded = desk.runtime.recorded_tickers()
    held = {symbol for symbol in open_in if _STOCK.fullmatch(symbol) and (recorded is None or symbol in recorded)}
    return tuple(sorted(held.union(symbol for symbol in named if re.fullmatch(TICKER, symbol))))


def write_down(desk: Desk, run_id: str, now: datetime) -> None:
    """Write into the ledger that the configured tickers are followed from ``now`` on, if the newest row says another
    thing. A minute run does so before it looks at anything: by these rows it is known who entered."""
    from trading_assets.domain.identities import digest
    from trading_assets.ledger import universe as store

    symbols = tuple(sorted(set(desk.configured_universe) - {_index(desk)}))
    with desk.ledger.connect() as connection:
        if _stands(desk, store.newest_following(connection), symbols):
            return
    with desk.ledger.begin() as connection:
        store.lock_discovery(connection)
        if _stands(desk, store.newest_following(connection), symbols):
            return
        known_at = store.after_newest(connection, now)
        run = store.UniverseRun(
            universe_id=digest("universe", store.CONFIGURED, run_id, known_at.isoformat())[:32],
            as_of=now,
            known_at=known_at,
            method=store.CONFIGURED,
            model=store.CONFIGURED,
            revision="1",
            context={},
            elapsed_ms=0,
            run_id=run_id,
        )
        members = [store.Member(place, symbol, store.Status.ACTIVE) for place, symbol in enumerate(symbols, 1)]
        store.add_run(connection, run, members)


def _stands(desk: Desk, newest: Following | None, symbols: Iterable[str]) -> bool:
    """Whether the newest universe is the one to follow."""
    from trading_assets.ledger.universe import CONFIGURED

    if newest is None:
        return False
    if newest.method == CONFIGURED:
        return newest.symbols == frozenset(symbols)
    return desk.discovers


def entered_since(desk: Desk, since: datetime) -> Mapping[str, datetime]:
    """Who is followed now and was not at some time from ``since`` on, each with the instant from which it is again.

    Of these a session's material may be missing in part: see ``assets.entrants``.
    """
    from trading_assets.ledger import universe as store

    with desk.ledger.connect() as connection:
        followings = store.followings_between(connection, since)
        opened = store.at_stake_since(connection)
    told = [(following.known_at, following.symbols) for following in followings]
    if not followings or followings[0].known_at > since:
        told.insert(0, (since, frozenset(desk.configured_universe)))
    always = frozenset.intersection(*(symbols for _, symbols in told)) | {_index(desk)}
    found: dict[str, datetime] = {}
    for ticker in set(desk.universe) - always:
        absent = [number for number, (_, symbols) in enumerate(told) if ticker not in symbols]
        # One that no universe names is followed because something is open in it, and since that was opened.
        named = absent[-1] + 1 < len(told)
        at = told[absent[-1] + 1 if named else -1][0]
        found[ticker] = at if named else max(at, opened.get(ticker, at))
    return dict(sorted(found.items()))
