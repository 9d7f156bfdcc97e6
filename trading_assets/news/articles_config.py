"""What may be configured about reading the articles behind the links of stories."""

from __future__ import annotations

import re
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class ArticlesConfig(BaseModel):
    """Whether and how the words of an article are fetched. Off by default: many publishers do not want it, and a
    headline with its summary is what the models are made for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=False, description="Fetch articles; needs the extra 'articles'")
    scored: bool = Field(
        default=False,
        description="Score a story by its text, too, where that was read before; part of the model's revision",
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        max_length=200,
        description="Hosts whose articles are fetched, with their subdomains; empty: those of every public host",
    )
    per_round: int = Field(
        default=5, ge=1, le=50, description="Articles fetched in one round, the newest stories first"
    )
    max_age_minutes: int = Field(default=180, ge=1, le=1440, description="Older stories are left alone")
    deadline_s: float = Field(default=10.0, gt=0, le=60, description="Longest time for one article")
    round_s: float = Field(
        default=15.0, gt=0, le=120, description="Articles without a turn by then wait for the next round"
    )
    extract_s: float = Field(default=10.0, gt=0, le=60, description="Longest time to find the text in one page")
    max_bytes: int = Field(default=2 * 1024**2, ge=1024, le=16 * 1024**2, description="Largest page, also unpacked")
    max_characters: int = Field(default=20_000, ge=100, le=200_000, description="Text kept of one article")

    @field_validator("hosts")
    @classmethod
    def _hosts_are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is no host: write it without scheme and path, in lower case")
        return value

    @model_validator(mode="after")
    def _what_is_scored_is_fetched(self) -> Self:
        if self.scored and not self.enabled:
            raise ValueError("scored needs enabled: without it no text is read")
        return self
