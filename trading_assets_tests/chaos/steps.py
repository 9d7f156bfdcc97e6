"""A sequence: what happens to one prepared world, step by step. Plain data, drawn from a seed, kept as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from trading_assets.domain import crashpoints

ACCOUNTS = ("large", "small")
#: What the exchange is asked for on the way of an order, as method and path of the switchboard's scope.
ORDER_CALLS = (
    ("POST", "/v2/orders"),
    ("GET", "/v2/orders:by_client_order_id"),
    ("GET", "/v2/orders*"),
    ("DELETE", "/v2/orders*"),
)
READS = (
    ("GET", "/v2/positions"),
    ("GET", "/v2/account"),
    ("GET", "/v2/account/activities*"),
    ("GET", "/v1beta1/options/*"),
    ("GET", "/v2/stocks/quotes/latest"),
)
HTTP_FAULTS = (
    "lost_answer",
    "lost_request",
    "reset",
    "hang",
    "rate_limited",
    "server_error",
    "html_body",
    "empty_200",
    "truncated_json",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``kind`` names what is done, ``given`` says how."""

    kind: str
    given: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(f'{name}={value}' for name, value in self.given.items())})"


def read_steps(rows: list[dict[str, Any]]) -> tuple[Step, ...]:
    """The steps of a sequence kept as JSON."""
    return tuple(Step(row["kind"], row["given"]) for row in rows)


def draw(seed: int, *, episodes: int = 5) -> tuple[Step, ...]:
    """The sequence of ``seed``: two to ``episodes`` episodes, the first of which brings something to lose."""
    random = Random(seed)
    steps = [*_entry(random, faults=random.random() < 0.5)]
    makers, weights = zip(*_EPISODES, strict=True)
    for maker in random.choices(makers, weights, k=random.randint(1, episodes - 1)):
        steps += maker(random)
    return tuple(steps)


def _entry(random: Random, *, faults: bool = True) -> list[Step]:
    """Signals are offered and dispatched, with faults armed before."""
    offers = [_offer(random) for _ in range(random.choice([1, 1, 2]))]
    return [*offers, *(_some_faults(random) if faults else ()), _dispatch(random)]


def _exit(random: Random) -> list[Step]:
    """Everything of an account is to be sold, with faults armed before; then it may go on."""
    account = _account(random)
    ordered = Step("kill_switch", {"mode": "flatten", "account": account})
    sold = Step("manage", {"account": account, "crash": _crash(random, "manage")})
    allowed = Step("kill_switch", {"mode": "off", "account": account})
    return [ordered, *_some_faults(random), sold, allowed]


def _watch(random: Random) -> list[Step]:
    """Time passes and positions are looked after."""
    return [_advance(random), *_some_faults(random), _manage(random)]


def _hand(random: Random) -> list[Step]:
    """Somebody else trades in the account."""
    account = _account(random)
    trade = Step(random.choice(["hand_sale", "hand_buy", "liquidation"]), {"account": account})
    return [trade, Step("manage", {"account": account, "crash": _crash(random, "manage")})]


def _race(random: Random) -> list[Step]:
    """Two processes work on one account at once."""
    return [_offer(random), *_some_faults(random), _both(random)]


def _outage(random: Random) -> list[Step]:
    """The exchange is killed and comes back."""
    return [Step("kill_exchange"), _dispatch(random), _manage(random)]


def _stop(random: Random) -> list[Step]:
    """A person stops an account or lets it go on."""
    mode = random.choice(["entries", "all", "off"])
    return [Step("kill_switch", {"mode": mode, "account": _account(random)}), _offer(random), _dispatch(random)]


_EPISODES: tuple[tuple[Callable[[Random], list[Step]], int], ...] = (
    (_entry, 8),
    (_exit, 6),
    (_watch, 4),
    (_hand, 3),
    (_race, 4),
    (_outage, 1),
    (_stop, 1),
)


def _some_faults(random: Random) -> list[Step]:
    makers = random.choices([_http_fault, _order_fault, _data_fault], [6, 3, 2], k=random.choice([0, 1, 1, 2, 3]))
    return [maker(random) for maker in makers]


def _account(random: Random) -> str:
    return random.choice(ACCOUNTS)


def _crash(random: Random, job: str, chance: float = 0.4) -> dict[str, Any]:
    """Maybe a point that ``job`` passes, at which its process is killed or its database connections are cut."""
    if random.random() >= chance:
        return {}
    own = "submission." if job == "dispatch" else "exit."
    points = [point for point in crashpoints.POINTS if point.startswith((own, "booking.", "reconciliation."))]
    what = random.choice(["die", "die", "die", "sever"])
    return {"at": random.choice(points), "passage": random.choice([1, 1, 1, 2]), "what": what}


def _offer(random: Random) -> Step:
    return Step("offer", {"name": random.randrange(12), "strategy": random.choice(["swing_trade", "day_trade"])})


def _dispatch(random: Random) -> Step:
    return Step("dispatch", {"account": _account(random), "crash": _crash(random, "dispatch")})


def _manage(random: Random) -> Step:
    return Step("manage", {"account": _account(random), "crash": _crash(random, "manage")})


def _both(random: Random) -> Step:
    first, second = random.choice([("dispatch", "dispatch"), ("dispatch", "manage"), ("manage", "manage")])
    return Step("at_once", {"account": _account(random), "jobs": [first, second], "crash": _crash(random, first, 0.2)})


def _http_fault(random: Random) -> Step:
    method, path = random.choice(ORDER_CALLS * 2 + READS)
    kind = random.choice(HTTP_FAULTS)
    parameters: dict[str, Any] = {}
    if kind in ("reset", "hang", "server_error", "html_body", "empty_200"):
        parameters["handled"] = random.random() < 0.5
    if kind == "server_error":
        parameters["status"] = random.choice([500, 502, 503, 504])
    return _fault(
        random, kind, scope={"method": method, "path": path}, most=random.choice([1, 1, 2, 6]), parameters=parameters
    )


def _fault(random: Random, kind: str, *, most: int = 2, **given: Any) -> Step:
    count = random.randint(1, most)
    return Step("fault", {"kind": kind, "count": count, "after": random.choice([0, 0, 0, 0, 1, 2]), **given})


def _order_fault(random: Random) -> Step:
    kinds = ("reject_order", "held_for_orders", "partial_then_cancel", "fill_before_cancel", "no_fills", "unknown_enum")
    return _fault(random, random.choice(kinds))


def _data_fault(random: Random) -> Step:
    kinds = ("stale_quote", "crossed_quote", "missing_quote", "zero_quote", "null_greeks", "bad_positions")
    return _fault(random, random.choice(kinds), most=5)


def _advance(random: Random) -> Step:
    return Step("advance", {"seconds": random.choice([1, 5, 30, 61, 125, 300])})
