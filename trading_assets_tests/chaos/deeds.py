"""Single deeds of a desk, for who wants to say himself what is bought and sold: no rule decides, no gate denies.

Each is done as the jobs do it: under the account's lock, after a reconciliation, by the ladder, with the real client.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from decimal import ROUND_UP, Decimal
from typing import Any

from trading_assets.broker import ladder, protection, rolling
from trading_assets.broker.climbing import LadderPlan, LadderResult, LadderState, Rung
from trading_assets.broker.errors import NothingHeld, SymbolBlocked
from trading_assets.broker.ladder import Entry, Exit
from trading_assets.broker.reconciliation import ReconciliationReport, reconcile
from trading_assets.broker.rolling import Roll
from trading_assets.domain.money import CENT, option_tick, round_to_tick
from trading_assets.domain.values import OrderState, Quote
from trading_assets.jobs.managing import certain
from trading_assets.ledger import positions
from trading_assets.ledger.account_lock import AccountBusy, account_lock
from trading_assets.ledger.positions import Position
from trading_assets.resources.desk import Desk

DEEDS = ("buy", "add", "bracket", "sell", "roll", "protect", "reconcile")
#: What a purchase and a sale may be priced at: an order that fills, one that does not, and the one after the other.
BUYING, SELLING = ("ask", "below", "ladder"), ("bid", "market", "far", "ladder")
_BUSY_WAIT_SECONDS, _RUNG_SECONDS = 5.0, 10.0
#: A bracket's legs lie so far away that no minute of a sequence reaches them.
_FAR = Decimal("0.2")


@dataclass(frozen=True, slots=True)
class Deed:
    """What is to be done: ``entry`` is what a purchase buys, ``symbol`` what is sold, rolled or protected."""

    kind: str
    entry: Entry | None = None
    symbol: str = ""
    quantity: int = 0
    price: str = "ask"


@dataclass(slots=True)
class DeedReport:
    """What came of it, in the words of the other reports."""

    kind: str
    account: str
    filled: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)
    busy: bool = False

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def do(desk: Desk, account: str, run_id: str, log: logging.Logger, deed: Deed) -> DeedReport:
    """Do it; what the system itself forbids is told in the report. Raises what the broker's client raises."""
    report = DeedReport(deed.kind, account)
    try:
        with account_lock(desk.runtime.ledger_url, account, wait=_BUSY_WAIT_SECONDS):
            broker = desk.broker(account)
            seen = reconcile(desk.ledger, broker, desk.clock, account, desk.start_id, run_id=run_id)
            report.alerts += seen.alerts
            _do(desk, account, run_id, deed, seen, report)
    except AccountBusy as error:
        report.busy = True
        log.warning("%s", error)
    except (SymbolBlocked, NothingHeld) as error:
        report.skipped[deed.symbol or deed.kind] = str(error)
    return report


def _do(desk: Desk, account: str, run_id: str, deed: Deed, seen: ReconciliationReport, report: DeedReport) -> None:
    parts = (desk.ledger, desk.broker(account), desk.clock)
    if deed.kind in ("buy", "add", "bracket"):
        assert deed.entry is not None
        plan = _purchase(_quote(desk, account, deed.entry.symbol), deed)
        _told(ladder.enter(*parts, deed.entry, plan, run_id=run_id), deed.entry.symbol, report)
    elif deed.kind == "sell":
        with desk.ledger.connect() as connection:
            held = [each for each in positions.open_positions(connection, account) if each.symbol == deed.symbol]
        for position in certain([each for each in held if each.quantity > 0], seen):
            plan = _sale(_quote(desk, account, deed.symbol), position.underlying, deed)
            order = Exit(position.position_id, min(deed.quantity, position.quantity), "stop_loss")
            _told(ladder.leave(*parts, order, plan, run_id=run_id), deed.symbol, report)
    elif deed.kind == "roll":
        with desk.ledger.connect() as connection:
            old = positions.live_in_symbol(connection, account, deed.symbol)
        if old is not None and old.quantity:
            planned, rungs = _roll(desk, account, old)
            rolled = rolling.roll(*parts, planned, rungs, run_id=run_id)
            report.filled += rolled.filled_quantity
            if rolled.state in (LadderState.REJECTED, LadderState.UNKNOWN):
                report.failed[deed.symbol] = f"{rolled.state.value}: {rolled.error}"
    elif deed.kind == "protect":
        with desk.ledger.connect() as connection:
            stored = positions.live_in_symbol(connection, account, deed.symbol)
        if stored is None or not stored.quantity:
            return
        if protection.covers(protection.live(desk.ledger, stored.position_id), stored.quantity):
            return
        if protection.end(*parts, stored.position_id, run_id=run_id):
            return
        placed = protection.place(*parts, stored, stored.quantity, run_id=run_id)
        if placed.state in (OrderState.REJECTED, OrderState.UNKNOWN):
            report.failed[deed.symbol] = f"{placed.state.value}: {placed.error}"


