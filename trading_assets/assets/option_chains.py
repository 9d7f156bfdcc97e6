"""``option_chains``: snapshots of option markets, for implied volatility and its archive, by session.

The index's chain around 30 days is stored with every minute run (it gives the volatility regime); all underlyings'
are stored at fixed times of the session, from the first day on, so that an IV history grows. The chain behind a trade
is stored with the trade's decision, not here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import polars as pl

from trading_assets.assets.frame_asset import Finding, Observed, Product, frame_asset
from trading_assets.assets.groups import MARKET_DATA
from trading_assets.assets.scope import Scope
from trading_assets.automation.names import MINUTE_JOB, MINUTE_TICK
from trading_assets.automation.partitions import SESSIONS
from trading_assets.broker.errors import BrokerUnavailable, Rejected
from trading_assets.domain.values import ContractSnapshot
from trading_assets.market.frames import CHAINS, empty
from trading_assets.market.sessions import require_session
from trading_assets.resources.desk import Desk

_log = logging.getLogger(__name__)


def _observe(desk: Desk, scope: Scope) -> Observed:
    session = require_session(scope.day)
    if not session.contains(scope.now):
        return Observed(empty(CHAINS), scope.now)
    index, collection = desk.settings.strategy.context.index, desk.settings.strategy.collection
    stored = desk.frames.read("option_chains", [scope.key])
    archived = stored.filter(pl.col("underlying") != index)["as_of"].max()
    due = [session.open + timedelta(minutes=offset) for offset in collection.archive_minutes_after_open]
    passed = [instant for instant in due if instant <= scope.now]
    everything = bool(passed) and (archived is None or archived < passed[-1])  # type: ignore[operator]
    underlyings = desk.universe if everything else (index,)
    spots = {symbol: quote.mid for symbol, quote in desk.data.quotes(underlyings).items() if quote.mid is not None}
    rows = []
    unread: list[str] = []
    # The index first: if nobody answers, that is said at once.
    for underlying in sorted(underlyings, key=lambda name: (name != index, name)):
        if underlying not in spots:
            continue
        spot = spots[underlying]
        try:
            chain = desk.data.option_chain(
                underlying,
                scope.day + timedelta(days=collection.chain_min_dte),
                scope.day + timedelta(days=collection.chain_max_dte),
                low_strike=spot * (1 - collection.chain_width),
                high_strike=spot * (1 + collection.chain_width),
            )
        except (BrokerUnavailable, Rejected) as error:
            # The regime rests on the index; the archive of one other name must not keep it from being known.
            if underlying == index:
                raise
            _log.warning("the chain of %s is left out: %s", underlying, error)
            unread.append(underlying)
            continue
        # One instant for the whole chain: readers take the rows of the newest one.
        received = desk.clock.now()
        rows += [_row(underlying, snapshot, received) for snapshot in chain]
    came_in = f"the chains of {len(spots)} of {len(underlyings)} underlyings"
    left_out = {"underlyings without a price": len(underlyings) - len(spots), "chains not answered": len(unread)}
    return Observed(pl.DataFrame(rows, schema=CHAINS, orient="row"), desk.clock.now(), left_out, came_in)


def _row(underlying: str, snapshot: ContractSnapshot, as_of: datetime) -> dict[str, object]:
    contract, quote = snapshot.contract, snapshot.quote
    return {
        "underlying": underlying,
        "symbol": contract.symbol,
        "as_of": as_of,
        "quote_at": quote.at,
        "right": contract.right.value,
        "strike": float(contract.strike),
        "expiry": contract.expiry,
        "bid": None if quote.bid is None else float(quote.bid),
        "ask": None if quote.ask is None else float(quote.ask),
        "volume": snapshot.volume,
        "open_interest": snapshot.open_interest,
        "iv": snapshot.iv,
        "delta": snapshot.delta,
        "gamma": snapshot.gamma,
        "theta": snapshot.theta,
        "vega": snapshot.vega,
    }


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> None:
    """A past chain cannot be fetched: what was not archived does not exist."""
    return None


def _check(desk: Desk, scope: Scope, rows: pl.DataFrame) -> Iterable[Finding]:
    odd = rows.filter((pl.col("bid") < 0) | (pl.col("ask") < 0) | (pl.col("iv") <= 0)).height
    yield Finding("chains_in_range", odd == 0, f"{odd} contracts have a negative price or volatility")


def _numbers(desk: Desk, scope: Scope, rows: pl.DataFrame) -> dict[str, int]:
    if not rows.height:
        return {}
    return {
        "tickers": rows["underlying"].n_unique(),
        "contracts": rows["symbol"].n_unique(),
        "contracts_without_bid": rows.filter(pl.col("bid").is_null())["symbol"].n_unique(),
        "contracts_without_iv": rows.filter(pl.col("iv").is_null())["symbol"].n_unique(),
    }


option_chains = frame_asset(
    Product(
        name="option_chains",
        group=MARKET_DATA,
        description=(
            "Option quotes, implied volatilities and Greeks around 30 days to expiry: the index every minute, every "
            "followed ticker at fixed times of the session. A past chain that was not recorded cannot be rebuilt."
        ),
        kinds=frozenset({"alpaca", "parquet"}),
        code_version="1",
        partitions=SESSIONS,
        job=MINUTE_JOB,
        tick=MINUTE_TICK,
        observe=_observe,
        rebuild=_rebuild,
        checks={"chains_in_range": "Prices are not negative and volatilities are positive."},
        check=_check,
        numbers=_numbers,
        missing="a contract that nobody bids for or offers has a null price; an underlying without a price has no row",
        recomputable=False,
    )
)
