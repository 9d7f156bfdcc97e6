"""What positions are judged by when the broker refuses, is away, or the frames cannot be read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from trading_assets.broker.errors import BrokerUnavailable, Rejected
from trading_assets.domain.errors import NotAuthorized
from trading_assets.domain.values import Quote
from trading_assets.jobs import marking

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)


def quotes_but(refused: str) -> Any:
    def ask(symbols: Iterable[str]) -> dict[str, Quote]:
        wanted = list(symbols)
        if refused in wanted:
            raise Rejected(400, 40010001, f"invalid symbol: {refused}", {}, where="quotes")
        return {symbol: Quote(symbol, Decimal(1), Decimal(2), NOW, 1, 1) for symbol in wanted}

    return ask


def test_one_refused_symbol_does_not_hide_the_quotes_of_the_others() -> None:
    found = marking._quotes(quotes_but("GONE"), ["AAPL", "GONE", "KO"], "large")
    assert sorted(found) == ["AAPL", "KO"]


@pytest.mark.parametrize(
    "error", [BrokerUnavailable("no answer", where="quotes"), NotAuthorized("wrong key", where="quotes")]
)
def test_a_broker_that_does_not_answer_leaves_quotes_unknown(error: Exception) -> None:
    def ask(_: Iterable[str]) -> dict[str, Quote]:
        raise error

    assert marking._quotes(ask, ["AAPL"], "large") == {}


def test_frames_that_cannot_be_read_leave_features_and_regime_unknown() -> None:
    def read(*_: object) -> object:
        raise BrokerUnavailable("the frame is broken", where="frames")

    desk: Any = SimpleNamespace(frames=SimpleNamespace(read=read))
    session: Any = SimpleNamespace(key="2026-03-11")
    assert marking._features(desk, session) == {}
    assert marking.regime_or_none(desk, session) is None
