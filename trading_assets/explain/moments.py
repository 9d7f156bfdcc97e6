"""What was seen and decided at one instant, as values of the page: bar, features, news, watchlist, confidence.

What belongs here: putting rows together, and comparing them with the numbers of the rules. Weights, thresholds and
which stories count are told only for decisions that were made under the very rules that are in force: those of other
rules are not stored, and are not guessed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trading_assets.explain.page import DecisionView, Moment, Story, Threshold, Watched, Weighted
from trading_assets.explain.reading import MomentRows, Row
from trading_assets.explain.wording import clean, clean_or_none
from trading_assets.strategy.config_signals import NewsViewConfig, SignalConfig, TradeMode, WatchlistConfig
from trading_assets.strategy.news_view import aggregate_sentiment, stories_at

#: The factor that is a sum of parts; every column with this ending multiplies it.
_BASE = "base"
_MULTIPLIER = "_multiplier"
#: Parts of that sum and their weights in the configuration.
_PARTS = {
    "trend_factor": "weight_trend",
    "setup_factor": "weight_setup",
    "volatility_factor": "weight_volatility",
    "mtf_factor": "weight_timeframes",
}
_WATCHED = {
    "technical": "weight_technical",
    "volume_factor": "weight_volume",
    "sentiment_factor": "weight_sentiment",
    "performance_factor": "weight_performance",
}
_OBSERVED = ("volume_ratio", "distance_sma20", "vol_ratio", "trend_state", "mtf_alignment", "watchlist_score")
_SENTIMENT = ("sentiment", "news_count", "news_age_s")
_HASH_SHOWN = 12
#: How a story's ticker was found, as it is stored and as it is said.
_HOW = {
    "cashtag": "cashtag",
    "exchange_tag": "exchange tag",
    "name": "name",
    "symbol": "symbol",
    "source": "the source says so",
    "inferred": "inferred by a model",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules in force: their hash, the rule sets whose confidence is a product, and the numbers of three of them.

    ``presets`` are the signals' numbers of the other presets that accounts follow, by their configuration's hash.
    """

    config_hash: str
    rule_sets: frozenset[str]
    signals: SignalConfig
    watchlist: WatchlistConfig
    news: NewsViewConfig
    presets: Mapping[str, SignalConfig] = field(default_factory=dict)

    def numbers(self, config_hash: str) -> SignalConfig | None:
        """The signals' numbers of that configuration; None if it is not in force."""
        return self.signals if config_hash == self.config_hash else self.presets.get(config_hash)


def make_moment(rows: MomentRows, rules: Rules, signal_id: str | None = None) -> Moment:
    """The moment of ``rows``; of several decisions only the one that became ``signal_id``, if that is given."""
    decided = [row for row in rows.decisions if signal_id is None or row["signal_id"] == signal_id]
    in_force = rows.config_hashes <= {rules.config_hash, *rules.presets} if rows.config_hashes else None
    stored = {name: decided[0][name] for name in _SENTIMENT} if decided else None
    return Moment(
        ticker=rows.ticker,
        session=rows.session,
        as_of=rows.as_of,
        rules_in_force=in_force,
        bar=rows.bar,
        features=rows.features,
        context=rows.context,
        sentiment=stored,
        sentiment_again=_again(rows, rules) if in_force else None,
        stories=_stories(rows, rules, known=in_force is True),
        watched=None if rows.watched is None else _watched(rows.watched, rules.watchlist if in_force else None),
        decisions=tuple(make_decision(row, rules) for row in decided),
        undecided=None if decided else _undecided(rows),
        not_stored=tuple(_missing(rows, in_force, rules)),
    )


def _missing(rows: MomentRows, in_force: bool | None, rules: Rules) -> list[str]:
    missing = []
    if rows.bar is None:
        missing.append(f"no minute bar of {rows.ticker} that was known then is stored")
    if rows.features is None:
        missing.append(f"no features of {rows.ticker} at this instant are stored")
    if rows.context is None:
        missing.append("no market context of this instant is stored")
    if rows.watched is None:
        missing.append(f"no watchlist row of {rows.ticker} is stored by then")
    if in_force is False:
        other = ", ".join(sorted(identity[:_HASH_SHOWN] for identity in rows.config_hashes))
        missing.append(
            f"decided under configuration {other}, in force is {rules.config_hash[:_HASH_SHOWN]}: its weights, "
            "thresholds and news window are not stored"
        )
    return missing


def _undecided(rows: MomentRows) -> str:
    if rows.watched is not None and not rows.watched["member"]:
        said = rows.watched["reason"] or "no reason is stored"
        return f"no decision was made: {rows.ticker} was no member of the watchlist ({clean(said)})"
    return f"no decision about {rows.ticker} at this instant is stored"


def _again(rows: MomentRows, rules: Rules) -> Mapping[str, Any] | None:
    found = aggregate_sentiment(rows.sentiment, [rows.as_of], rules.news)
    return None if found.is_empty() else {name: found[name][0] for name in _SENTIMENT}


