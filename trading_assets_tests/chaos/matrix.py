"""The matrix: a process killed at each crash point, and each fault of the switchboard met at that step or right after.

Crash points and faults are read from the code, so that a new one is in by itself. What a cell does: a process does what
passes the point while the fault is armed, and dies there; where the fault keeps it from getting so far, it dies there
without the fault, which then meets those who come after. These go on as the system does, under the fault. Then all
settles. ``covering`` chooses a part in which every point and every fault occurs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from trading_assets.domain import crashpoints
from trading_assets.exchange.faults.plan import KINDS
from trading_assets_tests.chaos.book import read
from trading_assets_tests.chaos.judge import unseen
from trading_assets_tests.chaos.model import Broken, Model
from trading_assets_tests.chaos.play import settle
from trading_assets_tests.chaos.ring import Ring, perform
from trading_assets_tests.chaos.steps import Step

ACCOUNT = "large"
POINTS = crashpoints.POINTS
_STREAM = "the trade stream is not part of these steps; broker/test_trade_stream*.py injects it"
_BARS = "no acting job asks for minute bars; assets do"
#: Faults that no crash point can meet, and why.
ELSEWHERE = {
    **{kind: _STREAM for kind, one in KINDS.items() if one.hook in ("frame", "connect")},
    "bust": "without the trade stream it is believed after minutes only; broker/test_unheard_changes.py injects it",
    "correct": "without the trade stream it is believed after minutes only; broker/test_unheard_changes.py injects it",
    "missing_page": "what acting jobs ask for fits one page here; exchange/faults/test_market_faults.py injects it",
    "fill_before_replace": "the system never replaces an order",
    "clock_skew": "a practice world takes its time from the control path; domain clocks are tested with F44",
    "bar_gap": _BARS,
    "duplicate_bar": _BARS,
    "revised_bar": _BARS,
    "nan_bar": _BARS,
}
#: Cells whose fault is not met, by point and kind, and why.
UNMET: dict[tuple[str, str], str] = {}
#: The name that is held for somebody else to sell.
_BYSTANDER = 2
#: What about a fault has to be chosen.
_CHOSEN: dict[str, dict[str, Any]] = {"slow_body": {"seconds": 0.2, "chunks": 2}}
#: Faults after which nobody knows whether the broker has done what it was asked.
_FATE_OPEN = ("lost_answer", "reset", "hang")
#: The request that a fault without an endpoint of its own spoils, by the last word of the crash point.
_CALLS = {
    "before_intent": ("GET", "/v2/positions"),
    "after_intent": ("GET", "/v2/orders:by_client_order_id"),
    "after_post": ("POST", "/v2/orders"),
    "after_answer": ("POST", "/v2/orders"),
    "before_commit": ("GET", "/v2/orders*"),
    "after_commit": ("GET", "/v2/account/activities*"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One crash point and one fault."""

    point: str
    kind: str
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Short and always the same."""
        words = "".join(f"-{name}" for name, value in self.parameters.items() if value is True)
        return f"{self.point}-{self.kind}{words}"

    @property
    def step(self) -> str:
        """What passes the point: submission, booking, exit, reconciliation, protection or rolling."""
        return self.point.partition(".")[0]


@dataclass(slots=True)
class Outcome:
    """What became of a cell: whether point and fault were reached, and what broke."""

    died: bool
    met: bool
    broken: Broken
    orders: int
    told: list[str]


def faults() -> list[tuple[str, dict[str, Any]]]:
    """Every fault that these steps can meet, with each way in which it may happen."""
    found: list[tuple[str, dict[str, Any]]] = []
    for kind, one in KINDS.items():
        if kind in ELSEWHERE:
            continue
        chosen = _CHOSEN.get(kind, {})
        handled = one.parameters.model_fields.get("handled")
        if handled is not None and handled.default is False:
            found += [(kind, chosen), (kind, {**chosen, "handled": True})]
        else:
            found.append((kind, chosen))
    return found


def cells() -> list[Cell]:
    """The whole matrix."""
    return [Cell(point, kind, parameters) for point in POINTS for kind, parameters in faults()]


def covering() -> list[Cell]:
    """A part of it: every fault at one point, those that leave an order's fate open at two; and so every point."""
    return list({cell.name: cell for cell in _covering()}.values())


def _covering() -> Iterator[Cell]:
    for number, (kind, parameters) in enumerate(faults()):
        yield Cell(POINTS[number % len(POINTS)], kind, parameters)
        if kind in _FATE_OPEN:
            yield Cell(POINTS[(number + 7) % len(POINTS)], kind, parameters)


