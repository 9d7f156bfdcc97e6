"""Draw ``docs/images/rules-trailing-stop.png``: a contract's day, judged each minute by the exit rules themselves.

``python tools/draw_exit_rules.py`` writes the file. The price is made up; every level and every sale comes from
``trading_assets.strategy.exits``, so the picture shows what the rules do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from trading_assets.domain.values import Direction, KillMode, OpenPosition, PositionState, Quote, Right, Strategy
from trading_assets.market.sessions import require_session
from trading_assets.strategy.config_trading import ExitConfig
from trading_assets.strategy.exits import AccountFacts, ExitMarket, evaluate_exit

TARGET = Path(__file__).parent.parent / "docs" / "images" / "rules-trailing-stop.png"
SESSION = require_session(date(2026, 2, 4))
ENTRY = Decimal("2.00")
CALM = AccountFacts(KillMode.OFF, False)
#: Minutes after the entry, and the gain reached there.
KNOTS = ((0, 0.0), (25, -0.16), (60, 0.18), (85, 0.34), (100, 0.27), (130, 0.56), (150, 0.72), (172, 0.55), (215, 0.28))


@dataclass
class Day:
    """What was seen and done, minute by minute. ``levels`` is the trailing stop, None while it is not armed."""

    minutes: list[int] = field(default_factory=list)
    prices: list[float] = field(default_factory=list)
    levels: list[float | None] = field(default_factory=list)
    sales: list[tuple[int, float, int, str]] = field(default_factory=list)


def price_at(minute: int) -> Decimal:
    """The made-up bid: between knots a straight line with a small ripple, in cents."""
    for (first, low), (last, high) in pairwise(KNOTS):
        if minute <= last:
            gain = low + (high - low) * (minute - first) / (last - first)
            return round(ENTRY * Decimal(str(1 + gain + 0.012 * math.sin(minute / 2.3))), 2)
    return round(ENTRY * Decimal(str(1 + KNOTS[-1][1])), 2)


def trailing_level(position: OpenPosition, config: ExitConfig) -> float | None:
    """Where the trailing stop stands, or None while it is not armed."""
    peak = position.high_water
    if peak is None or (position.stage == 0 and peak < ENTRY * (1 + config.trailing_arm)):
        return None
    return float(max(ENTRY, peak - config.trailing_give_back * (peak - ENTRY)))


def day(config: ExitConfig) -> Day:
    """Judge the position each minute and sell what the rules say, at the bid."""
    opened = SESSION.open + timedelta(minutes=20)
    held = OpenPosition(
        "p", "a", "X", "NVDA", Strategy.DAY_TRADE, Direction.BULLISH, PositionState.OPEN, 4, 100, ENTRY, Decimal(100),
        opened, Right.CALL, Decimal(100), SESSION.day + timedelta(days=1),
    )  # fmt: skip
    seen = Day()
    for minute in range(KNOTS[-1][0] + 1):
        now, bid = opened + timedelta(minutes=minute), price_at(minute)
        outcome = evaluate_exit(held, _market(bid, now), session=SESSION, as_of=now, account=CALM, config=config)
        held = replace(held, high_water=outcome.high_water)
        seen.minutes.append(minute)
        seen.prices.append(float(bid))
        if outcome.decision is not None:
            sold = outcome.decision
            held = replace(held, quantity=held.quantity - sold.quantity, stage=outcome.stage)
            seen.sales.append((minute, float(bid), sold.quantity, sold.rule))
        seen.levels.append(trailing_level(held, config))
        if held.quantity == 0:
            break
    return seen


def _market(bid: Decimal, now: datetime) -> ExitMarket:
    quote = Quote("X", bid, bid + Decimal("0.02"), now)
    return ExitMarket(quote, Decimal(100), now, model_price=bid, delta=0.4, theta=-0.1)


def draw(target: Path) -> None:
    """Write the picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    config = ExitConfig()
    seen = day(config)
    figure = Figure(figsize=(9, 4.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    lines = (
        (float(ENTRY), "entry 2.00", "#6b7280"),
        (float(ENTRY * (1 - config.day_stop)), f"stop −{config.day_stop:.0%}", "#b91c1c"),
        (float(ENTRY * (1 + config.trailing_arm)), f"trail armed +{config.trailing_arm:.0%}", "#a16207"),
        (float(ENTRY * (1 + config.target)), f"target +{config.target:.0%}", "#15803d"),
    )
    right = seen.minutes[-1] + 4
    for level, name, colour in lines:
        axes.axhline(level, color=colour, linewidth=1, linestyle=":")
        axes.text(right, level, name, color=colour, va="center", fontsize=9, backgroundcolor="white")
    axes.plot(seen.minutes, seen.prices, color="#1d4ed8", linewidth=1.6, label="bid")
    levels = [math.nan if level is None else level for level in seen.levels]
    axes.step(seen.minutes, levels, where="post", color="#c2410c", linewidth=1.8, label="trailing stop")
    for minute, price, quantity, rule in seen.sales:
        axes.plot([minute], [price], "v", color="#111827", markersize=9)
        up = 12 if rule == "target" else -18
        text = f"{rule}: {quantity} sold at {price:.2f}"
        axes.annotate(text, (minute, price), (-8, up), textcoords="offset points", ha="right", fontsize=9)
    axes.set_xlim(0, seen.minutes[-1] + 38)
    axes.set_xlabel("minutes after the entry")
    axes.set_ylabel("dollars per share")
    axes.set_title("Four contracts of a day trade: half at the target, the rest by the trailing stop", fontsize=11)
    axes.legend(loc="upper left", fontsize=9, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Software": None})


if __name__ == "__main__":
    draw(TARGET)
