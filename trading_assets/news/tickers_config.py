"""What may be configured about companies in news."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TickersConfig(BaseModel):
    """How stories that name several companies are scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_company: bool = Field(
        default=True,
        description="A story that names several companies is scored for each by its own clauses; false: as a whole",
    )
