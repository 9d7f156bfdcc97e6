"""What may be configured about the inference of tickers by a language model. It is off unless it is switched on."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_assets.news.bedrock_config import BedrockConfig


class InferenceConfig(BaseModel):
    """Stories that name no company may be shown to a model, which may name followed ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=False, description="Whether a model is asked; needs bedrock.model")
    stories: int = Field(
        default=5, ge=1, le=10, description="Stories asked about in one round at most, each in a question of its own"
    )
    above_confidence: float = Field(default=0.5, ge=0, lt=1, description="A company counts only above this confidence")
    max_text: int = Field(default=300, ge=20, le=2000, description="Characters shown of one story")
    bedrock: BedrockConfig = Field(
        default=BedrockConfig(connect_timeout_s=1.0, read_timeout_s=3.0, attempts=1, max_tokens=200),
        description="The language model",
    )

    @model_validator(mode="after")
    def _a_model_is_named(self) -> Self:
        if self.enabled and self.bedrock.model is None:
            raise ValueError("inference needs bedrock.model")
        return self