def _stories(rows: MomentRows, rules: Rules, *, known: bool) -> tuple[Story, ...]:
    found = stories_at(rows.sentiment, rows.as_of, rows.ticker, rules.news)
    # The newest first already; a stable sort puts those that count before the others.
    ordered = found.sort("counts", descending=True, maintain_order=True) if known else found
    return tuple(_story(row, rows.news.get(row["event_uid"]), known) for row in ordered.to_dicts())


def _story(row: Row, article: Row | None, known: bool) -> Story:
    return Story(
        title=clean(row["title"] or ""),
        source=None if article is None else clean_or_none(article["source"]),
        feed=None if article is None else clean_or_none(article["feed"]),
        link=None if article is None else clean_or_none(article["link"]),
        published_at=row["published_at"],
        fetched_at=row["fetched_at"],
        known_at=row["known_at"],
        score=row["score"],
        label=row["label"],
        confidence=row["confidence"],
        model=row["model"],
        revision=row["revision"],
        cluster_id=row["cluster_id"],
        event_uid=row["event_uid"],
        counts=row["counts"] if known else None,
        why=row["why"] if known else "whether it counted is not stored",
        named_by=clean_or_none(_named_by(row.get("how"), row.get("matched"))),
        clause=clean_or_none(row.get("clause")),
    )


def _named_by(how: str | None, matched: str | None) -> str | None:
    """Why a story was taken for the ticker, in words; None where it is not stored."""
    if how is None:
        return None
    said = _HOW.get(how, how)
    return f"{said} {matched!r}" if matched else said


def _watched(row: Row, config: WatchlistConfig | None) -> Watched:
    return Watched(
        listed_at=row["as_of"],
        rank=row["rank"],
        score=row["score"],
        direction=row["direction"],
        member=bool(row["member"]),
        entered_at=row["entered_at"],
        reason=clean_or_none(row["reason"]),
        factors=tuple(
            Weighted(name, row[name], None if config is None else getattr(config, weight))
            for name, weight in _WATCHED.items()
        ),
    )


def make_decision(row: Row, rules: Rules) -> DecisionView:
    """One row of the decisions' frame, its confidence taken apart."""
    own = row.get("own_factors")
    numbers = rules.numbers(row["config_hash"]) if row["rule_set"].partition("@")[0] in rules.rule_sets else None
    factors = {} if own else {_BASE: row[_BASE]} | {name: row[name] for name in row if name.endswith(_MULTIPLIER)}
    product = _product(factors) if factors else None
    confidence = row["confidence"]
    same = None
    if product is not None and confidence is not None:
        same = math.isclose(min(1.0, max(0.0, product)), confidence, abs_tol=1e-8)
    return DecisionView(
        ticker=row["ticker"],
        as_of=row["as_of"],
        bar_start=row["ts"],
        action=row["action"],
        strategy=row["strategy"],
        direction=row["direction"],
        signal_id=row["signal_id"],
        reason=clean(row["reason"] or "no reason is stored"),
        confidence=confidence,
        factors=factors,
        product=product,
        agrees=same,
        parts=tuple(
            Weighted(name, row[name], None if numbers is None else getattr(numbers, weight))
            for name, weight in _PARTS.items()
            if name in row and not own
        ),
        own_factors=json.loads(own) if own else {},
        observed={name: row.get(name) for name in _OBSERVED},
        thresholds=() if numbers is None else _thresholds(row, numbers),
        urgent=row["urgent"],
        live=bool(row["live"]),
        rule_set=row["rule_set"],
        config_hash=row["config_hash"],
    )


def _product(factors: Mapping[str, float | None]) -> float | None:
    result = 1.0
    for factor in factors.values():
        if factor is None:
            return None
        result *= factor
    return result


def _thresholds(row: Row, config: SignalConfig) -> tuple[Threshold, ...]:
    """The numbers between this row and each instrument that the configured mode allows."""
    confidence, ratio, volatility = row["confidence"], row["volume_ratio"], row["vol_ratio"]
    distance = row["distance_sma20"]
    found = [
        _below("|distance to the 20-bar mean|", None if distance is None else abs(distance), config.stretched),
        _least("volume ratio of any signal", ratio, config.min_volume_ratio),
    ]
    if config.mode is not TradeMode.STOCK_ONLY:
        found += [
            _most("volatility ratio of options", volatility, config.max_vol_ratio),
            _least("confidence of a day trade", confidence, config.day_confidence),
            _least("volume ratio of a day trade", ratio, config.day_volume_ratio),
            _least("confidence of a swing trade", confidence, config.swing_confidence),
        ]
    if config.mode is not TradeMode.OPTIONS_ONLY:
        found.append(_least("confidence of a stock trade", confidence, config.stock_confidence))
    return tuple(found)


def _least(name: str, observed: float | None, needed: float) -> Threshold:
    return Threshold(name, observed, ">=", needed, None if observed is None else observed >= needed)


def _most(name: str, observed: float | None, needed: float) -> Threshold:
    return Threshold(name, observed, "<=", needed, None if observed is None else observed <= needed)


def _below(name: str, observed: float | None, needed: float) -> Threshold:
    return Threshold(name, observed, "<", needed, None if observed is None else observed < needed)
