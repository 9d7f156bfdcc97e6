"""Check of the trade streams: each is as its service wrote it, judged by the machine's time."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from trading_assets.broker.trade_stream.health import judge
from trading_assets.ledger import trade_streams
from trading_assets.ledger.engine import open_ledger
from trading_assets.settings import Settings
from trading_assets.world.doctor import Finding, State, failed, ok, up

ITEM = "trade stream"


def check_trade_streams(settings: Settings, url: str) -> Finding:
    """Every configured account's stream is well, was stopped in order, or never ran. Trading goes on without any."""
    engine = open_ledger(url, application_name="trading-assets doctor", pool_size=1)
    try:
        with engine.connect() as connection:
            rows = trade_streams.read(connection)
    except SQLAlchemyError as error:
        return failed(ITEM, error, up(settings.world))
    finally:
        engine.dispose()
    now = datetime.now(UTC)
    found = [
        judge(rows[account.name], now, settings.strategy_for(account.name).broker.stream)
        for account in settings.accounts
        if account.name in rows
    ]
    if not found:
        return ok(ITEM, "never ran in this world: fills are learned by polling")
    said = "; ".join(verdict.sentence() for verdict in found)
    if not any(verdict.alert for verdict in found):
        return ok(ITEM, said)
    log = settings.world.logs / "trade-stream.log"
    return Finding(ITEM, State.WARNING, said, f"{up(settings.world)} Nothing is lost; {log} says what happened.")
