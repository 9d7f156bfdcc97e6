"""``momentum``: follow a trend that is not stretched, by base x sentiment x volume x breakout x index.

The factors themselves lie in ``strategy.confidence``. Unknown inputs hold, and the reason names them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress

import polars as pl

from trading_assets.strategy import confidence as factor
from trading_assets.strategy.config_signals import SignalConfig
from trading_assets.strategy.rule_sets.instrument import instruments, thin_volume
from trading_assets.strategy.rule_sets.ruling import Case, settled
from trading_assets.strategy.rule_sets.wording import Number

_NEEDED = ("volume_ratio", "base", "volume_multiplier", "breakout_multiplier", "index_multiplier")


@dataclass(frozen=True, slots=True)
class Momentum:
    """The default rules."""

    name: str = "momentum"
    version: str = "momentum-1"

    def judge(self, rows: pl.DataFrame, external: pl.DataFrame, config: SignalConfig) -> pl.DataFrame:
        """One judgement per row: nothing received from outside is looked at."""
        rows = factor.with_base(rows, config).with_columns(
            sentiment_multiplier=factor.sentiment_multiplier(config),
            volume_multiplier=factor.volume_multiplier(config),
            breakout_multiplier=factor.breakout_multiplier(config),
            index_multiplier=factor.index_multiplier(config),
        )
        product = pl.col("base") * pl.col("sentiment_multiplier") * pl.col("volume_multiplier")
        product = product * pl.col("breakout_multiplier") * pl.col("index_multiplier")
        # Rounded before it is compared: a threshold must not depend on the last bit of a product.
        rows = rows.with_columns(
            confidence=product.clip(0, 1).round(9),
            urgent=(pl.col("volume_ratio") >= config.urgent_volume_ratio)
            & (pl.col("distance_sma20").abs() >= config.urgent_distance),
            own_factors=pl.lit(None, dtype=pl.String),
        )
        return settled(rows, _cases(config))


def _cases(config: SignalConfig) -> list[Case]:
    sign, distance, trend = pl.col("sign"), pl.col("distance_sma20"), pl.col("trend_state")
    percent = (Number(distance * 100, signed=True),)
    unknown = pl.sum_horizontal(pl.col(name).is_null().cast(pl.Int32) * 2**n for n, name in enumerate(_NEEDED))
    texts = tuple(
        "unknown: " + ", ".join(compress(_NEEDED, (mask & 2**n for n in range(len(_NEEDED)))))
        for mask in range(2 ** len(_NEEDED))
    )
    return [
        Case(sign.is_null(), ("trend or distance to the 20-bar mean is unknown",)),
        Case((sign == 0) & (distance.abs() >= config.stretched), ("stretched: ", "% from the 20-bar mean"), percent),
        Case((sign == 0) & (trend == 0), ("no trend: close, 20-bar and 50-bar mean are not in order",)),
        Case(sign == 0, ("pulled back too far: ", "% from the 20-bar mean against the trend"), percent),
        Case(unknown > 0, texts, variant=unknown),
        thin_volume(config),
        *instruments(config),
    ]
