"""``trading-assets``: the command line. Each command has ``--help`` and ``--json``.

What belongs here: arguments, output, exit codes. A refusal (``TradingAssetsError``) prints one sentence and exits with
2; a day that did not end consistent exits with 1.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_assets import __version__
from trading_assets.commands import config as config_commands
from trading_assets.commands import external_signal, kill_switch, models
from trading_assets.commands.alerts import alerts
from trading_assets.commands.rules import rules
from trading_assets.commands.why import why
from trading_assets.domain.errors import TradingAssetsError

if TYPE_CHECKING:
    from trading_assets.recorded_world import Played

app = typer.Typer(
    name="trading-assets",
    help="Self-hosted, news-driven stock and options trading on Dagster. Paper and practice by default.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Look at what was decided and done.", no_args_is_help=True)
config_app = typer.Typer(help="Look at the configuration in force.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(config_app, name="config")
app.command()(why)
app.command()(alerts)
config_app.command("show")(config_commands.show)
config_app.command("diff")(config_commands.diff)
kill_switch.register(app)
external_signal.register(app)
models.register(app)
config_app.command("rules")(rules)

WorldOption = Annotated[str | None, typer.Option("--world", help="Name of the world; default: the default world.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"expected a date as YYYY-MM-DD, saw {text!r}") from None


SessionOption = Annotated[date, typer.Option("--session", parser=_day, metavar="DATE", help="Session, YYYY-MM-DD.")]


BarsOption = Annotated[
    Path | None, typer.Option("--bars", metavar="FILE", help="Recorded minute bars to play, Parquet or CSV.")
]
ColumnsOption = Annotated[
    str | None,
    typer.Option("--bars-columns", metavar="OURS=THEIRS,...", help="Where its columns have other names: ts=timestamp."),
]
ZoneOption = Annotated[
    str | None, typer.Option("--bars-tz", metavar="ZONE", help="Time zone of instants that carry none; default UTC.")
]
LabelOption = Annotated[
    str | None,
    typer.Option("--bars-label", show_default="start", help="Whether a bar carries its minute's start or end."),
]
TickerOption = Annotated[
    str | None, typer.Option("--bars-ticker", metavar="TICKER", help="The ticker of a recording without such a column.")
]
FeedsOption = Annotated[
    Path | None,
    typer.Option(
        "--feeds",
        metavar="DIR",
        help="Recorded RSS, Atom or JSON feeds, each capture shown from its time on: DIR/FEED/20260501T151547Z.xml.",
    ),
]
ShiftOption = Annotated[
    int | None,
    typer.Option(
        "--feeds-shift-days",
        metavar="DAYS",
        min=-36_600,
        max=36_600,
        help="Play the feeds as if captured and published that many days later.",
    ),
]


def _played(
    bars: Path | None,
    columns: str | None,
    zone: str | None,
    label: str | None,
    ticker: str | None,
    feeds: Path | None,
    shift_days: int | None,
) -> Played:
    from trading_assets.recorded_world import parse_played

    return parse_played(bars, columns, zone, label, ticker, feeds, shift_days)


def _print(value: Any, as_json: bool, as_text: Callable[[], str]) -> None:
    typer.echo(json.dumps(value, indent=2, default=str) if as_json else as_text())


@app.command()
def demo(
    session: Annotated[
        date | None, typer.Option("--session", parser=_day, metavar="DATE", help="Session to play, YYYY-MM-DD.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated market; equal seeds give equal days.")] = 1,
    scenario: Annotated[str, typer.Option(help="Kind of day: normal, quiet or adverse.")] = "normal",
    step: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=30,
            show_default="5, of a recording 1",
            help="Minutes between decisions; 1 is full fidelity.",
        ),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="PATH", help="Also write the summary to this file ('-': stdout).")
    ] = None,
    sessions: Annotated[
        int, typer.Option(min=1, max=250, help="Sessions in a row; positions are carried overnight.")
    ] = 1,
    bars: BarsOption = None,
    bars_columns: ColumnsOption = None,
    bars_tz: ZoneOption = None,
    bars_label: LabelOption = None,
    bars_ticker: TickerOption = None,
    feeds: FeedsOption = None,
    feeds_shift_days: ShiftOption = None,
    world: Annotated[str, typer.Option("--world", help="Name of the demo's world.")] = "demo",
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard an unfinished demo of the same name.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Trade complete sessions in accelerated time against the practice exchange, and say what came of it.

    The market is generated from the seed, or recorded minute bars are played (--bars), and recorded feeds are served
    at the times of their capture (--feeds). Needs no key and no network. Killed in the middle, the same command
    resumes; a finished demo is replaced.
    Exit code 0 only if ledger and exchange agree at the end.
    """
    from trading_assets.demo.driver import DEFAULT_SESSION, DemoArguments, run_demo
    from trading_assets.demo.screen import show_summary

    played = _played(bars, bars_columns, bars_tz, bars_label, bars_ticker, feeds, feeds_shift_days)
    if (bars is not None or feeds is not None) and session is None:
        raise typer.BadParameter("say which session of the recording to play", param_hint="--session")
    arguments = DemoArguments(
        session=session or DEFAULT_SESSION,
        seed=seed,
        scenario=scenario,
        step_minutes=step or (5 if bars is None else 1),
        sessions=sessions,
        played=played,
    )
    to_stdout = json_path is not None and str(json_path) == "-"
    if json_path is not None and not to_stdout and not json_path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {json_path.parent}", param_hint="--json")
    summary = run_demo(world, arguments, fresh=fresh, show_progress=not quiet)
    text = json.dumps(summary, indent=2, sort_keys=True)
    if to_stdout:
        typer.echo(text)
    else:
        if json_path is not None:
            json_path.write_text(text + "\n")
        show_summary(summary, world)
    if not summary["consistent"]:
        raise typer.Exit(1)


