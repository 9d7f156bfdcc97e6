"""``webhook``: signals from outside, each with the confidence that its source was given in the configuration.

What belongs here: how a received row becomes a decision. What does not: receiving and storing it. A source that is not
configured is held: what nobody vouched for has no confidence, not a low one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import compress

import polars as pl

from trading_assets.domain.values import Direction, Strategy
from trading_assets.strategy.config_signals import SignalConfig
from trading_assets.strategy.rule_sets.instrument import instruments, thin_volume
from trading_assets.strategy.rule_sets.ruling import FACTORS, Case, settled

_NEEDED = ("volume_ratio", "vol_ratio", "trend_state")


@dataclass(frozen=True, slots=True)
class Webhook:
    """Follows others."""

    name: str = "webhook"
    version: str = "webhook-1"

    def judge(self, rows: pl.DataFrame, external: pl.DataFrame, config: SignalConfig) -> pl.DataFrame:
        """One judgement per watchlist member with a received signal that is still young.

        Of several for a ticker the one received last counts, then the source's name decides. ``external`` is a frame of
        ``WEBHOOK_INPUTS``; a ticker that is not on the watchlist has no row, as in every rule set. What was received at
        the very instant of a decision belongs to the next one: of a clock that stands still nobody can tell which of
        the two came first.
        """
        rules = config.webhook
        received = external.select(
            "ticker", "source", "received_at", pl.col("direction").alias("said"), pl.col("strategy").alias("asked")
        )
        age = pl.col("as_of") - pl.col("received_at")
        heard = (
            rows.join(received, on="ticker", how="inner")
            .filter((age > timedelta(0)) & (age < timedelta(seconds=rules.max_age_s)))
            .sort("as_of", "ticker", "received_at", "source", "said", "asked", nulls_last=True)
            .unique(["as_of", "ticker"], keep="last", maintain_order=True)
        )
        said = pl.col("said")
        heard = heard.with_columns(
            sign=pl.when(said == Direction.BULLISH.value).then(1).when(said == Direction.BEARISH.value).then(-1),
            confidence=pl.col("source").replace_strict(
                list(rules.sources), list(rules.sources.values()), default=None, return_dtype=pl.Float64
            )
            if rules.sources
            else pl.lit(None, dtype=pl.Float64),
            urgent=pl.lit(False),
            own_factors=pl.struct("source", pl.col("received_at").dt.to_string("iso:strict")).struct.json_encode(),
        ).with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in FACTORS)
        return settled(heard, _cases(config))


def _cases(config: SignalConfig) -> list[Case]:
    asked = pl.col("asked")
    unknown = pl.sum_horizontal(pl.col(name).is_null().cast(pl.Int32) * 2**n for n, name in enumerate(_NEEDED))
    texts = tuple(
        "unknown: " + ", ".join(compress(_NEEDED, (mask & 2**n for n in range(len(_NEEDED)))))
        for mask in range(2 ** len(_NEEDED))
    )
    return [
        Case(pl.col("confidence").is_null(), ("the source of the signal has no confidence in the configuration",)),
        Case(pl.col("sign").is_null(), ("the signal has no direction that is known here",)),
        Case(asked.is_not_null() & ~asked.is_in(list(Strategy)), ("the signal asks for a strategy unknown here",)),
        Case(unknown > 0, texts, variant=unknown),
        Case(pl.col("trend_state") == 0, ("no trend: nothing from outside is taken",)),
        thin_volume(config),
        *instruments(config, asked),
    ]
