"""A stateful machine: orders, fills, cancels, faults, kills and restarts in any order, against the invariants' model.

Every part is real: the client, the exchange's process with its switchboard, PostgreSQL, and processes that are killed.
After each step the model judges what must hold at every instant; in the end all settles and is judged whole.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from trading_assets.domain import crashpoints
from trading_assets_tests.chaos.book import read
from trading_assets_tests.chaos.deeds import BUYING, SELLING
from trading_assets_tests.chaos.judge import unseen
from trading_assets_tests.chaos.model import Broken, Model
from trading_assets_tests.chaos.play import settle
from trading_assets_tests.chaos.ring import Ring, perform
from trading_assets_tests.chaos.score import BREACHES, Scorecard
from trading_assets_tests.chaos.steps import ACCOUNTS, HTTP_FAULTS, ORDER_CALLS, READS, Step
from trading_assets_tests.chaos.template import Template

_numbers = count()
_accounts = st.sampled_from(ACCOUNTS)
_names = st.integers(0, 3)
_ORDER_FAULTS = (
    "reject_order", "held_for_orders", "partial_then_cancel", "fill_before_cancel", "no_fills", "unknown_enum",
    "bad_positions", "stale_quote", "crossed_quote", "missing_quote",
)  # fmt: skip


def _crashes(*prefixes: str) -> st.SearchStrategy[dict[str, Any]]:
    """Maybe a point of these steps, or of those that every deed passes, at which its process dies."""
    points = [point for point in crashpoints.POINTS if point.split(".")[0] in (*prefixes, "booking", "reconciliation")]
    dies = st.fixed_dictionaries(
        {
            "at": st.sampled_from(points),
            "passage": st.sampled_from([1, 1, 1, 2]),
            "what": st.sampled_from(["die", "die", "sever"]),
        }
    )
    nowhere: dict[str, Any] = {}
    return st.one_of(st.just(nowhere), dies, dies)


_often = {"count": st.integers(1, 3), "after": st.integers(0, 1)}
_call = st.sampled_from([*ORDER_CALLS * 2, *READS]).map(lambda pair: {"method": pair[0], "path": pair[1]})
_spoilt_requests = st.fixed_dictionaries({"kind": st.sampled_from(HTTP_FAULTS), "scope": _call, **_often})
_spoilt_orders = st.fixed_dictionaries({"kind": st.sampled_from(_ORDER_FAULTS), **_often})


class Machine(RuleBasedStateMachine):
    """Two accounts of one exchange. ``card`` counts what was done, if there is one."""

    def __init__(self, template: Template, card: Scorecard | None = None) -> None:
        super().__init__()
        self._home = Path(tempfile.mkdtemp(prefix="chaos-machine-"))
        self._card = card
        self.ring = Ring(template, self._home, f"machine{next(_numbers)}")
        self.model = Model()
        self.steps: list[Step] = []

    def do(self, step_kind: str, **given: Any) -> None:
        """Perform one step and remember it."""
        step = Step(step_kind, given)
        self.steps.append(step)
        perform(self.ring, step)

    @initialize(account=_accounts)
    def something_is_held(self, account: str) -> None:
        self.do("buy", account=account, name=0, quantity=2, price="ask", crash={})

    @initialize(account=_accounts, at=st.sampled_from([p for p in crashpoints.POINTS if p.startswith("submission.")]))
    def a_run_has_died(self, account: str, at: str) -> None:
        self.do("buy", account=account, name=1, quantity=1, price="ask", crash={"at": at})

    # --- orders -----------------------------------------------------------------------------------------------------

    @rule(account=_accounts, name=_names, quantity=st.integers(1, 3), price=st.sampled_from(BUYING),
          crash=_crashes("submission"))  # fmt: skip
    def buy(self, account: str, name: int, quantity: int, price: str, crash: dict[str, Any]) -> None:
        self.do("buy", account=account, name=name, quantity=quantity, price=price, crash=crash)

    @rule(account=_accounts, name=_names, quantity=st.integers(2, 9), price=st.sampled_from(BUYING),
          crash=_crashes("submission"))  # fmt: skip
    def bracket(self, account: str, name: int, quantity: int, price: str, crash: dict[str, Any]) -> None:
        self.do("bracket", account=account, name=name, quantity=quantity, price=price, crash=crash)

    @rule(account=_accounts, name=_names, quantity=st.integers(1, 2), crash=_crashes("submission"))
    def add(self, account: str, name: int, quantity: int, crash: dict[str, Any]) -> None:
        self.do("add", account=account, name=name, quantity=quantity, price="ask", crash=crash)

    @rule(account=_accounts, name=_names, quantity=st.integers(0, 1), price=st.sampled_from(SELLING),
          crash=_crashes("exit"))  # fmt: skip
    def sell(self, account: str, name: int, quantity: int, price: str, crash: dict[str, Any]) -> None:
        self.do("sell", account=account, name=name, quantity=quantity, price=price, crash=crash)

    @rule(account=_accounts, name=_names, crash=_crashes("rolling"))
    def roll(self, account: str, name: int, crash: dict[str, Any]) -> None:
        self.do("roll", account=account, name=name, crash=crash)

    @rule(account=_accounts, name=_names, crash=_crashes("protection"))
    def protect(self, account: str, name: int, crash: dict[str, Any]) -> None:
        self.do("protect", account=account, name=name, crash=crash)

    @rule(account=_accounts, crash=_crashes())
    def reconcile(self, account: str, crash: dict[str, Any]) -> None:
        self.do("reconcile", account=account, crash=crash)

    @rule(account=_accounts, crash=_crashes("exit", "protection"))
    def manage(self, account: str, crash: dict[str, Any]) -> None:
        self.do("manage", account=account, crash=crash)

    @rule(account=_accounts, crash=_crashes("exit"))
    def flatten(self, account: str, crash: dict[str, Any]) -> None:
        self.do("kill_switch", account=account, mode="flatten")
        self.do("manage", account=account, crash=crash)
        self.do("kill_switch", account=account, mode="off")

    @rule(account=_accounts, crash=_crashes("exit"))
    def manage_twice_at_once(self, account: str, crash: dict[str, Any]) -> None:
        self.do("at_once", account=account, jobs=["manage", "manage"], crash=crash)

    # --- what happens to them ---------------------------------------------------------------------------------------

    @rule(fault=_spoilt_requests)
    def a_request_will_fail(self, fault: dict[str, Any]) -> None:
        self.do("fault", **fault)

    @rule(fault=_spoilt_requests)
    def another_request_will_fail(self, fault: dict[str, Any]) -> None:
        self.do("fault", **fault)

    @rule(fault=_spoilt_orders)
    def an_order_will_fare_otherwise(self, fault: dict[str, Any]) -> None:
        self.do("fault", **fault)

    @rule(seconds=st.sampled_from([1, 30, 61, 300]))
    def time_passes(self, seconds: int) -> None:
        self.do("advance", seconds=seconds)

    @rule(account=_accounts, kind=st.sampled_from(["hand_sale", "hand_buy", "liquidation"]))
    def somebody_else_trades(self, account: str, kind: str) -> None:
        self.do(kind, account=account)

    @precondition(lambda self: len(self.steps) > 2)
    @rule()
    def the_exchange_is_killed(self) -> None:
        self.do("kill_exchange")

    # --- the model --------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_wrong(self) -> None:
        with self.ring.calm():
            broken = {account: self.model.at_once(read(self.ring, account)) for account in ACCOUNTS}
        self._require(broken, {})

    def all_is_well_once_settled(self) -> None:
        settle(self.ring)
        broken = {account: self.model.settled(read(self.ring, account)) for account in ACCOUNTS}
        said = unseen(self.ring)
        self._require(broken, {"I5": said} if said else {})

    def _require(self, broken: dict[str, Broken], both: Broken) -> None:
        found = {account: said for account, said in broken.items() if said} | both
        if not found:
            return
        if self._card is not None:
            for each in (*broken.values(), both):
                self._card.breaches.update({BREACHES[name]: len(said) for name, said in each.items()})
        steps = "\n".join(f"  {json.dumps(step.as_json())}" for step in self.steps)
        raise AssertionError(f"{json.dumps(found, indent=1)}\nafter\n{steps}")

    def teardown(self) -> None:
        """Let it settle, judge it whole, count it, and end its processes."""
        try:
            self.all_is_well_once_settled()
            if self._card is not None:
                self._count(self._card)
        finally:
            self.ring.close()
            shutil.rmtree(self._home, ignore_errors=True)

    def _count(self, card: Scorecard) -> None:
        card.sequences += 1
        card.faults.update(fault["kind"] for fault in self.ring.fired)
        card.processes_killed += sum(1 for act in self.ring.acts if act.status < 0)
        for account in ACCOUNTS:
            book = read(self.ring, account)
            card.orders += len(book.orders)
            card.fills += len(book.fills)
            card.signals_bought += sum(1 for asked in book.asked.values() if asked)


def drive(
    template: Template, *, examples: int, steps: int, number: int | None = None, card: Scorecard | None = None
) -> None:
    """Run so many examples of so many steps; ``number`` chooses others than the ones that are always the same.

    Raises what the model found, in its smallest form.
    """
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=number is None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        print_blob=False,
    )
    factory: Any = lambda: Machine(template, card)  # noqa: E731
    if number is not None:
        factory = seed(number)(factory)
    run_state_machine_as_test(factory, settings=chosen)
