"""What may be configured about the discovery of tickers."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_assets.news.bedrock_config import BedrockConfig


class Mode(StrEnum):
    """Who is followed. ``AUTO``: discovered, unless a person wrote down tickers of their own."""

    AUTO = "auto"
    FIXED = "fixed"
    DISCOVERED = "discovered"


class Method(StrEnum):
    """Who names the tickers."""

    RANKER = "ranker"
    BEDROCK = "bedrock"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RankerConfig(_Frozen):
    """Weights of the built-in ranker; each factor lies in [0, 1]."""

    news_weight: float = Field(default=0.40, ge=0, le=1, description="Weight of the number of events that name it")
    tone_weight: float = Field(default=0.15, ge=0, le=1, description="Weight of how one-sided their sentiment is")
    volume_weight: float = Field(default=0.30, ge=0, le=1, description="Weight of its volume beyond the usual")
    tracked_weight: float = Field(default=0.15, ge=0, le=1, description="Weight of being tracked already")
    full_news: int = Field(default=3, ge=1, le=100, description="Events that count as the most there can be")
    full_volume: float = Field(
        default=3.0, gt=1, le=100, description="Multiple of usual volume that counts as the most"
    )

    @model_validator(mode="after")
    def _weights_are_parts_of_one(self) -> Self:
        total = self.news_weight + self.tone_weight + self.volume_weight + self.tracked_weight
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the four weights must add up to 1, not {total:g}")
        return self


class DiscoveryConfig(_Frozen):
    """When tickers are discovered, from what, by whom, and what of the answer counts."""

    method: Method = Field(
        default=Method.RANKER, description="ranker (built in, deterministic) or bedrock (a language model on AWS)"
    )
    every_hours: int = Field(default=6, ge=1, le=24, description="Hours between two discoveries")
    first_hour: int = Field(
        default=2,
        ge=0,
        le=23,
        description="Hour of New York's day from which they are counted: 2, 8, 14, 20 by default",
    )
    retry_minutes: int = Field(default=30, ge=5, le=360, description="Wait after one that failed, minutes")
    wanted: int = Field(default=35, ge=1, le=200, description="Tickers that are asked for")
    active: int = Field(default=28, ge=1, le=200, description="Best of them that are followed; the rest is reserve")
    least: int = Field(
        default=14, ge=1, le=200, description="Fewer valid tickers than this are no universe: the last one stays"
    )
    min_confidence: float = Field(default=0.5, ge=0, le=1, description="Least confidence of a ticker that counts")
    story_hours: float = Field(default=24.0, gt=0, le=168, description="Stories of so many hours are looked at")
    stories: int = Field(default=50, ge=0, le=200, description="Events that are shown at most")
    surge: float = Field(default=2.0, gt=1, le=100, description="Multiple of usual volume that is a surge")
    surge_sessions: int = Field(
        default=3, ge=1, le=60, description="Earlier sessions without which the usual volume is not known"
    )
    surges: int = Field(default=15, ge=0, le=200, description="Surges that are shown at most")
    max_headline: int = Field(default=200, ge=20, le=1000, description="Characters shown of one headline")
    ranker: RankerConfig = Field(default=RankerConfig(), description="The built-in ranker")
    bedrock: BedrockConfig = Field(default=BedrockConfig(), description="The language model")

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        if not self.least <= self.active <= self.wanted:
            raise ValueError("least <= active <= wanted must hold")
        if self.method is Method.BEDROCK and self.bedrock.model is None:
            raise ValueError("method bedrock needs bedrock.model")
        return self
