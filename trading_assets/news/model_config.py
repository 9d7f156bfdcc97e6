"""What may be configured about the model that scores stories. Only typed, validated values; nothing is read here."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

#: The published commit of ``ProsusAI/finbert`` that scores are tied to.
FINBERT_REVISION = "4556d13015211d73dccd3fdd39d39232506f3e43"
FINBERT = "ProsusAI/finbert"
#: Tokens that a BERT reads at most.
MOST_TOKENS = 512


class ModelKind(StrEnum):
    """Which scorer reads the stories."""

    LEXICON = "lexicon"
    FINBERT = "finbert"


class InferencePath(StrEnum):
    """How a transformer's weights are turned into scores. ``TORCH`` and ``ONNX`` compute in float32 and agree."""

    AUTO = "auto"
    TORCH = "torch"
    BF16 = "bf16"
    INT8 = "int8"
    ONNX = "onnx"
    ONNX_INT8 = "onnx-int8"


class ModelConfig(BaseModel):
    """Which model scores stories, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ModelKind = Field(default=ModelKind.LEXICON, description="lexicon (built in) or finbert (needs weights)")
    name: str = Field(default=FINBERT, min_length=1, max_length=300, description="Hub name or local folder of finbert")
    revision: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Commit of the weights. None: the pinned one, or a local folder's own digest",
    )
    path: InferencePath = Field(
        default=InferencePath.AUTO,
        description=(
            "How finbert computes: torch or onnx (both float32, the same scores within 0.0001), bf16, int8 or "
            "onnx-int8 (other scores, stored as another revision). auto is always float32: torch where this machine "
            "has a GPU, else onnx where it is installed, else torch"
        ),
    )
    batch_size: int = Field(default=64, ge=1, le=512, description="Most stories in one forward pass")
    batch_tokens: int = Field(
        default=1024, ge=16, le=262_144, description="Most tokens in one forward pass, padding included"
    )
    max_tokens: int = Field(
        default=MOST_TOKENS, ge=8, le=MOST_TOKENS, description="Tokens read of one story; the rest is cut off"
    )
    threads: int | None = Field(
        default=None, ge=1, le=256, description="Processor threads of the model. None: as many as it may use"
    )
    minute_seconds: float = Field(
        default=20.0,
        gt=0,
        le=120,
        description="Wall seconds after which a minute's run begins no further chunk of stories; the next goes on",
    )
