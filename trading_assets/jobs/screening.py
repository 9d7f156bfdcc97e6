"""Screening a burst: signals that the account itself speaks against are decided together, without asking the market.

An account that has more signals open than it could ask quotes and chains for would spend its requests, and minutes, on
signals that can come to nothing. Of a burst everything that needs no market is judged first, by facts that are read
once: who is denied by that is skipped, with every gate's answer on record; what would have needed the market is unknown
there, and denies too. Only signals that may still trade go the whole way of ``weighing``, best first. After each order
the rest is screened anew: what is in flight or was bought counts. An ordinary minute is not screened at all.

What belongs here: which signals are decided that way. What does not: the gates (``risk``) and the way of a signal that
is weighed (``entering``).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import timedelta

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.values import (
    AccountSnapshot,
    ContractSnapshot,
    GateReport,
    OptionContract,
    Signal,
    Strategy,
)
from trading_assets.jobs.facts import regime_at
from trading_assets.jobs.gate_context import gate_context
from trading_assets.jobs.growing import Growing, find_growing
from trading_assets.jobs.lately import Lately
from trading_assets.jobs.risk_facts import facts_without_market
from trading_assets.jobs.weighing import look_at_account
from trading_assets.ledger import bursts, orders
from trading_assets.ledger.account_lock import AccountLock
from trading_assets.ledger.decisions import Denial, store_input
from trading_assets.market.sessions import Session
from trading_assets.resources.desk import Desk
from trading_assets.risk.facts import RiskFacts
from trading_assets.risk.gates import DEFAULT_GATES, evaluate

_log = logging.getLogger(__name__)

#: More open signals than this at once are a burst: about what an account's requests of one minute suffice for.
BURST = 20
#: Denials that are written while the account's lock is held once: an exit that waits for it waits no longer.
BLOCK = 250
#: Gates whose answer rests on the contract, its price or its size: without them they deny, and prove nothing by it.
OF_THE_MARKET = frozenset(
    {
        "quote_freshness",
        "max_exposure",
        "max_open_risk",
        "sector_exposure",
        "contract",
        "portfolio_greeks",
        "sizing",
    }
)
_FIRST = tuple(gate for gate in DEFAULT_GATES if gate.id not in OF_THE_MARKET)


@dataclass(slots=True)
class Screening:
    """Screens for one account as long as one dispatch lasts. Begins with nothing seen."""

    desk: Desk
    account: str
    session: Session
    run_id: str
    lately: Lately
    _burst: bool = False
    _signals: dict[str, Signal] = field(default_factory=dict)
    _passed: set[str] = field(default_factory=set)
    _facts: dict[str, RiskFacts] = field(default_factory=dict)
    _state: orders.LastChange | None = None

    def deny(self, lock: AccountLock) -> Counter[str]:
        """Skip what is denied without a look at the market, a block at most; how many, by the first gate that denied.

        Empty: the best open signal is to be weighed. The caller holds the account's ``lock`` and has reconciled.
        """
        desk, now = self.desk, self.desk.clock.now()
        max_age = timedelta(seconds=desk.strategy(self.account).gates.max_signal_age_s)
        with desk.ledger.connect() as connection:
            ids = bursts.pending_ids(connection, self.account, now, max_age)
            # Without the comparisons: what passed is judged whole before anything is bought of it.
            state = replace(orders.last_change(connection, self.account), reconciled_at=None)
            self._burst = self._burst or len(ids) > BURST
            if not self._burst or not ids:
                return Counter()
            self._signals |= bursts.signals(connection, (one for one in ids if one not in self._signals))
        if state != self._state:
            # What passed may be denied by what was ordered, bought or found since.
            self._state, self._passed = state, set()
            self._facts = {}
        waiting = [self._signals[one] for one in ids if one not in self._passed]
        if not waiting:
            return Counter()
        snapshot = look_at_account(desk, self.account, self.lately)
        if None in (snapshot.equity, snapshot.unrealized_pnl, snapshot.cash_flow_today):
            # An account that cannot be read denies everything: that must not be the fate of a whole burst.
            return Counter()
        denied = self._judge(waiting, snapshot)
        lock.verify()
        return self._skip(denied, snapshot)

    def _judge(self, waiting: Sequence[Signal], snapshot: AccountSnapshot) -> list[_Denied]:
        """Those of ``waiting`` that are denied, a block at most; who is not is remembered."""
        desk = self.desk
        held = {position.underlying for position in snapshot.positions}
        try:
            regime = regime_at(desk, self.session)
            market = self._market_of_held(snapshot, held & {signal.ticker for signal in waiting})
        except TradingAssetsError as error:
            # Each is then weighed by itself, and says why it cannot be.
            _log.warning("account %s: its burst is not screened now: %s", self.account, error)
            return []
        unread = {signal.ticker for signal in waiting} - self._facts.keys()
        if unread:
            self._facts |= facts_without_market(desk, self.account, unread, self.session, snapshot)
        found: list[_Denied] = []
        as_of = desk.clock.now()
        for signal in waiting:
            facts, growing = self._facts[signal.ticker], None
            if signal.ticker in held and signal.strategy is not Strategy.STOCK:
                growing = find_growing(desk, self.account, signal, self.session, snapshot, None, market, facts, as_of)
            context = gate_context(
                desk, self.account, signal, self.session, snapshot, regime, facts, as_of=as_of, growing=growing
            )
            if all(gate.judge(context).passed for gate in _FIRST):
                self._passed.add(signal.signal_id)
                continue
            found.append(_Denied(signal, evaluate(context), facts, growing))
            if len(found) == BLOCK:
                break
        return found

    def _market_of_held(self, snapshot: AccountSnapshot, tickers: Set[str]) -> list[ContractSnapshot]:
        """Quotes of the options held in ``tickers``: by their price a signal may be one that adds to them."""
        contracts = [
            OptionContract(
                position.symbol, position.underlying, position.right, position.strike, position.expiry,
                position.underlying, position.multiplier,
            )
            for position in snapshot.positions
            if position.underlying in tickers
            and position.right is not None and position.strike is not None and position.expiry is not None
        ]  # fmt: skip
        if not contracts:
            return []
        quotes = self.desk.broker(self.account).option_quotes([contract.symbol for contract in contracts])
        return [
            ContractSnapshot(contract, quotes[contract.symbol]) for contract in contracts if contract.symbol in quotes
        ]

    def _skip(self, denied: Sequence[_Denied], snapshot: AccountSnapshot) -> Counter[str]:
        """Write what was ``denied``, status and decision in one transaction."""
        if not denied:
            return Counter()
        now, hashes = self.desk.clock.now(), dict[str, str]()
        with self.desk.ledger.begin() as connection:
            account = store_input(connection, "account", snapshot, now)
            rows: dict[str, Denial] = {}
            for one in denied:
                ticker = one.signal.ticker
                if ticker not in hashes:
                    hashes[ticker] = store_input(connection, "facts", one.facts, now)
                inputs = {"account": account, "facts": hashes[ticker]}
                if one.growing is not None:
                    inputs["add"] = store_input(connection, "add", one.growing.remembered(0, None), now)
                rows[one.signal.signal_id] = Denial(_reason(one.report), one.report.results, inputs)
            skipped = bursts.skip(connection, self.account, self.run_id, rows, now)
        return Counter(_told(one.report)[0] for one in denied if one.signal.signal_id in skipped)


@dataclass(frozen=True, slots=True)
class _Denied:
    """A signal that is denied, and by what that was seen."""

    signal: Signal
    report: GateReport
    facts: RiskFacts
    growing: Growing | None


def _told(report: GateReport) -> list[str]:
    """The gates that denied by what they know, in order."""
    return [gate for gate in report.denials if gate not in OF_THE_MARKET]


def _reason(report: GateReport) -> str:
    """Every denial in order; gates that had nothing to judge are only named."""
    told = set(_told(report))
    said = [f"{result.gate}: {result.reason}" for result in report.results if result.gate in told]
    idle = [gate for gate in report.denials if gate not in told]
    return "; ".join([*said, f"one of a burst, the market was not asked, which denies: {', '.join(idle)}"])
