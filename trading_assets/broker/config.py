"""Numbers of the broker room: time-outs, retries, look-ups, polling, tolerances.

What belongs here: the one typed model of these numbers, with their permitted ranges. What does not: prices and times of
the limit ladder (the caller's plan) and addresses or keys (settings).
"""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field


class TradeStreamConfig(BaseModel):
    """How the stream of an account's trade updates is kept alive. All seconds are the wall's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    open_seconds: float = Field(default=5.0, ge=0.1, le=60, description="how long opening the connection may take")
    welcome_seconds: float = Field(
        default=10.0, ge=0.1, le=60, description="how long authorization and the confirmation to listen may take each"
    )
    ping_seconds: float = Field(default=10.0, ge=0.1, le=120, description="wait between two pings")
    pong_seconds: float = Field(default=10.0, ge=0.1, le=120, description="how long the answer to a ping may take")
    compare_seconds: float = Field(
        default=30.0, ge=0.1, le=600, description="wait between two comparisons with the broker's lists"
    )
    grace_seconds: float = Field(
        default=3.0, ge=0, le=60, description="how much later than the broker's lists a frame may tell the same"
    )
    retry_seconds: float = Field(
        default=2.0, ge=0.1, le=60, description="wait before what could not be booked yet is tried again"
    )
    backoff_seconds: float = Field(
        default=1.0, ge=0.01, le=60, description="wait before the second connection; doubles each time"
    )
    longest_backoff_seconds: float = Field(
        default=60.0, ge=0.01, le=600, description="longest wait before a connection, refused ones included"
    )
    lock_seconds: float = Field(
        default=1.0, ge=0, le=30, description="longest wait for an account that a run works on; later it is tried again"
    )
    alert_seconds: float = Field(
        default=120.0, ge=1, le=3600, description="a stream that is not well for longer is told to people"
    )


class BrokerConfig(BaseModel):
    """How patiently and how often the broker is asked. Seconds are measured by the Clock except the time-outs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connect_timeout_seconds: float = Field(default=3.0, ge=0.1, le=60, description="wall seconds to open a connection")
    read_timeout_seconds: float = Field(
        default=10.0, ge=0.1, le=120, description="wall seconds between two reads of an answer"
    )
    answer_timeout_seconds: float = Field(
        default=30.0, ge=0.1, le=300, description="wall seconds for one whole answer, however steadily it drips"
    )
    read_attempts: int = Field(default=3, ge=1, le=10, description="tries of a request that changes nothing")
    read_retry_seconds: float = Field(
        default=1.0, ge=0, le=60, description="wait before the second try; doubles each time"
    )
    rate_limit_wait_seconds: float = Field(
        default=60.0, ge=0, le=300, description="longest wait for a rate limit to reset"
    )
    short_limit_wait_seconds: float = Field(
        default=5.0,
        ge=0,
        le=60,
        description="longest wait for it of an opening order, and of what is read while an exit may wait",
    )
    max_pages: int = Field(
        default=1000, ge=1, le=100_000, description="pages of one answer before it is held to be endless"
    )
    symbols_per_request: int = Field(default=100, ge=1, le=100, description="symbols named in one quote request")
    lookup_seconds: tuple[float, ...] = Field(
        default=(1.0, 2.0, 4.0, 8.0),
        min_length=2,
        description="waits before each look-up of an order whose fate is unknown",
    )
    poll_seconds: float = Field(default=1.0, gt=0, le=60, description="wait between two looks at a working order")
    cancel_seconds: float = Field(default=15.0, ge=0, le=300, description="how long a cancelled order may take to end")
    fill_overlap_seconds: float = Field(
        default=3600.0,
        ge=0,
        le=7 * 86400,
        description="fills are read again from this long before the instant until which all were read",
    )
    price_tolerance: Decimal = Field(
        default=Decimal("0.0001"),
        ge=0,
        le=1,
        description="relative difference of two average prices that counts as equal",
    )
    cash_tolerance: Decimal = Field(
        default=Decimal("0.01"), ge=0, description="dollars of cash difference that count as equal"
    )
    adopted_day_trade_dte: int = Field(
        default=1, ge=0, le=30, description="days left up to which an adopted option gets day-trade exits"
    )
    stream: TradeStreamConfig = Field(default=TradeStreamConfig(), description="the stream of trade updates")
