"""The declared columns of every stored frame: one schema per data product, in pipeline order.

All instants are ``Datetime('us', 'UTC')``. ``known_at`` is when a row could first be used in a decision;
``known_how`` is ``observed`` (received by a running system) or ``assumed`` (bar end, for imported history). ``as_of``
is the instant of the run that decided. Missing numbers are null, never NaN and never zero.
"""

from __future__ import annotations

import polars as pl

Schema = dict[str, pl.DataType]

INSTANT = pl.Datetime("us", "UTC")
_F = pl.Float64()
_S = pl.String()
_I = pl.Int64()

NEWS: Schema = {
    "event_uid": _S,
    "cluster_id": _S,
    "feed": _S,
    "source": _S,
    "title": _S,
    "summary": _S,
    "link": _S,
    "published_at": INSTANT,
    "fetched_at": INSTANT,
}

#: One row per story and ticker; a story that names no ticker has one row with a null ticker.
SENTIMENT: Schema = {
    "event_uid": _S,
    "cluster_id": _S,
    "ticker": _S,
    "published_at": INSTANT,
    "fetched_at": INSTANT,
    "scored_at": INSTANT,
    "known_at": INSTANT,
    "score": _F,
    "label": _S,
    "confidence": _F,
    "model": _S,
    "revision": _S,
    "title": _S,
    "how": _S,
    "matched": _S,
    "clause": _S,
}

#: ``ts`` is the bar's start. A revised bar is a further row with a later ``known_at``.
BARS: Schema = {
    "ticker": _S,
    "ts": INSTANT,
    "open": _F,
    "high": _F,
    "low": _F,
    "close": _F,
    "volume": _I,
    "trade_count": _I,
    "vwap": _F,
    "feed": _S,
    "known_at": INSTANT,
    "known_how": _S,
}

DAILY_BARS: Schema = {
    "ticker": _S,
    "session": pl.Date(),
    "open": _F,
    "high": _F,
    "low": _F,
    "close": _F,
    "volume": _I,
    "known_at": INSTANT,
    "known_how": _S,
}

#: ``numerator`` new shares for ``denominator`` old ones (7 for 1; a reverse split has the smaller number first), from
#: the open of ``ex_session`` on. ``known_at`` is when the row was first seen.
SPLITS: Schema = {
    "ticker": _S,
    "ex_session": pl.Date(),
    "numerator": _F,
    "denominator": _F,
    "known_at": INSTANT,
}

CHAINS: Schema = {
    "underlying": _S,
    "symbol": _S,
    "as_of": INSTANT,
    "quote_at": INSTANT,
    "right": _S,
    "strike": _F,
    "expiry": pl.Date(),
    "bid": _F,
    "ask": _F,
    "volume": _I,
    "open_interest": _I,
    "iv": _F,
    "delta": _F,
    "gamma": _F,
    "theta": _F,
    "vega": _F,
}

#: One row per ticker and archived chain of a session; of a session's rows the one known last counts.
IV_HISTORY: Schema = {
    "ticker": _S,
    "session": pl.Date(),
    "iv": _F,
    "spot": _F,
    "contracts": _I,
    "chain_at": INSTANT,
    "quote_at": INSTANT,
    "known_at": INSTANT,
}

#: One row per ticker and deciding bar; ``as_of`` is the run that computed it, ``ts`` the deciding bar's start.
FEATURES: Schema = {
    "ticker": _S,
    "ts": INSTANT,
    "as_of": INSTANT,
    "close": _F,
    "volume": _I,
    "sma20": _F,
    "sma50": _F,
    "distance_sma20": _F,
    "distance_sma50": _F,
    "rsi14": _F,
    "atr14": _F,
    "macd": _F,
    "macd_signal": _F,
    "macd_histogram": _F,
    "bollinger_upper": _F,
    "bollinger_lower": _F,
    "volume_ratio": _F,
    "return_vol_30": _F,
    "return_vol_120": _F,
    "vol_ratio": _F,
    "return_60": _F,
    "vwap": _F,
    "donchian_high20": _F,
    "donchian_low20": _F,
    "gap": _F,
    "trend_state": _I,
    "trend_5m": _I,
    "trend_15m": _I,
    "trend_1h": _I,
    "trend_1d": _I,
    "mtf_alignment": _F,
    "atr14_5m": _F,
    "daily_atr_pct": _F,
    "daily_atr_pct_median60": _F,
    "rv_rank": _F,
    "rv_rank_sessions": _I,
}

