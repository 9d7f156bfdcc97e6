"""How many signals a session the rules give over recorded minute bars, per preset: median, quartiles, time of day.

    python tools/calibrate_signals.py --bars recording.parquet --column ts=when --zone America/New_York

The first ten sessions only warm the windows up. No news is read. Daily bars are those of the recording before each
session; while they are fewer than a mean needs, the daily trend drops out of the alignment of the timeframes, and the
index counts as without a trend (its multiplier is 1): the recording does not know better, and nothing is made up.
"""

from __future__ import annotations

import argparse
import json
from datetime import timedelta
from pathlib import Path

import polars as pl

from trading_assets.market.context import market_context
from trading_assets.market.features import compute_features_over
from trading_assets.market.frames import BARS, CHAINS, DAILY_BARS, INSTANT, SENTIMENT, empty
from trading_assets.market.recordings import RecordingFormat, composite, normalise
from trading_assets.market.sessions import Session, session_on, shift
from trading_assets.presets import Preset, strategy_of
from trading_assets.settings import packaged
from trading_assets.strategy.signals import decide
from trading_assets.strategy.watchlist import grid, watchlist_over
from trading_assets.strategy_config import StrategyConfig

MINUTE = timedelta(minutes=1)


def strategies() -> dict[str, StrategyConfig]:
    """Every preset over the packaged defaults."""
    defaults = packaged("strategy.yaml")
    return {preset.value: strategy_of(defaults, preset, {}, "packaged strategy.yaml") for preset in Preset}


def recorded(path: Path, form: RecordingFormat, index: str) -> pl.DataFrame:
    """The recording's bars as stored ones, with an index of its names where it has none."""
    bars, _ = normalise(pl.read_parquet(path), form)
    if index not in bars["ticker"].unique():
        bars = pl.concat([bars, composite(bars, index).select(bars.columns).cast(bars.schema)])
    known = (pl.col("ts") + MINUTE).cast(INSTANT)
    stored = bars.with_columns(
        known_at=known, known_how=pl.lit("assumed"), feed=pl.lit("sip"), trade_count=None, vwap=None
    )
    return stored.select([pl.col(name).cast(dtype) for name, dtype in BARS.items()]).sort("ticker", "ts")


def daily(bars: pl.DataFrame) -> pl.DataFrame:
    """Daily bars of the recording's sessions, known at their close."""
    rows = bars.with_columns(session=pl.col("ts").dt.convert_time_zone("America/New_York").dt.date())
    return (
        rows.group_by("ticker", "session")
        .agg(
            pl.col("open").sort_by("ts").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").sort_by("ts").last(),
            pl.col("volume").sum(),
            pl.col("known_at").max(),
            pl.lit("assumed").alias("known_how"),
        )
        .select([pl.col(name).cast(dtype) for name, dtype in DAILY_BARS.items()])
        .sort("ticker", "session")
    )


def decided(
    bars: pl.DataFrame, days: pl.DataFrame, sessions: list[Session], presets: dict[str, StrategyConfig], warm_up: int
) -> pl.DataFrame:
    """The entries of ``sessions[warm_up:]`` by every preset."""
    common = next(iter(presets.values()))
    deciding = {
        session: [session.open + MINUTE * (n + 1) for n in range(session.minutes)] for session in sessions[warm_up:]
    }
    as_ofs = [moment for group in deciding.values() for moment in group]
    features = compute_features_over(
        bars, days, sessions=sessions, as_ofs=as_ofs, config=common.features, warm_up=warm_up
    )
    context = pl.concat(
        market_context(
            features.filter(pl.col("as_of").is_between(group[0], group[-1])),
            empty(CHAINS),
            session=session,
            previous_session=shift(session.day, -1),
            as_ofs=group,
            config=common.context,
        )
        for session, group in deciding.items()
    ).with_columns(pl.col("index_trend_1d").fill_null(0))
    told = empty(SENTIMENT)
    members = watchlist_over(
        features,
        told,
        as_ofs=[moment for session, group in deciding.items() for moment in grid(group, session, common.watchlist)],
        previous=None,
        config=common.watchlist,
        signals=common.signals,
        news=common.news_view,
        afresh={group[0] for group in deciding.values()},
    )
    found = [
        decide(
            features,
            members,
            told,
            context,
            as_ofs=as_ofs,
            recent=None,
            config=strategy.signals,
            news=strategy.news_view,
            config_hash="",
            live=False,
            preset=name,
        )
        for name, strategy in presets.items()
    ]
    opens = pl.DataFrame(
        {"open": [session.open for session in deciding], "session": [session.key for session in deciding]},
        schema={"open": INSTANT, "session": pl.String()},
    )
    minute = ((pl.col("as_of") - pl.col("open")).dt.total_minutes() - 1).alias("minute")
    return (
        pl.concat(found)
        .filter(pl.col("action") != "HOLD")
        .sort("as_of", maintain_order=True)
        .join_asof(opens, left_on="as_of", right_on="open", strategy="backward")
        .select("preset", "strategy", "ticker", "confidence", minute, "session")
    )


