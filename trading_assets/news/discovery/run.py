"""One discovery from its context to the stored universe. It either becomes known whole, or is kept as a failure.

What belongs here: who is asked, what of the answer counts, and storing it. What does not: reading the context, and
whom a decision follows at an instant (the desk). Nothing here can reach an order.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine

from trading_assets.domain.clock import Clock
from trading_assets.domain.errors import BrokerUnavailable, TradingAssetsError
from trading_assets.domain.identities import digest
from trading_assets.ledger import universe as store
from trading_assets.ledger.universe import Member, Status, UniverseRun
from trading_assets.news.bedrock import Bedrock, BedrockFailed, Usage
from trading_assets.news.discovery import asking, ranker
from trading_assets.news.discovery.config import DiscoveryConfig, Method
from trading_assets.news.discovery.context import Context
from trading_assets.news.discovery.plain_text import keepable, plain
from trading_assets.news.discovery.validation import AnswerRefused, Listed, judged, with_kept

_log = logging.getLogger(__name__)
_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a discovery: the broker's active assets, the configured sectors, and the index, which is
    followed anyway."""

    listed: Mapping[str, Listed]
    sectors: Mapping[str, str]
    index: str


@dataclass(frozen=True, slots=True)
class Found:
    """A stored discovery: the run (``error`` None if it counts), and its members."""

    run: UniverseRun
    members: tuple[Member, ...]


def discover(
    engine: Engine,
    clock: Clock,
    context: Context,
    frame: Frame,
    config: DiscoveryConfig,
    *,
    run_id: str,
    make_ready: Callable[[frozenset[str]], None] = lambda _: None,
    bedrock: Bedrock | None = None,
    followed: bool = True,
) -> Found:
    """Ask, judge, make ready, store. ``make_ready`` gets the tickers that are to be followed before anyone follows
    them; what it raises, and every failure of the answer, leaves the last universe in force and is stored as the
    reason.

    A ticker in which something is open when the universe becomes known is kept. One that is not ``followed`` is to be
    looked at only: it never counts. Raises only what the ledger raises.
    """
    began = time.monotonic()
    answer: Any = None
    usage: Usage | None = None
    error: str | None = None
    members: tuple[Member, ...] = ()
    model, revision = ranker.NAME, ranker.REVISION
    if config.method is Method.BEDROCK:
        bedrock = bedrock or Bedrock(config.bedrock)
        model, revision = bedrock.model, asking.REVISION
    try:
        if not frame.listed:
            raise BrokerUnavailable("the broker's list of assets cannot be read, and no name can be checked")
        if bedrock is not None and config.method is Method.BEDROCK:
            told = asking.ask(bedrock, context, config)
            answer, usage = told.value, told.usage
        else:
            answer = ranker.ranked(context, _eligible(frame), frame.sectors, config)
        members = judged(answer, frame.listed, config, context.sources_of)
        make_ready(frozenset(member.symbol for member in members if member.status is Status.ACTIVE))
    except AnswerRefused as refused:
        error, members = refused.what, refused.members
    except BedrockFailed as failed:
        error, usage = str(failed), failed.usage
    except TradingAssetsError as trouble:
        error = str(trouble)
    if error is not None:
        members = tuple(member for member in members if member.status is Status.REJECTED)
        _log.error("the discovery failed and the last universe stays: %s", error)
    with engine.begin() as connection:
        store.lock_discovery(connection)
        if error is None:
            members = with_kept(members, store.at_stake(connection), frame.index)
        known_at = store.after_newest(connection, clock.now())
        run = UniverseRun(
            universe_id=digest("universe", run_id, context.as_of.isoformat())[:32],
            as_of=context.as_of,
            known_at=known_at,
            method=config.method.value,
            model=model,
            revision=revision,
            context=keepable(context.as_json()),
            answer=keepable(answer),
            error=None if error is None else plain(error, _LONGEST_ERROR),
            input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
            cost=None if usage is None else usage.cost,
            elapsed_ms=round((time.monotonic() - began) * 1000),
            run_id=run_id,
            followed=followed,
        )
        store.add_run(connection, run, [replace(member, sources=keepable(member.sources)) for member in members])
    return Found(run, members)


def _eligible(frame: Frame) -> frozenset[str]:
    return frozenset(
        symbol
        for symbol, asset in frame.listed.items()
        if asset.tradable and asset.optionable and symbol != frame.index
    )


def differences(before: frozenset[str], members: tuple[Member, ...]) -> list[dict[str, str]]:
    """Who entered, left and was kept against the tickers that were followed ``before``, each with why."""
    by_symbol: dict[str, Member] = {}
    for member in members:
        # Of a name that was refused and kept, or named twice, the row by which it is followed.
        if member.symbol not in by_symbol or member.status in store.FOLLOWED:
            by_symbol[member.symbol] = member
    after = {symbol for symbol, member in by_symbol.items() if member.status in store.FOLLOWED}
    rows = []
    for symbol in sorted(after - before):
        member = by_symbol[symbol]
        rows.append({"what": "entered", "ticker": symbol, "why": member.reason or member.catalyst or ""})
    for symbol in sorted(before - after):
        gone = by_symbol.get(symbol)
        why = "was not named" if gone is None else gone.reason or "others were named with more confidence"
        rows.append({"what": "left", "ticker": symbol, "why": why})
    for symbol in sorted(after & before):
        if by_symbol[symbol].status is Status.KEPT:
            rows.append({"what": "kept", "ticker": symbol, "why": by_symbol[symbol].reason or ""})
    return rows
