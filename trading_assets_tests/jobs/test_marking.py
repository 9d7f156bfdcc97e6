"""What positions are judged by when the broker refuses, is away, or the frames cannot be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from trading_assets.broker.errors import BrokerUnavailable, Rejected
from trading_assets.domain.errors import NotAuthorized
from trading_assets.domain.values import KillMode, OpenPosition, Priority, Quote, Strategy
from trading_assets.jobs import marking
from trading_assets.jobs.marking import Marking
from trading_assets.market.sessions import require_session
from trading_assets.strategy.exit_values import AccountFacts, ExitMarket
from trading_assets.strategy.exits import evaluate_exit
from trading_assets.strategy_config import StrategyConfig
from trading_assets_tests.strategy.trading_builders import position, snapshot

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)


def quotes_but(refused: str) -> Any:
    def ask(symbols: Iterable[str]) -> dict[str, Quote]:
        wanted = list(symbols)
        if refused in wanted:
            raise Rejected(400, 40010001, f"invalid symbol: {refused}", {}, where="quotes")
        return {symbol: Quote(symbol, Decimal(1), Decimal(2), NOW, 1, 1) for symbol in wanted}

    return ask


def desk_of(broker: Any) -> Any:
    """A desk as far as marking looks at it."""
    broker.impatient = lambda attempts=1: broker
    return SimpleNamespace(
        broker=lambda _: broker, clock=SimpleNamespace(now=lambda: NOW), strategy=lambda _: StrategyConfig()
    )


def marked(broker: Any) -> Marking:
    return Marking(desk_of(broker), "large", require_session(NOW.date()), None)


def test_one_refused_symbol_does_not_hide_the_quotes_of_the_others() -> None:
    found = marked(SimpleNamespace())._quotes(quotes_but("GONE"), ["AAPL", "GONE", "KO"])
    assert sorted(found) == ["AAPL", "KO"]


@pytest.mark.parametrize(
    "error", [BrokerUnavailable("no answer", where="quotes"), NotAuthorized("wrong key", where="quotes")]
)
def test_a_broker_that_does_not_answer_leaves_quotes_unknown(error: Exception) -> None:
    def ask(_: Iterable[str]) -> dict[str, Quote]:
        raise error

    market = marked(SimpleNamespace())
    assert market._quotes(ask, ["AAPL"]) == {}
    assert market.quotes_silent and not market.chains_silent, "a stop may still do with the model value"


def test_frames_that_cannot_be_read_leave_features_and_regime_unknown() -> None:
    def read(*_: object) -> object:
        raise BrokerUnavailable("the frame is broken", where="frames")

    desk: Any = SimpleNamespace(frames=SimpleNamespace(read=read))
    session: Any = SimpleNamespace(key="2026-03-11")
    assert marking._features(desk, session) == {}
    assert marking.regime_or_none(desk, session) is None


# --- facts that serve alerts and exits on Greeks ----------------------------------------------------------------------


def swing(symbol: str) -> OpenPosition:
    return position(Strategy.SWING_TRADE, position_id=symbol, symbol=symbol, expiry=date(2026, 3, 27))


def seen(symbol: str, bid: str | None) -> ExitMarket:
    quote = None if bid is None else Quote(symbol, Decimal(bid), Decimal("2.10"), NOW)
    return ExitMarket(quote, Decimal(100), NOW)


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (BrokerUnavailable("no answer", where="chain"), ["DARK1"]),
        (Rejected(400, 40010001, "invalid symbol", {}, where="chain"), ["DARK1", "DARK2", "QUOTED1", "QUOTED2"]),
        (ValueError("an odd chain"), ["DARK1", "DARK2", "QUOTED1", "QUOTED2"]),
    ],
)
def test_what_a_stop_needs_is_asked_first_and_a_broker_that_is_away_only_once(
    error: Exception, asked: list[str]
) -> None:
    names = ["QUOTED1", "DARK1", "QUOTED2", "DARK2"]
    found: list[str] = []

    def chain(underlying: str, *_: Any, **__: Any) -> Any:
        found.append(underlying)
        raise error

    held = [replace(swing(name), underlying=name) for name in names]
    markets = {name: seen(name, None if name.startswith("DARK") else "2.00") for name in names}
    result = marked(SimpleNamespace(option_chain=chain)).with_contract_facts(held, markets)
    assert result == markets, "what is not known stays None"
    assert found == asked


def test_without_a_price_of_the_underlying_no_chain_is_asked_for() -> None:
    dark = ExitMarket(None, None, None)
    assert marked(SimpleNamespace()).with_contract_facts([swing("X")], {"X": dark}) == {"X": dark}


def test_an_old_quote_is_asked_for_again_before_a_sale_and_a_fresh_one_is_kept() -> None:
    new = Quote("X", Decimal("1.90"), Decimal("2.00"), NOW)
    answering = marked(SimpleNamespace(option_quotes=lambda _: {"X": new}))
    old = ExitMarket(Quote("X", Decimal(3), Decimal(4), NOW - timedelta(seconds=61)), Decimal(100), NOW)
    assert answering.requoted(swing("X"), old).quote == new
    fresh = seen("X", "2.00")
    assert answering.requoted(swing("X"), fresh) is fresh
    assert marked(SimpleNamespace(option_quotes=lambda _: {})).requoted(swing("X"), old) == old
    answering.quotes_silent = True
    assert answering.requoted(swing("X"), old) is old, "a feed that does not answer is not waited for again"


def test_earnings_count_from_after_today_to_the_next_session() -> None:
    friday = require_session(date(2026, 3, 13))
    for day, expected in ((13, False), (14, True), (16, True), (17, False)):
        assert marking.earnings_next_session({"KO": [date(2026, 3, day)]}, "KO", friday) is expected
    assert marking.earnings_next_session({"KO": [date(2026, 3, 16)]}, "PEP", friday) is False
    assert marking.earnings_next_session(None, "KO", friday) is None


def test_F29_a_contract_with_another_deliverable_is_not_sold_by_a_model_of_a_standard_one() -> None:
    # Three for two: 150 shares at 180 for 100 at 180, while a share fell from 190 to 126.67 by the split alone.
    name, expiry = "NVDA1260327C00180000", date(2026, 3, 27)
    held = position(
        Strategy.SWING_TRADE,
        position_id=name,
        symbol=name,
        strike=Decimal(180),
        expiry=expiry,
        entry_price=Decimal("12.00"),
        entry_underlying=Decimal("126.67"),
        opened_at=NOW - timedelta(days=1),
    )
    row = snapshot("180", bid=None, ask=None, symbol=name, root="NVDA1", expiry=expiry)
    row = replace(row, iv=0.45, delta=None, gamma=None, theta=None, vega=None)
    old = Quote(name, Decimal("12.20"), Decimal("12.60"), NOW - timedelta(minutes=5))
    market = ExitMarket(old, Decimal("126.67"), NOW)
    found = marked(SimpleNamespace(option_chain=lambda *_, **__: [row])).with_contract_facts([held], {name: market})
    outcome = evaluate_exit(
        held,
        found[name],
        session=require_session(NOW.date()),
        as_of=NOW,
        account=AccountFacts(KillMode.OFF, False),
        config=StrategyConfig().exits,
    )
    assert outcome.decision is None
    assert found[name] == market, "nothing here knows what it delivers"
    assert any(alert.rule == "quote" and alert.priority is Priority.HIGH for alert in outcome.alerts)
