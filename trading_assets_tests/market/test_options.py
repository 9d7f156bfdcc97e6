"""OCC symbols and the option day count."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.domain.values import Right
from trading_assets.market.options import format_occ, parse_occ, years_to_expiry


def test_a_symbol_carries_root_expiry_right_and_strike() -> None:
    assert format_occ("NVDA", date(2026, 3, 13), Right.CALL, Decimal("180")) == "NVDA260313C00180000"
    contract = parse_occ("F260320P00012500")
    assert (contract.underlying, contract.expiry, contract.right, contract.strike) == (
        "F",
        date(2026, 3, 20),
        Right.PUT,
        Decimal("12.5"),
    )
    assert contract.multiplier == 100


def test_a_class_share_is_listed_without_its_dot() -> None:
    assert format_occ("BRK.B", date(2026, 3, 20), Right.PUT, Decimal("500")) == "BRKB260320P00500000"


@given(
    root=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=6),
    expiry=st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    right=st.sampled_from(Right),
    thousandths=st.integers(1, 99_999_999),
)
def test_every_symbol_reads_back_as_it_was_written(root: str, expiry: date, right: Right, thousandths: int) -> None:
    strike = Decimal(thousandths) / 1000
    contract = parse_occ(format_occ(root, expiry, right, strike))
    assert (contract.root, contract.expiry, contract.right, contract.strike) == (root, expiry, right, strike)


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("NVDA1260313C00180000", "adjusted root"),
        ("NVDA261313C00180000", "impossible expiry"),
        ("NVDA260313X00180000", "expected an OCC symbol"),
        ("NVDA260313C0018000", "expected an OCC symbol"),
        ("NVDA  260313C00180000", "expected an OCC symbol"),
        ("NVDA260313C00000000", "strike of zero"),
        ("ABCDEFG260313C00180000", "at most 6"),
        ("", "expected an OCC symbol"),
    ],
)
def test_a_symbol_that_is_not_a_standard_contract_is_refused_with_its_reason(symbol: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_occ(symbol)


@pytest.mark.parametrize("strike", ["0", "-5", "12.3456", "100000", "NaN"])
def test_an_impossible_strike_has_no_symbol(strike: str) -> None:
    with pytest.raises(ValueError, match="strike"):
        format_occ("NVDA", date(2026, 3, 13), Right.CALL, Decimal(strike))


def test_time_to_expiry_runs_to_sixteen_hundred_new_york_in_summer_and_winter() -> None:
    day = 1 / 365
    assert years_to_expiry(date(2026, 3, 6), datetime(2026, 3, 5, 21, tzinfo=UTC)) == pytest.approx(day)
    assert years_to_expiry(date(2026, 3, 13), datetime(2026, 3, 12, 20, tzinfo=UTC)) == pytest.approx(day)
    # The night in which the clocks go forward has an hour less.
    assert years_to_expiry(date(2026, 3, 9), datetime(2026, 3, 6, 21, tzinfo=UTC)) == pytest.approx(71 / 24 / 365)


def test_an_expired_contract_has_no_time_left_and_a_naive_instant_is_refused() -> None:
    assert years_to_expiry(date(2026, 3, 13), datetime(2026, 3, 13, 20, 0, 1, tzinfo=UTC)) == 0.0
    with pytest.raises(ValueError, match="timezone-aware"):
        years_to_expiry(date(2026, 3, 13), datetime(2026, 3, 12, 20))
