"""The picture of a session is small, the same for the same day, and is drawn for quiet days and for busy ones."""

from __future__ import annotations

import struct
from datetime import date, timedelta
from decimal import Decimal

import pytest

from trading_assets.jobs.session_chart import Fill, Held, draw_session
from trading_assets.market.sessions import MINUTE, require_session

SESSION = require_session(date(2026, 3, 11))
HALF_DAY = require_session(date(2026, 11, 27))


def picture(count: int, *, pnl: Decimal | None = Decimal("12.50")) -> bytes:
    prices = [(SESSION.open + MINUTE * (at + 1), 100 + (at * 37 % 101) / 50) for at in range(SESSION.minutes)]
    instants = [SESSION.open + timedelta(minutes=7 * at + 3) for at in range(count)]
    fills = [Fill(at, number % 2 == 0, 2, Decimal("4.2"), "entry") for number, at in enumerate(instants)]
    held = [Held(a.at, None if pnl is None else b.at, pnl) for a, b in zip(fills[::2], fills[1::2], strict=True)]
    return draw_session("NVDA", SESSION, prices, [(fill.at, fill.bought) for fill in fills], fills, held)


@pytest.mark.parametrize("count", [0, 2, 12, 50])
def test_the_picture_is_a_small_png(count: int) -> None:
    png = picture(count)
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (1000, 460)
    assert len(png) < 60_000


def test_equal_days_give_equal_pictures_and_different_ones_do_not() -> None:
    assert picture(2) == picture(2)
    assert len({picture(2), picture(4), picture(2, pnl=Decimal("-12.50")), picture(2, pnl=None)}) == 4


def test_a_price_that_never_moves_and_a_short_session_are_drawn_too() -> None:
    prices = [(HALF_DAY.open + MINUTE * (at + 1), 50.0) for at in range(HALF_DAY.minutes)]
    held_over = [Held(HALF_DAY.open - timedelta(days=1), None, None)]
    early = [(HALF_DAY.open - MINUTE, True)]
    assert draw_session("KO", HALF_DAY, prices, early, [], held_over).startswith(b"\x89PNG")
