"""``trading-assets kill-switch`` and ``resume``: what a person sets, for every account or for one, and sees.

Both write the ledger's rows and nothing else: the dispatcher and the position manager read them in every cycle, in a
world that is open and in one that is opened later.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_assets.domain.errors import ConfigurationError
from trading_assets.domain.values import KillMode

if TYPE_CHECKING:
    from sqlalchemy import Connection

AccountOption = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="Name of one account; default: all accounts.")
]
WorldOption = Annotated[str | None, typer.Option("--world", help="Name of the world; default: the default world.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class Mode(StrEnum):
    """What may be typed: the modes of the switch."""

    ENTRIES = "entries"
    ALL = "all"
    FLATTEN = "flatten"
    OFF = "off"


def kill_switch(
    mode: Annotated[
        Mode | None,
        typer.Argument(
            show_default=False,
            help="entries: no new risk. all: no orders but expiry exits. flatten: close everything. off. "
            "Without a mode the state is shown.",
        ),
    ] = None,
    account: AccountOption = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the switch.")] = "by hand",
    world: WorldOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop trading, for every account or one; honoured within one cycle. Where both are set the stricter one holds."""
    from trading_assets.ledger import accounts
    from trading_assets.world.clocks import SystemClock
    from trading_assets.world.service import reading

    with reading(world) as engine, engine.begin() as connection:
        _require(connection, account)
        if mode is not None:
            scope = account or accounts.ALL_ACCOUNTS
            accounts.set_kill_switch(connection, scope, KillMode(mode.value), SystemClock().now(), reason)
        shown = _state(connection, account)
    _print(shown, as_json, _as_text(shown))


def resume(
    account: AccountOption = None,
    every: Annotated[bool, typer.Option("--all", help="Release every paused account.")] = False,
    world: WorldOption = None,
    as_json: JsonOption = False,
) -> None:
    """Release an account that a drawdown has paused. The high-water mark starts anew with the equity seen next.

    Name the account if several are paused, or release them --all.
    """
    from trading_assets.ledger import equity_marks
    from trading_assets.world.clocks import SystemClock
    from trading_assets.world.service import reading

    resumed = []
    with reading(world) as engine, engine.begin() as connection:
        _require(connection, account)
        marks = equity_marks.all_marks(connection)
        paused = [mark.account for mark in marks if mark.paused_at is not None]
        if account is None and len(paused) > 1 and not every:
            raise ConfigurationError(
                f"several accounts are paused: {', '.join(paused)}",
                where="--account",
                mend="Name one with --account, or release all with --all.",
            )
        for mark in marks:
            if account in (None, mark.account) and equity_marks.resume(connection, mark.account, SystemClock().now()):
                resumed.append({"account": mark.account, "paused_at": mark.paused_at, "reason": mark.pause_reason})
    lines = [f"{row['account']}: resumed, was paused since {row['paused_at']}: {row['reason']}" for row in resumed]
    _print({"resumed": resumed}, as_json, lines or ["no account was paused"])


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command("kill-switch")(kill_switch)
    app.command("resume")(resume)


def _require(connection: Connection, account: str | None) -> None:
    from trading_assets.ledger import accounts

    if account is None or accounts.get_account(connection, account) is not None:
        return
    known = ", ".join(record.account for record in accounts.all_accounts(connection)) or "none"
    raise ConfigurationError(f"there is no account {account!r}", where="--account", mend=f"Known are: {known}.")


def _state(connection: Connection, account: str | None) -> dict[str, Any]:
    """Every switch that was set, and per account what holds and whether a drawdown has paused it."""
    from trading_assets.ledger import accounts, equity_marks

    marks = {mark.account: mark for mark in equity_marks.all_marks(connection)}
    rows = []
    for record in accounts.all_accounts(connection):
        if account in (None, record.account):
            mark = marks.get(record.account)
            rows.append(
                {
                    "account": record.account,
                    "kill_mode": accounts.kill_mode(connection, record.account),
                    "paused_at": None if mark is None else mark.paused_at,
                    "pause_reason": None if mark is None else mark.pause_reason,
                    "high_water": None if mark is None else mark.high_water,
                    "equity": None if mark is None else mark.equity,
                }
            )
    return {"switches": [asdict(switch) for switch in accounts.kill_switch_states(connection)], "accounts": rows}


def _as_text(shown: dict[str, Sequence[dict[str, Any]]]) -> Iterable[str]:
    for row in shown["accounts"]:
        paused = f"  paused since {row['paused_at']}: {row['pause_reason']}" if row["paused_at"] else ""
        yield f"{row['account']}: kill switch {row['kill_mode']}{paused}"
    for switch in shown["switches"]:
        scope = "all accounts" if switch["scope"] == "*" else switch["scope"]
        yield f"set for {scope}: {switch['mode']} since {switch['set_at']:%Y-%m-%d %H:%M:%S} UTC ({switch['reason']})"


def _print(value: Any, as_json: bool, lines: Iterable[str]) -> None:
    typer.echo(json.dumps(value, indent=2, default=str) if as_json else "\n".join(lines))
