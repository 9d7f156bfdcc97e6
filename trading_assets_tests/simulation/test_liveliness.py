"""A normal day gives the project's own features something to see, and a quiet day nothing."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from trading_assets.market.config import FeatureConfig
from trading_assets.market.features import compute_features
from trading_assets.market.frames import BARS, DAILY_BARS, conform
from trading_assets.simulation.market import SimulatedMarket

DAY = date(2026, 3, 11)
SYMBOLS = 16


def features_every_five_minutes(seed: int, scenario: str) -> pl.DataFrame:
    """Features of half of the names, a quarter of an hour after the open to an hour before the close."""
    market = SimulatedMarket(seed, DAY, scenario)
    bars, daily = [], []
    for symbol in market.symbols[::2]:
        for session in market.sessions:
            bars.append(
                market.minute_bars(symbol, session.day).with_columns(
                    pl.lit(symbol).alias("ticker"),
                    pl.lit("sip").alias("feed"),
                    (pl.col("ts") + timedelta(minutes=1)).alias("known_at"),
                    pl.lit("assumed").alias("known_how"),
                )
            )
        known = market.session.open - timedelta(hours=10)
        daily.append(
            market.daily_bars(symbol)
            .filter(pl.col("session") < DAY)
            .with_columns(
                pl.lit(symbol).alias("ticker"), pl.lit(known).alias("known_at"), pl.lit("assumed").alias("known_how")
            )
        )
    return compute_features(
        conform(pl.concat(bars), BARS, "bars"),
        conform(pl.concat(daily), DAILY_BARS, "daily_bars"),
        sessions=market.sessions,
        as_ofs=[market.session.open + timedelta(minutes=m) for m in range(15, 331, 5)],
        config=FeatureConfig.model_validate({}),
    )


def aligned_breakouts(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows beyond the 20-bar band on at least twice the usual volume, with most of the trends behind them."""
    up = (pl.col("close") > pl.col("donchian_high20")) & (pl.col("trend_state") == 1) & (pl.col("mtf_alignment") > 0.6)
    down = (pl.col("close") < pl.col("donchian_low20")) & (pl.col("trend_state") == -1)
    down &= pl.col("mtf_alignment") < -0.6
    near = pl.col("distance_sma20").abs() < 0.02
    return frame.filter((up | down) & near & (pl.col("volume_ratio") >= 2.0) & (pl.col("vol_ratio") <= 2.0))


@pytest.mark.patient
def test_a_normal_day_breaks_out_on_volume_with_its_trends_aligned() -> None:
    found = [aligned_breakouts(features_every_five_minutes(seed, "normal")).height for seed in (4, 5, 6)]
    assert sum(found) >= 6 and max(found) <= 40, found


def test_a_quiet_day_does_not() -> None:
    frame = features_every_five_minutes(4, "quiet")
    assert frame["ticker"].n_unique() == SYMBOLS and frame["mtf_alignment"].null_count() == 0
    assert aligned_breakouts(frame).is_empty()
