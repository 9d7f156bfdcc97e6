"""Accounts, signals and contexts in which every gate passes, for tests that change one thing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from trading_assets.domain.identities import signal_id
from trading_assets.domain.values import (
    AccountSnapshot,
    Action,
    ContractSnapshot,
    Direction,
    KillMode,
    LiveOrder,
    OpenPosition,
    OptionContract,
    OrderState,
    PositionState,
    Purpose,
    Quote,
    RecentFill,
    Regime,
    Right,
    Side,
    Signal,
    Strategy,
)
from trading_assets.market.correlation import Correlation
from trading_assets.market.portfolio_greeks import PositionGreeks
from trading_assets.market.sessions import require_session
from trading_assets.risk.config import AccountLimits, GateConfig, SizingConfig
from trading_assets.risk.facts import RiskFacts
from trading_assets.risk.gates import GateContext
from trading_assets.risk.sizing import Book, SizingDecision
from trading_assets.strategy.config_trading import ExitConfig
from trading_assets.strategy.contracts import ContractSelection
from trading_assets.strategy.volatility_rank import VolatilityRank

SESSION = require_session(date(2026, 2, 4))
HALF = require_session(date(2025, 11, 28))
NOW = SESSION.open + timedelta(minutes=90)
SIZING = SizingConfig()


def account(equity: str | None = "5000", **changes: Any) -> AccountSnapshot:
    """A flat, active, reconciled account with its equity in cash."""
    amount = None if equity is None else Decimal(equity)
    base = AccountSnapshot(
        account="small",
        asof=NOW,
        broker_account_id="b-1",
        expected_broker_account_id="b-1",
        status="ACTIVE",
        trading_blocked=False,
        options_level=3,
        equity=amount,
        last_equity=amount,
        cash=amount,
        options_buying_power=amount,
        realized_pnl_today=Decimal(0),
        unrealized_pnl=Decimal(0),
        reconciled_at=NOW - timedelta(seconds=30),
        kill_mode=KillMode.OFF,
        cash_flow_today=Decimal(0),
        high_water=amount,
    )
    return replace(base, **changes)


def held(underlying: str = "AAPL", cost: str | None = "1.00", **changes: Any) -> OpenPosition:
    """One open call on ``underlying``."""
    base = OpenPosition(
        position_id=f"p-{underlying}",
        account="small",
        symbol=f"{underlying}260306C00100000",
        underlying=underlying,
        strategy=Strategy.SWING_TRADE,
        direction=Direction.BULLISH,
        state=PositionState.OPEN,
        quantity=1,
        multiplier=100,
        entry_price=None if cost is None else Decimal(cost),
        entry_underlying=Decimal(100),
        opened_at=NOW - timedelta(days=1),
        quantity_opened=1,
    )
    return replace(base, **changes)


def order(underlying: str = "MSFT", limit: str | None = "1.00", **changes: Any) -> LiveOrder:
    """One live entry order for a call on ``underlying``."""
    base = LiveOrder(
        client_order_id=f"ta-small-en-{underlying}-0-0",
        account="small",
        purpose=Purpose.ENTRY,
        symbol=f"{underlying}260306C00100000",
        underlying=underlying,
        side=Side.BUY,
        quantity=1,
        filled_quantity=0,
        multiplier=100,
        limit_price=None if limit is None else Decimal(limit),
        state=OrderState.ACCEPTED,
    )
    return replace(base, **changes)


def fill(
    underlying: str = "AAPL", minutes_ago: float = 90, *, signal: str | None = "s", purpose: Purpose = Purpose.ENTRY
) -> RecentFill:
    """A fill so many minutes before now."""
    return RecentFill(underlying, purpose, NOW - timedelta(minutes=minutes_ago), signal)


def signal(**changes: Any) -> Signal:
    """A confident bullish day trade in NVDA."""
    base = Signal(
        signal_id=signal_id("r1", "NVDA", NOW - timedelta(minutes=1), "BUY_CALL", "day_trade"),
        session=SESSION.day,
        ticker="NVDA",
        action=Action.BUY_CALL,
        strategy=Strategy.DAY_TRADE,
        direction=Direction.BULLISH,
        bar_start=NOW - timedelta(minutes=1),
        known_at=NOW,
        confidence=0.9,
        watchlist_score=0.6,
        urgent=False,
        rule_set="r1",
        config_hash="c",
    )
    return replace(base, **changes)


def selection(*, dte: int = 1, **contract: Any) -> ContractSelection:
    """A selection that found a call on NVDA at 2.45 x 2.50."""
    symbol = "NVDA260205C00182000"
    listed = OptionContract(symbol, "NVDA", Right.CALL, Decimal(182), SESSION.day + timedelta(days=dte), "NVDA")
    quote = Quote(symbol, Decimal("2.45"), Decimal("2.50"), NOW - timedelta(seconds=5))
    row = ContractSnapshot(replace(listed, **contract), quote, delta=0.35, gamma=0.03, theta=-0.1, vega=0.05)
    return ContractSelection(row, 80.0, True, False, (), VolatilityRank(0.4, "iv", 200), "the best quality")


def sizing(quantity: int = 1, unit: str | None = "250") -> SizingDecision:
    """A decided size."""
    cost = None if unit is None else Decimal(unit)
    risk = None if cost is None else cost / 2
    return SizingDecision(quantity, Decimal(600), cost, {}, (), "budget", f"{quantity} by budget", risk)


def facts(**changes: Any) -> RiskFacts:
    """Everything known about a trade in NVDA: AMD is of its sector, others are not and hardly move with it."""
    base = RiskFacts(
        sectors={"NVDA": "Semiconductors", "AMD": "Semiconductors", "KO": "Consumer"},
        correlations={name: Correlation(0.2, 60) for name in ("AAPL", "AMD", "KO", "MSFT", "A", "B", "Z")},
        greeks={},
        spot=Decimal(182),
        earnings=None,
    )
    return replace(base, **changes)


def per_share(symbol: str, delta: float | None = 0.5, theta: float = -0.1, vega: float = 0.1) -> PositionGreeks:
    """Greeks of an option on an underlying at 100 dollars."""
    return PositionGreeks(symbol, symbol[:4], 1, 100, Decimal(100), delta, 0.02, theta, vega)


def book(**changes: Any) -> Book:
    """The place of a trade in NVDA among everything else."""
    return replace(Book("NVDA", facts(), GateConfig(), ExitConfig()), **changes)


def context(**changes: Any) -> GateContext:
    """A context in which every gate passes."""
    base = GateContext(
        signal=signal(),
        account=account(),
        session=SESSION,
        as_of=NOW,
        regime=Regime.NORMAL,
        bar_end=NOW - timedelta(seconds=5),
        feature_at=NOW - timedelta(seconds=5),
        quote_at=NOW - timedelta(seconds=5),
        signal_known_at=NOW - timedelta(seconds=5),
        selection=selection(),
        sizing=sizing(),
        gates=GateConfig(),
        sizing_config=SIZING,
        limits=AccountLimits(),
        facts=facts(),
    )
    return replace(base, **changes)
