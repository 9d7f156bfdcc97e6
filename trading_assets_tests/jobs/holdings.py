"""Positions at the practice exchange for tests of exits: bought there, booked as if entered otherwise, managed, read.

What does not belong here: the worlds they live in (``e2e.playground``) and what is expected of an exit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from trading_assets.automation.names import POSITION_MANAGER_TICK
from trading_assets.broker.adoption import blank_position
from trading_assets.broker.values import BrokerFill, OrderRequest
from trading_assets.domain.values import ContractSnapshot, KillMode, Side
from trading_assets.jobs.managing import ManagementReport, manage_account
from trading_assets.ledger import accounts, executions, listings, positions
from trading_assets.ledger.tables import dispatch_executions
from trading_assets.market.sessions import MINUTE
from trading_assets_tests.e2e.playground import SESSION, Playground

ACCOUNT = "large"
LATER = SESSION + timedelta(days=16)
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """What a position is steered by."""

    bid: Decimal
    spot: Decimal
    now: datetime

    def part(self, factor: str) -> Decimal:
        """So much of the bid, in hundredths of a cent."""
        return (self.bid * Decimal(factor)).quantize(Decimal("0.0001"))


Steer = Callable[[Seen], dict[str, Any]]
Pick = Callable[[ContractSnapshot, Decimal], bool]


def spot_of(world: Playground, ticker: str) -> Decimal:
    mid = world.desk.broker(ACCOUNT).quotes([ticker])[ticker].mid
    assert mid is not None
    return mid


def any_pick(row: ContractSnapshot, spot: Decimal) -> bool:
    return row.quote.bid is not None and row.quote.bid >= Decimal("0.30")


def contract(world: Playground, ticker: str, expiry: Any, pick: Pick = any_pick) -> str:
    """The call nearest to the money that ``pick`` likes."""
    spot = spot_of(world, ticker)
    chain = world.desk.broker(ACCOUNT).option_chain(ticker, expiry, expiry)
    rows = [row for row in chain if row.contract.symbol[-9] == "C" and row.quote.is_two_sided and pick(row, spot)]
    assert rows, f"{ticker} has no such contract"
    return min(rows, key=lambda row: abs(row.contract.strike - spot)).contract.symbol


def acquire(world: Playground, wanted: Mapping[str, tuple[int, Steer]]) -> None:
    """Buy at market, and book what was bought as the ledger would, but as another entry: at another price or time.

    Fills are immutable and a position's entry is computed from them each minute, so it has to be booked that way.
    """
    broker, begin = world.desk.broker(ACCOUNT), world.desk.clock.now()
    for symbol, (quantity, _) in wanted.items():
        name = f"hand-{begin:%H%M%S}-{symbol}"
        broker.submit(OrderRequest(name, symbol, Side.BUY, quantity, limit_price=None))
    world.desk.clock.wait_until(begin + timedelta(seconds=5))
    fills, now = broker.fills(begin), world.desk.clock.now()
    for symbol, (quantity, values) in wanted.items():
        mine = [fill for fill in fills if fill.symbol == symbol]
        assert sum(fill.quantity for fill in mine) == quantity
        position = blank_position(ACCOUNT, symbol, mine[0].at, now, broker.config)
        ask = broker.quotes if position.contract_right is None else broker.option_quotes
        bid = ask([symbol])[symbol].bid
        assert bid is not None
        seen = Seen(bid, spot_of(world, position.underlying), now)
        entry: dict[str, Any] = {"entry_price": bid, "entry_underlying": seen.spot, **values(seen)}
        price, at = entry.pop("entry_price"), entry.pop("opened_at", now)
        held_now = {"quantity": quantity, "quantity_opened": quantity, "entry_price": price, "opened_at": at}
        with world.desk.ledger.begin() as connection:
            positions.insert_position(connection, replace(position, **held_now, **entry))
            for fill in mine:
                executions.insert_execution(connection, _booked(fill, position, price, at))


def _booked(fill: BrokerFill, position: positions.Position, price: Decimal, at: datetime) -> executions.Execution:
    return executions.Execution(
        execution_id=fill.activity_id,
        client_order_id=None,
        position_id=position.position_id,
        account=ACCOUNT,
        broker_order_id=fill.order_id,
        cumulative_quantity=int(fill.cumulative_quantity),
        symbol=fill.symbol,
        side=fill.side,
        quantity=int(fill.quantity),
        price=price,
        multiplier=position.multiplier,
        executed_at=at,
        reason=executions.FOREIGN,
        booked_at=position.created_at,
        run_id="a-test",
    )


def manage(world: Playground) -> None:
    """One run of the position manager as its sensor starts it, a minute later."""
    world.desk.clock.wait_until(world.desk.clock.now() + MINUTE)
    outcomes = world.ticker.sensor(POSITION_MANAGER_TICK)
    assert outcomes and all(outcome.success for outcome in outcomes)


def manage_here(world: Playground, **facts: Any) -> ManagementReport:
    """The same without a run of Dagster around it."""
    return manage_account(world.desk, ACCOUNT, "a-test", LOG, **facts)


def held(world: Playground) -> dict[str, positions.Position]:
    with world.desk.ledger.connect() as connection:
        return {one.symbol: one for one in positions.live_positions(connection, ACCOUNT) if one.quantity}


def sold(world: Playground, symbol: str) -> dict[str, int]:
    """Quantity sold of a symbol by the rule that asked for it."""
    table = dispatch_executions.c
    with world.desk.ledger.connect() as connection:
        rows = connection.execute(
            select(table.reason, table.quantity).where(table.symbol == symbol, table.side == Side.SELL.value)
        ).all()
    found: dict[str, int] = {}
    for reason, quantity in rows:
        found[reason] = found.get(reason, 0) + quantity
    return found


def alerts(world: Playground, symbol: str) -> list[dict[str, Any]]:
    with world.desk.ledger.connect() as connection:
        return [row for row in listings.alerts(connection, SESSION) if row["symbol"] == symbol]


def set_switch(world: Playground, mode: KillMode) -> None:
    with world.desk.ledger.begin() as connection:
        accounts.set_kill_switch(connection, accounts.ALL_ACCOUNTS, mode, world.desk.clock.now(), "a test says so")
