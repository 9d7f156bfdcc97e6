"""How long features, watchlist and signal decisions take, and how much memory, with TA-Lib on the same bars beside it.

Two cases, each in a process of its own, so that its peak memory is its own:

- ``sessions``: 31 tickers over 44 sessions (about half a million bars), every minute of every session decided;
- ``universe``: 8,000 tickers over one session (3.1 million bars), every minute decided.

Bars are seeded random walks; ``--bars FILE`` takes the first case's from a Parquet file in the form that a recording
has (ticker, ts, open, high, low, close, volume; ``--zone`` for instants without one). Reading them, and making daily
bars of them, is not measured. TA-Lib computes, ticker by ticker, only the minute indicators (no longer timeframes, no
sessions, no gaps, no knowledge times), so the ratio says what everything around the arithmetic costs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trading_assets.market.config import FeatureConfig
from trading_assets.market.features import compute_features_over
from trading_assets.market.frames import BARS, DAILY_BARS, INSTANT, MARKET_CONTEXT, SENTIMENT, conform, empty
from trading_assets.market.recordings import RecordingFormat, normalise
from trading_assets.market.sessions import MINUTE, Session, sessions_between, shift
from trading_assets.strategy.config_signals import NewsViewConfig, SignalConfig, WatchlistConfig
from trading_assets.strategy.signals import decide
from trading_assets.strategy.watchlist import grid, watchlist_over

LAST = date(2026, 3, 20)
CASES = {"sessions": (31, 44), "universe": (8_000, 1)}
#: Sessions of minute bars before the deciding one.
HISTORY = 10
DAILY = 300


def main() -> None:
    """Measure the cases and print a table, or with ``--json`` one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=sorted(CASES), help="measure this case alone")
    parser.add_argument("--bars", type=Path, help="Parquet file of recorded minute bars for the case 'sessions'")
    parser.add_argument("--zone", default="America/New_York", help="IANA zone of recorded instants without one")
    parser.add_argument("--repeat", type=int, default=3, help="the best of so many runs counts")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the table")
    chosen = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="ta-bench-") as folder:
        for name in CASES if chosen.case is None else [chosen.case]:
            path = Path(folder) / f"{name}.parquet"
            recorded = chosen.bars if name == "sessions" else None
            _in_process(prepare, name, path, recorded, chosen.zone)
            ours = _in_process(measure, path, chosen.repeat)
            results.append({"case": name, **ours, **_in_process(measure_ta_lib, path, chosen.repeat)})
    for result in results:
        result["ratio"] = round(result["features_s"] / result["ta_lib_s"], 2)
    if chosen.json:
        print(json.dumps(results))
    else:
        _table(results)


