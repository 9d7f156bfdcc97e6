"""A world of several sessions: positions and cash go on, the market of the next session takes over before its open."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trading_assets.domain.errors import ConfigurationError
from trading_assets.exchange.config import LEAD, ExchangeConfig
from trading_assets.exchange.journal import Journal
from trading_assets.exchange.markets import RECORDING_FILE, market_source
from trading_assets.exchange.refusal import Refusal
from trading_assets.exchange.venue import Venue
from trading_assets.market.sessions import require_session, shift
from trading_assets_tests.exchange.venue_process import CLOSE, MINUTE, OPEN, SESSION, configuration

MONDAY = shift(SESSION, 1)
TUESDAY = shift(SESSION, 2)


def open_venue(folder: Path, **changes: Any) -> Venue:
    values = {"last_session": TUESDAY.key, **changes}
    config = ExchangeConfig.model_validate(configuration(OPEN + 60 * MINUTE, **values))
    return Venue(config, market_source(config, folder), Journal(folder / "journal.jsonl"))


def run(work: Coroutine[Any, Any, Any]) -> None:
    asyncio.run(work)


def call_of(venue: Venue, days: int) -> str:
    """A call near the money that lives at least ``days`` days more."""
    lines = venue.market.chain("AMD", venue.world.now)
    return next(
        line.contract.symbol
        for line in lines
        if line.contract.right.value == "call"
        and abs((line.delta or 0) - 0.5) < 0.15
        and line.contract.expiry > SESSION + timedelta(days=days)
    )


def order(symbol: str, side: str = "buy", quantity: int = 2) -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "qty": quantity, "type": "market", "time_in_force": "day"}


async def buy_and_hold(venue: Venue, symbol: str) -> None:
    await venue.place(venue.world.accounts["one"], order(symbol))
    await venue.advance_to(venue.world.now + 2 * MINUTE)
    assert venue.world.accounts["one"].positions[symbol].quantity == 2


def test_a_position_is_carried_into_the_next_session_and_sold_there(tmp_path: Path) -> None:
    venue = open_venue(tmp_path)
    symbol = call_of(venue, 10)

    async def play() -> None:
        await buy_and_hold(venue, symbol)
        await venue.advance_to(MONDAY.open - LEAD - timedelta(seconds=1))
        assert venue.world.session == SESSION
        await venue.advance_to(MONDAY.open + 5 * MINUTE)
        assert venue.world.session == MONDAY.day == venue.engine.session.day
        account = venue.world.accounts["one"]
        bid = venue.market.quote(symbol, venue.world.now)
        assert bid is not None and bid.at == venue.world.now
        await venue.place(account, order(symbol, "sell"))
        await venue.advance_to(venue.world.now + 2 * MINUTE)
        assert account.positions == {}

    run(play())


def test_equity_of_the_close_before_is_what_the_day_is_measured_against(tmp_path: Path) -> None:
    venue = open_venue(tmp_path)
    symbol = call_of(venue, 10)

    async def play() -> None:
        account = venue.world.accounts["one"]
        assert account.last_equity == account.opening_cash
        await buy_and_hold(venue, symbol)
        await venue.advance_to(CLOSE)
        closing = venue.market.quote(symbol, CLOSE)
        assert closing is not None and closing.bid is not None
        expected = account.cash + closing.bid * 2 * 100
        await venue.advance_to(MONDAY.open)
        assert account.last_equity == expected != account.opening_cash

    run(play())


def test_expired_contracts_are_gone_and_day_orders_end_with_their_session(tmp_path: Path) -> None:
    venue = open_venue(tmp_path)
    lines = venue.market.chain("SPY", venue.world.now)
    today = next(line.contract.symbol for line in lines if line.contract.expiry == SESSION and (line.delta or 0) > 0.4)

    async def play() -> None:
        await buy_and_hold(venue, today)
        account = venue.world.accounts["one"]
        resting = {**order("KO", quantity=1), "type": "limit", "limit_price": "1.00"}
        placed = await venue.place(account, resting)
        await venue.advance_to(MONDAY.open + MINUTE)
        assert account.positions == {}
        assert placed.status == "expired"
        with pytest.raises(Refusal, match=r"not found|expired"):
            await venue.place(account, order(today))

    run(play())


@pytest.mark.patient
def test_a_killed_venue_continues_in_the_session_it_was_in(tmp_path: Path) -> None:
    venue = open_venue(tmp_path)
    symbol = call_of(venue, 10)

    async def play() -> None:
        await buy_and_hold(venue, symbol)
        await venue.advance_to(TUESDAY.open + 7 * MINUTE)

    run(play())
    venue._journal.close()
    again = open_venue(tmp_path)
    assert again.world.session == TUESDAY.day
    assert again.world.now == venue.world.now
    assert again.world.accounts == venue.world.accounts
    assert again.market.quote(symbol, again.world.now) == venue.market.quote(symbol, venue.world.now)


@pytest.mark.patient
def test_the_way_the_clock_is_moved_changes_nothing(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    one, other = (open_venue(folder) for folder in folders)
    symbol = call_of(one, 10)

    async def play(venue: Venue, step: timedelta) -> None:
        await buy_and_hold(venue, symbol)
        end = MONDAY.open + 30 * MINUTE
        while venue.world.now < end:
            await venue.advance_to(min(end, venue.world.now + step))

    run(play(one, timedelta(minutes=13)))
    run(play(other, timedelta(days=9)))
    assert one.world.accounts == other.world.accounts
    assert one.world.session == other.world.session


def test_the_world_ends_before_the_session_after_the_last(tmp_path: Path) -> None:
    venue = open_venue(tmp_path)

    async def play() -> None:
        with pytest.raises(Refusal, match="this world ends"):
            await venue.advance_to(shift(TUESDAY.day, 1).open)

    run(play())
    venue._journal.close()
    assert open_venue(tmp_path, last_session=shift(TUESDAY.day, 1).key).config.final_session > TUESDAY.day


def bars(day: date) -> list[tuple[Any, ...]]:
    session = require_session(day)
    return [("KO", session.open + n * MINUTE, 50.0, 50.1, 49.9, 50.0 + n / 1000, 900) for n in range(session.minutes)]


def test_a_recorded_world_plays_its_sessions_and_refuses_one_that_was_not_recorded(tmp_path: Path) -> None:
    names = ["ticker", "ts", "open", "high", "low", "close", "volume"]
    rows = [row for day in (shift(SESSION, -1).day, SESSION, MONDAY.day) for row in bars(day)]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(tmp_path / RECORDING_FILE)
    venue = open_venue(tmp_path, recorded=True)
    assert [asset.symbol for asset in venue.market.assets()] == ["KO"]
    assert venue.market.headlines() == []

    async def play() -> None:
        await venue.advance_to(MONDAY.open + 3 * MINUTE)
        assert venue.market.price_at("KO", venue.world.now) == Decimal("50.00")
        with pytest.raises(ConfigurationError, match="no minute of"):
            await venue.advance_to(TUESDAY.open)

    run(play())
