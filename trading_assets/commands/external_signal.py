"""``trading-assets signal``: a signal from outside, given by a person or a program on this machine.

What belongs here: arguments, and what a person is told. What may be stored is the ledger's matter, whether it is taken
the rule set's: the command writes one row, by the world's own clock, and decides nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trading_assets.ledger.external_signals import ExternalSignal
    from trading_assets.settings import Settings

_RULE_SET = "webhook"


class Said(StrEnum):
    """Which way a source expects the ticker to go."""

    BULLISH = "bullish"
    BEARISH = "bearish"


class Asked(StrEnum):
    """Strategies that a source may ask for."""

    DAY_TRADE = "day_trade"
    SWING_TRADE = "swing_trade"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a stored signal meets: who follows such signals, until when it counts, and whether it can be decided now."""

    accounts: tuple[str, ...]
    counts_until: datetime | None
    market_open: bool
    on_watchlist: bool


def signal(
    source: Annotated[str, typer.Argument(help="Who says so; one of signals.webhook.sources.", show_default=False)],
    ticker: Annotated[str, typer.Argument(help="Which name.", show_default=False)],
    direction: Annotated[Said, typer.Argument(help="Which way.", show_default=False)],
    strategy: Annotated[
        Asked | None, typer.Option("--strategy", help="Asked for; default: confidence and volume choose it.")
    ] = None,
    external_id: Annotated[
        str | None,
        typer.Option("--id", metavar="EXTERNAL_ID", help="The source's own id: sent again, it changes nothing."),
    ] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Kept with the signal.")] = None,
    world: Annotated[str | None, typer.Option("--world", help="Name of the world; default: the default world.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Hand a signal from outside to the accounts that follow the rule set webhook, and say what will come of it.

    It is stored at the instant of the world's clock and decided by the next minute runs as any other: the ticker must
    be on the watchlist, and volume, volatility, trend and all gates keep their say.
    """
    from trading_assets.ledger import external_signals
    from trading_assets.settings import load_settings
    from trading_assets.world.service import clock_of, reading

    settings = load_settings(world=world)
    clock = clock_of(world)
    with reading(world) as engine, engine.begin() as connection:
        stored = external_signals.receive(
            connection,
            clock,
            sources=settings.strategy.signals.webhook.sources,
            source=source,
            ticker=ticker.upper(),
            direction=direction.value,
            strategy=None if strategy is None else strategy.value,
            external_id=external_id,
            note=note,
        )
        row = external_signals.latest(connection, source, external_id)
        outlook = _outlook(settings, connection, row, clock.now())
    if as_json:
        shown = {
            "stored": stored,
            "source": row.source,
            "id": row.external_id,
            "ticker": row.ticker,
            "direction": row.direction,
            "strategy": row.strategy,
            "note": row.note,
            "received_at": row.received_at,
            "accounts": outlook.accounts,
            "counts_until": outlook.counts_until,
            "market_open": outlook.market_open,
            "on_watchlist": outlook.on_watchlist,
        }
        typer.echo(json.dumps(shown, indent=2, default=str))
    else:
        typer.echo(_as_text(row, outlook) if stored else _repeated(row))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("signal")(signal)


def _outlook(settings: Settings, connection: Connection, row: ExternalSignal, now: datetime) -> Outlook:
    from trading_assets.ledger.watchlist import members_of
    from trading_assets.market.sessions import open_session

    following = [account for account in settings.accounts if _RULE_SET in account.rule_sets]
    ages = [settings.preset(account.preset).signals.webhook.max_age_s for account in following]
    session = open_session(now)
    return Outlook(
        accounts=tuple(account.name for account in following),
        counts_until=row.received_at + timedelta(seconds=max(ages)) if ages else None,
        market_open=session is not None,
        on_watchlist=session is not None and row.ticker in members_of(connection, session.day),
    )


def _as_text(row: ExternalSignal, outlook: Outlook) -> str:
    kept = f"stored: {row.source} says {row.ticker} {row.direction.value.lower()}, received {_instant(row.received_at)}"
    if outlook.counts_until is None:
        return f"{kept}\nno account follows the rule set {_RULE_SET} (accounts.yaml): nothing will come of it"
    until = _instant(outlook.counts_until)
    if not outlook.market_open:
        return f"{kept}\nthe market is closed: it is decided only if it opens before {until}"
    if not outlook.on_watchlist:
        return f"{kept}\n{row.ticker} is not on the watchlist: it is decided only if it comes onto it before {until}"
    return f"{kept}\nthe next minute decides it for {', '.join(outlook.accounts)}; it counts until {until}"


def _repeated(row: ExternalSignal) -> str:
    return (
        f"nothing changed: {row.source} sent {row.external_id!r} before, {row.ticker} {row.direction.value.lower()}, "
        f"received {_instant(row.received_at)}"
    )


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
