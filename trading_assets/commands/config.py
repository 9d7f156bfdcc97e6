"""``trading-assets config show`` and ``config diff``: what is in force, what it means, and where it was changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from trading_assets.config_fields import Difference, FieldLine

WorldOption = Annotated[str | None, typer.Option("--world", help="Name of the world; default: the default world.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def show(
    world: WorldOption = None,
    path: Annotated[
        str | None,
        typer.Option(
            "--path",
            metavar="KEY",
            help="One setting or section, as exits.day_stop: value, default, range, meaning.",
        ),
    ] = None,
    accounts: Annotated[
        bool, typer.Option("--accounts", help="The limits of every account: value, default, range, meaning.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the strategy in force: defaults with your overrides. With --path or --accounts, explain each setting.

    Exit code 2 if there is no such setting.
    """
    from trading_assets.config_fields import at_path, field_lines
    from trading_assets.config_files import validated
    from trading_assets.risk.config import AccountLimits
    from trading_assets.settings import load_settings, packaged
    from trading_assets.strategy_config import StrategyConfig

    settings = load_settings(world=world)
    if path is None and not accounts:
        values = settings.strategy.model_dump(mode="json")
        typer.echo(json.dumps(values, indent=2, default=str) if as_json else _yaml(values))
        return
    lines: list[FieldLine] = []
    if not accounts:
        defaults = validated(StrategyConfig, packaged("strategy.yaml"), "packaged strategy.yaml")
        lines += field_lines(settings.strategy, defaults)
    for account in (*settings.accounts, *settings.idle_accounts):
        lines += field_lines(account.limits, AccountLimits(), f"accounts.{account.name}.limits")
    found = lines if path is None else at_path(lines, path)
    if as_json:
        typer.echo(json.dumps([asdict(line) for line in found], indent=2))
    else:
        typer.echo("\n\n".join(_explained(line) for line in found))


def diff(
    world: WorldOption = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="Compare with this strategy file instead of the defaults."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Where your strategy differs: key, default (or the other file's value), yours.

    The other file, too, is laid over the packaged defaults and validated first; so is yours. Exit code 2 if one of them
    is not valid.
    """
    from trading_assets.config_fields import differences
    from trading_assets.config_files import merged, read_yaml, validated
    from trading_assets.settings import load_settings, packaged
    from trading_assets.strategy_config import StrategyConfig

    yours = load_settings(world=world).strategy
    defaults = packaged("strategy.yaml")
    other = (
        validated(StrategyConfig, defaults, "packaged strategy.yaml")
        if against is None
        else validated(StrategyConfig, merged(defaults, read_yaml(against)), str(against))
    )
    found = differences(other.model_dump(), yours.model_dump())
    column = "default" if against is None else "other"
    if as_json:
        typer.echo(json.dumps([{"key": row.path, column: row.other, "yours": row.yours} for row in found], indent=2))
    else:
        typer.echo(_table(found, column) if found else f"no difference to {against or 'the packaged defaults'}")


def _yaml(values: Any) -> str:
    import yaml

    return yaml.safe_dump(values, sort_keys=False).rstrip()


def _explained(line: FieldLine) -> str:
    note = "  (changed)" if line.changed else ""
    return (
        f"{line.path}\n  value    {_shown(line.value)}{note}\n  default  {_shown(line.default)}\n"
        f"  range    {line.allowed or 'no bounds'}\n  meaning  {line.description}"
    )


def _table(rows: Sequence[Difference], column: str) -> str:
    cells = [("key", column, "yours"), *((row.path, _shown(row.other), _shown(row.yours)) for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(3)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
