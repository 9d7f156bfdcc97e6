"""What reading one body may cost, whoever sent it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ReadingConfig(BaseModel):
    """Bounds of parsing. A body beyond them is a failure of its feed, or an article without a text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    body_s: float = Field(
        default=15.0, gt=0, le=120, description="Longest time to parse one feed's body; wall seconds, as below"
    )
    round_s: float = Field(
        default=60.0, gt=0, le=600, description="Bodies that have not been parsed by then wait for the next round"
    )
    memory_mib: int = Field(
        default=1024, ge=256, le=16_384, description="Most memory of the process that parses large bodies or articles"
    )
