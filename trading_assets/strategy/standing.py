"""Which feature rows are those of members of the watchlist, with score and place; and the order of what is decided.

What belongs here: looking members up, and ranking, as whole numbers in tables: texts would be most of the work. What
does not: who becomes a member (``strategy.membership``), what is decided (``strategy.rule_sets``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trading_assets.market.frames import INSTANT

#: Columns that :func:`members_only` adds for :func:`best_first`.
MOMENT, PLACE = "_moment", "_place"
#: What a confidence, rounded to nine digits, is counted in; and the bits that confidence and place take in a key.
_UNITS, _CONFIDENCE_BITS, _PLACE_BITS, _KEY_BITS = 10**9, 30, 18, 63


def members_only(features: pl.DataFrame, watchlist: pl.DataFrame, as_ofs: Sequence[datetime]) -> pl.DataFrame:
    """Rows of ``features`` at ``as_ofs`` whose ticker is a member of the newest list by then, in the order they have.

    Added: ``watchlist_score``; ``_moment``, the number of the instant; and ``_place``, the number of the member among
    those of its list, the best score first, then by name.
    """
    moments = pl.Series(sorted(as_ofs), dtype=INSTANT).to_physical().to_numpy()
    members = watchlist.filter("member")
    lists = np.unique(watchlist["as_of"].to_physical().to_numpy())
    names = pl.Enum(members["ticker"].unique().sort())
    width, score = len(names.categories), members["score"].to_numpy()
    code = members["ticker"].cast(names).to_physical().to_numpy().astype(np.int64)
    listed = np.searchsorted(lists, members["as_of"].to_physical().to_numpy())
    order = np.lexsort((code, -score, listed))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - np.searchsorted(listed[order], listed[order])
    # One cell per list and name, and one more, always empty, for what has no list or no name.
    table = np.full(len(lists) * width + 1, -1, dtype=np.int64)
    table[listed * width + code] = np.arange(len(code))

    asked = features["as_of"].to_physical().to_numpy()
    moment = np.minimum(np.searchsorted(moments, asked), len(moments) - 1)
    newest = np.searchsorted(lists, moments, side="right")[moment] - 1
    name = features["ticker"].cast(names, strict=False).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
    cell = np.where((moments[moment] == asked) & (newest >= 0) & (name >= 0), newest * width + name, -1)
    found = table[cell]
    rows = found >= 0
    found = found[rows]
    return features.filter(pl.Series(rows)).with_columns(
        members["score"].gather(found).alias("watchlist_score"),
        pl.Series(MOMENT, moment[rows]),
        pl.Series(PLACE, place[found]),
    )


def best_first(moment: pl.Series, confidence: pl.Series, place: pl.Series) -> NDArray[np.int64]:
    """The order of rows by moment, then confidence (the highest first, unknown last), then place.

    Rows that are equal in all three keep their order.
    """
    told = confidence.is_not_null().to_numpy()
    # Confidence has nine digits: as a whole number it loses nothing.
    units = np.where(told, _UNITS - np.rint(confidence.fill_null(0.0).to_numpy() * _UNITS), _UNITS + 1).astype(np.int64)
    when, where = moment.to_numpy().astype(np.int64), place.to_numpy().astype(np.int64)
    bits = int(when.max(initial=0)).bit_length() + _CONFIDENCE_BITS + _PLACE_BITS
    if bits <= _KEY_BITS and int(where.max(initial=0)).bit_length() <= _PLACE_BITS:
        key = (when << (_CONFIDENCE_BITS + _PLACE_BITS)) | (units << _PLACE_BITS) | where
        return np.argsort(key, kind="stable")
    return np.lexsort((where, units, when))
