"""Rows that the tests of orders, positions and executions start from."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import Connection, insert

from trading_assets.domain.values import Direction, OrderState, PositionState, Purpose, Right, Side, Strategy
from trading_assets.ledger.executions import Execution
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import Position
from trading_assets.ledger.tables import accounts, dispatch_recommendations

T0 = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
ACCOUNT = "tiny"
SYMBOL = "NVDA260320C00180000"


def account_and_signals(connection: Connection) -> None:
    """One account, and the published signals s1 (NVDA) and s2 (NVDA)."""
    connection.execute(insert(accounts).values(account=ACCOUNT, mode="PRACTICE", created_at=T0))
    for signal in ("s1", "s2"):
        connection.execute(
            insert(dispatch_recommendations).values(
                signal_id=signal,
                session=date(2026, 3, 10),
                ticker="NVDA",
                action="BUY_CALL",
                strategy="day_trade",
                direction="BULLISH",
                bar_start=T0,
                known_at=T0,
                confidence=0.8,
                watchlist_score=0.5,
                urgent=False,
                rule_set="v1",
                config_hash="c",
                factors={},
                features={},
                sentiment={},
                published_at=T0,
                published_by="run",
            )
        )


def position(position_id: str = "p1", signal_id: str = "s1", symbol: str = SYMBOL) -> Position:
    """An option position that is being opened."""
    return Position(
        position_id=position_id,
        account=ACCOUNT,
        symbol=symbol,
        underlying="NVDA",
        strategy=Strategy.DAY_TRADE,
        direction=Direction.BULLISH,
        multiplier=100,
        origin="signal",
        state=PositionState.OPENING,
        created_at=T0,
        contract_right=Right.CALL,
        strike=Decimal(180),
        expiry=date(2026, 3, 20),
        signal_id=signal_id,
        quantity_opened=2,
        quantity=2,
        entry_price=Decimal("2.5"),
    )


def intent(
    client_order_id: str,
    *,
    purpose: Purpose = Purpose.ENTRY,
    state: OrderState = OrderState.INTENT,
    attempt: int = 0,
    step: int = 0,
    position_id: str = "p1",
    signal_id: str | None = "s1",
    broker_order_id: str | None = None,
) -> OrderIntent:
    """A limit order of that position."""
    return OrderIntent(
        client_order_id=client_order_id,
        account=ACCOUNT,
        purpose=purpose,
        position_id=position_id,
        signal_id=signal_id if purpose is Purpose.ENTRY else None,
        symbol=SYMBOL,
        underlying="NVDA",
        side=Side.BUY if purpose is Purpose.ENTRY else Side.SELL,
        quantity=2,
        multiplier=100,
        order_type="limit",
        limit_price=Decimal("2.5"),
        attempt=attempt,
        step=step,
        reason="entry",
        run_id="run",
        created_at=T0,
        updated_at=T0,
        state=state,
        broker_order_id=broker_order_id,
    )


def execution(
    execution_id: str,
    *,
    order: str = "b1",
    cumulative: int = 1,
    quantity: int = 1,
    price: str = "2.5",
    side: Side = Side.BUY,
    at: datetime = T0,
    reason: str = "entry",
    client_order_id: str | None = None,
) -> Execution:
    """A fill of that position."""
    return Execution(
        execution_id=execution_id,
        client_order_id=client_order_id,
        position_id="p1",
        account=ACCOUNT,
        broker_order_id=order,
        cumulative_quantity=cumulative,
        symbol=SYMBOL,
        side=side,
        quantity=quantity,
        price=Decimal(price),
        multiplier=100,
        executed_at=at,
        reason=reason,
        booked_at=at,
        run_id="run",
    )
