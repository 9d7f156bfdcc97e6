"""Option chains of the simulated market: what is listed, how it is quoted, and that nobody can trade against it."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from trading_assets.domain.money import option_tick
from trading_assets.domain.values import Right
from trading_assets.market.greeks import implied_volatility
from trading_assets.market.options import years_to_expiry
from trading_assets.market.sessions import is_session
from trading_assets.simulation.chains import OptionMarket
from trading_assets.simulation.contracts import expiries_on
from trading_assets.simulation.market import SimulatedMarket
from trading_assets.simulation.surface import RATE
from trading_assets.simulation.universe import BY_SYMBOL

DAY = date(2026, 3, 11)
SYMBOLS = ("NVDA", "SPY", "KO", "PFE", "META")
Curve = dict[Decimal, OptionMarket]


@pytest.fixture(scope="module")
def market() -> SimulatedMarket:
    return SimulatedMarket(7, DAY)


def mid(option: OptionMarket) -> float:
    return float(option.bid + option.ask) / 2


def spread(option: OptionMarket) -> float:
    return float(option.ask - option.bid)


def curves(chain: list[OptionMarket]) -> dict[tuple[date, Right], Curve]:
    result: dict[tuple[date, Right], Curve] = defaultdict(dict)
    for option in chain:
        result[option.contract.expiry, option.contract.right][option.contract.strike] = option
    return result


def test_expiries_follow_the_cadence_of_their_name() -> None:
    spy, nvda, ko = (expiries_on(BY_SYMBOL[symbol].cadence, DAY) for symbol in ("SPY", "NVDA", "KO"))
    assert spy[:4] == (date(2026, 3, 11), date(2026, 3, 12), date(2026, 3, 13), date(2026, 3, 16))
    assert nvda[:4] == (date(2026, 3, 11), date(2026, 3, 13), date(2026, 3, 16), date(2026, 3, 18))
    assert ko[:3] == (date(2026, 3, 13), date(2026, 3, 20), date(2026, 3, 27))
    for listed in (spy, nvda, ko):
        assert date(2026, 5, 15) in listed and max(listed) <= DAY + timedelta(days=70)
        assert all(is_session(day) for day in listed) and list(listed) == sorted(set(listed))


def test_an_expiry_on_a_holiday_moves_to_the_session_before() -> None:
    # 3 April 2026 is Good Friday.
    expiries = expiries_on(BY_SYMBOL["KO"].cadence, DAY)
    assert date(2026, 4, 2) in expiries and date(2026, 4, 3) not in expiries


def test_a_contract_stays_listed_until_it_expires() -> None:
    for symbol in ("SPY", "NVDA", "KO"):
        for ahead in (1, 2, 5, 6):
            later = DAY + timedelta(days=ahead)
            kept = {day for day in expiries_on(BY_SYMBOL[symbol].cadence, DAY) if day >= later}
            assert kept <= set(expiries_on(BY_SYMBOL[symbol].cadence, later))


def test_strikes_reach_fifteen_per_cent_beyond_the_days_range_on_a_plain_grid(market: SimulatedMarket) -> None:
    for symbol, step in (("KO", "0.5"), ("NVDA", "0.5"), ("META", "2.5"), ("PFE", "0.5")):
        strikes = sorted({c.strike for c in market.contracts(symbol)})
        bars = market.minute_bars(symbol, DAY)
        assert float(strikes[0]) < 0.87 * bars["low"].to_numpy().min()
        assert float(strikes[-1]) > 1.13 * bars["high"].to_numpy().max()
        assert all(strike % Decimal(step) == 0 for strike in strikes)
    symbols = [c.symbol for c in market.contracts("NVDA")]
    assert len(symbols) == len(set(symbols)) and 200 < len(symbols) < 1500


@pytest.mark.parametrize("scenario", ["normal", "adverse"])
def test_option_quotes_are_on_the_tick_and_uncrossed(scenario: str) -> None:
    simulated = SimulatedMarket(4, DAY, scenario)
    for symbol in SYMBOLS:
        for minutes in (1, 47, 389):
            for option in simulated.chain_at(symbol, simulated.session.open + timedelta(minutes=minutes)):
                assert Decimal(0) <= option.bid < option.ask
                for price in (option.bid, option.ask):
                    assert price % option_tick(symbol, price) == 0, option
                assert option.bid_size > 0 and option.ask_size > 0
                assert option.last is None or option.bid <= option.last <= option.ask


def test_no_static_arbitrage_beyond_a_tick_at_mid(market: SimulatedMarket) -> None:
    at = market.session.open + timedelta(minutes=95)
    for symbol in SYMBOLS:
        for (_, right), curve in curves(market.chain_at(symbol, at)).items():
            strikes = sorted(curve)
            values = np.array([mid(curve[k]) for k in strikes])
            # A mid may be off by the rounding of both of its sides.
            slack = np.array([float(option_tick(symbol, curve[k].ask)) for k in strikes])
            grid = np.array([float(k) for k in strikes])
            steps = np.diff(values) * (1 if right is Right.PUT else -1)
            assert (steps >= -np.maximum(slack[1:], slack[:-1])).all()
            assert (steps <= np.diff(grid) + np.maximum(slack[1:], slack[:-1])).all()
            share = (grid[2:] - grid[1:-1]) / (grid[2:] - grid[:-2])
            chord = share * values[:-2] + (1 - share) * values[2:]
            assert (values[1:-1] <= chord + 1.5 * slack[2:].clip(min=slack[:-2])).all()


def test_more_time_never_costs_less_at_the_same_strike(market: SimulatedMarket) -> None:
    at = market.session.open + timedelta(minutes=200)
    for symbol in SYMBOLS:
        by_strike: dict[tuple[Decimal, Right], list[OptionMarket]] = defaultdict(list)
        for option in market.chain_at(symbol, at):
            by_strike[option.contract.strike, option.contract.right].append(option)
        for options in by_strike.values():
            for near, far in pairwise(options):
                slack = 2 * float(option_tick(symbol, far.ask))
                # An in-the-money put loses interest with time and is held up by its intrinsic value only.
                interest = 0.0 if near.contract.right is Right.CALL else 0.004 * float(near.contract.strike)
                assert mid(far) >= mid(near) - slack - interest


def test_calls_and_puts_obey_parity_within_their_spreads(market: SimulatedMarket) -> None:
    at = market.session.open + timedelta(minutes=150, seconds=12)
    checked = 0
    for symbol in SYMBOLS:
        spot = market.price_at(symbol, at)
        assert spot is not None
        sides = curves(market.chain_at(symbol, at))
        for (expiry, right), calls in sides.items():
            for strike, call in calls.items():
                if right is not Right.CALL or abs(float(strike) / spot - 1) > 0.04:
                    continue
                put = sides[expiry, Right.PUT][strike]
                forward = spot - float(strike) * np.exp(-RATE * years_to_expiry(expiry, at))
                assert abs(mid(call) - mid(put) - forward) <= spread(call) + spread(put)
                checked += 1
    assert checked > 100


def test_reported_volatility_is_the_one_behind_the_quote(market: SimulatedMarket) -> None:
    at = market.session.open + timedelta(minutes=60)
    spot = market.price_at("NVDA", at)
    assert spot is not None
    for option in market.chain_at("NVDA", at, expiry_from=DAY + timedelta(days=14)):
        contract = option.contract
        out_of_the_money = (contract.strike > spot) == (contract.right is Right.CALL)
        if not out_of_the_money or option.bid < Decimal("0.5"):
            continue
        years = years_to_expiry(contract.expiry, at)
        args = (spot, float(contract.strike), years, RATE, 0.0, contract.right is Right.CALL)
        low, high = implied_volatility(float(option.bid), *args), implied_volatility(float(option.ask), *args)
        assert float(low) <= option.iv <= float(high)


def test_at_the_money_contracts_of_most_names_can_be_traded_in_a_normal_market(market: SimulatedMarket) -> None:
    at = market.session.open + timedelta(minutes=45)
    tradable = 0
    for symbol in market.symbols:
        spot = market.price_at(symbol, at)
        assert spot is not None
        swing = market.chain_at(
            symbol, at, expiry_from=DAY + timedelta(days=14), expiry_to=DAY + timedelta(days=30), right=Right.CALL
        )
        best = min(swing, key=lambda option: abs(float(option.contract.strike) - spot))
        tradable += spread(best) <= 0.10 * mid(best)
        assert best.bid >= Decimal("0.30") and (best.volume >= 100 or best.open_interest >= 500), best
        assert 0.35 < best.delta < 0.65 and best.theta < 0 < best.gamma
    # Not in all: makers that stay away are part of a normal day.
    assert 0.75 * len(market.symbols) <= tradable < len(market.symbols)


def test_in_an_adverse_market_no_contract_has_a_spread_within_a_tenth_of_mid() -> None:
    market = SimulatedMarket(7, DAY, "adverse")
    at = market.session.open + timedelta(minutes=45)
    for symbol in SYMBOLS:
        for option in market.chain_at(symbol, at):
            if abs(option.delta) < 0.65:
                assert spread(option) > 0.12 * mid(option), option


def test_volume_grows_through_the_day_and_open_interest_stands(market: SimulatedMarket) -> None:
    early, late = (
        market.chain_at("AMD", market.session.open + timedelta(minutes=m), expiry_from=DAY + timedelta(days=1))
        for m in (5, 300)
    )
    assert len(early) == len(late) > 100
    assert all(a.volume <= b.volume and a.open_interest == b.open_interest for a, b in zip(early, late, strict=True))
    spot = market.price_at("AMD", market.session.open) or 0.0
    week = [o for o in late if o.contract.expiry == date(2026, 3, 13)]
    near = [o.open_interest for o in week if abs(float(o.contract.strike) / spot - 1) < 0.02]
    far = [o.open_interest for o in week if abs(float(o.contract.strike) / spot - 1) > 0.14]
    assert np.mean(near) > 3 * np.mean(far)
    later = [o.volume for o in late if o.contract.expiry == date(2026, 4, 17)]
    assert np.max([o.volume for o in week]) > 2 * np.max(later)


def test_the_scalar_quote_is_the_chains_quote(market: SimulatedMarket) -> None:
    for minutes, symbol in ((3, "NVDA"), (222, "SPY"), (388, "KO")):
        at = market.session.open + timedelta(minutes=minutes, seconds=41)
        for option in market.chain_at(symbol, at)[::9]:
            quote = market.option_quote(option.contract.symbol, at)
            assert quote is not None
            assert (quote.bid, quote.ask, quote.bid_size, quote.ask_size) == (
                option.bid,
                option.ask,
                option.bid_size,
                option.ask_size,
            )


def test_filters_and_symbol_lists_select_from_the_same_chain(market: SimulatedMarket) -> None:
    at = market.session.open + timedelta(minutes=30)
    chain = market.chain_at("NVDA", at)
    low, high = 150.0, 190.0
    expected = [
        o
        for o in chain
        if o.contract.right is Right.PUT
        and low <= o.contract.strike <= high
        and date(2026, 3, 13) <= o.contract.expiry <= date(2026, 3, 20)
    ]
    assert expected
    assert expected == market.chain_at(
        "NVDA",
        at,
        expiry_from=date(2026, 3, 13),
        expiry_to=date(2026, 3, 20),
        strike_from=low,
        strike_to=high,
        right=Right.PUT,
    )
    names = [expected[3].contract.symbol, expected[0].contract.symbol, "NVDA260313C99999000"]
    assert market.chain_at("NVDA", at, names) == [expected[0], expected[3]]
    assert market.chain_at("NVDA", at, []) == []


def test_a_contract_of_today_is_gone_at_its_expiry_and_a_foreign_one_has_no_quote(market: SimulatedMarket) -> None:
    close = market.session.close
    today = next(c.symbol for c in market.contracts("SPY") if c.expiry == DAY)
    assert market.option_quote(today, close - timedelta(seconds=1)) is not None
    assert market.option_quote(today, close) is None
    assert all(o.contract.expiry > DAY for o in market.chain_at("SPY", close))
    assert market.option_quote("XYZ260320C00100000", close) is None
    with pytest.raises(ValueError, match="expected an OCC symbol"):
        market.option_quote("NVDA", close)
