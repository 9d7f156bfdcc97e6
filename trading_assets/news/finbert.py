"""The transformer scorer: FinBERT, or any sequence classifier with the classes positive, neutral and negative.

Weights come from a local folder or from the hub's cache on this machine, and never from the network:
``trading-assets models fetch`` gets them. Which library computes is the backend's matter (``news.model.path``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from trading_assets.news.backend import Backend, CannotCompute, usable_cores
from trading_assets.news.model_config import InferencePath, ModelConfig
from trading_assets.news.model_identity import (
    FLOAT32,
    folder_on_this_machine,
    identity_of,
    lacking,
    resolved_path,
    weights_revision,
)
from trading_assets.news.readable import require_readable
from trading_assets.news.sentiment import Label, ModelUnavailable, Score, ScoringError
from trading_assets.news.token_batches import token_batches

_PROBE = "Acme beats estimates and raises guidance"


class FinbertModel:
    """A ``SentimentModel`` over a transformer's three classes. May be used by several threads: one computes at a time.

    Raises ``ModelUnavailable`` when weights, tokenizer or a trained classification head are missing, when the classes
    are not exactly positive, neutral and negative (their order does not matter), or when the weights give no numbers.
    ``cache`` is the folder that keeps what is exported for ONNX Runtime.
    """

    def __init__(self, config: ModelConfig, cache: Path) -> None:
        identity = identity_of(config)
        self._name, self._revision = identity.name, identity.revision
        self.path = resolved_path(config)
        self._rows, self._tokens = config.batch_size, config.batch_tokens
        self._lock = Lock()
        self._backend = open_backend(config, self.path, cache)
        try:
            self.score([_PROBE])
        except ScoringError as problem:
            raise ModelUnavailable(
                f"the model gives no score: {problem.what}",
                where=config.name,
                mend="Its weights are damaged: fetch it again, or set news.model.kind to lexicon.",
            ) from problem

    @property
    def name(self) -> str:
        """The hub's name, or the local folder's."""
        return self._name

    @property
    def revision(self) -> str:
        """Commit of the weights, or for a local folder without one ``sha256:`` and the digest of its files; then what
        makes its scores other ones, see ``model_identity``."""
        return self._revision

    @property
    def device(self) -> str:
        """Where it computes: cuda or cpu."""
        return self._backend.device

    def score(self, texts: Sequence[str]) -> list[Score]:
        """See ``SentimentModel.score``. Texts are cut to the configured number of tokens, and batched by it."""
        for text in texts:
            require_readable(text)
        with self._lock:
            tokens = self._backend.tokens(texts)
            for text, ids in zip(texts, tokens, strict=True):
                self._require_known(text, ids)
            scores: dict[int, Score] = {}
            for batch in token_batches([len(ids) for ids in tokens], most_rows=self._rows, most_tokens=self._tokens):
                rows = self._logits([tokens[position] for position in batch])
                scores |= {position: self._to_score(row) for position, row in zip(batch, rows, strict=True)}
        return [scores[position] for position in range(len(texts))]

    def _require_known(self, text: str, ids: Sequence[int]) -> None:
        meant = [each for each in ids if each not in self._backend.special]
        if all(each == self._backend.unknown for each in meant):
            raise ScoringError(f"the model knows no word of {text[:60]!r}")

    def _logits(self, batch: Sequence[Sequence[int]]) -> list[list[float]]:
        """The logits of one batch; when memory runs out or one of its texts makes it fail, its halves."""
        try:
            return self._backend.logits(batch)
        except (MemoryError, CannotCompute) as problem:
            if len(batch) == 1:
                what = "memory ran out while scoring" if isinstance(problem, MemoryError) else "the model fails at"
                said = " ".join(str(problem).split())[:120]
                raise ScoringError(f"{what} one text ({said})", where=self._name) from problem
        middle = len(batch) // 2
        return [*self._logits(batch[:middle]), *self._logits(batch[middle:])]

    def _to_score(self, logits: list[float]) -> Score:
        labels = self._backend.labels
        if len(logits) != len(labels) or not all(math.isfinite(value) for value in logits):
            raise ScoringError(f"the model answered {logits}, which is no score", where=self._name)
        highest = max(logits)
        weights = [math.exp(value - highest) for value in logits]
        share = {label: weight / sum(weights) for label, weight in zip(labels, weights, strict=True)}
        return Score(share[Label.POSITIVE], share[Label.NEUTRAL], share[Label.NEGATIVE])


def open_backend(config: ModelConfig, path: InferencePath, cache: Path) -> Backend:
    """The library behind ``path``, with the model loaded. Raises ``ModelUnavailable`` with how to mend it."""
    missing = lacking(path)
    if missing:
        extra = "finbert" if path in FLOAT32 - {InferencePath.ONNX} else "onnx"
        raise ModelUnavailable(
            f"the path {path.value} needs {', '.join(missing)}, not installed",
            where="news.model.path",
            mend=f"Run \"pip install -c constraints.txt -e '.[{extra}]'\", or set news.model.kind to lexicon.",
        )
    folder = weights_folder(config)
    threads = config.threads or usable_cores()
    if path in (InferencePath.ONNX, InferencePath.ONNX_INT8):
        from trading_assets.news.onnx_artefact import artefact_of
        from trading_assets.news.onnx_backend import OnnxBackend

        artefact = artefact_of(folder, cache, identity_of(config).name, weights_revision(config), path)
        return OnnxBackend(artefact, max_tokens=config.max_tokens, threads=threads)
    from trading_assets.news.torch_backend import TorchBackend

    return TorchBackend(folder, path, max_tokens=config.max_tokens, threads=threads)


def weights_folder(config: ModelConfig) -> Path:
    """The folder of the model's files. Raises ``ModelUnavailable`` if they are not on this machine."""
    folder = folder_on_this_machine(config)
    if folder is None:
        raise ModelUnavailable(
            f"the weights of {config.name} are not on this machine",
            where="news.model.name",
            mend="Run trading-assets models fetch, or name a folder with config.json, the tokenizer and the weights, "
            "or set news.model.kind to lexicon.",
        )
    return folder
