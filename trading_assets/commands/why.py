"""``trading-assets why``: one page that answers why it did, or did not, trade."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trading_assets.explain.moments import Rules
    from trading_assets.settings import Settings


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"expected a date as YYYY-MM-DD, saw {text!r}") from None


def why(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="A ticker (with TIME), a signal id or its beginning, an order's or position's id."
        ),
    ],
    time: Annotated[
        str | None,
        typer.Argument(metavar="[TIME]", help="Of a ticker: New York time such as 10:42, or an instant with its zone."),
    ] = None,
    session: Annotated[
        date | None,
        typer.Option(
            "--session",
            parser=_day,
            metavar="DATE",
            show_default="the newest one with decisions",
            help="Session of TIME, YYYY-MM-DD.",
        ),
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="Only this account; default: all.")
    ] = None,
    world: Annotated[str | None, typer.Option("--world", help="Name of the world; default: the default world.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of text; all candidates included.")
    ] = False,
) -> None:
    """Why did it, or did it not, trade? One page from what is stored: bar, news, factors, gates, size, orders, exit.

    Examples: why NVDA 10:42; why 7af96eb4; why ta-large-en-7af96eb40239bf8032cecca80c8d7707-0-0. What is not stored is
    said to be not stored. Exit code 2 if there is no such ticker, signal, order or session.
    """
    from trading_assets.explain.answer import why as answer
    from trading_assets.explain.paper import plain, show
    from trading_assets.explain.render import blocks
    from trading_assets.explain.target import Question
    from trading_assets.ledger.canonical import plain as json_ready
    from trading_assets.settings import load_settings
    from trading_assets.world.frames import FrameStore
    from trading_assets.world.service import reading

    with reading(world) as engine, engine.connect() as connection:
        settings = load_settings(world=world)
        page = answer(
            connection, FrameStore(settings.world.frames), _rules(settings), Question(target, time, session, account)
        )
    if as_json:
        typer.echo(json.dumps(json_ready(page), indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        show(blocks(page), console)
    else:
        typer.echo(plain(blocks(page)))


def _rules(settings: Settings) -> Rules:
    """The rules in force: what a decision's weights and thresholds are told by, if it was made under them."""
    from trading_assets.explain.moments import Rules
    from trading_assets.strategy.signals import RULE_SET

    strategy = settings.strategy
    return Rules(
        config_hash=settings.config_hash,
        rule_sets=frozenset({RULE_SET}),
        signals=strategy.signals,
        watchlist=strategy.watchlist,
        news=strategy.news_view,
        presets={settings.config_hashes[preset]: other.signals for preset, other in settings.presets.items()},
    )
