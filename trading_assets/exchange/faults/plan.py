"""What can be armed: the kinds of faults, their scope and how often. Nothing here happens.

A kind belongs to one *hook*, the place where it is asked for:

* ``request``: a request that came in, before it is handled; ``connect``: a stream that opens
* ``answer``: one order, quote, bar series or page of an answer
* ``frame``: an update on the stream of trade updates; ``fill``: an order that the market is about to fill
* ``act``: something that the broker does of itself: at once when armed, or, with an endpoint, before such a request
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_assets.exchange.faults import parameters as p

Hook = Literal["request", "answer", "frame", "connect", "fill", "act"]
ORDERS, POSITIONS = "/v2/orders", "/v2/positions"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. ``method``, ``path`` and ``side`` stand where the scope names none.

    ``lasting``: it has no count unless one is given.
    """

    hook: Hook
    parameters: type[p.Nothing] = p.Nothing
    method: str | None = None
    path: str | None = None
    lasting: bool = False
    side: Literal["buy", "sell"] | None = None


KINDS: dict[str, Kind] = {
    # answers and connections
    "lost_answer": Kind("request"),
    "lost_request": Kind("request"),
    "reset": Kind("request", p.Handled),
    "hang": Kind("request", p.Hang),
    "rate_limited": Kind("request", p.RateLimited),
    "server_error": Kind("request", p.ServerError),
    "html_body": Kind("request", p.HtmlBody),
    "empty_200": Kind("request", p.AnswerChanged),
    "truncated_json": Kind("request", p.Truncated),
    "slow_body": Kind("request", p.Slow),
    "unauthorized": Kind("request"),
    "bad_positions": Kind("request", p.BadPositions, "GET", POSITIONS),
    "outage": Kind("request", p.Outage, lasting=True),
    "unknown_enum": Kind("answer", p.UnknownEnum, "GET", ORDERS),
    "clock_skew": Kind("answer", p.Skew, lasting=True),
    # orders
    "reject_order": Kind("request", p.Rejection, "POST", ORDERS),
    "held_for_orders": Kind("request", p.Nothing, "POST", ORDERS, side="sell"),
    "fill_before_cancel": Kind("act", p.Race, "DELETE", f"{ORDERS}*"),
    "fill_before_replace": Kind("act", p.Quantity, "PATCH", f"{ORDERS}/*"),
    "partial_then_cancel": Kind("fill", p.Quantity),
    "no_fills": Kind("fill", lasting=True),
    # the broker acts
    "liquidate": Kind("act", p.Quantity),
    "hand_trade": Kind("act", p.Hand),
    "bust": Kind("act", p.Execution),
    "correct": Kind("act", p.Correction),
    # the stream of trade updates
    "mute": Kind("frame", lasting=True),
    "drop_frame": Kind("frame"),
    "duplicate_frame": Kind("frame"),
    "reorder_frames": Kind("frame"),
    "bad_frame": Kind("frame", p.BadFrame),
    "late_frame": Kind("frame", p.Late),
    "disconnect": Kind("frame", p.Disconnect),
    "refuse_connection": Kind("connect", p.RefuseConnection),
    # market data
    "stale_quote": Kind("answer", p.Stale, "GET", lasting=True),
    "crossed_quote": Kind("answer", p.Crossed, "GET"),
    "missing_quote": Kind("answer", p.Nothing, "GET"),
    "zero_quote": Kind("answer", p.Zeroed, "GET"),
    "null_greeks": Kind("answer", p.NullGreeks, "GET"),
    "sentinel_greeks": Kind("answer", p.Sentinel, "GET"),
    "missing_page": Kind("answer", p.MissingPage, "GET"),
    "bar_gap": Kind("answer", p.Gap, "GET"),
    "duplicate_bar": Kind("answer", p.Nothing, "GET"),
    "revised_bar": Kind("answer", p.Revised, "GET"),
    "nan_bar": Kind("answer", p.NanBar, "GET"),
}


