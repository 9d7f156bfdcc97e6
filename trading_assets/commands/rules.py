"""``trading-assets config rules``: every gate and every exit rule with one line about it, in the order of judgement."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def rules(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False) -> None:
    """List the gates of an entry and the rules of an exit, each in the order in which they are judged."""
    from trading_assets.risk.gates import describe_gates
    from trading_assets.strategy.exits import describe_exits

    gates = [{"id": name, "description": text} for name, text in describe_gates()]
    exits = [{"id": name, "priority": priority, "description": text} for name, priority, text in describe_exits()]
    if as_json:
        typer.echo(json.dumps({"gates": gates, "exits": exits}, indent=2))
        return
    width = max(len(row["id"]) for row in (*gates, *exits))
    typer.echo("Gates of an entry")
    for row in gates:
        typer.echo(f"  {row['id']:<{width}}  {row['description']}")
    typer.echo("Exits")
    for row in exits:
        typer.echo(f"  {row['id']:<{width}}  {row['priority']:<8}  {row['description']}")
