"""The simulated market: equal arguments give an equal market, and its bars, paths, quotes and news agree."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from trading_assets.domain.clock import NEW_YORK
from trading_assets.market.sessions import Session
from trading_assets.simulation.headlines import FEEDS
from trading_assets.simulation.market import SimulatedMarket
from trading_assets.simulation.universe import INDEX, LISTINGS

DAY = date(2026, 3, 11)

_FINGERPRINT = """
import hashlib
from datetime import date, timedelta
from trading_assets.simulation.market import SimulatedMarket
market = SimulatedMarket(11, date(2026, 3, 11))
at = market.session.open + timedelta(minutes=73, seconds=21.5)
parts = []
for symbol in ORDER(["NVDA", "KO", "SPY"]):
    parts.append((symbol, market.minute_bars(symbol, market.session.day).write_json()
        + market.daily_bars(symbol).write_json() + repr(market.chain_at(symbol, at)[::7])
        + repr(market.quote_at(symbol, at))))
parts.append(("news", repr(market.headlines()) + repr(market.assets()) + repr(market.index_vix(at))))
print(hashlib.sha256(repr(sorted(parts)).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def market() -> SimulatedMarket:
    return SimulatedMarket(7, DAY)


def minutes_of(session: Session, count: int) -> list[datetime]:
    """Evenly spread instants within a session."""
    step = (session.close - session.open) / count
    return [session.open + step * (number + 0.37) for number in range(count)]


@pytest.mark.patient
def test_fresh_processes_with_other_hash_seeds_and_other_orders_of_calls_see_the_same_market() -> None:
    prints = set()
    for hash_seed, order in (("1", "list"), ("271828", "reversed")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", _FINGERPRINT.replace("ORDER", order)]
        prints.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(prints) == 1


def test_another_seed_is_another_market(market: SimulatedMarket) -> None:
    other = SimulatedMarket(8, DAY)
    assert not other.minute_bars("NVDA", DAY).equals(market.minute_bars("NVDA", DAY))
    assert {h.title for h in other.headlines()} != {h.title for h in market.headlines()}


def test_the_next_days_market_finds_yesterday_as_it_was(market: SimulatedMarket) -> None:
    following = SimulatedMarket(7, date(2026, 3, 12))
    for symbol in ("NVDA", "KO", "SPY"):
        assert following.minute_bars(symbol, DAY).equals(market.minute_bars(symbol, DAY))
        assert following.minute_bars(symbol, date(2026, 3, 5)).equals(market.minute_bars(symbol, date(2026, 3, 5)))
    assert following.headlines(DAY) == market.headlines()


def test_daily_bars_of_minute_sessions_are_the_aggregates_of_their_minutes(market: SimulatedMarket) -> None:
    assert len(market.sessions) == 11 and market.sessions[-1].day == DAY
    for symbol in market.symbols:
        daily = market.daily_bars(symbol)
        assert daily.height == 301 and daily["session"].is_sorted() and daily["session"][-1] == DAY
        for row, session in zip(daily.tail(11).iter_rows(named=True), market.sessions, strict=True):
            bars = market.minute_bars(symbol, session.day)
            assert bars.height == session.minutes and row["session"] == session.day
            assert (row["open"], row["close"]) == (bars["open"][0], bars["close"][-1])
            assert (row["high"], row["low"]) == (bars["high"].max(), bars["low"].min())
            assert row["volume"] == bars["volume"].sum()


def test_bars_are_well_formed_everywhere(market: SimulatedMarket) -> None:
    for symbol in market.symbols:
        frames = [market.daily_bars(symbol).drop("session")]
        frames += [market.minute_bars(symbol, s.day).drop("ts") for s in market.sessions]
        for bars in frames:
            assert bars.null_count().sum_horizontal()[0] == 0
            assert bars.select((pl.col("low") > 0).all()).item()
            assert bars.select((pl.col("high") >= pl.max_horizontal("open", "close")).all()).item()
            assert bars.select((pl.col("low") <= pl.min_horizontal("open", "close")).all()).item()
            assert bars.select((pl.col("volume") > 0).all()).item()
        assert bars.select(((pl.col("vwap") >= pl.col("low")) & (pl.col("vwap") <= pl.col("high"))).all()).item()
        assert bars.select((pl.col("trade_count") <= pl.col("volume")).all()).item()


def test_the_path_within_a_minute_visits_open_high_low_and_close_and_nothing_beyond(market: SimulatedMarket) -> None:
    for symbol in ("NVDA", "KO"):
        for row in market.minute_bars(symbol, DAY).sample(12, seed=5).iter_rows(named=True):
            steps = [row["ts"] + timedelta(milliseconds=20 * n) for n in range(3000)]
            prices = np.array([market.price_at(symbol, at) for at in steps], dtype=float)
            assert prices[0] == row["open"] and prices[-1] == row["close"]
            # A turning point may lie between two of the 20 ms steps.
            slack = float(np.abs(np.diff(prices)).max())
            assert row["high"] - slack <= prices.max() <= row["high"] + 1e-9
            assert row["low"] - 1e-9 <= prices.min() <= row["low"] + slack


def test_outside_sessions_the_price_is_the_last_close_and_before_all_of_them_unknown(market: SimulatedMarket) -> None:
    bars = market.minute_bars("NVDA", DAY)
    assert market.price_at("NVDA", market.session.close + timedelta(hours=3)) == bars["close"][-1]
    before = market.minute_bars("NVDA", market.sessions[-2].day)["close"][-1]
    assert market.price_at("NVDA", market.session.open - timedelta(minutes=1)) == before
    early = market.sessions[0].open - timedelta(seconds=1)
    assert market.price_at("NVDA", early) is None
    assert market.quote_at("NVDA", early) is None
    assert market.index_vix(early) is None
    assert market.chain_at("NVDA", early) == []


def test_stock_quotes_are_whole_cents_uncrossed_and_around_the_price(market: SimulatedMarket) -> None:
    for symbol in market.symbols:
        for at in minutes_of(market.session, 25):
            quote, price = market.quote_at(symbol, at), market.price_at(symbol, at)
            assert quote is not None and price is not None
            assert quote.bid < quote.ask and quote.bid == round(quote.bid, 2) and quote.ask == round(quote.ask, 2)
            assert quote.bid <= Decimal(str(price)) <= quote.ask
            assert quote.bid_size > 0 and quote.ask_size > 0 and quote.at == at


def test_volume_is_high_at_the_open_low_at_noon_and_high_at_the_close() -> None:
    quiet = SimulatedMarket(3, DAY, "quiet")
    volume = np.mean(
        [
            quiet.minute_bars(s, day.day)["volume"].to_numpy() / quiet.daily_bars(s)["volume"].to_numpy().mean()
            for s in quiet.symbols
            for day in quiet.sessions
        ],
        axis=0,
    )
    noon = volume[170:220].mean()
    assert volume[:15].mean() > 2 * noon
    assert volume[-15:].mean() > 1.3 * noon


def test_stocks_move_with_the_index_and_neighbours_more_than_strangers(market: SimulatedMarket) -> None:
    returns = {
        symbol: np.concatenate(
            [np.diff(np.log(market.minute_bars(symbol, s.day)["close"].to_numpy())) for s in market.sessions]
        )
        for symbol in market.symbols
    }
    with_index = [np.corrcoef(returns[s], returns[INDEX])[0, 1] for s in market.symbols if s != INDEX]
    assert min(with_index) > 0.05 and 0.2 < float(np.mean(with_index)) < 0.8
    sector = {listing.symbol: listing.sector for listing in LISTINGS}
    residual = {s: r - np.polyval(np.polyfit(returns[INDEX], r, 1), returns[INDEX]) for s, r in returns.items()}
    pairs = [(a, b) for a in market.symbols for b in market.symbols if a < b and INDEX not in (a, b)]
    same = [np.corrcoef(residual[a], residual[b])[0, 1] for a, b in pairs if sector[a] == sector[b]]
    other = [np.corrcoef(residual[a], residual[b])[0, 1] for a, b in pairs if sector[a] != sector[b]]
    assert np.mean(same) > np.mean(other) + 0.02


def test_headlines_lie_within_the_day_and_carry_their_company_in_a_form_a_reader_knows(market: SimulatedMarket) -> None:
    headlines = market.headlines()
    assert 80 <= len(headlines) <= 220
    assert len({h.id for h in headlines}) == len(headlines) == len({h.link for h in headlines})
    assert [h.published_at for h in headlines] == sorted(h.published_at for h in headlines)
    names = {listing.symbol: listing.name for listing in LISTINGS}
    for headline in headlines:
        assert headline.published_at.astimezone(NEW_YORK).date() == DAY
        assert headline.published_at < market.session.close
        assert headline.feed in FEEDS and "{" not in headline.title + headline.summary
        for symbol in headline.symbols:
            assert names[symbol] in headline.title
            assert any(form in headline.title for form in (f": {symbol})", f"${symbol}", f"({symbol})"))


@pytest.mark.patient
def test_an_event_is_published_before_its_price_moves_and_brings_volume() -> None:
    found = 0
    for seed in range(1, 9):
        market = SimulatedMarket(seed, DAY)
        first = {h.event: h for h in reversed(market.headlines()) if h.event is not None}
        assert market.profile.events_least <= len(first) <= market.profile.events_most
        for headline in first.values():
            bars = market.minute_bars(headline.symbols[0], DAY)
            before = bars.filter(pl.col("ts") + timedelta(minutes=1) <= headline.published_at).tail(20)
            after = bars.filter(pl.col("ts") >= headline.published_at).head(5)
            if before.height < 20:
                continue
            move = float(np.log(after["close"][-1] / before["close"][-1]))
            sign = 1 if any(w in headline.title.lower() for w in _GOOD_WORDS) else -1
            found += (
                1
                if move * sign > 0.003 and after["volume"].to_numpy().max() > 2 * before["volume"].to_numpy().mean()
                else 0
            )
    assert found > 8 * 7


_GOOD_WORDS = ("beats", "tops", "upgrade", "surge", "boosts", "approv", "rallies", "upbeat")


def test_several_stories_are_told_twice_on_different_feeds(market: SimulatedMarket) -> None:
    tellings: dict[int, set[str]] = {}
    for headline in market.headlines():
        if headline.event is not None:
            tellings.setdefault(headline.event, set()).add(headline.feed)
    assert sum(len(feeds) > 1 for feeds in tellings.values()) >= 3


def test_a_quiet_day_has_no_events_and_no_burst_of_volume() -> None:
    quiet = SimulatedMarket(5, DAY, "quiet")
    assert all(h.event is None for h in quiet.headlines())
    for symbol in quiet.symbols:
        volume = quiet.minute_bars(symbol, DAY)["volume"].cast(pl.Float64)
        # The last quarter of an hour belongs to the closing volume, in which nothing is entered.
        ratio = (volume / volume.rolling_mean(20).shift(1)).to_numpy()[20:365]
        assert ratio.max() < 2.0


def test_an_adverse_day_whips_and_has_a_high_volatility_index(market: SimulatedMarket) -> None:
    adverse = SimulatedMarket(7, DAY, "adverse")
    at = market.session.open + timedelta(hours=2)
    level, calm = adverse.index_vix(at), market.index_vix(at)
    assert level is not None and calm is not None and level > 25 > calm > 9

    def roughness(m: SimulatedMarket) -> float:
        return float(np.mean([np.std(np.diff(np.log(m.minute_bars(s, DAY)["close"].to_numpy()))) for s in m.symbols]))

    assert roughness(adverse) > 1.3 * roughness(market)


def test_a_half_day_has_210_minutes() -> None:
    market = SimulatedMarket(2, date(2025, 11, 28), history_sessions=2, daily_sessions=60)
    assert market.minute_bars("AAPL", date(2025, 11, 28)).height == 210
    assert market.daily_bars("AAPL").height == 61


def test_impossible_arguments_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="not an XNYS session"):
        SimulatedMarket(1, date(2026, 3, 14))
    with pytest.raises(ValueError, match="unknown scenario 'boom'; known are adverse, normal, quiet"):
        SimulatedMarket(1, DAY, "boom")
    with pytest.raises(ValueError, match="history 20"):
        SimulatedMarket(1, DAY, history_sessions=20, daily_sessions=10)
    with pytest.raises(ValueError, match="starts in 2018"):
        SimulatedMarket(1, date(2017, 3, 14))


def test_assets_have_an_identity_of_their_own_that_does_not_depend_on_the_seed(market: SimulatedMarket) -> None:
    assets = market.assets()
    assert len(assets) == len({a.id for a in assets}) == 32
    assert assets == SimulatedMarket(99, DAY, history_sessions=0, daily_sessions=0).assets()
    assert sum(40 <= listing.base_price <= 300 for listing in LISTINGS) >= 20
