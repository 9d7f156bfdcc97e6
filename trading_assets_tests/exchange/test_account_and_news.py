"""Configuration, portfolio history, news and corporate actions through the unmodified SDK."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.historical.news import NewsClient
from alpaca.data.requests import CorporateActionsRequest, NewsRequest
from alpaca.trading.models import AccountConfiguration, PortfolioHistory
from alpaca.trading.requests import GetPortfolioHistoryRequest

from trading_assets.market.sessions import shift
from trading_assets_tests.exchange.test_trading import call_near_the_money, limit, refusal
from trading_assets_tests.exchange.venue_process import CLOSE, KEY, OPEN, SECRET, SESSION, Exchange, prepare

TWO_HOURS = OPEN + timedelta(hours=2)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    running = prepare(tmp_path_factory.mktemp("account"), TWO_HOURS).start()
    yield running
    running.stop()


def configured(exchange: Exchange, **changes: Any) -> AccountConfiguration:
    """Read the configuration, change it and send it whole, as the SDK does."""
    seen = exchange.trading().get_account_configurations()
    assert isinstance(seen, AccountConfiguration)
    answer = exchange.trading().set_account_configurations(seen.model_copy(update=changes))
    assert isinstance(answer, AccountConfiguration)
    return answer


def test_a_suspended_account_takes_no_order_until_it_is_released(exchange: Exchange) -> None:
    assert configured(exchange, suspend_trade=True).suspend_trade is True
    assert exchange.get("/v2/account").json()["trade_suspended_by_user"] is True
    said = refusal(exchange, limit("KO", "buy", 1, 5))
    assert said == (403, 40310000, "new orders are rejected by user request")
    assert configured(exchange, suspend_trade=False).suspend_trade is False
    order = exchange.post(limit("KO", "buy", 1, 5))
    assert order.status_code == 200
    exchange.trading().cancel_orders()


def test_a_lower_options_level_keeps_from_options_and_outlives_a_restart(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    running = prepare(tmp_path_factory.mktemp("level"), TWO_HOURS).start()
    try:
        symbol, _ = call_near_the_money(running)
        body = {"symbol": symbol, "side": "buy", "qty": 1, "type": "market", "time_in_force": "day"}
        configured(running, max_options_trading_level=1)
        running.kill()
        running.start()
        account = running.get("/v2/account").json()
        assert (account["options_trading_level"], account["options_approved_level"]) == (1, 2)
        assert refusal(running, body)[:2] == (403, 40310000)
        configured(running, max_options_trading_level=2)
        assert running.post(body).status_code == 200
    finally:
        running.stop()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"no_shorting": False}, 422, "no_shorting False is not offered"),
        ({"fractional_trading": True}, 422, "not offered"),
        ({"max_margin_multiplier": "4"}, 422, "not offered"),
        ({"suspend_trade": "yes"}, 422, "invalid suspend_trade"),
        ({"trade_confirm_email": "some"}, 422, "invalid trade_confirm_email"),
        ({"max_options_trading_level": 7}, 422, "invalid max_options_trading_level"),
        ({"max_options_trading_level": True}, 422, "invalid max_options_trading_level"),
        ({"colour": "red"}, 422, "unknown field"),
        ([], 400, "request body"),
    ],
)
def test_a_configuration_that_cannot_be_had_changes_nothing(
    exchange: Exchange, body: Any, status: int, words: str
) -> None:
    before = exchange.get("/v2/account/configurations").json()
    answer = httpx.patch(f"{exchange.url}/v2/account/configurations", json=body, headers=dict(exchange.headers))
    assert (answer.status_code, words in answer.json()["message"]) == (status, True), answer.text
    assert exchange.get("/v2/account/configurations").json() == before


def test_portfolio_history_has_the_equity_of_each_close_and_of_now(tmp_path_factory: pytest.TempPathFactory) -> None:
    following = shift(SESSION, 1)
    folder = tmp_path_factory.mktemp("history")
    running = prepare(folder, TWO_HOURS, last_session=following.key).start()
    try:
        running.post({"symbol": "KO", "side": "buy", "qty": 50, "type": "market", "time_in_force": "day"})
        running.advance(CLOSE)
        at_close = float(running.get("/v2/account").json()["equity"])
        running.advance(following.open + timedelta(hours=1))
        history = running.trading().get_portfolio_history(GetPortfolioHistoryRequest(period="1M", timeframe="1D"))
        assert isinstance(history, PortfolioHistory)
        account = running.get("/v2/account").json()
        assert history.base_value == 50_000 and len(history.timestamp) == 2
        assert history.equity == [at_close, float(account["equity"])]
        assert float(account["last_equity"]) == at_close
        assert history.profit_loss[1] == pytest.approx(history.equity[1] - 50_000)
        assert history.profit_loss_pct[1] == pytest.approx(history.profit_loss[1] / 50_000)
        today = running.get("/v2/account/portfolio/history", start=following.key, timeframe="1D").json()
        assert today["base_value"] == at_close and today["equity"] == history.equity[1:]
    finally:
        running.stop()


def test_what_was_gained_today_counts_from_the_last_close_of_what_was_held_then(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    following = shift(SESSION, 1)
    running = prepare(tmp_path_factory.mktemp("today"), TWO_HOURS, last_session=following.key).start()
    market = {"type": "market", "time_in_force": "day"}
    try:
        symbol, _ = call_near_the_money(running)
        running.post({**market, "symbol": "KO", "side": "buy", "qty": 50})
        running.post({**market, "symbol": symbol, "side": "buy", "qty": 1})
        running.step(600)
        for position in running.trading().get_all_positions():
            assert position.unrealized_intraday_pl == position.unrealized_pl, "all of it was bought today"
        running.advance(following.open + timedelta(hours=1))
        held = running.trading().get_open_position("KO")
        assert held.lastday_price and held.current_price
        moved = Decimal(held.current_price) - Decimal(held.lastday_price)
        assert moved != Decimal(held.current_price) - Decimal(held.avg_entry_price)
        assert Decimal(held.unrealized_intraday_pl or "") == 50 * moved
        assert float(held.unrealized_intraday_plpc or "") == pytest.approx(float(held.change_today or ""), abs=1e-6)
        # What an option closed at before it was listed in this session is not known: nothing is made up.
        assert running.trading().get_open_position(symbol).unrealized_intraday_pl is None
        more = running.post({**market, "symbol": "KO", "side": "buy", "qty": 10}).json()
        running.step(600)
        paid = Decimal(running.get(f"/v2/orders/{more['id']}").json()["filled_avg_price"])
        now = running.trading().get_open_position("KO")
        since = 50 * (Decimal(now.current_price or "") - Decimal(held.lastday_price))
        assert Decimal(now.unrealized_intraday_pl or "") == since + 10 * (Decimal(now.current_price or "") - paid)
    finally:
        running.stop()


def test_a_history_that_is_not_kept_is_refused_by_name(exchange: Exchange) -> None:
    said = exchange.get("/v2/account/portfolio/history", timeframe="1Min")
    assert said.status_code == 422 and "timeframe 1Min is not offered" in said.json()["message"]
    assert exchange.get("/v2/account/portfolio/history", period="soon").status_code == 400


def news(exchange: Exchange, **wanted: Any) -> list[Any]:
    client = NewsClient(KEY, SECRET, url_override=exchange.url)
    found: list[Any] = client.get_news(NewsRequest(**wanted)).data["news"]
    return found


def test_news_are_those_of_the_feeds_newest_first_and_none_of_the_future(exchange: Exchange) -> None:
    now = exchange.now()
    articles = news(exchange, limit=1000)
    assert len(articles) > 50, "more than one page"
    assert len({article.id for article in articles}) == len(articles)
    stamps = [article.created_at for article in articles]
    assert stamps == sorted(stamps, reverse=True) and stamps[0] <= now
    assert news(exchange, limit=1000, sort="asc") == articles[::-1]
    titles = {article.headline for article in articles}
    feed = httpx.get(f"{exchange.url}/rss/{articles[0].source}.xml").text
    assert sum(title.split("&")[0] in feed for title in titles) > 0
    later = now + timedelta(minutes=30)
    exchange.advance(later)
    more = news(exchange, start=now, limit=1000)
    assert more and all(now <= article.created_at <= later for article in more)


def test_news_are_found_by_symbol(exchange: Exchange) -> None:
    named = next(article for article in news(exchange, limit=1000) if article.symbols)
    found = news(exchange, symbols=named.symbols[0], limit=1000)
    assert named.id in {article.id for article in found}
    assert all(named.symbols[0] in article.symbols for article in found)
    assert news(exchange, symbols="NOPE") == []


def test_content_is_sent_only_where_it_is_asked_for(exchange: Exchange) -> None:
    assert {article.content for article in news(exchange, limit=20)} == {""}
    assert any(article.content for article in news(exchange, limit=20, include_content=True))


def test_there_are_no_corporate_actions(exchange: Exchange) -> None:
    client = CorporateActionsClient(KEY, SECRET, url_override=exchange.url)
    found = client.get_corporate_actions(CorporateActionsRequest(symbols=["KO"], start=SESSION))
    assert found.data == {}
    with pytest.raises(APIError):
        CorporateActionsClient("nobody", "nothing", url_override=exchange.url).get_corporate_actions(
            CorporateActionsRequest(symbols=["KO"])
        )
