"""What a person sees while the demo runs, and at its end. Progress goes to standard error, the summary to output."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from trading_assets.domain.clock import NEW_YORK
from trading_assets.market.sessions import Session


class Screen:
    """A progress bar with the day's figures; silent if not enabled."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not enabled,
        )
        self._task: Any = None

    def __enter__(self) -> Screen:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """One line."""
        if self._enabled:
            self._console.print(text)

    def begin(self, session: Session, steps: int) -> None:
        """The day starts."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(session.key, total=steps, figures="")

    def finished(self, session: Session, seconds: float, figures: Mapping[str, int]) -> None:
        """A session is over: its figures and what it took."""
        text = "  ".join(f"{count} {name}" for name, count in figures.items())
        self.say(f"{session.key}  {text}  in {seconds:.0f} s")

    def advance(self, instant: datetime, figures: Callable[[], Mapping[str, int]]) -> None:
        """One step is done. ``figures`` is only asked when somebody watches."""
        if not self._enabled:
            return
        text = "  ".join(f"{count} {name}" for name, count in figures().items())
        clock = f"{instant.astimezone(NEW_YORK):%H:%M}"
        self._progress.update(self._task, advance=1, description=clock, figures=text)


def show_summary(summary: Mapping[str, Any], world: str) -> None:
    """The day in one table, and how to look further."""
    console = Console()
    wall = summary["wall_clock"]["seconds"]
    console.print(
        f"\n[bold]Session {summary['session']}[/bold]{_more(summary['sessions'])}, seed {summary['seed']}, "
        f"{summary['source']} market, {summary['scenario']} day, in {wall:.0f} s"
    )
    if "recording" in summary:
        _show_recording(console, summary)
    if "feeds" in summary:
        feeds = summary["feeds"]
        console.print(
            f"recorded feeds: {feeds['items_served']} items of {feeds['captures']} captures of {feeds['feeds']} feeds"
            f"{_shifted(feeds['shift_days'])}, {feeds['broken']} of the captures broken"
        )
    if "modelled" in summary:
        console.print(f"[yellow]modelled, not recorded:[/yellow] {', '.join(summary['modelled'])}")
    console.print(f"{summary['articles']} articles, {summary['signals']} signals\n")
    for name, account in summary["accounts"].items():
        table = Table(title=f"account {name}", show_header=False, title_justify="left")
        adds = f", adds {account['adds']}" if account["adds"] else ""
        table.add_row("entries", f"{account['entries']}{adds}")
        table.add_row("exits", _counts(account["exits"]))
        table.add_row("denials by gate", _counts(account["denials"]))
        table.add_row("signals ended as", _counts(account["statuses"]))
        table.add_row("orders / fills", f"{account['orders']} / {account['fills']}")
        table.add_row("open positions", str(account["open_positions"]))
        table.add_row("equity", _dollars(account["equity"]))
        table.add_row("P&L", f"{_dollars(account['pnl'])}, of it realised {_dollars(account['realized_pnl'])}")
        console.print(table)
        for difference in account["differences"]:
            console.print(f"[red]{difference}[/red]")
    if summary["failed_runs"]:
        console.print(f"[yellow]failed runs: {_counts(summary['failed_runs'])}[/yellow]")
    verdict = "[green]agree[/green]" if summary["consistent"] else "[red]DISAGREE[/red]"
    console.print(f"ledger and exchange {verdict}\n")
    console.print("Look further:")
    command = _command()
    for line in (
        f"{command} up --world {world}        the Dagster UI on this day",
        f"{command} data executions --session {summary['session']} --world {world}",
        f"{command} data signals --session {summary['session']} --world {world}",
    ):
        console.print(f"  {line}", soft_wrap=True, highlight=False)


def _command() -> str:
    """How this program is called from here: by its name where the shell finds it, else by its path."""
    found = shutil.which("trading-assets")
    beside = Path(sys.executable).with_name("trading-assets")
    if found is not None or not beside.exists():
        return "trading-assets"
    return str(beside.relative_to(Path.cwd())) if beside.is_relative_to(Path.cwd()) else str(beside)


def _more(sessions: int) -> str:
    return f" and the {sessions - 1} after it" if sessions > 1 else ""


def _show_recording(console: Console, summary: Mapping[str, Any]) -> None:
    found = summary["recording"]
    console.print(
        f"{found['name']}: {found['kept']} bars of {found['tickers']} tickers, {found['first_session']} to "
        f"{found['last_session']}; left out: {found['malformed']} malformed, {found['outside_session']} outside "
        f"sessions, {found['exact_duplicates']} repeated, {found['conflicting_duplicates']} contradicting; "
        f"{found['out_of_order']} out of order, {found['missing_minutes']} minutes without a bar"
    )


def _shifted(days: int) -> str:
    return f", shifted by {days:+d} days" if days else ""


def _dollars(amount: str | None) -> str:
    if amount is None:
        return "unknown"
    return f"-${amount[1:]}" if amount.startswith("-") else f"${amount}"


def _counts(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in values.items()) or "none"


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a plain table; identities are left to the JSON form."""
    if not rows:
        return "nothing was found for this session"
    columns = [column for column in rows[0] if not column.endswith("_id")]
    cells = [columns, *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in cells)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