@dataclass(frozen=True, slots=True)
class Hit:
    """What a fault may hit. What is not known is None; ``symbols`` has several where a request asks for several."""

    method: str | None = None
    path: str | None = None
    account: str | None = None
    symbols: tuple[str, ...] = ()
    side: str | None = None
    client_order_id: str | None = None
    order_id: str | None = None
    event: str | None = None


class Scope(BaseModel):
    """Where a fault happens. None: everywhere. ``path`` and ``symbol`` are patterns with ``*`` and ``?``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str | None = Field(None, pattern=r"^[A-Z]+$", description="HTTP method")
    path: str | None = Field(None, pattern=r"^/", max_length=200, description="pattern of the path, without its query")
    account: str | None = Field(None, description="name of the account in the exchange's configuration")
    symbol: str | None = Field(None, max_length=40, description="pattern of the symbol, also a compact OCC one")
    side: Literal["buy", "sell"] | None = Field(None, description="side of the order")
    client_order_id: str | None = Field(None, max_length=128, description="the client's id of the order, a pattern")
    event: str | None = Field(None, max_length=40, description="event of an update, e.g. fill")

    def covers(self, hit: Hit) -> bool:
        """Whether ``hit`` lies within. What the scope names and the hit does not know lies outside."""
        return (
            (self.method is None or self.method == hit.method)
            and _fits(self.path, (hit.path,))
            and (self.account is None or self.account == hit.account)
            and _fits(self.symbol, hit.symbols)
            and (self.side is None or self.side == hit.side)
            and _fits(self.client_order_id, (hit.client_order_id,))
            and (self.event is None or self.event == hit.event)
        )


def _fits(pattern: str | None, values: tuple[str | None, ...]) -> bool:
    return pattern is None or any(value is not None and fnmatchcase(value, pattern) for value in values)


class Fault(BaseModel):
    """One fault as it is armed. It hits the matches after the first ``after``, each with ``probability``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    scope: Scope = Scope.model_validate({})
    count: int | None = Field(None, ge=1, le=1_000_000, description="how often; default 1, without end if it lasts")
    after: int = Field(0, ge=0, le=1_000_000, description="matches that are let through first")
    probability: float = Field(1.0, gt=0, le=1, description="chance of each match after those")
    seed: int = Field(0, ge=0, description="of the chances: same seed, same matches hit")
    duration_s: float | None = Field(None, gt=0, le=30 * 86_400, description="it ends so long after it was armed")
    clock: Literal["wall", "exchange"] = Field("wall", description="the clock of duration_s")
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.kind not in KINDS:
            raise ValueError(f"kind: expected one of {', '.join(KINDS)}")
        kind = KINDS[self.kind]
        kind.parameters.model_validate(self.parameters)
        if self.at_once and (self.count not in (None, 1) or self.after):
            raise ValueError("an act without an endpoint happens once, when it is armed: no count, no after")
        return self

    @property
    def at_once(self) -> bool:
        """Whether it happens when it is armed."""
        if KINDS[self.kind].hook == "act":
            return self.endpoint == (None, None)
        return self.kind == "disconnect" and self.parameters.get("now") is True

    @property
    def endpoint(self) -> tuple[str | None, str | None]:
        """Method and pattern of the path: the scope's, else the kind's."""
        kind = KINDS[self.kind]
        if self.scope.method is None and self.scope.path is None:
            return kind.method, kind.path
        return self.scope.method, self.scope.path

    @property
    def times(self) -> int | None:
        """How often it hits; None: without end."""
        if self.count is None and not KINDS[self.kind].lasting:
            return 1
        return self.count

    def covers(self, hit: Hit) -> bool:
        """Whether it may hit ``hit``."""
        method, path = self.endpoint
        side = self.scope.side or KINDS[self.kind].side
        return self.scope.model_copy(update={"method": method, "path": path, "side": side}).covers(hit)
