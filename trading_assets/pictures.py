"""What the pictures in the Dagster UI share: their colours, and a PNG small enough to be stored with an event."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, GRID, GAIN, LOSS, UP, DOWN = "#1f2937", "#9ca3af", "#e5e7eb", "#15803d", "#b91c1c", "#2563eb", "#c2410c"
#: Tried in this order until the picture is small enough.
COLOURS = (128, 32, 8)
MOST_BYTES = 60_000


def plain_axes(axes: Axes) -> None:
    """No frame but the line below, small numbers, a faint grid."""
    axes.grid(True, color=GRID, linewidth=0.7, zorder=0)
    axes.tick_params(labelsize=8.5, colors=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)


def as_png(figure: Figure) -> bytes:
    """The figure as a PNG, below 60 kB unless it cannot be: it is stored with the run's events, and a palette makes it
    a third of the size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = bytes(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    drawn = Image.frombytes("RGBA", canvas.get_width_height(), pixels).convert("RGB")
    for colours in COLOURS:
        buffer = io.BytesIO()
        drawn.quantize(colours, method=Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
        if buffer.tell() < MOST_BYTES:
            break
    return buffer.getvalue()


def as_markdown(name: str, png: bytes) -> str:
    """The picture within a text, so that the Dagster UI shows it."""
    return f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})"
