"""What can be set about one fault beyond its scope. One model per shape; which kind takes which is in ``plan``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_assets.exchange.faults.rejections import REJECTIONS

_HOUR, _DAY = 3600.0, 86_400.0


class Nothing(BaseModel):
    """A fault about which nothing can be set."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Handled(Nothing):
    """``handled``: the exchange does what was asked before the answer is spoilt."""

    handled: bool = False


class Hang(Handled):
    """The real answer comes after ``seconds`` of the wall, or never. Not handled: it is a 504 then."""

    seconds: float | None = Field(None, gt=0, le=_HOUR)


class RateLimited(Nothing):
    """The allowance is back in ``reset_s`` seconds, as the header says."""

    reset_s: int = Field(1, ge=0, le=600)


class ServerError(Handled):
    """``status`` with the broker's JSON body."""

    status: Literal[500, 502, 503, 504] = 500


class HtmlBody(Handled):
    """A proxy's page."""

    status: int = Field(502, ge=200, le=599)


class AnswerChanged(Handled):
    """An answer that is changed; the request is handled first."""

    handled: bool = True


class Truncated(AnswerChanged):
    """``keep`` is the part of the body that is sent."""

    keep: float = Field(0.5, ge=0, lt=1)


class UnknownEnum(Nothing):
    """``field`` of the order says ``value``."""

    field: Literal["status", "type", "order_class", "side", "time_in_force", "asset_class"] = "status"
    value: str = Field("awaiting_regulator", min_length=1, max_length=40)


class BadPositions(Nothing):
    """An error's body with ``status``."""

    status: int = Field(200, ge=200, le=599)


class Slow(Nothing):
    """The body takes ``seconds`` in ``chunks`` pieces."""

    seconds: float = Field(2.0, gt=0, le=_HOUR)
    chunks: int = Field(8, ge=1, le=1000)


class Outage(Nothing):
    """``refuse`` closes each connection, ``reset`` resets it, ``hang`` leaves it without a word."""

    mode: Literal["refuse", "reset", "hang"] = "refuse"


class BadFrame(Nothing):
    """What comes before the real frame."""

    shape: Literal["unknown_enum", "not_json", "null_order", "no_data", "no_object"] = "unknown_enum"


class Disconnect(Nothing):
    """``now``: at once; else before the next frame, which is lost."""

    now: bool = False
    abrupt: bool = False


class RefuseConnection(Nothing):
    """With an error after the credentials, or already in the handshake (406; no account is known then)."""

    at: Literal["authorization", "handshake"] = "authorization"


class Late(Nothing):
    """Seconds of the wall by which a frame is late; what comes after it overtakes it."""

    seconds: float = Field(1.0, gt=0, le=_HOUR)


class Rejection(Nothing):
    """The answer of ``reason`` (a name of ``rejections``), or of ``status``, ``code`` and ``message``."""

    reason: str | None = None
    status: int = Field(422, ge=400, le=599)
    code: int = Field(42210000, ge=0)
    message: str = Field("order was rejected", max_length=500)
    extras: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.reason is not None and self.reason not in REJECTIONS:
            raise ValueError(f"reason: expected one of {', '.join(sorted(REJECTIONS))}")
        return self


class Quantity(Nothing):
    """Shares or contracts; None: all of it, or half for a part."""

    quantity: int | None = Field(None, ge=1, le=1_000_000)


class Race(Quantity):
    """``accepted``: the cancel is answered as if it had come in time."""

    accepted: bool = False


class Hand(Nothing):
    """A trade by hand, at the market or at ``limit_price``."""

    quantity: int = Field(1, ge=1, le=1_000_000)
    limit_price: Decimal | None = Field(None, gt=0)
    cancel_orders: bool = False


class Execution(Nothing):
    """An execution by its id, with or without the instant before ``::``; None: the newest in scope."""

    execution_id: str | None = None


class Correction(Execution):
    """What it was corrected to; None leaves it."""

    price: Decimal | None = Field(None, gt=0)
    quantity: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _corrects(self) -> Self:
        if self.price is None and self.quantity is None:
            raise ValueError("a correction needs a price or a quantity")
        return self


class Stale(Nothing):
    """The first quote seen is repeated, ``age_s`` seconds older than it was."""

    age_s: float = Field(3600, ge=0, le=30 * _DAY)


class Crossed(Nothing):
    """The bid lies ``by`` dollars above the ask."""

    by: float = Field(0.05, gt=0, le=1000)


class Zeroed(Nothing):
    """Which sides are zero."""

    sides: Literal["bid", "ask", "both"] = "both"


class NullGreeks(Nothing):
    """``inside``: each Greek is null; else the whole object is."""

    inside: bool = False


class Sentinel(Nothing):
    """The number that stands for none."""

    value: float = -999.0


class MissingPage(Nothing):
    """``cut``: the answer says that there is no further page. ``empty``: this page comes without its rows."""

    shape: Literal["cut", "empty"] = "cut"


class Gap(Nothing):
    """Bars that are missing in the middle."""

    bars: int = Field(1, ge=1, le=390)


class Revised(Nothing):
    """The last bar's prices by this fraction away from what they were."""

    fraction: float = Field(0.01, gt=-1, le=10)


class NanBar(Nothing):
    """The field of the last bar that is not a number."""

    field: Literal["o", "h", "l", "c", "v", "vw"] = "c"


class Skew(Nothing):
    """Seconds by which the exchange's clock is ahead (negative: behind) in what it says."""

    seconds: float = Field(ge=-_DAY, le=_DAY)
