"""Of stored rows those of tickers that could be entered at their instant: what a decision may see of a session.

A ticker that is followed only because something is open in it has features like any other, and no decision: neither
has one at an instant before it was discovered, however its day was rebuilt.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from trading_assets.resources.desk import Desk


def eligible_only(desk: Desk, day: date, rows: pl.DataFrame) -> pl.DataFrame:
    """The ``rows`` (``as_of``, ``ticker``) of the session ``day`` whose ticker could be entered then."""
    told = desk.eligible_in(day)
    kept = []
    for number, (since, tickers) in enumerate(told):
        within = pl.col("ticker").is_in(sorted(tickers))
        if number:
            within &= pl.col("as_of") >= since
        if number + 1 < len(told):
            within &= pl.col("as_of") < told[number + 1][0]
        kept.append(within)
    return rows.filter(pl.any_horizontal(kept))
