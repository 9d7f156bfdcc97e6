"""The fill rules: never better than the quote, never beyond the limit, and always the same for the same order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.domain.values import Side
from trading_assets.simulation.fills import Fill, FillRequest, decide_fill

NOON = datetime(2026, 3, 11, 16, 0, tzinfo=UTC)
BID, ASK = Decimal("2.40"), Decimal("2.50")


def request(side: Side = Side.BUY, limit: str | None = "2.50", remaining: int = 1, key: str = "order-1") -> FillRequest:
    kind = "market" if limit is None else "limit"
    return FillRequest(side, kind, None if limit is None else Decimal(limit), remaining, key, NOON)


def decide(order: FillRequest, *, second: int = 0, size: int = 50) -> Fill | None:
    return decide_fill(order, BID, ASK, size, size, NOON + timedelta(seconds=second), seed=7)


@pytest.mark.parametrize(
    ("side", "limit", "price"),
    [
        (Side.BUY, "2.50", ASK),
        (Side.BUY, "9.00", ASK),
        (Side.BUY, None, ASK),
        (Side.SELL, "2.40", BID),
        (Side.SELL, "0.01", BID),
        (Side.SELL, None, BID),
    ],
)
def test_a_marketable_order_fills_at_once_at_the_quote(side: Side, limit: str | None, price: Decimal) -> None:
    assert decide(request(side, limit)) == Fill(price, 1, False)


@pytest.mark.parametrize(("side", "limit"), [(Side.BUY, "2.40"), (Side.BUY, "2.10"), (Side.SELL, "2.50")])
def test_a_limit_at_or_behind_its_own_side_rests(side: Side, limit: str) -> None:
    assert all(decide(request(side, limit), second=s) is None for s in range(600))


def fills_within_ten_seconds(side: Side, limit: str) -> int:
    return sum(any(decide(request(side, limit, key=f"k{n}"), second=s) for s in range(10)) for n in range(300))


@pytest.mark.parametrize(("side", "shy", "bold"), [(Side.BUY, "2.42", "2.48"), (Side.SELL, "2.48", "2.42")])
def test_inside_the_spread_a_bolder_limit_fills_sooner_and_at_its_limit(side: Side, shy: str, bold: str) -> None:
    few, many = fills_within_ten_seconds(side, shy), fills_within_ten_seconds(side, bold)
    assert 0 < few < 80 < 220 < many < 300
    fills = [decide(request(side, bold, key=f"k{n}")) for n in range(100)]
    assert {fill.price for fill in fills if fill} == {Decimal(bold)}


def test_about_one_fill_in_ten_is_partial_and_leaves_something() -> None:
    fills = [decide(request(remaining=8, key=f"k{n}")) for n in range(2000)]
    partial = [fill for fill in fills if fill is not None and fill.partial]
    assert 140 < len(partial) < 260
    assert all(1 <= fill.quantity < 8 for fill in partial)
    assert all(fill is not None and (fill.partial or fill.quantity == 8) for fill in fills)
    singles = [decide(request(remaining=1, key=f"k{n}")) for n in range(300)]
    assert singles == [Fill(ASK, 1, False)] * 300


def test_the_displayed_size_bounds_a_fill() -> None:
    order = FillRequest(Side.BUY, "market", None, 40, "large", NOON)
    fill = decide_fill(order, BID, ASK, 100, 12, NOON, seed=7)
    assert fill is not None and fill.partial and fill.quantity <= 12


def test_without_an_opposite_side_nothing_fills() -> None:
    assert decide_fill(request(), BID, None, 5, 5, NOON, seed=7) is None
    assert decide_fill(request(), BID, ASK, 5, 0, NOON, seed=7) is None
    assert decide_fill(request(Side.SELL, None), Decimal(0), ASK, 5, 5, NOON, seed=7) is None
    assert decide_fill(request(), BID, ASK, 5, 5, NOON - timedelta(seconds=1), seed=7) is None


@given(
    side=st.sampled_from(Side),
    limit=st.one_of(st.none(), st.integers(1, 600)),
    bid=st.integers(0, 500),
    width=st.integers(1, 80),
    remaining=st.integers(1, 40),
    size=st.integers(0, 30),
    second=st.integers(0, 100_000),
    seed=st.integers(0, 2**32),
)
def test_a_fill_never_betters_the_quote_never_breaks_the_limit_and_repeats(
    side: Side, limit: int | None, bid: int, width: int, remaining: int, size: int, second: int, seed: int
) -> None:
    low, high = Decimal(bid) / 100, Decimal(bid + width) / 100
    price = None if limit is None else Decimal(limit) / 100
    order = FillRequest(side, "limit" if limit else "market", price, remaining, "k", NOON)
    at = NOON + timedelta(seconds=second)
    fill = decide_fill(order, low, high, size, size, at, seed)
    assert fill == decide_fill(order, low, high, size, size, at + timedelta(milliseconds=900), seed)
    if fill is None:
        return
    assert low <= fill.price <= high and 1 <= fill.quantity <= min(remaining, size)
    assert fill.partial == (fill.quantity < remaining)
    if price is None:
        assert fill.price == (high if side is Side.BUY else low)
    else:
        assert fill.price <= price if side is Side.BUY else fill.price >= price


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (FillRequest(Side.BUY, "stop", Decimal(1), 1, "k", NOON), "market or limit"),
        (FillRequest(Side.BUY, "limit", None, 1, "k", NOON), "positive limit price"),
        (FillRequest(Side.BUY, "market", None, 0, "k", NOON), "nothing left"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(order: FillRequest, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decide_fill(order, BID, ASK, 5, 5, NOON, seed=7)
