"""What may be configured about a language model on Amazon Bedrock: which one, where, how patiently, at what price.

Credentials are none of it: they come from where boto3 looks for them (environment, profile, role).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class BedrockConfig(BaseModel):
    """One model, and how it is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=300,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.:/_-]*$",
        description="Id or ARN of a model or inference profile that supports tools in Converse. None: none is asked",
    )
    region: str | None = Field(
        default=None,
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
        description="AWS region. None: as the environment or profile says",
    )
    endpoint_url: str | None = Field(
        default=None,
        max_length=2000,
        description="Address instead of AWS's own, e.g. of a VPC endpoint. None: AWS_ENDPOINT_URL_BEDROCK_RUNTIME, "
        "else AWS's own",
    )
    connect_timeout_s: float = Field(default=3.0, gt=0, le=30, description="Longest wait for a connection, seconds")
    read_timeout_s: float = Field(default=60.0, gt=0, le=300, description="Longest wait for an answer, seconds")
    attempts: int = Field(
        default=3, ge=1, le=5, description="Times a question is asked when throttled or answered by a server error"
    )
    backoff_s: float = Field(
        default=1.0, ge=0, le=30, description="Wait before the second attempt, seconds; twice as long before each later"
    )
    max_tokens: int = Field(default=4000, ge=16, le=32000, description="Longest answer, tokens")
    temperature: float = Field(default=0.0, ge=0, le=1, description="Randomness of the answer")
    input_price: Decimal | None = Field(
        default=None, ge=0, le=1000, description="Dollars per million input tokens. None: cost is not known"
    )
    output_price: Decimal | None = Field(
        default=None, ge=0, le=1000, description="Dollars per million output tokens. None: cost is not known"
    )

    @field_validator("endpoint_url")
    @classmethod
    def _endpoint_is_http(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an endpoint must be http:// or https:// with a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("an endpoint must not carry a user name or password")
        return value

    @model_validator(mode="after")
    def _prices_come_together(self) -> Self:
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("input_price and output_price are given both or not at all")
        return self
