"""Draws how confidence follows from its factors: ``python tools/draw_signals.py`` writes docs/images."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from trading_assets.strategy.confidence import volume_multiplier
from trading_assets.strategy.config_signals import SignalConfig


def main() -> None:
    """Confidence against relative volume for three bases, beyond and inside the 20-bar band."""
    config = SignalConfig()
    ratios = pl.DataFrame({"volume_ratio": [n / 100 for n in range(601)]})
    steps = ratios.select(volume_multiplier(config)).to_series()
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for axes, (name, breakout) in zip(
        figure.subplots(1, 2, sharey=True),
        (("beyond the band", 1.0), ("inside the band", config.no_breakout)),
        strict=True,
    ):
        for base in (0.95, 0.85, 0.7):
            axes.plot(ratios["volume_ratio"], steps * base * breakout, label=f"base {base:g}")
        axes.axhline(config.day_confidence, color="black", linewidth=0.8, linestyle="--", label="day trade")
        axes.axhline(config.swing_confidence, color="black", linewidth=0.8, linestyle=":", label="swing trade")
        axes.set_title(name)
        axes.set_xlabel("volume ratio")
    figure.axes[0].set_ylabel("confidence without news")
    figure.axes[0].legend(fontsize=8)
    figure.savefig(Path(__file__).parents[1] / "docs" / "images" / "rules-confidence.png", dpi=110)


if __name__ == "__main__":
    main()
