"""``splits``: for each session, the splits of followed names that its decisions must know, as they became known."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime

import polars as pl

from trading_assets.assets.frame_asset import Finding, Observed, Product, frame_asset
from trading_assets.assets.groups import MARKET_DATA
from trading_assets.assets.scope import Scope
from trading_assets.automation.names import MINUTE_JOB, MINUTE_TICK
from trading_assets.automation.partitions import SESSIONS
from trading_assets.broker.errors import BrokerUnavailable, Rejected
from trading_assets.market.frames import SPLITS, empty
from trading_assets.market.sessions import require_session, shift
from trading_assets.resources.desk import Desk

_log = logging.getLogger(__name__)
#: Minutes between two looks at the list while a session goes by.
_EVERY_MINUTES = 15
#: What makes two rows the same split.
_SPLIT = ["ticker", "ex_session", "numerator", "denominator"]
#: Sessions ahead: a split that is known the day before is in force from the first decision of its day.
_AHEAD = 5


def _observe(desk: Desk, scope: Scope) -> Observed:
    now = desk.clock.now()
    read_at = desk.frames.last_as_of("splits", scope.key)
    entered = desk.entered(require_session(scope.day).open)
    # Bars of a ticker that entered since wait for this look, so it is recorded even if it finds nothing.
    asked_for = read_at is not None and any(since >= read_at for since in entered.values())
    if read_at is not None and now.minute % _EVERY_MINUTES and not asked_for:
        return Observed(empty(SPLITS), now)
    stored = desk.frames.read("splits", [scope.key])
    try:
        fetched = _fetch(desk, scope, desk.universe, now)
    except (BrokerUnavailable, Rejected) as error:
        # It is asked for again: each minute until it was read once, for without it and the session before's nothing is
        # decided.
        _log.error("session %s: the list of splits cannot be read: %s", scope.key, error)
        return Observed(empty(SPLITS), now, came_in=f"the list of splits, which cannot be read: {error}", unread=True)
    # Each session keeps the list whole, for the next one to find it there; what was seen before keeps its instant.
    earlier = desk.frames.read("splits", [shift(scope.day, -1).key]).group_by(_SPLIT).agg(pl.col("known_at").min())
    whole = fetched.join(earlier, on=_SPLIT, how="left", maintain_order="left", suffix="_before").select(
        *_SPLIT, pl.min_horizontal("known_at", "known_at_before").alias("known_at")
    )
    new = whole.join(stored, on=_SPLIT, how="anti", maintain_order="left").select(list(SPLITS))
    return Observed(new, now, came_in=f"{fetched.height} splits of followed names", looked=asked_for)


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    rows = _fetch(desk, scope, desk.universe_in(scope.day), None)
    return Observed(rows, scope.now, came_in=f"{rows.height} splits of followed names")


def _fetch(desk: Desk, scope: Scope, tickers: Sequence[str], now: datetime | None) -> pl.DataFrame:
    """What is listed for the sessions of the daily bars and the next ones. What is in force already counts as known
    since the close before its day; what is to come as known at ``now``, or (None: history) likewise."""
    count = desk.settings.strategy.collection.daily_sessions
    first, last = shift(scope.day, -count).day, shift(scope.day, _AHEAD).day
    rows = []
    for split in desk.data.splits(tickers, first, last):
        before = shift(split.ex_date, -1).close
        known_at = before if now is None or split.ex_date < scope.day else now
        rows.append((split.symbol, split.ex_date, float(split.numerator), float(split.denominator), known_at))
    return pl.DataFrame(rows, schema=SPLITS, orient="row").sort("ticker", "ex_session")


def _check(desk: Desk, scope: Scope, rows: pl.DataFrame) -> Iterable[Finding]:
    session = require_session(scope.day)
    read = desk.frames.exists("splits", scope.key)
    yield Finding(
        "splits_read",
        read,
        "the list was read in this session" if read else "the list of splits has not been read in this session yet",
        warning=True,
    )
    stored = desk.frames.read("splits", [shift(scope.day, -1).key, scope.key])
    today = stored.filter(pl.col("ex_session") == scope.day)
    late = sorted(
        set(today["ticker"].to_list()) - set(today.filter(pl.col("known_at") <= session.open)["ticker"].to_list())
    )
    yield Finding(
        "splits_known_before_their_day",
        not late,
        f"first seen after the open of their own day, and not decided in it: {', '.join(late) or 'none'}",
        warning=True,
    )


splits = frame_asset(
    Product(
        name="splits",
        group=MARKET_DATA,
        description=(
            "Splits of followed names in the sessions of the daily bars and the next five. Bars are stored raw and "
            "read in the shares of the session that decides. One that is first seen after the open of its own day "
            "keeps its name from being decided in that session."
        ),
        kinds=frozenset({"alpaca", "parquet"}),
        code_version="1",
        partitions=SESSIONS,
        job=MINUTE_JOB,
        tick=MINUTE_TICK,
        observe=_observe,
        rebuild=_rebuild,
        checks={
            "splits_read": (
                "The list was read in this session. What the session before saw of it still counts; where that is "
                "missing, too, no feature is computed and nothing is decided."
            ),
            "splits_known_before_their_day": "No split is first seen after the open of its day.",
        },
        check=_check,
        missing=(
            "a name without a row was not split in these sessions; a partition that was never written was not read, "
            "and without it and the one before nothing is decided"
        ),
    )
)
