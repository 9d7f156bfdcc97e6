"""Draw ``docs/lineage.svg`` from the Dagster definitions, so that the picture in the README cannot lie.

``python tools/draw_lineage.py`` writes the file; ``--check`` exits with 1 if it would change. Assets are boxes, columns
are steps of the pipeline, arrows are dependencies; the two jobs that act stand where they act.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from xml.sax.saxutils import escape

from dagster import AssetKey

from trading_assets.assets.groups import GROUPS, group_title
from trading_assets.definitions import build_definitions
from trading_assets.resources.desk import Desk
from trading_assets.strategy_config import StrategyConfig

TARGET = Path(__file__).parent.parent / "docs" / "lineage.svg"
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 132, 40, 56, 26, 24
#: Jobs stand on the arrow between what they read and what they record.
ACTING = {("signals", "orders"): "dispatcher job", ("executions", "positions"): "position manager job"}
COLOURS = dict(zip(GROUPS, ("#dbeafe", "#dcfce7", "#fef9c3", "#fde2cf", "#fbd5e0"), strict=True))
INK = "#1f2937"


def _never() -> object:
    raise RuntimeError("drawing opens nothing")


def graph() -> tuple[dict[str, str], dict[str, set[str]]]:
    """Group of every asset, and its upstream assets."""
    settings = SimpleNamespace(strategy=StrategyConfig())
    definitions = build_definitions(Desk(lambda: settings, _never))  # type: ignore[arg-type,return-value]
    nodes = definitions.resolve_asset_graph()
    groups: dict[str, str] = {}
    parents: dict[str, set[str]] = {}
    for key in nodes.get_all_asset_keys():
        node = nodes.get(key)
        groups[_name(key)] = node.group_name
        parents[_name(key)] = {_name(parent) for parent in node.parent_keys}
    return groups, parents


def _name(key: AssetKey) -> str:
    return key.to_user_string()


def columns(parents: dict[str, set[str]]) -> dict[str, int]:
    """Longest path from a source: the column of each asset."""
    depth: dict[str, int] = {}

    def of(name: str) -> int:
        if name not in depth:
            depth[name] = max((of(parent) + 1 for parent in parents[name]), default=0)
        return depth[name]

    for name in parents:
        of(name)
    return depth


def draw() -> str:
    """The picture as SVG text."""
    groups, parents = graph()
    depth = columns(parents)
    order = list(COLOURS)
    by_column: dict[int, list[str]] = {}
    for name in sorted(depth, key=lambda item: (order.index(groups[item]), item)):
        by_column.setdefault(depth[name], []).append(name)
    tallest = max(len(names) for names in by_column.values())
    height = MARGIN * 2 + tallest * HEIGHT + (tallest - 1) * GAP_Y + 34
    width = MARGIN * 2 + len(by_column) * WIDTH + (len(by_column) - 1) * GAP_X
    place: dict[str, tuple[float, float]] = {}
    for column, names in by_column.items():
        used = len(names) * HEIGHT + (len(names) - 1) * GAP_Y
        top = MARGIN + (height - 34 - MARGIN * 2 - used) / 2
        for row, name in enumerate(names):
            place[name] = (MARGIN + column * (WIDTH + GAP_X), top + row * (HEIGHT + GAP_Y))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#6b7280"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for name in sorted(parents):
        parts += [_arrow(place, parent, name) for parent in sorted(parents[name])]
    for name, (x, y) in sorted(place.items()):
        parts.append(
            f'<rect x="{x}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{COLOURS[groups[name]]}" '
            f'stroke="{INK}" stroke-width="1"/>'
            f'<text x="{x + WIDTH / 2}" y="{y + HEIGHT / 2 + 5:.0f}" text-anchor="middle" font-size="14" '
            f'fill="{INK}">{escape(name)}</text>'
        )
    x = MARGIN
    for group, colour in COLOURS.items():
        parts.append(
            f'<rect x="{x}" y="{height - 28}" width="14" height="14" rx="3" fill="{colour}" stroke="{INK}"/>'
            f'<text x="{x + 20}" y="{height - 16}" font-size="12" fill="{INK}">{escape(group_title(group))}</text>'
        )
        x += 118
    return "\n".join([*parts, "</svg>", ""])


def _arrow(place: dict[str, tuple[float, float]], start: str, end: str) -> str:
    (x1, y1), (x2, y2) = place[start], place[end]
    x1, y1, y2 = x1 + WIDTH, y1 + HEIGHT / 2, y2 + HEIGHT / 2
    bend = max(24.0, (x2 - x1) / 2)
    dip = 0.0
    if x2 - x1 > WIDTH and abs(y2 - y1) < HEIGHT:
        # Straight on it would hide behind the boxes between both.
        bend, dip = 40.0, 150.0
    dashed = ' stroke-dasharray="5 4"' if (start, end) in ACTING else ""
    arrow = (
        f'<path d="M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1 + dip:.0f} {x2 - bend:.0f} {y2 + dip:.0f} '
        f'{x2 - 2:.0f} {y2:.0f}" '
        f'fill="none" stroke="#6b7280" stroke-width="1.4" marker-end="url(#a)"{dashed}/>'
    )
    label = ACTING.get((start, end))
    if label is None:
        return arrow
    return arrow + (
        f'<text x="{(x1 + x2) / 2:.0f}" y="{min(y1, y2) - HEIGHT / 2 - 8:.0f}" text-anchor="middle" font-size="11" '
        f'font-style="italic" fill="{INK}">{escape(label)}</text>'
    )


def main() -> int:
    """Write the picture, or with ``--check`` only compare."""
    picture = draw()
    if "--check" in sys.argv[1:]:
        current = TARGET.read_text() if TARGET.exists() else ""
        if current != picture:
            print(f"{TARGET.name} is out of date: run python tools/draw_lineage.py", file=sys.stderr)
            return 1
        return 0
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
