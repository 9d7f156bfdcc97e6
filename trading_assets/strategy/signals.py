"""Signals: one decision per rule set, watchlist member and deciding minute, HOLD included, with factors and a reason.

What belongs here: the inputs of a decision, and what is the same for all rule sets: order, repetition and identity.
What does not: what to do with an input (``strategy.rule_sets``), publishing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from trading_assets.domain.identities import signal_id
from trading_assets.domain.values import DEFAULT_PRESET, Action, Direction, Signal, Strategy
from trading_assets.market.frames import DECISIONS, WEBHOOK_INPUTS, empty
from trading_assets.strategy.config_signals import NewsViewConfig, SignalConfig
from trading_assets.strategy.news_view import aggregate_sentiment
from trading_assets.strategy.rule_sets import RULE_SETS
from trading_assets.strategy.rule_sets.ruling import FACTORS
from trading_assets.strategy.standing import MOMENT, PLACE, best_first, members_only

#: Version of the default rules. A change that could alter a decision gets a new one; it is part of a signal's identity.
RULE_SET = RULE_SETS["momentum"].version
#: Columns of the features that rule sets read.
_READ = (
    "as_of",
    "ticker",
    "ts",
    "close",
    "sma20",
    "sma50",
    "distance_sma20",
    "atr14",
    "volume_ratio",
    "vol_ratio",
    "vwap",
    "donchian_high20",
    "donchian_low20",
    "gap",
    "trend_state",
    "mtf_alignment",
)
_HOLD = Action.HOLD.value


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
    config_hash: str,
    live: bool,
    rule_sets: Sequence[str] = ("momentum",),
    preset: str = DEFAULT_PRESET,
    external: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """``DECISIONS`` rows of ``rule_sets`` at each of ``as_ofs`` for the members of the newest watchlist by then.

    ``features``, ``watchlist``, ``sentiment`` and ``context`` are the session's frames, ``external`` the signals
    received from outside; ``recent`` earlier decisions of the session: within 15 minutes a ticker signals once per rule
    set, preset and direction. ``live`` marks rows that may be published. Unknown inputs hold. Simultaneous signals are
    ordered by confidence, watchlist score, ticker.
    """
    if not as_ofs:
        return empty(DECISIONS)
    rows = _inputs(features, watchlist, sentiment, context, as_ofs, news)
    if rows.is_empty():
        return empty(DECISIONS)
    heard = empty(WEBHOOK_INPUTS) if external is None else external
    judged = [
        RULE_SETS[name]
        .judge(rows, heard, config)
        .with_columns(
            rule_set=pl.lit(RULE_SETS[name].version),
            config_hash=pl.lit(config_hash),
            live=pl.lit(live),
            preset=pl.lit(preset),
            signal_id=pl.lit(None, dtype=pl.String),
        )
        .select(*(pl.col(column).cast(dtype) for column, dtype in DECISIONS.items()), MOMENT, PLACE)
        for name in sorted(rule_sets)
    ]
    every = pl.concat(judged)
    # Rows of one member at one moment stay in the order of the rule sets' names.
    ranked = every.drop(MOMENT, PLACE)[best_first(every[MOMENT], every["confidence"], every[PLACE])]
    return _identified(_repeated(ranked, recent, config), preset)


def to_signal(row: Mapping[str, Any], session: date) -> Signal:
    """The value of an acting row. Columns of the features frame, where the row carries them, become ``features``."""
    own = row.get("own_factors")
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
        factors={name: row[name] for name in FACTORS} | (json.loads(own) if own else {}),
        features={name: value for name, value in row.items() if name not in DECISIONS},
        sentiment={name: row[name] for name in ("sentiment", "news_count", "news_age_s")},
        preset=row["preset"],
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
    rows = members_only(features.select(_READ), watchlist, as_ofs)
    views = aggregate_sentiment(sentiment, as_ofs, news)
    if views.is_empty():
        empty_view = (
            pl.lit(None, dtype).alias(name) for name, dtype in views.schema.items() if name not in rows.columns
        )
        rows = rows.with_columns(empty_view)
    else:
        rows = rows.join(views, on=["as_of", "ticker"], how="left")
    trend = context.select("as_of", "index_trend_1d").unique("as_of", keep="last")
    return rows.join(trend, on="as_of", how="left")


def _repeated(ranked: pl.DataFrame, recent: pl.DataFrame | None, config: SignalConfig) -> pl.DataFrame:
    """``ranked`` with every entry turned into a HOLD that follows one of its kind too soon.

    Only rows that act are gone through one by one: whether one counts depends on those before it.
    """
    kind = ("rule_set", "preset", "ticker", "direction")
    acting = ranked.with_row_index("_row").filter(pl.col("action") != _HOLD)
    if acting.is_empty():
        return ranked
    last: dict[tuple[str, ...], datetime] = {}
    if recent is not None:
        before = recent.filter(pl.col("action") != _HOLD).sort("as_of").select(*kind, "as_of")
        last = {row[:-1]: row[-1] for row in before.iter_rows()}
    wait = timedelta(minutes=config.repeat_minutes)
    silenced: list[tuple[int, str]] = []
    for row in acting.select("_row", "as_of", *kind).iter_rows():
        number, as_of, key = row[0], row[1], row[2:]
        earlier = last.get(key)
        if earlier is not None and as_of - earlier < wait:
            reason = f"already signalled at {earlier:%H:%M} UTC, less than {config.repeat_minutes} min ago"
            silenced.append((number, reason))
        else:
            last[key] = as_of
    if not silenced:
        return ranked
    rows, reasons = zip(*silenced, strict=True)
    return (
        ranked.with_columns(_sparse(ranked.height, rows, reasons).alias("_reason"))
        .with_columns(
            action=pl.when(pl.col("_reason").is_null()).then("action").otherwise(pl.lit(_HOLD)),
            strategy=pl.when(pl.col("_reason").is_null()).then("strategy"),
            reason=pl.coalesce("_reason", "reason"),
        )
        .drop("_reason")
    )


def _sparse(height: int, rows: Sequence[int], texts: Sequence[str]) -> pl.Series:
    """A column of nulls with ``texts`` at ``rows``."""
    which = pl.zeros(height, dtype=pl.UInt32, eager=True).scatter(rows, range(1, len(texts) + 1))
    return pl.Series([None, *texts], dtype=pl.String).gather(which)


def _identified(rows: pl.DataFrame, preset: str) -> pl.DataFrame:
    """``rows`` with the identity of each entry; a preset other than the default one is part of it."""
    acts = rows["action"] != _HOLD
    acting = rows.filter(acts).select("rule_set", "ticker", "ts", "action", "strategy")
    if acting.is_empty():
        return rows
    beside = "" if preset == DEFAULT_PRESET else f"@{preset}"
    ids = [signal_id(f"{version}{beside}", *rest) for version, *rest in acting.iter_rows()]
    return rows.with_columns(_sparse(rows.height, acts.arg_true().to_list(), ids).alias("signal_id"))