def _roll(desk: Desk, account: str, old: Position) -> tuple[Roll, tuple[Rung, ...]]:
    """All of a position into the next expiry's contract of the nearest strike: first at a net price that does not fill,
    then at one that does."""
    assert old.expiry is not None and old.strike is not None
    low, high = old.strike * Decimal("0.95"), old.strike * Decimal("1.05")
    chain = desk.broker(account).option_chain(
        old.underlying,
        old.expiry + timedelta(days=1),
        old.expiry + timedelta(days=60),
        low_strike=low,
        high_strike=high,
        right=old.contract_right,
    )
    rows = [row for row in chain if row.quote.is_two_sided]
    if not rows:
        raise SymbolBlocked("there is no contract to roll into", where=f"{account} {old.symbol}")
    strike = old.strike
    new = min(rows, key=lambda row: (row.contract.expiry, abs(row.contract.strike - strike), row.contract.symbol))
    bid, ask = _quote(desk, account, old.symbol).bid, new.quote.ask
    assert bid is not None and ask is not None
    net = (ask - bid).quantize(CENT)
    rungs = tuple(Rung(net + more, _RUNG_SECONDS) for more in (Decimal("-0.50"), Decimal("0.50")))
    return Roll(old.position_id, new.contract, old.quantity, bid, ask, None, new.delta), rungs


def _told(result: LadderResult, symbol: str, report: DeedReport) -> None:
    report.filled += result.filled_quantity
    if result.state in (LadderState.REJECTED, LadderState.UNKNOWN):
        report.failed[symbol] = f"{result.state.value}: {result.error}"


def _quote(desk: Desk, account: str, symbol: str) -> Quote:
    broker = desk.broker(account)
    found = broker.quotes([symbol]) if symbol.isalpha() else broker.option_quotes([symbol])
    quote = found.get(symbol)
    if quote is None or not quote.bid or not quote.ask or not quote.is_two_sided:
        raise SymbolBlocked("there is no price to order at", where=f"{account} {symbol}")
    return quote


def _purchase(quote: Quote, deed: Deed) -> LadderPlan:
    assert deed.entry is not None and quote.bid is not None and quote.ask is not None
    above = quote.ask + (quote.ask - quote.bid) / 4
    steps = {"ask": (above,), "below": (quote.bid / 2,), "ladder": (quote.bid / 2, above)}[deed.price]
    if deed.kind != "bracket":
        return _plan([_rounded(deed.entry.underlying, price, deed.entry.multiplier) for price in steps])
    prices = [_rounded(deed.entry.underlying, price, 1) for price in steps]
    stop, target = (prices[0] * (1 - _FAR)).quantize(CENT), (prices[-1] * (1 + _FAR)).quantize(CENT)
    rungs = tuple(Rung(price, _RUNG_SECONDS) for price in prices)
    return LadderPlan(rungs, take_profit=target, stop_loss=stop)


def _sale(quote: Quote, underlying: str, deed: Deed) -> LadderPlan:
    assert quote.bid is not None and quote.ask is not None
    multiplier = 1 if deed.symbol.isalpha() else 100
    far = _rounded(underlying, quote.ask * 2, multiplier)
    steps: dict[str, Sequence[Decimal | None]] = {
        "bid": (quote.bid, None), "market": (None,), "far": (far,), "ladder": (far, None),
    }  # fmt: skip
    return _plan(steps[deed.price])


def _plan(prices: Sequence[Decimal | None]) -> LadderPlan:
    return LadderPlan(tuple(Rung(price, _RUNG_SECONDS) for price in prices))


def _rounded(underlying: str, price: Decimal, multiplier: int) -> Decimal:
    if multiplier == 1:
        return price.quantize(CENT, rounding=ROUND_UP)
    tick = option_tick(underlying, price)
    return max(tick, round_to_tick(price, tick, direction="up"))
