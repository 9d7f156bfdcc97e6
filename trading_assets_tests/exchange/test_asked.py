"""What a request for data asks for is what it gets, or it is refused: no parameter is passed over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical.news import NewsClient
from alpaca.data.requests import NewsRequest, OptionChainRequest, OptionSnapshotRequest, StockBarsRequest
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

from trading_assets_tests.exchange.venue_process import KEY, MINUTE, OPEN, SECRET, SESSION, Exchange, prepare

NOW = OPEN + 60 * MINUTE


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    running = prepare(tmp_path_factory.mktemp("asked"), NOW).start()
    yield running
    running.stop()


def chain(exchange: Exchange, **asked: Any) -> list[str]:
    request = OptionChainRequest(underlying_symbol="NVDA", **asked)
    return sorted(exchange.options(raw=True).get_option_chain(request))


def bars(exchange: Exchange, count: int, unit: TimeFrameUnit, start: datetime) -> list[Any]:
    request = StockBarsRequest(symbol_or_symbols="KO", timeframe=TimeFrame(count, unit), start=start)
    found: list[Any] = exchange.stocks().get_stock_bars(request).data["KO"]
    return found


@pytest.mark.parametrize(
    ("count", "unit", "starts"),
    [
        (5, TimeFrameUnit.Minute, [OPEN + number * 5 * MINUTE for number in range(12)]),
        (20, TimeFrameUnit.Minute, [OPEN + (number * 20 - 10) * MINUTE for number in range(4)]),
        (1, TimeFrameUnit.Hour, [OPEN - 30 * MINUTE]),
    ],
)
def test_longer_bars_are_made_of_the_minutes_in_them_and_appear_when_they_are_over(
    exchange: Exchange, count: int, unit: TimeFrameUnit, starts: list[datetime]
) -> None:
    minutes = bars(exchange, 1, TimeFrameUnit.Minute, OPEN)
    found = bars(exchange, count, unit, OPEN - 60 * MINUTE)
    length = count * (60 if unit is TimeFrameUnit.Hour else 1) * MINUTE
    over = [start for start in starts if start + length <= NOW]
    assert [bar.timestamp for bar in found] == over
    for bar in found:
        within = [minute for minute in minutes if bar.timestamp <= minute.timestamp < bar.timestamp + length]
        assert (bar.open, bar.close) == (within[0].open, within[-1].close)
        assert (bar.high, bar.low) == (max(m.high for m in within), min(m.low for m in within))
        assert (bar.volume, bar.trade_count) == (sum(m.volume for m in within), sum(m.trade_count for m in within))
        assert bar.low <= bar.vwap <= bar.high


def test_weeks_and_months_are_made_of_the_days_that_are_over(exchange: Exchange) -> None:
    start = OPEN - timedelta(days=100)
    days = bars(exchange, 1, TimeFrameUnit.Day, start)
    for count, unit in ((1, TimeFrameUnit.Week), (1, TimeFrameUnit.Month), (3, TimeFrameUnit.Month)):
        found = bars(exchange, count, unit, start)
        assert len(found) > 1 or count == 3
        for bar, later in zip(found, [*found[1:], None], strict=True):
            until = NOW if later is None else later.timestamp
            within = [day for day in days if bar.timestamp <= day.timestamp < until]
            assert (bar.open, bar.close, bar.volume) == (
                within[0].open,
                within[-1].close,
                sum(day.volume for day in within),
            )
    for wrong in ("60Min", "24Hour", "2Day", "2Week", "5Month", "1min", "0Min", "Min"):
        assert exchange.get("/v2/stocks/bars", symbols="KO", timeframe=wrong).status_code == 400, wrong


def test_more_contracts_than_one_request_may_name_are_refused_and_none_is_left_out(exchange: Exchange) -> None:
    names = chain(exchange)[:101]
    whole = exchange.options(raw=True).get_option_snapshot(OptionSnapshotRequest(symbol_or_symbols=names[:100]))
    assert sorted(whole) == names[:100]
    for path in ("snapshots", "quotes/latest", "trades/latest", "bars", "trades"):
        said = exchange.get(f"/v1beta1/options/{path}", symbols=",".join(names))
        assert said.status_code == 400 and "too many symbols" in said.json()["message"], path
    with pytest.raises(APIError):
        exchange.options().get_option_snapshot(OptionSnapshotRequest(symbol_or_symbols=names))


def test_snapshots_of_named_contracts_come_in_pages(exchange: Exchange) -> None:
    names = chain(exchange)[:5]
    joined: list[str] = []
    token: str | None = None
    while True:
        place: dict[str, Any] = {"page_token": token} if token else {}
        page = exchange.get("/v1beta1/options/snapshots", symbols=",".join(names), limit=2, **place).json()
        assert len(page["snapshots"]) <= 2
        joined += page["snapshots"]
        token = page["next_page_token"]
        if token is None:
            break
    assert joined == names


def test_snapshots_that_are_older_than_asked_for_are_left_out(exchange: Exchange) -> None:
    known = chain(exchange)
    assert chain(exchange, updated_since=NOW) == known
    assert chain(exchange, updated_since=NOW + timedelta(seconds=1)) == []
    some = exchange.get("/v1beta1/options/snapshots", symbols=known[0], updated_since="2026-03-14T00:00:00Z").json()
    assert some == {"snapshots": {}, "next_page_token": None}


@pytest.mark.parametrize("path", ["stocks/bars", "stocks/quotes", "stocks/trades/latest", "stocks/snapshots"])
def test_a_request_for_no_symbol_is_refused(exchange: Exchange, path: str) -> None:
    said = exchange.get(f"/v2/{path}", timeframe="1Min")
    assert said.status_code == 400 and "symbols is required" in said.json()["message"]


@pytest.mark.parametrize("path", ["snapshots", "bars", "trades", "quotes/latest", "trades/latest"])
def test_a_request_for_no_contract_is_refused(exchange: Exchange, path: str) -> None:
    assert exchange.get(f"/v1beta1/options/{path}").status_code == 400


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v2/stocks/bars", {"symbols": "KO", "sort": "down"}),
        ("/v2/stocks/quotes", {"symbols": "KO", "sort": "DESC"}),
        ("/v1beta1/options/snapshots/NVDA", {"type": "calls"}),
        ("/v1beta1/news", {"sort": "up"}),
        ("/v1beta1/news", {"include_content": "yes"}),
        ("/v1/corporate-actions", {"sort": "up"}),
    ],
)
def test_a_word_that_is_none_of_those_known_is_refused(exchange: Exchange, path: str, query: dict[str, str]) -> None:
    assert exchange.get(path, **query).status_code == 400


def test_articles_without_content_are_left_out_where_that_is_asked_for(exchange: Exchange) -> None:
    client = NewsClient(KEY, SECRET, url_override=exchange.url)

    def read(**asked: Any) -> list[Any]:
        request = NewsRequest(start=SESSION - timedelta(days=3), limit=1000, include_content=True, **asked)
        found: list[Any] = client.get_news(request).data["news"]
        return found

    everything = read()
    assert read(exclude_contentless=True) == [article for article in everything if article.content]
    assert exchange.get("/v1beta1/news", exclude_contentless="perhaps").status_code == 400