@app.command()
def up(
    world: WorldOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the Dagster UI; 0 takes a free one.")] = 3000,
    speed: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=60,
            show_default="1; 0 for a finished demo",
            help="How fast a practice exchange's clock goes: 1 as the wall's, 10, 60; 0 stands still.",
        ),
    ] = None,
    session: Annotated[
        date | None,
        typer.Option("--session", parser=_day, metavar="DATE", help="First session of a new practice world."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, show_default="1", help="Seed of a new practice world: what is not recorded.")
    ] = None,
    bars: BarsOption = None,
    bars_columns: ColumnsOption = None,
    bars_tz: ZoneOption = None,
    bars_label: LabelOption = None,
    bars_ticker: TickerOption = None,
    feeds: FeedsOption = None,
    feeds_shift_days: ShiftOption = None,
) -> None:
    """Open a world: database, practice exchange where it has one, code server, daemon and Dagster UI.

    With --bars or --feeds (as of demo) a new practice world plays what was recorded from --session on, through all
    sessions in a row that the bars cover. The next start needs none of these options; others than the world was made
    with are refused. A service that ends by itself is started again. Ctrl-C stops all in order; the next start
    continues.
    """
    from trading_assets.doctor.heartbeat import listening
    from trading_assets.preparation import end_orphans, prepare_world
    from trading_assets.recorded_world import last_session, opening
    from trading_assets.world.service import serve

    played = _played(bars, bars_columns, bars_tz, bars_label, bars_ticker, feeds, feeds_shift_days)
    serve(world, port, speed, prepare_world, end_orphans, opening(played, session, seed), last_session, listening)


@app.command()
def down(world: WorldOption = None, as_json: JsonOption = False) -> None:
    """Stop whatever a killed command left running in a world. Loses nothing; safe to repeat."""
    from trading_assets.world.service import stop

    ended = stop(world)
    _print({"stopped": ended}, as_json, lambda: "stopped " + ", ".join(ended) if ended else "nothing was running")


@app.command()
def doctor(world: WorldOption = None, as_json: JsonOption = False) -> None:
    """Look at everything a world needs, and say what is wrong and how to mend it. Changes nothing.

    One line per item: ok, warning, failed or not checked; what was seen; how to mend it. A database or practice
    exchange that nobody runs is started to be looked at and stopped again. Exit code 2 if an item failed.
    """
    from dataclasses import asdict

    from trading_assets.doctor.examination import as_lines, examine
    from trading_assets.world.doctor import State
    from trading_assets.world.paths import DEFAULT_WORLD, WORLD_VARIABLE, World, home_directory

    name = world or os.environ.get(WORLD_VARIABLE) or DEFAULT_WORLD
    findings = examine(World(home_directory(), name))
    _print([asdict(finding) for finding in findings], as_json, lambda: as_lines(findings))
    if any(finding.state is State.FAILED for finding in findings):
        raise typer.Exit(2)


@data_app.command("alerts")
def data_alerts(session: SessionOption, world: WorldOption = None, as_json: JsonOption = False) -> None:
    """What people were told about positions in a session: priority, rule, reason, numbers, recommended action.

    What stands open now: trading-assets alerts.
    """
    _table("alerts", session, world, as_json)


@data_app.command("executions")
def data_executions(session: SessionOption, world: WorldOption = None, as_json: JsonOption = False) -> None:
    """Fills of a session: when, account, symbol, side, quantity, price, reason."""
    _table("executions", session, world, as_json)


@data_app.command("latency")
def data_latency(session: SessionOption, world: WorldOption = None, as_json: JsonOption = False) -> None:
    """How long entries took from decided or published signal to acknowledged order: median and p95, per account."""
    _table("latency", session, world, as_json)


@data_app.command("positions")
def data_positions(session: SessionOption, world: WorldOption = None, as_json: JsonOption = False) -> None:
    """Positions opened or closed in a session, with entry, exit reason and realised P&L."""
    _table("positions", session, world, as_json)


@data_app.command("signals")
def data_signals(session: SessionOption, world: WorldOption = None, as_json: JsonOption = False) -> None:
    """Published signals of a session, with what became of them in each account and why."""
    _table("signals", session, world, as_json)


def _table(kind: str, session: date, world: str | None, as_json: bool) -> None:
    from trading_assets.demo.screen import as_text
    from trading_assets.ledger.listings import LISTINGS
    from trading_assets.world.service import reading

    with reading(world) as engine, engine.connect() as connection:
        rows = LISTINGS[kind](connection, session)
    _print(rows, as_json, lambda: as_text(rows))


@config_app.command("check")
def config_check(world: WorldOption = None, as_json: JsonOption = False) -> None:
    """Validate strategy.yaml and accounts.yaml. Exit code 2 with file, key and permitted range if something is off."""
    from trading_assets.settings import load_settings

    settings = load_settings(world=world)
    if settings.earnings_trouble is not None:
        raise settings.earnings_trouble
    result = {
        "mode": settings.mode,
        "world": str(settings.world.home),
        "accounts": [account.name for account in settings.accounts],
        "without_credentials": [account.name for account in settings.idle_accounts],
        "config_hash": settings.config_hash,
    }
    _print(
        result, as_json, lambda: f"configuration is valid ({result['mode']}, accounts: {', '.join(result['accounts'])})"
    )


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print the version."""
    _print({"version": __version__}, as_json, lambda: __version__)


def main() -> None:
    """Entry point: refusals become one sentence on standard error and exit code 2."""
    try:
        app(standalone_mode=True)
    except TradingAssetsError as error:
        typer.echo("trading-assets: " + " ".join(str(error).split()), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
