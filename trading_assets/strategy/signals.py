"""Signals: one decision per watchlist member and deciding minute, HOLD included, each with its factors and a reason.

The rule set ``momentum``: direction from price and trend, confidence = base x sentiment x volume x breakout x index,
instrument by confidence and relative volume. What does not belong here: factors (``strategy.confidence``), publishing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from trading_assets.domain.identities import signal_id
from trading_assets.domain.values import Action, Direction, Signal, Strategy
from trading_assets.market.frames import DECISIONS, INSTANT, conform, empty
from trading_assets.strategy import confidence as factor
from trading_assets.strategy.config_signals import NewsViewConfig, SignalConfig, TradeMode
from trading_assets.strategy.news_view import aggregate_sentiment

#: Version of the rules below. A change that could alter a decision gets a new one; it is part of a signal's identity.
RULE_SET = "momentum-1"
_FACTORS = (
    "base",
    "trend_factor",
    "setup_factor",
    "volatility_factor",
    "mtf_factor",
    "sentiment_multiplier",
    "volume_multiplier",
    "breakout_multiplier",
    "index_multiplier",
)
_NEEDED = ("volume_ratio", "base", "volume_multiplier", "breakout_multiplier", "index_multiplier")


def decide(
    features: pl.DataFrame,
    watchlist: pl.DataFrame,
    sentiment: pl.DataFrame,
    context: pl.DataFrame,
    *,
    as_ofs: Sequence[datetime],
    recent: pl.DataFrame | None,
    config: SignalConfig,
    news: NewsViewConfig,
    rule_set: str = RULE_SET,
    config_hash: str,
    live: bool,
) -> pl.DataFrame:
    """``DECISIONS`` rows at each of ``as_ofs`` for the members of the newest watchlist at or before it.

    ``features``, ``watchlist``, ``sentiment`` and ``context`` are the session's frames; ``recent`` earlier decisions of
    the session: within 15 minutes a ticker signals once per direction. ``live`` marks rows that may be published.
    Unknown inputs hold. Simultaneous signals are ordered by confidence, watchlist score, ticker.
    """
    if not as_ofs:
        return empty(DECISIONS)
    rows = _inputs(features, watchlist, sentiment, context, as_ofs, news)
    if rows.is_empty():
        return empty(DECISIONS)
    rows = factor.with_base(rows, config).with_columns(
        sentiment_multiplier=factor.sentiment_multiplier(config),
        volume_multiplier=factor.volume_multiplier(config),
        breakout_multiplier=factor.breakout_multiplier(config),
        index_multiplier=factor.index_multiplier(config),
    )
    product = pl.col("base") * pl.col("sentiment_multiplier") * pl.col("volume_multiplier")
    product = product * pl.col("breakout_multiplier") * pl.col("index_multiplier")
    # Rounded before it is compared: a threshold must not depend on the last bit of a product.
    rows = rows.with_columns(confidence=product.clip(0, 1).round(9)).with_columns(
        urgent=(pl.col("volume_ratio") >= config.urgent_volume_ratio)
        & (pl.col("distance_sma20").abs() >= config.urgent_distance)
    )
    ranked = rows.sort(
        "as_of", "confidence", "watchlist_score", "ticker", descending=[False, True, True, False], nulls_last=True
    )
    decisions = _instruments(ranked.to_dicts(), recent, config, rule_set)
    frame = pl.DataFrame(decisions, schema_overrides=DECISIONS, infer_schema_length=None).with_columns(
        rule_set=pl.lit(rule_set), config_hash=pl.lit(config_hash), live=pl.lit(live)
    )
    return conform(frame.select(list(DECISIONS)), DECISIONS, "signals")


def to_signal(row: Mapping[str, Any], session: date) -> Signal:
    """The value of an acting row. Columns of the features frame, where the row carries them, become ``features``."""
    return Signal(
        signal_id=row["signal_id"],
        session=session,
        ticker=row["ticker"],
        action=Action(row["action"]),
        strategy=Strategy(row["strategy"]),
        direction=Direction(row["direction"]),
        bar_start=row["ts"],
        known_at=row["as_of"],
        confidence=row["confidence"],
        watchlist_score=row["watchlist_score"],
        urgent=row["urgent"],
        rule_set=row["rule_set"],
        config_hash=row["config_hash"],
        factors={name: row[name] for name in _FACTORS},
        features={name: value for name, value in row.items() if name not in DECISIONS},
        sentiment={name: row[name] for name in ("sentiment", "news_count", "news_age_s")},
    )


def _inputs(
    features: pl.DataFrame,
    watchlist: pl.DataFrame,
    sentiment: pl.DataFrame,
    context: pl.DataFrame,
    as_ofs: Sequence[datetime],
    news: NewsViewConfig,
) -> pl.DataFrame:
    """Feature rows of the members at each instant, with news and the index's trend beside them."""
    moments = pl.DataFrame({"as_of": list(as_ofs)}, schema={"as_of": INSTANT}).sort("as_of")
    decided = watchlist.select(pl.col("as_of").alias("listed_at")).unique().sort("listed_at")
    newest = moments.join_asof(decided, left_on="as_of", right_on="listed_at", strategy="backward")
    members = newest.join(
        watchlist.filter("member").select(
            pl.col("as_of").alias("listed_at"), "ticker", pl.col("score").alias("watchlist_score")
        ),
        on="listed_at",
        how="inner",
    )
    views = aggregate_sentiment(sentiment, as_ofs, news)
    trend = context.select("as_of", "index_trend_1d").unique("as_of", keep="last")
    return (
        members.select("as_of", "ticker", "watchlist_score")
        .join(features, on=["as_of", "ticker"], how="inner")
        .join(views, on=["as_of", "ticker"], how="left")
        .join(trend, on="as_of", how="left")
    )


