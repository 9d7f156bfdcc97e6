"""What a sentiment model is, whichever one it is: texts in, one score per text out.

The signed score is P(positive) - P(negative) in [-1, 1]. A text that cannot be scored raises ``ScoringError``: it stays
unscored and is tried again, and never becomes a neutral score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import ClassVar, Protocol

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.news.model_config import ModelConfig, ModelKind

_TOLERANCE = 1e-3


class Label(StrEnum):
    """The most probable class."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


class ScoringError(TradingAssetsError):
    """One text cannot be scored: it is empty, not text, or the model's answer is no probability."""


class ModelUnavailable(TradingAssetsError):
    """The model itself cannot be used: weights are missing or do not fit. No text can be scored."""


@dataclass(frozen=True, slots=True)
class Score:
    """Class probabilities of one text (each in [0, 1], together 1)."""

    p_positive: float
    p_neutral: float
    p_negative: float

    def __post_init__(self) -> None:
        values = (self.p_positive, self.p_neutral, self.p_negative)
        sound = all(math.isfinite(value) and -_TOLERANCE <= value <= 1 + _TOLERANCE for value in values)
        if not sound or abs(sum(values) - 1) > _TOLERANCE:
            raise ScoringError(f"the model's answer {values} is no probability distribution")

    @property
    def signed(self) -> float:
        """P(positive) - P(negative), in [-1, 1]."""
        return max(-1.0, min(1.0, self.p_positive - self.p_negative))

    @property
    def confidence(self) -> float:
        """The largest class probability, in [0, 1]."""
        return min(1.0, max(self.p_positive, self.p_neutral, self.p_negative))

    @property
    def label(self) -> Label:
        """The most probable class; neutral wins a tie, and positive against negative is neutral too."""
        if self.p_positive > max(self.p_neutral, self.p_negative):
            return Label.POSITIVE
        if self.p_negative > max(self.p_neutral, self.p_positive):
            return Label.NEGATIVE
        return Label.NEUTRAL


class SentimentModel(Protocol):
    """A scorer. ``name`` and ``revision`` are stored with every score and tell two versions apart."""

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    @property
    def revision(self) -> str:
        """Version of weights or word lists."""
        ...

    def score(self, texts: Sequence[str]) -> list[Score]:
        """One score per text, in order. Raises ``ScoringError`` if any text cannot be scored: callers that want the
        others repeat them one by one. Raises ``ModelUnavailable`` if the model cannot be used at all."""
        ...


class RuledModel:
    """A model that is asked about other words of a story, by the ``rule`` that its revision ends in: scores of two ways
    are never mixed. A text it scores as the model within, ``inner``, does."""

    rule: ClassVar[str]

    def __init__(self, inner: SentimentModel) -> None:
        self.inner = inner

    @property
    def name(self) -> str:
        """Name of the model within."""
        return self.inner.name

    @property
    def revision(self) -> str:
        """Revision of the model within, and the rule."""
        return f"{self.inner.revision}+{self.rule}"

    def score(self, texts: Sequence[str]) -> list[Score]:
        """See ``SentimentModel.score``."""
        return self.inner.score(texts)


def require_text(text: object) -> str:
    """``text`` if it is a string with something to read in it; raises ``ScoringError`` otherwise."""
    if not isinstance(text, str):
        raise ScoringError(f"expected text to score, saw {type(text).__name__}")
    if not text.strip():
        raise ScoringError("there is no text to score")
    return text


class LoadedOnce:
    """A ``SentimentModel`` that is loaded when it first has something to score, and then kept. May be used by several
    threads. Most minutes bring no story, and loading costs seconds."""

    def __init__(self, name: str, revision: str, load: Callable[[], SentimentModel]) -> None:
        self.name, self.revision = name, revision
        self._load = load
        self._lock = Lock()
        self._model: SentimentModel | None = None

    def score(self, texts: Sequence[str]) -> list[Score]:
        """See ``SentimentModel.score``; also raises ``ModelUnavailable`` if the model cannot be loaded."""
        return self.loaded().score(texts)

    def loaded(self) -> SentimentModel:
        """The model behind, loaded now if it was not yet."""
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model


_loaded: dict[tuple[ModelConfig, Path], SentimentModel] = {}
_loading = Lock()


def load_model(config: ModelConfig, cache: Path) -> SentimentModel:
    """The configured model, once per process. Its name and revision are known at once, its weights are loaded with the
    first text. ``cache`` keeps what is exported. Raises ``ModelUnavailable`` if no revision can be told."""
    with _loading:
        known = _loaded.get((config, cache))
        if known is None:
            known = _loaded[(config, cache)] = _open(config, cache)
        return known


def _open(config: ModelConfig, cache: Path) -> SentimentModel:
    if config.kind is ModelKind.LEXICON:
        from trading_assets.news.lexicon import LexiconModel

        return LexiconModel()

    def load() -> SentimentModel:
        from trading_assets.news.finbert import FinbertModel

        return FinbertModel(config, cache)

    from trading_assets.news.model_identity import identity_of

    identity = identity_of(config)
    return LoadedOnce(identity.name, identity.revision, load)
