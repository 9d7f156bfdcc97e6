"""``gap_fade``: in the first hour a stock that opened far from yesterday's close is expected to come back.

A gap up is faded with a put, a gap down with a call, as a day trade. confidence = start + a gain for the size of the
gap + a gain once the price lies beyond the session's VWAP in the direction of the fade + a gain where the one-minute
trend agrees; the configuration keeps the sum within [0, 1]. The block of options at a high volatility ratio does not
apply: after a gap it is always high. Unknown inputs hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import compress

import polars as pl

from trading_assets.domain.values import Strategy
from trading_assets.market.frames import INSTANT
from trading_assets.market.sessions import session_of
from trading_assets.strategy.config_signals import SignalConfig, TradeMode
from trading_assets.strategy.rule_sets.instrument import CONFIDENCE, acting, thin_volume
from trading_assets.strategy.rule_sets.ruling import FACTORS, Case, settled
from trading_assets.strategy.rule_sets.wording import Number

_NEEDED = ("gap", "volume_ratio", "trend_state", "vwap", "close")


@dataclass(frozen=True, slots=True)
class GapFade:
    """Fades opening gaps."""

    name: str = "gap_fade"
    version: str = "gap_fade-1"

    def judge(self, rows: pl.DataFrame, external: pl.DataFrame, config: SignalConfig) -> pl.DataFrame:
        """One judgement per row whose deciding bar lies in the first hour; later rows are not spoken about."""
        rules = config.gap_fade
        first = timedelta(minutes=rules.first_minutes)
        rows = rows.join(_opens(rows["as_of"].unique()), on="as_of", how="inner")
        rows = rows.filter((pl.col("ts") >= pl.col("_open")) & (pl.col("ts") < pl.col("_open") + first)).drop("_open")
        gap = pl.col("gap")
        rows = rows.with_columns(
            sign=pl.when(gap >= rules.min_gap)
            .then(-1)
            .when(gap <= -rules.min_gap)
            .then(1)
            .when(gap.is_null())
            .then(None)
            .otherwise(0),
        ).with_columns(
            size_factor=((gap.abs() - rules.min_gap) / (rules.full_gap - rules.min_gap)).clip(0, 1),
            turned_factor=((pl.col("close") - pl.col("vwap")).sign() * pl.col("sign") > 0).cast(pl.Float64),
            agreed_factor=(pl.col("trend_state") * pl.col("sign") > 0).cast(pl.Float64),
        )
        total = (
            rules.start
            + rules.gain_size * pl.col("size_factor")
            + rules.gain_turned * pl.col("turned_factor")
            + rules.gain_trend * pl.col("agreed_factor")
        )
        rows = rows.with_columns(
            confidence=pl.when(pl.col("sign") != 0).then(total.clip(0, 1).round(9)),
            urgent=pl.lit(False),
            own_factors=pl.struct("gap", "size_factor", "turned_factor", "agreed_factor").struct.json_encode(),
        ).with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in FACTORS)
        return settled(rows, _cases(config))


def _opens(as_ofs: pl.Series) -> pl.DataFrame:
    """The open of each instant's session; an instant without a session has no row."""
    moments: list[datetime] = as_ofs.to_list()
    known = [(moment, session.open) for moment in moments if (session := session_of(moment)) is not None]
    return pl.DataFrame(known, schema={"as_of": INSTANT, "_open": INSTANT}, orient="row")


def _cases(config: SignalConfig) -> list[Case]:
    rules, gap = config.gap_fade, pl.col("gap")
    unknown = pl.sum_horizontal(pl.col(name).is_null().cast(pl.Int32) * 2**n for n, name in enumerate(_NEEDED))
    texts = tuple(
        "unknown: " + ", ".join(compress(_NEEDED, (mask & 2**n for n in range(len(_NEEDED)))))
        for mask in range(2 ** len(_NEEDED))
    )
    return [
        Case(
            pl.col("sign") == 0,
            ("gap of ", f"% is smaller than {rules.min_gap:.2%}"),
            (Number(gap * 100, signed=True),),
        ),
        Case(unknown > 0, texts, variant=unknown),
        Case(
            gap.abs() > rules.max_gap,
            ("gap of ", f"% exceeds {rules.max_gap:.0%}: a corporate action is suspected"),
            (Number(gap * 100, signed=True),),
        ),
        Case(pl.lit(config.mode is TradeMode.STOCK_ONLY), ("a gap is faded with options, and the mode is stock_only",)),
        Case(pl.col("trend_state") == 0, ("no trend: no options",)),
        thin_volume(config),
        acting(rules.min_confidence <= CONFIDENCE, Strategy.DAY_TRADE),
        Case(
            pl.lit(True),
            ("confidence ", f" is below {rules.min_confidence:g}"),
            (Number(CONFIDENCE, 3),),
        ),
    ]
