"""The archive of implied volatilities: one 30-day at-the-money figure per ticker and archived chain.

What belongs here: which of a session's stored chains count, and the rows made of them. What does not: the figure itself
(``market.context``) and the rank of today's among the past ones (``strategy.volatility_rank``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import polars as pl

from trading_assets.market.config import ContextConfig
from trading_assets.market.context import atm_iv, implied_spot
from trading_assets.market.frames import IV_HISTORY
from trading_assets.market.sessions import Session


def iv_rows(
    chains: pl.DataFrame,
    *,
    session: Session,
    due: Sequence[datetime],
    config: ContextConfig,
    stored: Collection[tuple[str, datetime]] = (),
) -> pl.DataFrame:
    """``IV_HISTORY``: of every underlying the first chain at or after each instant of ``due`` and before the next.

    ``chains`` are the session's stored chains. Chains named in ``stored`` (ticker and instant) are left out. A chain
    without enough quotes or volatilities has a row whose ``iv`` is null. A figure is known as soon as its chain is.
    """
    edges = sorted(due)
    rows = []
    for start, end in zip(edges, [*edges[1:], None], strict=True):
        inside = chains.filter(pl.col("as_of") >= start)
        if end is not None:
            inside = inside.filter(pl.col("as_of") < end)
        for (ticker,), of_ticker in inside.sort("underlying").group_by("underlying", maintain_order=True):
            at = of_ticker["as_of"].min()
            assert isinstance(ticker, str) and isinstance(at, datetime)
            if (ticker, at) in stored:
                continue
            chain = of_ticker.filter(pl.col("as_of") == at)
            spot = implied_spot(chain)
            rows.append(
                {
                    "ticker": ticker,
                    "session": session.day,
                    "iv": None if spot is None else atm_iv(chain, spot, at, config),
                    "spot": spot,
                    "contracts": chain.height,
                    "chain_at": at,
                    "quote_at": chain["quote_at"].max(),
                    "known_at": at,
                }
            )
    return pl.DataFrame(rows, schema=IV_HISTORY)


def past_and_present(
    rows: pl.DataFrame, ticker: str, *, session: Session, known_by: datetime
) -> tuple[tuple[float | None, ...], float | None]:
    """The ticker's volatility of each session before ``session``, oldest first, and the one of ``session`` itself.

    Only what was known by ``known_by`` counts; of several rows of one session the one known last. None where it is
    unknown.
    """
    known = rows.filter((pl.col("ticker") == ticker) & (pl.col("known_at") <= known_by))
    last = known.sort("session", "known_at").unique("session", keep="last", maintain_order=True)
    past = last.filter(pl.col("session") < session.day)["iv"].to_list()
    present = last.filter(pl.col("session") == session.day)["iv"].to_list()
    return tuple(past), present[0] if present else None
