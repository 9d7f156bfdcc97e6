"""``trading-assets alerts``: what stands open now, in one list for a person or a program. Changes nothing."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from trading_assets.domain.errors import ConfigurationError

AccountOption = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="Name of one account; default: all accounts.")
]
WorldOption = Annotated[str | None, typer.Option("--world", help="Name of the world; default: the default world.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def alerts(account: AccountOption = None, world: WorldOption = None, as_json: JsonOption = False) -> None:
    """What stands open now: orders of unknown fate, disagreements with the broker, paused accounts, accounts that are
    kept waiting, and what the newest run of each account told.

    Each with account, signal, position and order id where it has them. What was told in a session: data alerts.
    """
    from trading_assets.ledger import accounts
    from trading_assets.ledger.standing import sentence, standing
    from trading_assets.world.service import reading

    with reading(world) as engine, engine.connect() as connection:
        known = [record.account for record in accounts.all_accounts(connection)]
        if account is not None and account not in known:
            raise ConfigurationError(
                f"this world has no account {account!r}",
                where="--account",
                mend=f"Its accounts are {', '.join(known)}.",
            )
        rows = standing(connection, account)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        typer.echo("\n".join(sentence(row) for row in rows) or "nothing stands open")
