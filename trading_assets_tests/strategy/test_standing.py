"""Who is looked up as a member, and in which order what is decided comes."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.strategy.standing import MOMENT, PLACE, best_first, members_only
from trading_assets_tests.strategy.signal_builders import AS_OF, MINUTE, feature, features, listed

ROW = st.tuples(
    st.integers(0, 5), st.one_of(st.none(), st.integers(0, 10).map(lambda n: round(n / 10, 9))), st.integers(0, 4)
)


@settings(deadline=None)
@given(st.lists(ROW, max_size=40), st.sampled_from([0, 2**40]), st.sampled_from([0, 2**20]))
def test_rows_come_by_moment_then_confidence_then_place_and_else_as_they_were(
    rows: list[tuple[int, float | None, int]], later: int, farther: int
) -> None:
    """Also where the numbers are too large for one key."""
    rows = [(moment + later, confidence, place + farther) for moment, confidence, place in rows]
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    found = best_first(
        pl.Series(columns[0], dtype=pl.Int64),
        pl.Series(columns[1], dtype=pl.Float64),
        pl.Series(columns[2], dtype=pl.Int64),
    )

    def rank(number: int) -> tuple[int, float, int]:
        moment, confidence, place = rows[number]
        return moment, 2.0 if confidence is None else -confidence, place

    assert found.tolist() == sorted(range(len(rows)), key=rank)


def test_members_are_those_of_the_newest_list_with_their_score_and_place() -> None:
    lists = pl.concat(
        [listed({"AAA": 0.5, "BBB": 0.9}, AS_OF - 5 * MINUTE), listed({"BBB": 0.4, "CCC": 0.4, "DDD": 0.8}, AS_OF)]
    )
    moments = [AS_OF - 6 * MINUTE, AS_OF - MINUTE, AS_OF, AS_OF + MINUTE]
    rows = features([feature(ticker=name, as_of=moment) for moment in moments for name in ("AAA", "BBB", "CCC", "EEE")])
    seen = members_only(rows, lists, moments[:3]).select("as_of", "ticker", "watchlist_score", MOMENT, PLACE).rows()
    assert seen == [
        (AS_OF - MINUTE, "AAA", 0.5, 1, 1),
        (AS_OF - MINUTE, "BBB", 0.9, 1, 0),
        (AS_OF, "BBB", 0.4, 2, 1),
        (AS_OF, "CCC", 0.4, 2, 2),
    ]


@pytest.mark.parametrize("lists", [listed({"ZZZ": 0.5}, AS_OF - MINUTE), listed({"AAA": 0.5}, AS_OF + MINUTE)])
def test_a_name_that_is_on_no_list_by_then_has_no_row(lists: pl.DataFrame) -> None:
    assert members_only(features([feature()]), lists, [AS_OF]).is_empty()
