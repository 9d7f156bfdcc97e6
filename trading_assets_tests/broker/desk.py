"""What the tests of this room share: a stepped clock, an account with a published signal, invariants, plans."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import Connection, Engine, insert

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderPlan, Rung
from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.ladder import Entry
from trading_assets.domain.clock import Clock
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.values import Direction, OrderState, Right, Strategy
from trading_assets.ledger import orders
from trading_assets.ledger.tables import accounts, dispatch_recommendations
from trading_assets_tests.broker.scripted_exchange import START, ScriptedExchange

ACCOUNT = "tiny"
SYMBOL = "NVDA260320C00180000"
SECRET = "a-secret-that-must-not-be-seen"
#: Time-outs small enough that a lost answer costs a test less than half a second.
QUICK = BrokerConfig(connect_timeout_seconds=2.0, read_timeout_seconds=0.4, poll_seconds=2.0)


class SteppedClock:
    """The exchange's time, read from its clock and moved by its control request."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url
        self._token = token

    def now(self) -> datetime:
        with urllib.request.urlopen(self._request("GET", "/v2/clock", None), timeout=10) as answer:
            return datetime.fromisoformat(json.load(answer)["timestamp"]).astimezone(UTC)

    def wait_until(self, instant: datetime) -> None:
        body = json.dumps({"advance_to": instant.isoformat()}).encode()
        with urllib.request.urlopen(self._request("POST", "/practice/v1/clock", body), timeout=60) as answer:
            answer.read()

    def _request(self, method: str, path: str, body: bytes | None) -> urllib.request.Request:
        headers = {
            "Content-Type": "application/json",
            "X-Practice-Token": self._token,
            "APCA-API-KEY-ID": "PKTEST",
            "APCA-API-SECRET-KEY": SECRET,
        }
        return urllib.request.Request(self._url + path, data=body, method=method, headers=headers)


def connect(url: str, clock: Clock, *, expected_account_id: str | None = None) -> AlpacaBroker:
    """The real adapter with the real SDK at that address."""
    connection = BrokerConnection(
        mode="PRACTICE",
        trading_url=url,
        data_url=url,
        key="PKTEST",
        secret=SECRET,
        expected_account_id=expected_account_id,
    )
    return AlpacaBroker(connection, clock, QUICK)


def add_account(connection: Connection, account: str = ACCOUNT) -> None:
    """An account of the ledger, created when the exchange's time begins."""
    connection.execute(insert(accounts).values(account=account, mode="PRACTICE", created_at=START))


def publish(connection: Connection, signal_id: str, ticker: str = "NVDA") -> None:
    """A published signal, so that a position may name it."""
    connection.execute(
        insert(dispatch_recommendations).values(
            signal_id=signal_id,
            session=date(2026, 3, 10),
            ticker=ticker,
            action="BUY_CALL",
            strategy="day_trade",
            direction="BULLISH",
            bar_start=START,
            known_at=START,
            confidence=0.8,
            watchlist_score=0.5,
            urgent=False,
            rule_set="v1",
            config_hash="c",
            factors={},
            features={},
            sentiment={},
            published_at=START,
            published_by="run",
        )
    )


def entry(signal_id: str = "s1", quantity: int = 2) -> Entry:
    """Buying ``quantity`` calls for a signal."""
    return Entry(
        account=ACCOUNT,
        signal_id=signal_id,
        symbol=SYMBOL,
        underlying="NVDA",
        strategy=Strategy.DAY_TRADE,
        direction=Direction.BULLISH,
        quantity=quantity,
        multiplier=100,
        right=Right.CALL,
        strike=Decimal(180),
        expiry=date(2026, 3, 20),
        entry_underlying=Decimal("180.10"),
        entry_delta=0.35,
    )


def plan(*prices: str | None, seconds: float = 10) -> LadderPlan:
    """A ladder with one rung per price; None is a market rung."""
    return LadderPlan(tuple(Rung(None if price is None else Decimal(price), seconds) for price in prices))


@dataclass(frozen=True)
class Verdict:
    """Sentences about what is lost (I1, I3) and what is doubled (I2); how many orders the broker took."""

    orders: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]


#: The newest verdict of a test, for the scorecard.
newest_verdict: Verdict | None = None
#: Processes that died by SIGKILL in this test, for the scorecard.
kills = 0


def assert_nothing_lost_or_doubled(engine: Engine, exchange: ScriptedExchange, account: str = ACCOUNT) -> None:
    """I1: every intent is resolved or visibly UNKNOWN. I2: at most one broker order per client order id, at most one
    live entry per signal and one live exit per position. I3: filled quantities agree with the broker."""
    global newest_verdict
    newest_verdict = judged(engine, exchange, account)
    assert not newest_verdict.lost, newest_verdict
    assert not newest_verdict.doubled, newest_verdict


def judged(engine: Engine, exchange: ScriptedExchange, account: str = ACCOUNT) -> Verdict:
    """What is lost and what is doubled between ledger and broker."""
    lost, doubled = list[str](), list[str]()
    with engine.connect() as connection:
        intents = orders.of_account(connection, account)
        blocked = orders.unknown_symbols(connection, account)
    for intent in intents:
        name, found = intent.client_order_id, exchange.by_client_id(intent.client_order_id)
        if len(found) > 1:
            doubled.append(f"{name}: {len(found)} orders at the broker")
        if intent.state is OrderState.INTENT:
            lost.append(f"{name}: nobody asked what became of it")
        elif intent.state is OrderState.UNKNOWN:
            if intent.symbol not in blocked:
                lost.append(f"{name}: UNKNOWN without a block")
            continue
        elif intent.state in (OrderState.REJECTED, OrderState.ABANDONED):
            if found and found[0].is_open:
                lost.append(f"{name}: {intent.state} here, open at the broker")
        elif not found or found[0].order_id != intent.broker_order_id:
            lost.append(f"{name}: {intent.state} here, not at the broker")
        if intent.filled_quantity != sum(order.filled for order in found):
            lost.append(f"{name}: filled {intent.filled_quantity} here, {[order.filled for order in found]} there")
    live_entries = Counter(i.signal_id for i in intents if i.is_live and i.signal_id is not None)
    live_exits = Counter(i.position_id for i in intents if i.is_live and i.signal_id is None)
    doubled += [f"{name}: {n} live orders" for name, n in (*live_entries.items(), *live_exits.items()) if n > 1]
    known = {intent.client_order_id for intent in intents}
    ours = [o for o in exchange.orders.values() if str(o.body["client_order_id"]).startswith("ta-")]
    lost += [f"{o.body['client_order_id']}: not in the ledger" for o in ours if o.body["client_order_id"] not in known]
    return Verdict(len(exchange.orders), tuple(lost), tuple(doubled))
