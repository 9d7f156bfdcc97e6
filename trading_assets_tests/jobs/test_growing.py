"""An add never runs against the exits: what a rule would sell, now or afterwards, is not bought."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from trading_assets.domain.values import KillMode, OpenPosition, Regime, Signal, Strategy
from trading_assets.jobs import growing
from trading_assets.jobs.growing import Exits, Growing, find_growing
from trading_assets.ledger import orders
from trading_assets.risk.adding import AddDecision
from trading_assets.strategy.config_trading import ExitConfig
from trading_assets.strategy.exit_values import AccountFacts, ExitMarket
from trading_assets.strategy_config import StrategyConfig
from trading_assets_tests.risk.builders import account, facts, signal
from trading_assets_tests.strategy.trading_builders import FULL, NOON, position, quote, snapshot

ALLOWED = AddDecision(True, Decimal("0.28"), "a profit of 28.0% reaches 15%")
SWING = signal(strategy=Strategy.SWING_TRADE)
CONTRACT = snapshot("180", dte=20, bid="2.56", ask="2.66", delta=0.5)


def held(quantity: int = 3, **changes: Any) -> OpenPosition:
    """Calls bought at 2.00, of the contract that the chain lists."""
    base = position(Strategy.SWING_TRADE, dte=20, quantity=quantity, quantity_opened=quantity)
    return replace(base, symbol=CONTRACT.contract.symbol, underlying="NVDA", entry_underlying=Decimal(180), **changes)


def exits(bid: str) -> Exits:
    ask = str(Decimal(bid) + Decimal("0.10"))
    market = ExitMarket(
        quote=quote(bid, ask, symbol=CONTRACT.contract.symbol),
        underlying_price=Decimal(180),
        underlying_at=NOON,
        delta=0.5,
        theta=-0.05,
    )
    return Exits(market, FULL, NOON, AccountFacts(KillMode.OFF, False), ExitConfig())


def judged(
    monkeypatch: pytest.MonkeyPatch,
    *positions: OpenPosition,
    bid: str | None = "2.56",
    asked: Signal = SWING,
    listed: bool = True,
    age: int = 0,
    equity: str = "121000",
    regime: Regime = Regime.NORMAL,
) -> Growing | None:
    """What is found for ``positions`` when their contract is bid so much."""
    monkeypatch.setattr(growing, "regime_at", lambda *_: regime)
    monkeypatch.setattr(orders, "adds_done", lambda *_: 0)
    strategy = StrategyConfig.model_validate({})
    nothing = SimpleNamespace(__enter__=lambda _: None, __exit__=lambda *_: None)
    connection = type("Connected", (), {"__enter__": lambda _: nothing, "__exit__": lambda *_: None})
    desk: Any = SimpleNamespace(strategy=lambda _: strategy, ledger=SimpleNamespace(connect=connection))
    row = replace(
        CONTRACT, quote=quote(bid, "9.00" if bid is None else str(Decimal(bid) + 1), symbol=CONTRACT.contract.symbol)
    )
    as_of = NOON + age * (FULL.close - FULL.open) / 390
    spot = quote("179.95", "180.05", at=as_of, symbol="NVDA")
    seen = account(equity, positions=positions)
    return find_growing(desk, "large", asked, FULL, seen, spot, [row] if listed else [], facts(), as_of)


def test_nothing_held_is_nothing_to_add_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(monkeypatch) is None
    assert judged(monkeypatch, replace(held(), underlying="AMD")) is None


def test_a_winner_that_no_rule_would_sell_may_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    found = judged(monkeypatch, held(high_water=Decimal("2.60")))
    assert found is not None and found.decision.allowed and found.price == Decimal("2.56")
    assert found.target is not None and found.overnight_room == 5000


@pytest.mark.parametrize(
    ("bid", "peak", "rule"),
    [("3.05", None, "target"), ("2.35", "2.80", "trailing")],
    ids=["half is to be sold", "the trail was given back"],
)
def test_a_position_that_a_rule_would_sell_does_not_grow(
    monkeypatch: pytest.MonkeyPatch, bid: str, peak: str | None, rule: str
) -> None:
    found = judged(monkeypatch, held(high_water=None if peak is None else Decimal(peak)), bid=bid)
    assert found is not None and found.target is None
    assert f"the exit rule {rule} is due" in found.decision.reason and found.decision.profit is not None


def test_an_add_that_would_bring_the_trailing_stop_about_is_refused() -> None:
    """Three at 2.00 with a peak of 2.90 trail at 2.54; with a fourth at 2.66 they would trail at 2.606."""
    asked = Growing(held(high_water=Decimal("2.90")), Decimal("2.56"), 0, ALLOWED, exits("2.56"), Decimal(5000))
    assert asked.target is not None and asked.exits is not None and asked.exits.due(asked.target) is None
    found = asked.sized(1, Decimal("2.66"))
    assert found.target is None and "with 1 more at 2.66 the exit rule trailing is due" in found.decision.reason
    assert found.remembered(1, Decimal("2.66"))["entry_price_after_at_most"] is None


def test_an_add_that_leaves_nothing_due_stays_allowed_and_tells_the_average() -> None:
    asked = Growing(held(high_water=Decimal("2.60")), Decimal("2.56"), 0, ALLOWED, exits("2.56"), Decimal(5000))
    found = asked.sized(1, Decimal("2.66"))
    assert found is asked
    assert found.remembered(1, Decimal("2.66"))["entry_price_after_at_most"] == "2.165"


def test_an_add_that_could_not_stay_overnight_is_refused() -> None:
    asked = Growing(held(), Decimal("2.56"), 0, ALLOWED, exits("2.56"), Decimal(1063))
    assert asked.sized(1, Decimal("2.66")).target is None, "four at 2.66 are 1,064 dollars"
    assert replace(asked, overnight_room=Decimal(1064)).sized(1, Decimal("2.66")).target is not None


def test_other_swings_a_tense_regime_and_a_small_account_leave_less_room_overnight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = position(Strategy.SWING_TRADE, dte=20, position_id="p2", underlying="AMD", symbol="AMD260224C00100000")

    def room(*others: OpenPosition, **changes: Any) -> Decimal | None:
        found = judged(monkeypatch, held(), *others, **changes)
        assert found is not None
        return found.overnight_room

    assert room(other) == 4200, "four at 2.00 are held in AMD"
    assert room(replace(other, entry_price=None)) == 0, "what it cost is not known"
    assert room(regime=Regime.ELEVATED) == 2500
    assert room(equity="40000") == 2000
    assert room(equity="1500") == 0, "a tiny account holds nothing overnight"
    found = judged(monkeypatch, replace(held(), strategy=Strategy.DAY_TRADE), asked=signal())
    assert found is not None and found.overnight_room is None, "a day trade does not stay"


def test_what_is_not_known_is_not_added_to(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, words in (
        (judged(monkeypatch, held(), replace(held(), position_id="p2")), "2 positions are held"),
        (judged(monkeypatch, held(), bid=None), "unknown profit"),
        (judged(monkeypatch, held(), age=2), "unknown profit"),
        (judged(monkeypatch, held(), listed=False), "an entry of today could not buy"),
    ):
        assert found is not None and found.target is None and words in found.decision.reason