def _instruments(
    rows: Sequence[dict[str, Any]], recent: pl.DataFrame | None, config: SignalConfig, rule_set: str
) -> list[dict[str, Any]]:
    """Action, strategy, identity and reason of each row, in order: an earlier signal silences a later one."""
    last: dict[tuple[str, str], datetime] = {}
    if recent is not None:
        for row in recent.filter(pl.col("action") != Action.HOLD.value).sort("as_of").to_dicts():
            last[row["ticker"], row["direction"]] = row["as_of"]
    result = []
    for row in rows:
        direction, action, strategy, reason = _instrument(row, config)
        if action is not Action.HOLD and direction is not None:
            before = last.get((row["ticker"], direction.value))
            if before is not None and row["as_of"] - before < timedelta(minutes=config.repeat_minutes):
                action, strategy = Action.HOLD, None
                reason = f"already signalled at {before:%H:%M} UTC, less than {config.repeat_minutes} min ago"
            else:
                last[row["ticker"], direction.value] = row["as_of"]
        identity = (
            signal_id(rule_set, row["ticker"], row["ts"], action.value, strategy.value)
            if strategy is not None
            else None
        )
        result.append(
            {name: row.get(name) for name in DECISIONS}
            | {
                "action": action.value,
                "strategy": None if strategy is None else strategy.value,
                "direction": None if direction is None else direction.value,
                "signal_id": identity,
                "reason": reason,
            }
        )
    return result


def _instrument(row: Mapping[str, Any], config: SignalConfig) -> tuple[Direction | None, Action, Strategy | None, str]:
    """What the row asks for. The first rule that holds names the reason."""
    sign = row["sign"]
    if sign is None:
        return None, Action.HOLD, None, "trend or distance to the 20-bar mean is unknown"
    if sign == 0:
        return None, Action.HOLD, None, _no_direction(row, config)
    direction = Direction.BULLISH if sign == 1 else Direction.BEARISH
    unknown = [name for name in _NEEDED if row[name] is None]
    if unknown:
        return direction, Action.HOLD, None, f"unknown: {', '.join(unknown)}"
    ratio, confidence = row["volume_ratio"], row["confidence"]
    if ratio < config.min_volume_ratio:
        return direction, Action.HOLD, None, f"volume ratio {ratio:.2f} is below {config.min_volume_ratio:g}"
    strategy, why = _strategy(row, config)
    if strategy is None:
        return direction, Action.HOLD, None, why
    if strategy is Strategy.STOCK:
        action = Action.BUY_STOCK
        if direction is Direction.BEARISH:
            return direction, Action.HOLD, None, "stocks are not sold short"
    else:
        action = Action.BUY_CALL if direction is Direction.BULLISH else Action.BUY_PUT
    return direction, action, strategy, f"confidence {confidence:.3f}, volume ratio {ratio:.2f}"


def _strategy(row: Mapping[str, Any], config: SignalConfig) -> tuple[Strategy | None, str]:
    ratio, confidence, vol_ratio = row["volume_ratio"], row["confidence"], row["vol_ratio"]
    options = config.mode is not TradeMode.STOCK_ONLY and vol_ratio is not None and vol_ratio <= config.max_vol_ratio
    if options and confidence >= config.day_confidence and ratio >= config.day_volume_ratio:
        return Strategy.DAY_TRADE, ""
    if options and confidence >= config.swing_confidence:
        return Strategy.SWING_TRADE, ""
    if config.mode is not TradeMode.OPTIONS_ONLY and confidence >= config.stock_confidence:
        return Strategy.STOCK, ""
    if not options and config.mode is not TradeMode.STOCK_ONLY and confidence >= config.swing_confidence:
        said = "unknown" if vol_ratio is None else f"{vol_ratio:.2f}"
        return None, f"volatility ratio {said} exceeds {config.max_vol_ratio:g}: no options"
    needed = config.swing_confidence if config.mode is TradeMode.OPTIONS_ONLY else config.stock_confidence
    return None, f"confidence {confidence:.3f} is below {needed:g}"


def _no_direction(row: Mapping[str, Any], config: SignalConfig) -> str:
    distance, trend = row["distance_sma20"], row["trend_state"]
    if abs(distance) >= config.stretched:
        return f"stretched: {distance:+.2%} from the 20-bar mean"
    if trend == 0:
        return "no trend: close, 20-bar and 50-bar mean are not in order"
    return f"pulled back too far: {distance:+.2%} from the 20-bar mean against the trend"
