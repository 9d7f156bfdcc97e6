"""What may be configured about the broker's own news: is it asked, is it listened to, and how patiently.

Only typed, validated values belong here.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

#: Under these names the broker's news are remembered beside the feeds.
WIRE_NAMES = frozenset({"alpaca", "alpaca-stream"})


class WireConfig(BaseModel):
    """The broker's news interface and its socket. Both are off unless somebody switches them on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api: bool = Field(default=False, description="Ask the broker's news interface in every round of news")
    stream: bool = Field(default=False, description="Listen to the broker's news socket while the world is open")
    overlap_seconds: float = Field(
        default=300.0,
        ge=0,
        le=86_400,
        description="Asked again from this long before the newest article read: one may become searchable late",
    )
    first_hours: float = Field(default=3.0, gt=0, le=168, description="How far back the very first question reaches")
    max_pages: int = Field(default=20, ge=1, le=200, description="Pages of 50 articles read in one round")
    deadline_seconds: float = Field(default=20.0, gt=0, le=120, description="Wall seconds after which no page is asked")
    backoff_seconds: float = Field(
        default=60.0, ge=0, le=3600, description="Not asked for this long after a failure; doubles each time"
    )
    longest_backoff_seconds: float = Field(default=900.0, ge=0, le=86_400, description="Longest such wait")
    compare_seconds: float = Field(
        default=60.0,
        ge=0.1,
        le=3600,
        description="Wall seconds between two looks whether the socket told what the interface shows",
    )
