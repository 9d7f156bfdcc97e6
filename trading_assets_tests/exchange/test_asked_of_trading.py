"""What a request for account, listings or calendar asks for is what it gets, or it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from alpaca.trading.enums import AssetExchange
from alpaca.trading.models import AccountConfiguration
from alpaca.trading.requests import GetAssetsRequest

from trading_assets_tests.exchange.test_corporate_actions import LATE, MARKET, MONDAY, MORNING
from trading_assets_tests.exchange.venue_process import CLOSE, SESSION, Exchange, prepare


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A stock was bought late on Friday; its dividend was paid on Monday morning."""
    paid = {"type": "cash_dividend", "symbol": "PFE", "ex_session": MONDAY.key, "rate": "0.50"}
    running = prepare(tmp_path_factory.mktemp("asked"), LATE, last_session=MONDAY.key, actions=[paid]).start()
    running.post({**MARKET, "symbol": "PFE", "side": "buy", "qty": 10})
    running.step(60)
    running.advance(MONDAY.open + timedelta(minutes=30))
    yield running
    running.stop()


def kinds(exchange: Exchange, **asked: Any) -> list[str]:
    return [row["activity_type"] for row in exchange.get("/v2/account/activities", **asked, direction="asc").json()]


def test_activities_of_a_day_are_those_made_on_it_in_new_york(exchange: Exchange) -> None:
    fills = kinds(exchange, activity_types="FILL")
    assert fills and kinds(exchange) == [*fills, "DIV"]
    assert kinds(exchange, date=SESSION.isoformat()) == fills and kinds(exchange, date=MONDAY.key) == ["DIV"]
    # Still Friday in New York, though Saturday in London.
    assert kinds(exchange, date="2026-03-14T02:00:00Z") == fills
    assert kinds(exchange, date="2026-03-14") == []
    (line,) = exchange.get("/v2/account/activities/DIV").json()
    made = datetime.fromisoformat(line["created_at"].replace("Z", "+00:00"))
    assert made == MORNING and line["date"] == MONDAY.key
    for wrong in ({"direction": "down"}, {"date": "yesterday"}, {"page_size": "many"}):
        assert exchange.get("/v2/account/activities", **wrong).status_code == 400


def test_a_calendar_by_settlement_ends_a_session_earlier(exchange: Exchange) -> None:
    def days(**asked: str) -> list[str]:
        found = exchange.get("/v2/calendar", start="2026-03-30", end="2026-04-07", **asked).json()
        return [row["date"] for row in found]

    traded = days()
    assert traded == days(date_type="TRADING") and traded[0] == "2026-03-30"
    # Friday's trades settle on Monday; what is traded on the last day settles after it.
    assert days(date_type="SETTLEMENT") == ["2026-03-27", *traded[:-1]]
    assert exchange.get("/v2/calendar", date_type="settlement").status_code == 400


def test_assets_are_found_by_exchange_status_and_attribute(exchange: Exchange) -> None:
    client = exchange.trading()
    whole = client.get_all_assets()
    for place in {asset.exchange for asset in whole}:
        found = client.get_all_assets(GetAssetsRequest(exchange=AssetExchange(place)))
        assert found == [asset for asset in whole if asset.exchange == place] and len(found) < len(whole)
    optional = exchange.get("/v2/assets", attributes="has_options,ipo").json()
    assert {row["symbol"] for row in optional} == {a.symbol for a in whole if "has_options" in (a.attributes or [])}
    assert exchange.get("/v2/assets", attributes="ipo").json() == exchange.get("/v2/assets", status="inactive").json()
    assert exchange.get("/v2/assets", asset_class="crypto").json() == []
    for wrong in ({"status": "alive"}, {"asset_class": "stock"}):
        assert exchange.get("/v2/assets", **wrong).status_code == 400


def test_contracts_say_what_they_deliver_where_that_is_asked_for(exchange: Exchange) -> None:
    asked: dict[str, Any] = {"underlying_symbols": "NVDA", "limit": 3}
    plain = exchange.get("/v2/options/contracts", **asked).json()["option_contracts"]
    told = exchange.get("/v2/options/contracts", **asked, show_deliverables=True).json()["option_contracts"]
    stock = exchange.get("/v2/assets/NVDA").json()["id"]
    for row in told:
        (delivered,) = row.pop("deliverables")
        assert (delivered["type"], delivered["symbol"], delivered["asset_id"]) == ("equity", "NVDA", stock)
        assert (delivered["amount"], delivered["delayed_settlement"]) == ("100", False)
    assert told == plain and len(plain) == 3 and "deliverables" not in plain[0]
    assert exchange.get("/v2/options/contracts", **asked, ppind=True).json()["option_contracts"] == plain
    assert exchange.get("/v2/options/contracts", **asked, ppind=False).json()["option_contracts"] == []
    for wrong in ({"status": "alive"}, {"type": "calls"}, {"style": "asian"}, {"show_deliverables": "yes"}):
        assert exchange.get("/v2/options/contracts", **asked, **wrong).status_code == 400, wrong


def test_a_short_history_without_a_timeframe_is_one_of_minutes_and_refused_by_name(exchange: Exchange) -> None:
    path = "/v2/account/portfolio/history"
    for asked, frame in (({"period": "1D"}, "1Min"), ({"period": "2W"}, "15Min"), ({"timeframe": "5Min"}, "5Min")):
        said = exchange.get(path, **asked)
        assert said.status_code == 422 and f"timeframe {frame} is not offered" in said.json()["message"]
    for asked in ({}, {"period": "1M"}, {"period": "1A"}, {"period": "1D", "timeframe": "1D"}):
        assert exchange.get(path, **asked).json()["timeframe"] == "1D"
    three = {"period": "1D", "start": SESSION.isoformat(), "end": MONDAY.key}
    assert exchange.get(path, **three, timeframe="1D").status_code == 422
    for wrong in ({"timeframe": "1Hour"}, {"pnl_reset": "never"}, {"intraday_reporting": "always"}):
        assert exchange.get(path, **wrong).status_code == 400


def test_what_the_broker_removed_from_the_configuration_is_not_sent_and_may_be_sent_back(exchange: Exchange) -> None:
    assert not {"dtbp_check", "pdt_check"} & exchange.get("/v2/account/configurations").json().keys()
    seen = exchange.trading().get_account_configurations()
    assert isinstance(seen, AccountConfiguration) and seen.pdt_check is None is seen.dtbp_check
    assert exchange.trading().set_account_configurations(seen) == seen
    assert exchange.now() > CLOSE
