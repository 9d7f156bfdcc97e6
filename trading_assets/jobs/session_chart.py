"""The picture of a session: one name's price with its signals, and what was bought and sold, when and with what result.

Drawn once, after the close. Nothing here reads anything: it gets values and returns a PNG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading_assets.domain.clock import NEW_YORK
from trading_assets.market.sessions import Session
from trading_assets.pictures import DOWN, FAINT, GAIN, INK, LOSS, UP, as_png, plain_axes

#: More labels than this would cover each other, so then there are none: the table beside the picture has all fills.
LABELS = 12


@dataclass(frozen=True, slots=True)
class Held:
    """A position of the day: while it was held, and its result in dollars (None while it is open or not known)."""

    since: datetime
    until: datetime | None
    pnl: Decimal | None


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill as the picture names it; ``price`` is dollars per share of what was traded, not of the underlying."""

    at: datetime
    bought: bool
    quantity: int
    price: Decimal
    reason: str


def draw_session(
    ticker: str,
    session: Session,
    prices: Sequence[tuple[datetime, float]],
    signals: Sequence[tuple[datetime, bool]],
    fills: Sequence[Fill],
    held: Sequence[Held],
) -> bytes:
    """A PNG of 1000 x 460 pixels, below 60 kB.

    ``prices`` are (end of the minute, close), oldest first and not empty; ``signals`` are (instant, upwards). Marks
    stand at the underlying's price of their minute, so that their height says nothing about the option's price.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), dpi=100, facecolor="white")
    axes = figure.add_axes((0.065, 0.1, 0.9, 0.72))

    def minute(at: datetime) -> float:
        """Minutes after the open: the axis."""
        return (at - session.open).total_seconds() / 60

    times = [minute(at) for at, _ in prices]
    closes = [price for _, price in prices]

    def place(at: datetime) -> tuple[float, float]:
        """Where a mark stands: at the newest price known at its instant."""
        x = minute(at)
        index = max((number for number, time in enumerate(times) if time <= x), default=0)
        return x, closes[index]

    axes.plot(times, closes, color=INK, linewidth=1.1, zorder=3)
    for position in held:
        start = max(minute(position.since), 0.0)
        end = minute(position.until or session.close)
        colour = FAINT if position.pnl is None else GAIN if position.pnl >= 0 else LOSS
        axes.axvspan(start, end, color=colour, alpha=0.13, linewidth=0, zorder=1)
        if position.pnl is not None and len(held) <= LABELS // 2:
            axes.text(
                (start + end) / 2, 0.025, _dollars(position.pnl), transform=axes.get_xaxis_transform(),
                ha="center", va="bottom", fontsize=8.5, color=colour, fontweight="bold", zorder=6,
            )  # fmt: skip
    low, high = min(closes), max(closes)
    reach = (high - low) or max(abs(high) * 0.001, 0.01)
    for upwards, colour, marker, name in ((True, UP, "^", "signal up"), (False, DOWN, "v", "signal down")):
        points = [place(at) for at, up in signals if up is upwards]
        if points:
            xs = [x for x, _ in points]
            # Beside the price and not on it: where a signal was bought, both marks are to be seen.
            ys = [y - reach * 0.07 if upwards else y + reach * 0.07 for _, y in points]
            axes.scatter(
                xs, ys, marker=marker, s=70, facecolor="white", edgecolor=colour, linewidth=1.6, zorder=4, label=name
            )
    for bought, colour, marker, name in ((True, GAIN, "o", "bought"), (False, LOSS, "X", "sold")):
        points = [place(fill.at) for fill in fills if fill.bought is bought]
        if points:
            xs, ys = [x for x, _ in points], [y for _, y in points]
            axes.scatter(
                xs, ys, marker=marker, s=62, color=colour, edgecolor="white", linewidth=0.8, zorder=5, label=name
            )
    axes.set_ylim(low - reach * 0.22, high + reach * 0.24)
    for number, fill in enumerate(fills if len(fills) <= LABELS else ()):
        x, y = place(fill.at)
        above = y < low + reach * 0.35 or (number % 2 == 0 and y < low + reach * 0.8)
        right = x > times[0] + (times[-1] - times[0]) * 0.86
        axes.annotate(
            f"{'bought' if fill.bought else 'sold'} {fill.quantity} at {fill.price:.2f}"
            + ("" if fill.bought else f"\n{fill.reason.replace('_', ' ')}"),
            (x, y), xytext=(-8 if right else 8, 30 if above else -30), textcoords="offset points",
            ha="right" if right else "left", va="bottom" if above else "top", fontsize=8, color=INK, zorder=7,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.8},
            bbox={"boxstyle": "round,pad=0.18", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
        )  # fmt: skip
    axes.set_xlim(0, session.minutes + 2)
    hours = [at for at in range(session.minutes + 1) if (session.open + timedelta(minutes=at)).minute == 0]
    names = [f"{(session.open + timedelta(minutes=at)).astimezone(NEW_YORK):%H:%M}" for at in hours]
    axes.set_xticks(hours, names)
    plain_axes(axes)
    buys = sum(fill.bought for fill in fills)
    counted = ((len(signals), "signal"), (buys, "buy"), (len(fills) - buys, "sale"))
    said = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counted) + _result(held)
    figure.text(0.065, 0.925, f"{ticker}  {session.key}", fontsize=13, fontweight="bold", color=INK)
    figure.text(0.065, 0.862, f"{said}. Dollars per share of {ticker}, New York time", fontsize=9, color="#4b5563")
    if signals or fills:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.09), ncols=4, frameon=False, fontsize=8.5, handletextpad=0.2,
            columnspacing=1.2,
        )  # fmt: skip
    return as_png(figure)


def _result(held: Sequence[Held]) -> str:
    known = [position.pnl for position in held if position.pnl is not None]
    return f", realized {_dollars(sum(known, Decimal(0)))}" if known else ""


def _dollars(amount: Decimal) -> str:
    return f"{'+' if amount >= 0 else '−'}${abs(amount):,.2f}"