def summary(signals: pl.DataFrame, keys: list[str], preset: str) -> dict[str, float | int | dict[str, float]]:
    """Signals per session of one preset: median and quartiles, and the mean of each strategy."""
    mine = signals.filter(pl.col("preset") == preset)
    counted = pl.DataFrame({"session": keys}).join(mine.group_by("session").len(), on="session", how="left")
    counts = counted["len"].fill_null(0).cast(pl.Float64)
    by_strategy = {
        row[0]: round(row[1] / len(keys), 2) for row in mine.group_by("strategy").len().sort("strategy").rows()
    }
    quartiles = [counts.quantile(q, "linear") or 0.0 for q in (0.25, 0.5, 0.75)]
    return {
        "sessions": len(keys),
        "signals": mine.height,
        "quartile_1": quartiles[0],
        "median": quartiles[1],
        "quartile_3": quartiles[2],
        "mean_by_strategy": by_strategy,
    }


def draw(signals: pl.DataFrame, sessions: int, path: Path) -> None:
    """Mean signals per session and half hour, a bar per preset."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    presets = signals["preset"].unique().sort().to_list()
    for position, preset in enumerate(presets):
        slots = (signals.filter(pl.col("preset") == preset)["minute"] // 30).to_list()
        heights = [slots.count(slot) / sessions for slot in range(13)]
        axes.bar([slot + 0.4 * position for slot in range(13)], heights, width=0.4, label=preset)
    labels = [f"{(570 + 30 * slot) // 60}:{(570 + 30 * slot) % 60:02d}" for slot in range(13)]
    axes.set_xticks([slot + 0.2 for slot in range(13)], labels)
    axes.set_xlabel("half hour from, New York")
    axes.set_ylabel("signals per session")
    axes.set_title(f"Signals over {sessions} recorded sessions, without news")
    axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Read, decide every session after the warm-up, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=Path, required=True, help="Parquet file of minute bars")
    parser.add_argument("--column", action="append", default=[], metavar="OURS=THEIRS", help="a column's other name")
    parser.add_argument("--zone", default="UTC", help="zone of instants that have none")
    parser.add_argument("--sessions", type=int, help="only the last so many sessions")
    parser.add_argument("--picture", type=Path, help="PNG to draw")
    given = parser.parse_args()
    presets = strategies()
    common = presets[Preset.DEFAULT.value]
    warm = common.collection.history_sessions
    columns = dict(pair.split("=", 1) for pair in given.column)
    bars = recorded(given.bars, RecordingFormat(columns=columns, zone=given.zone), common.context.index)
    days = daily(bars)
    sessions = [session for day in days["session"].unique().sort() if (session := session_on(day)) is not None]
    first = max(warm, len(sessions) - (given.sessions or len(sessions)))
    signals = decided(bars, days, sessions[first - warm :], presets, warm)
    keys = [session.key for session in sessions[first:]]
    print(json.dumps({preset: summary(signals, keys, preset) for preset in presets}, indent=2))
    if given.picture is not None:
        draw(signals, len(keys), given.picture)


if __name__ == "__main__":
    main()