MARKET_CONTEXT: Schema = {
    "as_of": INSTANT,
    "index": _S,
    "index_close": _F,
    "index_trend_1d": _I,
    "index_trend_1m": _I,
    "vix": _F,
    "vix_source": _S,
    "vix_at": INSTANT,
    "regime": _S,
    "regime_reason": _S,
}

WATCHLIST: Schema = {
    "as_of": INSTANT,
    "ticker": _S,
    "rank": _I,
    "score": _F,
    "direction": _S,
    "technical": _F,
    "volume_factor": _F,
    "sentiment_factor": _F,
    "performance_factor": _F,
    "member": pl.Boolean(),
    "entered_at": INSTANT,
    "last_feature_at": INSTANT,
    "reason": _S,
}

#: One row per watchlist ticker and deciding minute, HOLD included. ``live`` marks rows decided by the minute run
#: of their own session: only those may be published.
DECISIONS: Schema = {
    "as_of": INSTANT,
    "ticker": _S,
    "ts": INSTANT,
    "action": _S,
    "strategy": _S,
    "direction": _S,
    "signal_id": _S,
    "confidence": _F,
    "base": _F,
    "trend_factor": _F,
    "setup_factor": _F,
    "volatility_factor": _F,
    "mtf_factor": _F,
    "sentiment_multiplier": _F,
    "volume_multiplier": _F,
    "breakout_multiplier": _F,
    "index_multiplier": _F,
    "sentiment": _F,
    "news_count": _I,
    "news_age_s": _F,
    "volume_ratio": _F,
    "distance_sma20": _F,
    "vol_ratio": _F,
    "trend_state": _I,
    "mtf_alignment": _F,
    "watchlist_score": _F,
    "urgent": pl.Boolean(),
    "reason": _S,
    "rule_set": _S,
    "config_hash": _S,
    "live": pl.Boolean(),
    "preset": _S,
    "own_factors": _S,
}

#: Signals received from outside, as the rule set ``webhook`` reads them. ``direction`` is BULLISH or BEARISH;
#: ``strategy`` may be null: then confidence and volume choose it.
WEBHOOK_INPUTS: Schema = {
    "source": _S,
    "ticker": _S,
    "direction": _S,
    "received_at": INSTANT,
    "strategy": _S,
}

#: Columns that a frame got after files of it had been written, with the value those files are read with.
ADDED_LATER: dict[str, dict[str, str | None]] = {
    "signals": {"preset": "default", "own_factors": None},
    "sentiment": {"how": None, "matched": None, "clause": None},
}

SCHEMAS: dict[str, Schema] = {
    "news": NEWS,
    "sentiment": SENTIMENT,
    "bars": BARS,
    "daily_bars": DAILY_BARS,
    "splits": SPLITS,
    "option_chains": CHAINS,
    "iv_history": IV_HISTORY,
    "features": FEATURES,
    "market_context": MARKET_CONTEXT,
    "watchlist": WATCHLIST,
    "signals": DECISIONS,
}


def empty(schema: Schema) -> pl.DataFrame:
    """A frame with the declared columns and no rows."""
    return pl.DataFrame(schema=schema)


def conform(frame: pl.DataFrame, schema: Schema, name: str) -> pl.DataFrame:
    """``frame`` with exactly the declared columns in order and type; those of ``ADDED_LATER`` may be missing.

    Raises ``ValueError`` naming missing or surplus columns; casts strictly, so a value that does not fit raises too.
    """
    added = ADDED_LATER.get(name, {})
    frame = frame.with_columns(pl.lit(added[column]).alias(column) for column in added if column not in frame.columns)
    missing = [column for column in schema if column not in frame.columns]
    surplus = [column for column in frame.columns if column not in schema]
    if missing or surplus:
        raise ValueError(f"frame {name}: missing columns {missing}, unexpected columns {surplus}")
    return frame.select([pl.col(column).cast(dtype) for column, dtype in schema.items()])
