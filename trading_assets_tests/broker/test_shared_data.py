"""Market data goes through the first account that answers, and an account's trouble is never everybody's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import polars as pl
import pytest

from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized, Rejected
from trading_assets.broker.shared_data import SharedMarketData
from trading_assets.domain.errors import ConfigurationError
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.desk import SteppedClock
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy, proxied

NOW = datetime(2026, 3, 11, 15, tzinfo=UTC)
DAY = date(2026, 3, 11)
_JSON = {"Content-Type": "application/json"}
QUESTIONS: list[Callable[[SharedMarketData], Any]] = [
    lambda data: data.stock_bars(["KO"], NOW, NOW),
    lambda data: data.daily_bars(["KO"], DAY, DAY),
    lambda data: data.quotes(["KO"]),
    lambda data: data.option_chain("KO", DAY, DAY),
]


class Connection:
    """Answers with its name, or raises ``trouble`` while it has one; counts how often it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = 0
        self.trouble: Exception | None = None

    def answer(self, *_: object, **__: object) -> Any:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        return pl.DataFrame({"from": [self.name]})

    def impatient(self) -> Connection:
        return self

    stock_bars = daily_bars = quotes = option_chain = answer


def shared(*connections: Connection) -> SharedMarketData:
    return SharedMarketData([(c.name, lambda c=c: c) for c in connections])  # type: ignore[misc]


@pytest.mark.parametrize("ask", QUESTIONS, ids=["bars", "daily bars", "quotes", "chain"])
@pytest.mark.parametrize(
    "trouble",
    [BrokerUnavailable("no answer", where="x"), NotAuthorized("no", where="x"), ConfigurationError("no key")],
    ids=["unavailable", "refused keys", "no keys"],
)
def test_the_next_account_answers_and_is_asked_first_from_then_on(
    ask: Callable[[SharedMarketData], Any], trouble: Exception
) -> None:
    large, tiny = Connection("large"), Connection("tiny")
    data = shared(large, tiny)
    large.trouble = trouble
    assert ask(data)["from"].item() == "tiny"
    assert ask(data)["from"].item() == "tiny"
    assert (large.asked, tiny.asked) == (1, 2), "a connection that fails is not waited for every time"
    large.trouble, tiny.trouble = None, trouble
    assert ask(data)["from"].item() == "large"


def test_if_none_answers_the_error_of_the_first_is_raised() -> None:
    large, tiny = Connection("large"), Connection("tiny")
    large.trouble, tiny.trouble = BrokerUnavailable("first", where="x"), NotAuthorized("second", where="x")
    with pytest.raises(BrokerUnavailable, match="first"):
        shared(large, tiny).quotes(["KO"])


def test_a_definitive_refusal_is_an_answer() -> None:
    large, tiny = Connection("large"), Connection("tiny")
    large.trouble = Rejected(400, 40010001, "invalid symbol", {}, where="x")
    with pytest.raises(Rejected):
        shared(large, tiny).quotes(["KO"])
    assert tiny.asked == 0


def test_F01_an_account_that_hangs_costs_everybody_one_time_out(
    exchange_url: str, clock: SteppedClock, proxy: FaultProxy
) -> None:
    proxy.faults.append(Fault("GET", "/stocks/quotes/latest", "lose_request", times=99))
    with proxied(exchange_url) as healthy:
        healthy.faults.append(
            Fault("GET", "/stocks/quotes/latest", "answer", body=b'{"quotes": {}}', headers=_JSON, times=99)
        )
        brokers = {name: desk.connect(at.url, clock) for name, at in (("large", proxy), ("tiny", healthy))}
        data = SharedMarketData([(name, partial(brokers.__getitem__, name)) for name in brokers])
        assert data.quotes(["KO"]) == {}
        assert proxy.count("GET", "/stocks/quotes/latest") == 1
        for broker in brokers.values():
            broker.close()


def test_F07_a_moment_in_which_no_account_answers_is_waited_out_with_the_first(
    exchange_url: str, clock: SteppedClock, proxy: FaultProxy
) -> None:
    path = "/stocks/quotes/latest"
    proxy.faults.append(Fault("GET", path, "answer", status=503, times=3))
    proxy.faults.append(Fault("GET", path, "answer", body=b'{"quotes": {}}', headers=_JSON))
    brokers = {name: desk.connect(proxy.url, clock) for name in ("large", "tiny")}
    data = SharedMarketData([(name, partial(brokers.__getitem__, name)) for name in brokers])
    assert data.quotes(["KO"]) == {}
    assert proxy.count("GET", path) == 4
    for broker in brokers.values():
        broker.close()
