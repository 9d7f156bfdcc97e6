"""What the tests of the trade stream share: a follower in a thread, orders that nobody polls, and waiting for facts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine

from trading_assets.broker import submission
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.config import BrokerConfig, TradeStreamConfig
from trading_assets.broker.trade_stream.follower import Follower, Place
from trading_assets.broker.values import OrderRequest
from trading_assets.domain.clock import Clock
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.identities import client_order_id
from trading_assets.domain.values import Direction, PositionState, Purpose, Side, Strategy
from trading_assets.ledger import executions, orders, positions, trade_streams
from trading_assets.ledger.executions import Execution
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import Position
from trading_assets.ledger.trade_streams import StreamHealth
from trading_assets_tests.broker.desk import ACCOUNT

#: Everything soon: a test waits for facts and never for a time to pass.
SOON = TradeStreamConfig(
    open_seconds=2,
    welcome_seconds=1,
    ping_seconds=0.2,
    pong_seconds=1,
    compare_seconds=0.3,
    grace_seconds=0.3,
    retry_seconds=0.1,
    backoff_seconds=0.05,
    longest_backoff_seconds=0.4,
    lock_seconds=0.1,
)
CONFIG = BrokerConfig(connect_timeout_seconds=2, read_timeout_seconds=10, stream=SOON)
#: No comparison comes in between: what is booked then came by frames, or by the lists that a frame asked for.
BY_FRAMES = CONFIG.model_copy(update={"stream": SOON.model_copy(update={"compare_seconds": 600.0})})


@contextmanager
def following(
    engine: Engine,
    connection: BrokerConnection,
    clock: Clock,
    *,
    config: BrokerConfig = CONFIG,
    listening: bool = True,
) -> Iterator[threading.Thread]:
    """A follower of the test's account; with ``listening`` once it does and has read the lists for the first time."""
    stop = threading.Event()
    url = engine.url.render_as_string(hide_password=False)
    follower = Follower(ACCOUNT, lambda: Place(connection, clock), engine, url, config, stop)
    thread = threading.Thread(target=follower.run)
    thread.start()
    try:
        if listening:
            until(lambda: health(engine).compared_at is not None, lambda: repr(health(engine)))
        yield thread
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive(), "it ends when it is asked to"


def until(fact: Callable[[], bool], told: Callable[[], str] = lambda: "", patience: float = 20.0) -> None:
    """Wait for a fact."""
    deadline = time.monotonic() + patience
    while not fact():
        assert time.monotonic() < deadline, f"waited in vain: {told()}"
        time.sleep(0.02)


def health(engine: Engine) -> StreamHealth:
    """The account's row; one that says nothing before the first is written."""
    with engine.connect() as connection:
        rows = trade_streams.read(connection)
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return rows.get(ACCOUNT, StreamHealth(ACCOUNT, "connecting", epoch, epoch))


def send(
    engine: Engine,
    broker: AlpacaBroker,
    clock: Clock,
    symbol: str,
    quantity: int,
    *,
    signal_id: str = "s1",
    limit: Decimal | None = None,
) -> OrderIntent:
    """Buy, and look no more: whatever becomes of the order, only the stream may tell."""
    now = clock.now()
    multiplier = 100 if len(symbol) > 10 else 1
    position = Position(
        position_id=f"p-{signal_id}",
        account=ACCOUNT,
        symbol=symbol,
        underlying=symbol[:4] if multiplier == 100 else symbol,
        strategy=Strategy.STOCK,
        direction=Direction.BULLISH,
        multiplier=multiplier,
        origin="signal",
        state=PositionState.OPENING,
        created_at=now,
        signal_id=signal_id,
    )
    return order(engine, broker, clock, position, Purpose.ENTRY, quantity, "entry", limit=limit, new=True)


def sell(
    engine: Engine, broker: AlpacaBroker, clock: Clock, position: Position, quantity: int, reason: str
) -> OrderIntent:
    """Sell from the position at 3.00, and look no more."""
    return order(engine, broker, clock, position, Purpose.EXIT, quantity, reason, limit=Decimal("3.00"))


def order(
    engine: Engine,
    broker: AlpacaBroker,
    clock: Clock,
    position: Position,
    purpose: Purpose,
    quantity: int,
    reason: str,
    *,
    limit: Decimal | None,
    new: bool = False,
) -> OrderIntent:
    now = clock.now()
    entry = purpose is Purpose.ENTRY
    with engine.connect() as connection:
        attempt = orders.next_attempt(connection, position.position_id, purpose)
    subject = position.signal_id if entry and position.signal_id else position.position_id
    intent = OrderIntent(
        client_order_id=client_order_id(ACCOUNT, purpose, subject, attempt, 0),
        account=ACCOUNT,
        purpose=purpose,
        position_id=position.position_id,
        signal_id=position.signal_id if entry else None,
        symbol=position.symbol,
        underlying=position.underlying,
        side=Side.BUY if entry else Side.SELL,
        quantity=quantity,
        multiplier=position.multiplier,
        order_type="market" if limit is None else "limit",
        limit_price=limit,
        attempt=attempt,
        step=0,
        reason=reason,
        run_id="run",
        created_at=now,
        updated_at=now,
    )
    request = OrderRequest(intent.client_order_id, intent.symbol, intent.side, quantity, limit)

    def prepare(connection: object) -> None:
        if new:
            positions.insert_position(connection, position)  # type: ignore[arg-type]

    return submission.submit(engine, broker, clock, intent, request, prepare)


def stored(engine: Engine, intent: OrderIntent) -> OrderIntent:
    """The order as the ledger has it now."""
    with engine.connect() as connection:
        found = orders.get_intent(connection, intent.client_order_id)
    assert found is not None
    return found


def position(engine: Engine, position_id: str = "p-s1") -> Position:
    """The position as the ledger has it now."""
    with engine.connect() as connection:
        found = positions.get_position(connection, position_id)
    assert found is not None
    return found


def fills(engine: Engine) -> tuple[Execution, ...]:
    """Every fill that stands."""
    with engine.connect() as connection:
        return executions.of_account(connection, ACCOUNT)
