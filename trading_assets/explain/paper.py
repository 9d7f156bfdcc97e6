"""Headings, lines and tables, and how they are put on paper: plain text for files and pipes, colours for a terminal.

Text is never read as markup: in colour it is handed over as ``rich.text.Text``, which has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_INDENT = "  "
_STYLES = {"good": "green", "bad": "red", "weak": "dim", "strong": "bold", "": ""}


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a part; level 1 is the page's own."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence or a few words. ``tone``: good, bad, weak, strong or empty."""

    text: str
    tone: str = ""
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. ``tones`` gives each row's tone; a ``marked`` row is the one that was asked for."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    tones: tuple[str, ...] = ()
    marked: frozenset[int] = frozenset()
    indent: int = 1


Block = Heading | Line | Grid


def plain(blocks: Sequence[Block]) -> str:
    """The page as plain text: no colour, no box, no width; columns are padded."""
    lines: list[str] = []
    for block in blocks:
        if isinstance(block, Heading):
            rule = {1: "=", 2: "-"}.get(block.level)
            lines += [""] if lines else []
            lines += [block.text] + ([rule * len(block.text)] if rule else [])
        elif isinstance(block, Line):
            lines.append(_INDENT * block.indent + block.text)
        else:
            lines += _grid(block)
    return "\n".join(lines)


def _grid(grid: Grid) -> list[str]:
    cells = [grid.columns, *grid.rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(grid.columns))]
    pad = _INDENT * grid.indent
    lines = []
    for number, row in enumerate(cells):
        mark = ("> " if number - 1 in grid.marked else "  ") if grid.marked else ""
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append((pad + mark + text).rstrip())
    return lines


def show(blocks: Sequence[Block], console: Console) -> None:
    """The same in colour, fitted to the terminal's width."""
    for block in blocks:
        if isinstance(block, Heading):
            console.print()
            console.print(Text(block.text, style="bold" if block.level < 3 else "bold dim"))
        elif isinstance(block, Line):
            console.print(Padding(Text(block.text, style=_STYLES[block.tone]), (0, 0, 0, 2 * block.indent)))
        else:
            table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
            for column in block.columns:
                table.add_column(Text(column))
            for number, row in enumerate(block.rows):
                style = _STYLES[block.tones[number]] if block.tones else ""
                if number in block.marked:
                    style = f"reverse {style}".strip()
                table.add_row(*(Text(cell) for cell in row), style=style or None)
            console.print(Padding(table, (0, 0, 0, 2 * block.indent)))
