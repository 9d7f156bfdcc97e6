"""What a request for data asks for is what it gets, or it is refused: no parameter is passed over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical.news import NewsClient
from alpaca.data.requests import NewsRequest, OptionChainRequest, OptionSnapshotRequest

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
