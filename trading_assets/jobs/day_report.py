"""The day at a glance, recorded once after the close on ``orders``, ``executions`` and ``positions``.

Tables for a person, numbers for the plots, and one picture on ``executions``: the most traded name with its signals and
fills. It reads and tells; it decides nothing and sends nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from dagster import MarkdownMetadataValue, MetadataValue, OpExecutionContext

from trading_assets.assets.preview import table
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.values import PositionState, Side, SignalStatus
from trading_assets.jobs.recording import day_of, numbers, read_day, record
from trading_assets.jobs.session_chart import Fill, Held, draw_session
from trading_assets.ledger.account_day import AccountDay, fills_between, positions_between
from trading_assets.market.sessions import Session, session_of
from trading_assets.pictures import as_markdown
from trading_assets.resources.desk import Desk

#: Rows of a table of the whole day.
ROWS = 40
MINUTE = timedelta(minutes=1)
Rows = Sequence[Mapping[str, Any]]


def tell_session(context: OpExecutionContext, desk: Desk, session: Session) -> None:
    """Record the session's summary. Repeating it records the same again, as the ledger knows it then."""
    begin, end = day_of(session)
    with desk.ledger.connect() as connection:
        fills = fills_between(connection, begin, end)
        held = positions_between(connection, begin, end)
    days, equity = {}, {}
    for account in desk.accounts:
        days[account.name] = read_day(desk, account.name, session)
        # The broker says what is, not what was.
        current = session == session_of(desk.clock.now())
        equity[account.name] = _equity(context, desk, account.name) if current else None
    told: dict[str, dict[str, Any]] = {
        "orders": {"dagster/row_count": sum(day.orders for day in days.values()), "accounts": _accounts(days)},
        "executions": {"dagster/row_count": len(fills), "fills": _fills(fills)},
        "positions": {"dagster/row_count": len(held), "positions": _positions(held), "result": _result(days, equity)},
    }
    for name, day in days.items():
        for asset, found in numbers(day, equity[name]).items():
            told[asset] |= found
        context.log.info(
            f"account {name}: {sum(day.statuses.values())} signals offered, {day.orders} orders, "
            f"{day.entries} positions entered, {day.exits} sold from, {day.open_positions} still open; "
            f"realized {_amount(day.realized_pnl)}, "
            f"equity {_amount(equity[name])}"
        )
    picture = session_picture(desk, session, fills, held)
    if picture is not None:
        told["executions"]["session_chart"] = picture
    for asset, metadata in told.items():
        record(context, asset, session.key, metadata)


def session_picture(desk: Desk, session: Session, fills: Rows, held: Rows) -> MarkdownMetadataValue | None:
    """The most traded name's picture; without fills that of the most signalled; None if there is neither, or no bar."""
    signals = desk.frames.read("signals", [session.key]).filter(pl.col("live") & (pl.col("action") != "HOLD"))
    counted = Counter(fill["underlying"] for fill in fills) or Counter(signals["ticker"].to_list())
    if not counted:
        return None
    most = max(counted.values())
    ticker = min(name for name, count in counted.items() if count == most)
    bars = desk.frames.read("bars", [session.key]).filter(pl.col("ticker") == ticker)
    bars = bars.unique("ts", keep="last", maintain_order=True).sort("ts")
    if bars.is_empty():
        return None
    mine = signals.filter(pl.col("ticker") == ticker)
    picture = draw_session(
        ticker,
        session,
        [(ts + MINUTE, close) for ts, close in bars.select("ts", "close").iter_rows()],
        [(at, direction == "BULLISH") for at, direction in mine.select("as_of", "direction").iter_rows()],
        [
            Fill(row["executed_at"], row["side"] == Side.BUY.value, row["quantity"], row["price"], row["reason"])
            for row in fills
            if row["underlying"] == ticker
        ],
        [
            Held(row["opened_at"], row["closed_at"], row["realized_pnl"] if row["closed_at"] is not None else None)
            for row in held
            if row["underlying"] == ticker
        ],
    )
    return MetadataValue.md(as_markdown(f"{ticker} {session.key}", picture))


def _equity(context: OpExecutionContext, desk: Desk, account: str) -> Decimal | None:
    try:
        return desk.broker(account).account().equity
    except TradingAssetsError as error:
        context.log.warning(f"account {account}: its equity is left out, the broker could not be read: {error}")
        return None


def _accounts(days: Mapping[str, AccountDay]) -> MarkdownMetadataValue:
    rows = [
        {
            "account": name,
            "offered": sum(day.statuses.values()),
            **{status.value: day.statuses.get(status.value, 0) for status in SignalStatus},
            "orders": day.orders,
            "rejected": day.orders_rejected,
        }
        for name, day in days.items()
    ]
    statuses = (SignalStatus.EXECUTED, SignalStatus.SKIPPED, SignalStatus.FAILED, SignalStatus.EXPIRED)
    shown = {"account": "account", "offered": "signals offered"} | {one.value: one.value.lower() for one in statuses}
    return table(rows, {**shown, "orders": "orders", "rejected": "rejected"}, ROWS)


def _fills(fills: Rows) -> MarkdownMetadataValue:
    rows = [
        {
            **fill,
            "price": f"{fill['price']:.2f}",
            "amount": _amount(fill["price"] * fill["quantity"] * fill["multiplier"]),
        }
        for fill in fills
    ]
    shown = {"executed_at": "New York", "account": "account", "side": "side", "quantity": "quantity"}
    return table(rows, {**shown, "symbol": "symbol", "price": "price", "amount": "amount", "reason": "reason"}, ROWS)


def _positions(held: Rows) -> MarkdownMetadataValue:
    rows = [
        {
            **row,
            "entry_price": None if row["entry_price"] is None else f"{row['entry_price']:.2f}",
            "realized_pnl": _amount(row["realized_pnl"]),
            "ended": row["exit_reason"] if row["state"] == PositionState.CLOSED.value else f"still {row['quantity']}",
        }
        for row in held
    ]
    shown = {"account": "account", "symbol": "symbol", "strategy": "strategy", "quantity_opened": "bought"}
    more = {"entry_price": "at", "opened_at": "from", "closed_at": "to", "ended": "ended by", "realized_pnl": "result"}
    return table(rows, {**shown, **more}, ROWS)


def _result(days: Mapping[str, AccountDay], equity: Mapping[str, Decimal | None]) -> MarkdownMetadataValue:
    rows = [
        {
            "account": name,
            "entries": day.entries,
            "exits": day.exits,
            "open": day.open_positions,
            "realized": _amount(day.realized_pnl),
            "equity": _amount(equity[name]),
        }
        for name, day in days.items()
    ]
    return table(rows, {name: name for name in ("account", "entries", "exits", "open", "realized", "equity")}, ROWS)


def _amount(amount: Decimal | None) -> str:
    return "not known" if amount is None else f"{amount:,.2f} USD"