def _in_process(work: Callable[..., Any], *args: Any) -> Any:
    """The answer of ``work`` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, args)


def _table(results: list[dict[str, Any]]) -> None:
    columns = [name for name in results[0] if name != "case"]
    print(f"{'':14s}" + "".join(f"{result['case']:>14s}" for result in results))
    for column in columns:
        print(f"{column:14s}" + "".join(f"{result[column]:>14,}" for result in results))


# --- input ------------------------------------------------------------------------------------------------------------


def prepare(name: str, path: Path, recorded: Path | None, zone: str) -> None:
    """Write the bars of a case, as they are stored, to ``path``, and daily bars beside them."""
    tickers, count = CASES[name]
    if recorded is None:
        bars = walks(tickers, sessions_between(shift(LAST, 1 - count).day if count > 1 else LAST, LAST))
    else:
        columns = {"ts": "ts_et_naive"} if "ts_et_naive" in pl.read_parquet_schema(recorded) else {}
        bars, _ = normalise(pl.read_parquet(recorded), RecordingFormat(columns=columns, zone=zone))
    stored = bars.with_columns(
        trade_count=pl.lit(None, pl.Int64),
        vwap=pl.lit(None, pl.Float64),
        feed=pl.lit("sip"),
        known_at=pl.col("ts") + MINUTE,
        known_how=pl.lit("assumed"),
    )
    conform(stored.select(list(BARS)), BARS, "bars").write_parquet(path)
    days(bars).write_parquet(path.with_suffix(".daily"))


def walks(tickers: int, sessions: list[Session], seed: int = 7) -> pl.DataFrame:
    """A random walk per ticker with every minute of the sessions, by ticker and time."""
    rng = np.random.default_rng(seed)
    starts = pl.Series([s.open + n * MINUTE for s in sessions for n in range(s.minutes)], dtype=INSTANT)
    parts = []
    for number in range(tickers):
        close = rng.uniform(5, 400) * np.exp(np.cumsum(rng.normal(0, 6e-4, len(starts))))
        opened = np.concatenate([close[:1], close[:-1]])
        parts.append(
            pl.DataFrame(
                {
                    "ticker": f"T{number:04d}",
                    "ts": starts,
                    "open": opened,
                    "high": np.maximum(opened, close) * (1 + np.abs(rng.normal(0, 2e-4, len(starts)))),
                    "low": np.minimum(opened, close) * (1 - np.abs(rng.normal(0, 2e-4, len(starts)))),
                    "close": close,
                    "volume": rng.lognormal(9, 0.7, len(starts)).astype(np.int64),
                }
            )
        )
    return pl.concat(parts)


def days(bars: pl.DataFrame, seed: int = 8) -> pl.DataFrame:
    """Daily bars of 300 sessions before the newest: those of ``bars`` themselves, and random ones before them."""
    session = pl.col("ts").dt.convert_time_zone("America/New_York").dt.date().alias("session")
    own = bars.group_by("ticker", session, maintain_order=True).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )
    first, newest = own["session"].min(), own["session"].max()
    assert isinstance(first, date) and isinstance(newest, date)
    before = [s.day for s in sessions_between(shift(newest, -DAILY).day, first - timedelta(days=1))]
    tickers = own["ticker"].unique().sort()
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.015, (len(tickers), len(before))), axis=1))
    filled = pl.DataFrame(
        {"ticker": tickers.gather(np.repeat(np.arange(len(tickers)), len(before))), "session": before * len(tickers)}
    ).with_columns(close=pl.Series(close.ravel()), volume=pl.lit(1_000_000, pl.Int64))
    filled = filled.with_columns(
        open=pl.col("close") * 0.999, high=pl.col("close") * 1.01, low=pl.col("close") * 0.99
    ).select(own.columns)
    rows = pl.concat([filled, own]).sort("ticker", "session")
    closes = pl.DataFrame(
        [(s.day, s.close + timedelta(minutes=15)) for s in sessions_between(shift(newest, -DAILY).day, newest)],
        schema={"session": pl.Date(), "known_at": INSTANT},
        orient="row",
    )
    rows = rows.join(closes, on="session").with_columns(known_how=pl.lit("assumed"))
    return conform(rows.select(list(DAILY_BARS)), DAILY_BARS, "daily_bars")


# --- what is measured -------------------------------------------------------------------------------------------------


def measure(path: Path, repeat: int) -> dict[str, float | int]:
    """Seconds of features, watchlist and decisions, and peak memory."""
    bars, daily = pl.read_parquet(path), pl.read_parquet(path.with_suffix(".daily"))
    dates = bars["ts"].dt.convert_time_zone("America/New_York").dt.date().unique().sort()
    sessions = sessions_between(dates[0], dates[-1])
    runs = [_run(sessions, bars, daily) for _ in range(repeat)]
    best = min(runs, key=lambda run: run["total_s"])
    return {
        "bars": bars.height,
        **best,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "cores": pl.thread_pool_size(),
    }


def _run(sessions: list[Session], bars: pl.DataFrame, daily: pl.DataFrame) -> dict[str, float | int]:
    """Every minute of ``sessions`` decided in one pass: seconds of each step, processor seconds of all together."""
    as_ofs = [[s.open + MINUTE * (n + 1) for n in range(s.minutes)] for s in sessions]
    every = [moment for group in as_ofs for moment in group]
    processor, marks = time.process_time(), [time.perf_counter()]
    features = compute_features_over(
        bars, daily, sessions=sessions, as_ofs=every, config=FeatureConfig(), warm_up=HISTORY
    )
    marks.append(time.perf_counter())
    watchlist = watchlist_over(
        features,
        empty(SENTIMENT),
        as_ofs=[
            moment for group, s in zip(as_ofs, sessions, strict=True) for moment in grid(group, s, WatchlistConfig())
        ],
        previous=None,
        config=WatchlistConfig(),
        signals=SignalConfig(),
        news=NewsViewConfig(),
        afresh={group[0] for group in as_ofs},
    )
    marks.append(time.perf_counter())
    decided = decide(
        features,
        watchlist,
        empty(SENTIMENT),
        _context(every),
        as_ofs=every,
        recent=None,
        config=SignalConfig(),
        news=NewsViewConfig(),
        config_hash="bench",
        live=False,
    )
    marks.append(time.perf_counter())
    steps = [later - earlier for earlier, later in pairwise(marks)]
    return {
        "decisions": decided.height,
        "features_s": round(steps[0], 3),
        "watchlist_s": round(steps[1], 3),
        "signals_s": round(steps[2], 3),
        "total_s": round(sum(steps), 3),
        "processor_s": round(time.process_time() - processor, 3),
    }


def _context(as_ofs: list[Any]) -> pl.DataFrame:
    rows = pl.DataFrame({"as_of": as_ofs, "index_trend_1d": 1}, schema_overrides={"as_of": INSTANT})
    missing = [name for name in MARKET_CONTEXT if name not in rows.columns]
    return conform(rows.with_columns(*(pl.lit(None).alias(name) for name in missing)), MARKET_CONTEXT, "context")


def measure_ta_lib(path: Path, repeat: int) -> dict[str, float]:
    """Seconds that TA-Lib takes for the minute indicators of the same bars, each ticker's bars once."""
    import talib

    parts = pl.read_parquet(path).partition_by("ticker", maintain_order=True)
    arrays = [
        {name: part[name].cast(pl.Float64).to_numpy() for name in ("high", "low", "close", "volume")} for part in parts
    ]
    best = float("inf")
    for _ in range(repeat):
        started = time.perf_counter()
        for one in arrays:
            high, low, close = one["high"], one["low"], one["close"]
            for window in (20, 50):
                talib.SMA(close, window)
            talib.RSI(close, 14)
            talib.ATR(high, low, close, 14)
            talib.MACD(close, 12, 26, 9)
            talib.BBANDS(close, 20, 2.0, 2.0)
            talib.SMA(one["volume"], 20)
            returns = talib.ROCP(close, 1)[1:]
            talib.STDDEV(returns, 30)
            talib.STDDEV(returns, 120)
            talib.ROCP(close, 60)
            talib.MAX(high, 20)
            talib.MIN(low, 20)
        best = min(best, time.perf_counter() - started)
    return {"ta_lib_s": round(best, 3)}


if __name__ == "__main__":
    main()
