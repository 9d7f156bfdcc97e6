"""``signals``: one decision per watchlist ticker and deciding minute, HOLD included, by session.

It decides once for every preset and rule set that a configured account follows. Signals received from outside are read
from the ledger, by the instant of their receipt; in a rebuild the same rows as live.
The asset writes its frame and nothing else. Publishing a signal to the accounts is the first step of the dispatcher
job, which takes only rows that a minute run decided in the current session.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import polars as pl

from trading_assets.assets.eligible import eligible_only
from trading_assets.assets.frame_asset import Finding, Observed, Product, frame_asset, lag
from trading_assets.assets.groups import DECISIONS
from trading_assets.assets.history import MINUTE, instants
from trading_assets.assets.preview import table
from trading_assets.assets.scope import Scope
from trading_assets.automation.names import MINUTE_JOB, MINUTE_TICK
from trading_assets.automation.partitions import SESSIONS, same_day_news
from trading_assets.market.frames import WEBHOOK_INPUTS
from trading_assets.market.sessions import require_session
from trading_assets.resources.desk import Desk
from trading_assets.strategy.config_signals import SignalConfig
from trading_assets.strategy.signals import decide


def _observe(desk: Desk, scope: Scope) -> Observed:
    as_of = desk.frames.last_as_of("features", scope.key) or desk.clock.now()
    recent = desk.frames.read("signals", [scope.key])
    rows = _compute(desk, scope, [as_of], recent, live=True)
    holds = rows.filter(pl.col("action") == "HOLD")["reason"]
    # A HOLD is a row like any other: nothing is left out, but a person wants to know what held most of them.
    held = holds.str.split(" ").list.head(2).list.join(" ").value_counts(sort=True).head(3).rows()
    why = f"; held back most by {', '.join(f'{reason} … ({count})' for reason, count in held)}" if held else ""
    return Observed(rows, as_of, came_in=f"{rows.height} watchlist tickers: {rows.height - len(holds)} signals{why}")


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    return Observed(_compute(desk, scope, instants(require_session(scope.day), as_ofs), None, live=False), scope.now)


def _compute(
    desk: Desk, scope: Scope, as_ofs: Sequence[datetime], recent: pl.DataFrame | None, *, live: bool
) -> pl.DataFrame:
    read, settings = desk.frames.read, desk.settings
    features, watched, context = (read(name, [scope.key]) for name in ("features", "watchlist", "market_context"))
    features = eligible_only(desk, scope.day, features)
    told = desk.frames.read_settled("sentiment", scope.key)
    decided = [
        decide(
            features,
            watched,
            told,
            context,
            as_ofs=as_ofs,
            recent=recent,
            config=settings.preset(preset).signals,
            news=settings.strategy.news_view,
            config_hash=settings.config_hashes[preset],
            live=live,
            rule_sets=rule_sets,
            preset=preset.value,
            external=_heard(desk, as_ofs, settings.preset(preset).signals) if "webhook" in rule_sets else None,
        )
        for preset, rule_sets in settings.followed.items()
    ]
    # Minute by minute the presets follow each other within the minute; a whole day must come out in the same order.
    return pl.concat(decided).sort("as_of", maintain_order=True)


def _heard(desk: Desk, as_ofs: Sequence[datetime], config: SignalConfig) -> pl.DataFrame | None:
    """What was received from outside before the last instant and is not too old at the first one."""
    from trading_assets.ledger.external_signals import received

    if not as_ofs:
        return None
    oldest = min(as_ofs) - timedelta(seconds=config.webhook.max_age_s)
    with desk.ledger.connect() as connection:
        rows = [
            {
                "source": row.source,
                "ticker": row.ticker,
                "direction": row.direction.value,
                "received_at": row.received_at,
                "strategy": None if row.strategy is None else row.strategy.value,
            }
            for row in received(connection, oldest, max(as_ofs))
        ]
    return pl.DataFrame(rows, schema=WEBHOOK_INPUTS)


def _check(desk: Desk, scope: Scope, rows: pl.DataFrame) -> Iterable[Finding]:
    acting = rows.filter(pl.col("action") != "HOLD")
    doubled = acting.height - acting["signal_id"].n_unique()
    yield Finding("signals_unique", doubled == 0, f"{doubled} signals share an identity")
    odd = rows.filter(~pl.col("confidence").is_between(0, 1)).height
    silent = rows.filter(pl.col("reason").is_null() | (pl.col("reason") == "")).height
    yield Finding(
        "signals_explained",
        odd == 0 and silent == 0,
        f"{odd} confidences lie outside [0, 1]; {silent} decisions carry no reason",
    )


def _numbers(desk: Desk, scope: Scope, rows: pl.DataFrame) -> dict[str, Any]:
    acting = rows.filter(pl.col("action") != "HOLD")
    found: dict[str, Any] = {"signals": acting.height, "holds": rows.height - acting.height}
    if rows.height:
        found |= {"tickers": rows["ticker"].n_unique()}
        found |= lag(scope, cast("datetime", rows["ts"].max()) + MINUTE)
    if acting.height:
        shown = {"as_of": "New York", "ticker": "ticker", "action": "action", "strategy": "strategy"}
        best = acting.sort("confidence", "ticker", descending=[True, False]).to_dicts()
        found["acting"] = table(best, {**shown, "confidence": "confidence", "reason": "why"})
    return found


signals = frame_asset(
    Product(
        name="signals",
        group=DECISIONS,
        description=(
            "Decisions for every watchlist ticker: action, strategy, direction, confidence with all its factors, and "
            "the reason. A backfill writes this frame and can never reach an order."
        ),
        kinds=frozenset({"polars", "parquet"}),
        code_version="1",
        partitions=SESSIONS,
        job=MINUTE_JOB,
        tick=MINUTE_TICK,
        observe=_observe,
        rebuild=_rebuild,
        deps=["features", "watchlist", "market_context", same_day_news("sentiment")],
        checks={
            "signals_unique": "Every signal has an identity of its own.",
            "signals_explained": "Confidences lie in [0, 1] and every decision carries its reason.",
        },
        check=_check,
        numbers=_numbers,
        missing="a ticker that is not on the watchlist has no row; an unknown input holds, and the reason names it",
        as_of_column="as_of",
    )
)