def play(ring: Ring, cell: Cell) -> Outcome:
    """Play one cell in a fresh world."""
    model = Model()
    _begin(ring, cell)
    ring.control("POST", "faults", _fault(ring, cell))
    died = _die(ring, cell)
    if not died:
        ring.disarm()
        _reconcile(ring)
        ring.advance(65)
        if cell.step == "protection":
            _unprotect(ring)
        if cell.step == "exit" and not ring.broker(ACCOUNT, "GET", "/v2/positions"):
            _buy(ring, 4)
        died = _die(ring, cell)
        ring.control("POST", "faults", _fault(ring, cell))
    with ring.calm():
        broken = model.at_once(read(ring, ACCOUNT))
    for step in _afterwards():
        perform(ring, step)
        ring.note_fired()
        if _met(ring, cell):
            break
    if not broken:
        settle(ring, (ACCOUNT,))
        broken = model.settled(read(ring, ACCOUNT))
    if said := unseen(ring):
        broken["I5"] = said
    told = [f"{act.jobs} {act.status} {act.trouble[-300:]} {act.reports} {act.said}" for act in ring.acts]
    return Outcome(died, _met(ring, cell), broken, len(read(ring, ACCOUNT).orders), told)


def _begin(ring: Ring, cell: Cell) -> None:
    """Have what the step works on: something held, or a stock whose protective orders somebody ended.

    What somebody else sells meanwhile is something else than what the step sells.
    """
    if cell.step != "protection":
        _buy(ring, 0)
    else:
        _protected_no_more(ring)
    if _is_of_anothers(cell):
        _buy(ring, _BYSTANDER)


def _protected_no_more(ring: Ring) -> None:
    perform(ring, Step("bracket", {"account": ACCOUNT, "name": 0, "quantity": 5, "price": "ask", "crash": {}}))
    _unprotect(ring)


def _unprotect(ring: Ring) -> None:
    """Somebody ends at the broker what rests over the stock."""
    for order in ring.broker(ACCOUNT, "GET", "/v2/orders?status=open"):
        ring.broker(ACCOUNT, "DELETE", f"/v2/orders/{order['id']}")
    _reconcile(ring)


def _reconcile(ring: Ring) -> None:
    perform(ring, Step("reconcile", {"account": ACCOUNT, "crash": {}}))


def _buy(ring: Ring, name: int) -> None:
    perform(ring, Step("buy", {"account": ACCOUNT, "name": name, "quantity": 2, "price": "ask", "crash": {}}))


def _die(ring: Ring, cell: Cell) -> bool:
    """Do what passes the point and die there; whether it did."""
    crash = {"at": cell.point}
    given: dict[str, Any] = {"account": ACCOUNT, "name": 0, "crash": crash}
    match cell.step:
        case "exit":
            step = Step("sell", {**given, "quantity": 0, "price": "bid"})
        case "protection":
            step = Step("protect", given)
        case "rolling":
            step = Step("roll", given)
        case "reconciliation":
            step = Step("reconcile", given)
        case _:
            step = Step("buy", {**given, "name": 1, "quantity": 2, "price": "ask"})
    perform(ring, step)
    return ring.acts[-1].status < 0


def _afterwards() -> list[Step]:
    """What goes on after the crash, one after the other, until the fault is met."""
    given: dict[str, Any] = {"account": ACCOUNT, "crash": {}}
    return [
        Step("manage", given),
        Step("buy", {**given, "name": 3, "quantity": 2, "price": "ladder"}),
        Step("sell", {**given, "name": 0, "quantity": 1, "price": "ladder"}),
        Step("offer", {"name": 4, "strategy": "swing_trade"}),
        Step("dispatch", given),
    ]


def _fault(ring: Ring, cell: Cell) -> dict[str, Any]:
    """The fault as it is armed: for this account, twice at most, a trade by hand once."""
    one = KINDS[cell.kind]
    scope: dict[str, Any] = {"account": ACCOUNT}
    if one.hook == "request" and one.path is None:
        scope["method"], scope["path"] = _CALLS[cell.point.rpartition(".")[2]]
    elif one.hook == "answer" and one.path is not None:
        # Not the list alone: where nothing was under way, each order is asked for by itself.
        scope["method"], scope["path"] = one.method, f"{one.path}*"
    elif _is_of_anothers(cell):
        scope["symbol"] = ring.template.entries[_BYSTANDER].symbol
        if cell.kind == "hand_trade":
            # No request names its side: it happens when it is armed.
            return {"kind": cell.kind, "scope": {**scope, "side": "sell"}}
        # Before a request that names the symbol: the position manager's for what it may sell it at.
        scope |= {"method": "GET", "path": "/v1beta1/options/quotes/latest"}
    return {"kind": cell.kind, "scope": scope, "count": 2, "parameters": cell.parameters}


def _is_of_anothers(cell: Cell) -> bool:
    """Whether somebody else trades: the broker, or a person."""
    return KINDS[cell.kind].hook == "act" and KINDS[cell.kind].path is None


def _met(ring: Ring, cell: Cell) -> bool:
    return any(fault["kind"] == cell.kind for fault in ring.fired)
