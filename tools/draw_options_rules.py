"""Draw ``docs/images/rules-quality.png``, the points of a contract's quality, from the rules themselves.

``python tools/draw_options_rules.py`` writes the file. The four panels are the four parts of the score; the dot on each
is the worked example of ``docs/rules/options.md``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from trading_assets.strategy.config_trading import ContractConfig
from trading_assets.strategy.contract_quality import delta_points, volume_points

TARGET = Path(__file__).parent.parent / "docs" / "images" / "rules-quality.png"
INK, LINE, BAND, DOT = "#1f2937", "#2563eb", "#dcfce7", "#c2410c"


def main() -> None:
    """Write the picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    config = ContractConfig()
    rules, band = config.quality, config.swing_delta
    figure = Figure(figsize=(9.6, 5.2), dpi=100, layout="constrained")
    panels = figure.subplots(2, 2).ravel()

    spread = np.linspace(0, 0.15, 200)
    worked_spread = 0.50 / 17.15
    volume = np.arange(0, 1401)
    delta = np.linspace(0.2, 0.8, 601)
    away = np.linspace(-0.08, 0.08, 321)
    worked_away = 722.5 / 720.93 - 1

    def falling(share: np.ndarray, points: float, scale: float) -> np.ndarray:
        return np.asarray(points * np.maximum(0, 1 - np.abs(share) / scale))

    drawn = (
        ("spread over mid, %", spread * 100, falling(spread, rules.spread_points, rules.spread_scale),
         worked_spread * 100, float(falling(np.array(worked_spread), rules.spread_points, rules.spread_scale))),
        ("contracts traded today", volume, np.array([volume_points(int(one), rules) for one in volume]),
         850, volume_points(850, rules)),
        ("absolute delta, swing trade", delta, np.array([delta_points(float(one), band, rules) for one in delta]),
         0.48, delta_points(0.48, band, rules)),
        ("strike away from its target, %", away * 100, falling(away, rules.strike_points, rules.strike_scale),
         worked_away * 100, float(falling(np.array(worked_away), rules.strike_points, rules.strike_scale))),
    )  # fmt: skip
    total = sum(points for *_rest, points in drawn)
    for panel, (label, across, up, at, points) in zip(panels, drawn, strict=True):
        panel.plot(across, up, color=LINE, linewidth=2)
        panel.plot([at], [points], "o", color=DOT, markersize=7)
        panel.annotate(
            f"{points:.2f}", (at, points), textcoords="offset points", xytext=(9, -4 if points > 25 else 6), color=DOT
        )
        panel.set_xlabel(label, color=INK)
        panel.set_ylabel("points", color=INK)
        panel.set_ylim(0, 44)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    panels[2].axvspan(band.low, band.high, color=BAND, zorder=0)
    figure.suptitle(f"The quality of a contract: the worked example earns {total:.2f} of 100 points", color=INK)
    TARGET.parent.mkdir(exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(str(TARGET), format="png")


if __name__ == "__main__":
    main()
