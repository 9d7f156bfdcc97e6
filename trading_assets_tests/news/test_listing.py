"""The broker's list of assets: read once a day, kept when it cannot be read, and what it says about names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import Engine

from trading_assets.assets.broker_list import broker_list
from trading_assets.assets.scope import Kind, Scope
from trading_assets.assets.sentiment import _listed
from trading_assets.broker.values import BrokerAsset
from trading_assets.domain.errors import BrokerUnavailable, TradingAssetsError
from trading_assets.ledger.companies import current_list
from trading_assets.news.listing import refresh_list
from trading_assets.resources.desk import Desk
from trading_assets_tests.news.conftest import SetClock

APPLE = BrokerAsset("AAPL", "Apple Inc. Common Stock", "NASDAQ", tradable=True, optionable=True)
FORD = BrokerAsset("F", "Ford Motor Company Common Stock", "NYSE", tradable=True, optionable=True)
NAMELESS = BrokerAsset("ZZZ", None, None, tradable=False, optionable=False)


class Broker:
    """Counts how often it is asked; answers with what it holds, or fails."""

    def __init__(self, *assets: BrokerAsset) -> None:
        self.assets = list(assets)
        self.asked = 0
        self.fails = False

    def __call__(self) -> list[BrokerAsset]:
        self.asked += 1
        if self.fails:
            raise TradingAssetsError("the broker is away")
        return self.assets


def listed(engine: Engine) -> dict[str, str | None]:
    with engine.connect() as connection:
        return {symbol: company.name for symbol, company in current_list(connection).items()}


def test_the_list_is_read_once_a_day_and_replaced_as_a_whole(ledger: Engine, clock: SetClock) -> None:
    broker = Broker(APPLE, FORD, NAMELESS)
    assert refresh_list(ledger, broker, clock).symbols == 3
    assert refresh_list(ledger, broker, clock).asked is False
    clock.advance(hours=20)  # 06:00 of the next day in New York
    broker.assets = [APPLE, FORD]
    assert refresh_list(ledger, broker, clock).symbols == 2
    assert broker.asked == 2
    assert set(listed(ledger)) == {"AAPL", "F"}


@pytest.mark.parametrize("empty", [False, True], ids=["away", "empty"])
def test_F03_a_list_that_cannot_be_read_leaves_the_old_one_and_is_told(
    ledger: Engine, clock: SetClock, empty: bool
) -> None:
    broker = Broker(APPLE, FORD)
    refresh_list(ledger, broker, clock)
    clock.advance(hours=20)
    broker.fails, broker.assets = not empty, []
    report = refresh_list(ledger, broker, clock)
    assert report.error is not None
    assert (report.symbols, report.asked) == (2, True)
    assert set(listed(ledger)) == {"AAPL", "F"}
    for _ in range(14):
        clock.advance(minutes=1)
        refresh_list(ledger, broker, clock)
    assert broker.asked == 2
    clock.advance(minutes=1)
    broker.fails, broker.assets = False, [FORD]
    assert refresh_list(ledger, broker, clock).error is None
    assert set(listed(ledger)) == {"F"}


def test_without_any_list_the_broker_is_asked_again_at_once(ledger: Engine, clock: SetClock) -> None:
    broker = Broker(APPLE)
    broker.fails = True
    assert refresh_list(ledger, broker, clock).symbols == 0
    clock.advance(minutes=1)
    broker.fails = False
    assert refresh_list(ledger, broker, clock).symbols == 1


def test_F40_a_list_that_was_cut_short_is_refused_until_the_stored_one_is_a_week_old(
    ledger: Engine, clock: SetClock
) -> None:
    broker = Broker(APPLE, FORD, NAMELESS)
    refresh_list(ledger, broker, clock)
    broker.assets = [FORD, FORD]
    clock.advance(hours=24)
    report = refresh_list(ledger, broker, clock)
    assert report.symbols == 3 and report.error is not None and "1 symbols, and 3 on 2026-03-12" in report.error
    assert set(listed(ledger)) == {"AAPL", "F", "ZZZ"}
    clock.advance(days=6, minutes=15)
    assert refresh_list(ledger, broker, clock).error is None
    assert set(listed(ledger)) == {"F"}, "then it is believed"


def test_F40_an_account_that_tells_half_of_the_assets_is_passed_over_and_a_warning_says_so(
    ledger: Engine, clock: SetClock
) -> None:
    whole, half = Broker(APPLE, FORD, NAMELESS), Broker(APPLE)
    brokers = {"first": SimpleNamespace(assets=half), "second": SimpleNamespace(assets=whole)}
    accounts = [SimpleNamespace(name=name) for name in brokers]
    parts = SimpleNamespace(ledger=ledger, clock=clock, accounts=accounts, broker=brokers.__getitem__, unlisted=None)
    desk = cast("Desk", parts)
    refresh_list(ledger, whole, clock)
    assert list(broker_list(desk)) == [APPLE, FORD, NAMELESS]
    whole.fails = True
    with pytest.raises(BrokerUnavailable, match=r"first: .*cut short.*second: the broker is away") as refused:
        broker_list(desk)
    scope = Scope("2026-03-12", Kind.LIVE, clock.now())
    assert _listed(desk, scope).passed
    desk.unlisted = str(refused.value)
    found = _listed(desk, scope)
    assert not found.passed and found.warning and "cut short" in found.description
