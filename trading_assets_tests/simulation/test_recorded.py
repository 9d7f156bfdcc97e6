"""A recorded market: the bars are the recording's; what it lacks is modelled, and nothing looks ahead."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from trading_assets.market.sessions import require_session, shift
from trading_assets.simulation.recorded import RecordedMarket

DAY = date(2024, 7, 3)
MINUTE = timedelta(minutes=1)


def recording(sessions: int = 6, gap: tuple[int, int] = (60, 75)) -> pl.DataFrame:
    """A few sessions up to an early close, of one liquid name and one with a halt on the last day."""
    rng = np.random.default_rng(3)
    rows = []
    for ticker, price in (("LIQ", 100.0), ("HALT", 40.0)):
        level = price
        for back in range(sessions - 1, -1, -1):
            session = shift(DAY, -back)
            for minute in range(session.minutes):
                if ticker == "HALT" and session.day == DAY and gap[0] <= minute < gap[1]:
                    continue
                opened, level = level, level * float(np.exp(rng.normal(0, 0.0006)))
                high, low = max(opened, level) * 1.0003, min(opened, level) * 0.9997
                rows.append((ticker, session.open + minute * MINUTE, opened, high, low, level, 1000 + minute))
    names = ["ticker", "ts", "open", "high", "low", "close", "volume"]
    return pl.DataFrame(rows, schema=names, orient="row").sort("ticker", "ts")


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return recording()


@pytest.fixture(scope="module")
def market(bars: pl.DataFrame) -> RecordedMarket:
    return RecordedMarket(bars, DAY, seed=1)


def test_minute_bars_are_the_recordings(market: RecordedMarket, bars: pl.DataFrame) -> None:
    served = market.minute_bars("LIQ", DAY)
    original = bars.filter((pl.col("ticker") == "LIQ") & (pl.col("ts") >= market.session.open))
    assert served["close"].to_list() == original["close"].to_list()
    assert served.height == 210
    assert served["vwap"].null_count() == served.height


def test_the_price_of_a_minute_stays_within_its_bar_and_ends_at_its_close(market: RecordedMarket) -> None:
    for row in market.minute_bars("LIQ", DAY).head(50).iter_rows(named=True):
        seen = [market.price_at("LIQ", row["ts"] + timedelta(seconds=second)) or 0.0 for second in range(60)]
        assert row["low"] - 1e-9 <= min(seen) and max(seen) <= row["high"] + 1e-9
        assert seen[-1] == pytest.approx(row["close"])


def test_in_a_halt_the_price_stands_and_its_time_grows_old(market: RecordedMarket) -> None:
    halted = market.session.open + 70 * MINUTE
    last = market.minute_bars("HALT", DAY).filter(pl.col("ts") < halted)["close"][-1]
    assert market.price_at("HALT", halted) == last
    assert market.traded_at("HALT", halted) == market.session.open + 60 * MINUTE
    assert market.traded_at("LIQ", halted) == halted


def test_after_the_close_nothing_trades_any_more(market: RecordedMarket) -> None:
    late = market.session.close + 30 * MINUTE
    assert market.price_at("LIQ", late) == market.minute_bars("LIQ", DAY)["close"][-1]
    assert market.traded_at("LIQ", late) == market.session.close


def test_daily_bars_are_the_recordings_where_it_reaches_and_marked_where_it_does_not(market: RecordedMarket) -> None:
    days = market.daily_bars("LIQ")
    assert days.height == 301
    assert days["session"].is_sorted() and days["session"].n_unique() == 301
    recorded = days.filter(~pl.col("extended"))
    assert recorded["session"].to_list() == [shift(DAY, -back).day for back in range(5, -1, -1)]
    assert recorded["close"][-1] == market.minute_bars("LIQ", DAY)["close"][-1]
    assert (
        days.filter(pl.col("extended"))
        .select((pl.col("low") > 0) & (pl.col("high") >= pl.col("low")))
        .to_series()
        .all()
    )
    assert market.extended_sessions() == 295


def test_nothing_before_an_instant_depends_on_what_comes_after_it(bars: pl.DataFrame) -> None:
    cut = require_session(DAY).open + 90 * MINUTE
    changed = bars.with_columns(
        pl.when(pl.col("ts") >= cut).then(pl.col(name) * 2.0).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    one, other = (RecordedMarket(rows, DAY, seed=1) for rows in (bars, changed))
    for minutes in (1, 30, 89):
        at: datetime = require_session(DAY).open + minutes * MINUTE
        assert one.price_at("LIQ", at) == other.price_at("LIQ", at)
        assert one.contracts("LIQ") == other.contracts("LIQ")
        assert one.chain_at("LIQ", at) == other.chain_at("LIQ", at)


def test_held_contracts_stay_listed_whatever_the_strikes_of_the_day_are(bars: pl.DataFrame) -> None:
    held = "LIQ240719C00155500"
    assert held not in {contract.symbol for contract in RecordedMarket(bars, DAY, 1).contracts("LIQ")}
    kept = RecordedMarket(bars, DAY, 1, held=frozenset({held}))
    assert held in {contract.symbol for contract in kept.contracts("LIQ")}
    assert kept.option_quote(held, kept.session.open + MINUTE) is not None


def test_a_session_the_recording_does_not_have_is_refused(bars: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="no minute of 2024-07-05"):
        RecordedMarket(bars, date(2024, 7, 5), 1)


def test_a_name_that_does_not_trade_that_day_is_not_listed(bars: pl.DataFrame) -> None:
    gone = bars.filter((pl.col("ticker") != "HALT") | (pl.col("ts") < require_session(DAY).open))
    market = RecordedMarket(gone, DAY, 1)
    assert market.symbols == ("LIQ",)
    assert market.option_quote("HALT240719C00040000", market.session.open + MINUTE) is None


def test_modelled_daily_bars_know_nothing_of_the_worlds_sessions_and_are_the_same_in_all_of_them(
    bars: pl.DataFrame,
) -> None:
    began = shift(DAY, -2).day
    wild = bars.with_columns(
        pl.when(pl.col("ts") >= require_session(began).open).then(pl.col("close") * 1.5).otherwise(pl.col("close")),
        high=pl.col("high") * 2,
    )
    seen = [
        RecordedMarket(recorded, day, seed=1, daily_sessions=40, began=began)
        .daily_bars("LIQ")
        .filter(pl.col("extended"))
        .tail(20)
        for recorded in (bars, wild)
        for day in (began, DAY)
    ]
    assert seen[0].height == 20
    assert all(frame.equals(seen[0]) for frame in seen)


def test_a_held_name_that_does_not_trade_keeps_its_last_price_which_grows_old(bars: pl.DataFrame) -> None:
    before = shift(DAY, -1)
    silent = bars.filter((pl.col("ticker") != "HALT") | (pl.col("ts") < before.close))
    symbol = RecordedMarket(bars, before.day, seed=1).contracts("HALT")[0].symbol
    assert "HALT" not in RecordedMarket(silent, DAY, seed=1).symbols
    held = RecordedMarket(silent, DAY, seed=1, held=frozenset({symbol}))
    noon = held.session.open + 60 * MINUTE
    assert "HALT" in held.symbols
    assert held.price_at("HALT", noon) == held.minute_bars("HALT", before.day)["close"][-1]
    assert held.traded_at("HALT", noon) == before.close
    assert held.minute_bars("HALT", DAY).is_empty()
    assert symbol in {contract.symbol for contract in held.contracts("HALT")}


def test_one_bad_print_does_not_list_strikes_up_to_it(bars: pl.DataFrame) -> None:
    usual = len(RecordedMarket(bars, DAY, seed=1).contracts("LIQ"))
    first = pl.col("ts") == bars["ts"].min()
    wrong = bars.with_columns(high=pl.when(first).then(1e6).otherwise(pl.col("high")))
    assert len(RecordedMarket(wrong, DAY, seed=1).contracts("LIQ")) < 10 * usual
