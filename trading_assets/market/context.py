"""Market context: the index's trend, and the volatility regime from a VIX level or a proxy that is named as such.

What belongs here: constant-maturity at-the-money implied volatility of a chain, the regime of a level, and the rows of
``market_context``. A level that is missing or older than the previous session's close counts as elevated: the one
named exception to 'unknown denies', because sizing halves and nothing is switched off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise

import polars as pl

from trading_assets.domain.values import Regime
from trading_assets.market.config import ContextConfig
from trading_assets.market.frames import MARKET_CONTEXT
from trading_assets.market.options import years_to_expiry
from trading_assets.market.sessions import Session

_DAYS_PER_YEAR = 365.0


def regime_of(level: float | None, config: ContextConfig) -> Regime:
    """complacent below 12, normal below 20, elevated below 30, high below 40, else extreme; None counts as elevated."""
    if level is None or not math.isfinite(level):
        return Regime.ELEVATED
    for edge, regime in (
        (config.normal_from, Regime.COMPLACENT),
        (config.elevated_from, Regime.NORMAL),
        (config.high_from, Regime.ELEVATED),
        (config.extreme_from, Regime.HIGH),
    ):
        if level < edge:
            return regime
    return Regime.EXTREME


def atm_iv(chain: pl.DataFrame, spot: float, as_of: datetime, config: ContextConfig) -> float | None:
    """Implied volatility at the money for a constant maturity of 30 days, as a fraction per year; None if unknown.

    Per expiry the at-the-money volatility is interpolated linearly in strike between the two strikes around ``spot``
    (mean of call and put where both are known); between the two expiries around 30 days the total variance
    ``iv^2 x time`` is interpolated linearly in time. With expiries on one side only, the nearest within the permitted
    range stands.
    """
    known = chain.filter(pl.col("iv").is_finite() & (pl.col("iv") > 0) & pl.col("strike").is_finite())
    points: list[tuple[float, float]] = []
    for (expiry,), rows in known.group_by("expiry", maintain_order=True):
        assert isinstance(expiry, date)
        days = years_to_expiry(expiry, as_of) * _DAYS_PER_YEAR
        if not config.iv_min_dte <= days <= config.iv_max_dte:
            continue
        level = _at_the_money(rows, spot)
        if level is not None:
            points.append((days, level * level * days))
    if not points:
        return None
    points.sort()
    below = [point for point in points if point[0] <= config.iv_days]
    above = [point for point in points if point[0] >= config.iv_days]
    if not below or not above:
        days, variance = below[-1] if below else above[0]
        return math.sqrt(variance / days)
    (near, near_variance), (far, far_variance) = below[-1], above[0]
    if far == near:
        return math.sqrt(near_variance / near)
    share = (config.iv_days - near) / (far - near)
    return math.sqrt((near_variance + share * (far_variance - near_variance)) / config.iv_days)


def _at_the_money(rows: pl.DataFrame, spot: float) -> float | None:
    strikes = rows.group_by("strike").agg(pl.col("iv").mean()).sort("strike")
    lower = strikes.filter(pl.col("strike") <= spot).tail(1).to_dicts()
    upper = strikes.filter(pl.col("strike") >= spot).head(1).to_dicts()
    if not lower or not upper:
        return None
    low, high = lower[0], upper[0]
    if high["strike"] == low["strike"]:
        return float(low["iv"])
    share = (spot - low["strike"]) / (high["strike"] - low["strike"])
    return float(low["iv"] + share * (high["iv"] - low["iv"]))


def market_context(
    features: pl.DataFrame,
    chains: pl.DataFrame,
    *,
    session: Session,
    previous_session: Session,
    as_ofs: Sequence[datetime],
    config: ContextConfig,
) -> pl.DataFrame:
    """``MARKET_CONTEXT``: one row per instant.

    ``features`` and ``chains`` are stored frames (the chains of the previous session too). The level is the newest
    chain of the index known at the instant and not older than the previous session's close. ``vix`` is in percent.
    """
    index_rows = features.filter(pl.col("ticker") == config.index).sort("as_of")
    index_chains = chains.filter((pl.col("underlying") == config.index) & pl.col("as_of").is_not_null())
    taken = index_chains["as_of"].unique().sort().to_list()
    levels: dict[datetime, float | None] = {}
    rows = []
    for as_of in as_ofs:
        feature = index_rows.filter(pl.col("as_of") == as_of).to_dicts()
        at = max((moment for moment in taken if moment <= as_of), default=None)
        level = None
        if at is not None and at >= previous_session.close:
            if at not in levels:
                levels[at] = _level(index_chains, at, config)
            level = levels[at]
        regime = regime_of(level, config)
        if level is None:
            reason = "the level is unknown or older than the previous close: counted as elevated"
        else:
            reason = f"level {level:.1f} is {regime.value}"
        rows.append(
            {
                "as_of": as_of,
                "index": config.index,
                "index_close": feature[0]["close"] if feature else None,
                "index_trend_1d": feature[0]["trend_1d"] if feature else None,
                "index_trend_1m": feature[0]["trend_state"] if feature else None,
                "vix": level,
                "vix_source": None if level is None else f"{config.index.lower()}_atm_iv_{config.iv_days:.0f}d",
                "vix_at": at if level is not None else None,
                "regime": regime.value,
                "regime_reason": reason,
            }
        )
    return pl.DataFrame(rows, schema=MARKET_CONTEXT)


def _level(chains: pl.DataFrame, as_of: datetime, config: ContextConfig) -> float | None:
    """The index's level in percent from the chain stored at ``as_of``; its own spot is where call and put meet."""
    chain = chains.filter(pl.col("as_of") == as_of)
    spot = implied_spot(chain)
    found = None if spot is None else atm_iv(chain, spot, as_of, config)
    return None if found is None else found * 100


def implied_spot(chain: pl.DataFrame) -> float | None:
    """The underlying's price as the chain implies it: the strike at which call and put mids are equal, interpolated."""
    mid = (pl.col("bid") + pl.col("ask")) / 2
    nearest = chain["expiry"].min()
    rows = (
        chain.filter((pl.col("expiry") == nearest) & (pl.col("ask") > 0) & (pl.col("bid") <= pl.col("ask")))
        .group_by("strike")
        .agg(
            mid.filter(pl.col("right") == "call").first().alias("call"),
            mid.filter(pl.col("right") == "put").first().alias("put"),
        )
        .drop_nulls()
        .with_columns(gap=pl.col("call") - pl.col("put"))
        .sort("strike")
        .to_dicts()
    )
    for low, high in pairwise(rows):
        if low["gap"] >= 0 >= high["gap"]:
            span = low["gap"] - high["gap"]
            share = 0.5 if span == 0 else low["gap"] / span
            return float(low["strike"] + share * (high["strike"] - low["strike"]))
    return None
