"""The transformer scorer: FinBERT, or any sequence classifier with the classes positive, neutral and negative.

torch and transformers are imported when a model is built, never at import of this module: they cost seconds. Weights
come from a local folder or from the hub's cache or network; ``HF_HUB_OFFLINE=1`` keeps it to what is on this machine.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_assets.news.config import FINBERT_REVISION, ModelConfig
from trading_assets.news.sentiment import Label, ModelUnavailable, Score, ScoringError, require_text

if TYPE_CHECKING:
    import torch

_PINNED = {"ProsusAI/finbert": FINBERT_REVISION}
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_MEND = (
    "Put a folder with config.json, the tokenizer and the weights there, or connect once so that they can be fetched, "
    "or choose the model kind 'lexicon'."
)


class FinbertModel:
    """A ``SentimentModel`` over a transformer's three classes.

    Raises ``ModelUnavailable`` when weights, tokenizer or a trained classification head are missing, or when the
    classes are not exactly positive, neutral and negative (their order does not matter).
    """

    def __init__(self, config: ModelConfig) -> None:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self._torch = torch
        self._batch_size = config.batch_size
        folder = Path(config.name).expanduser()
        local = folder.is_dir()
        self._name = folder.name if local else config.name
        self._revision = _revision(config, folder if local else None)
        source = str(folder) if local else config.name
        options: dict[str, Any] = {"trust_remote_code": False}
        options |= {"local_files_only": True} if local else {"revision": self._revision}
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(source, **options)
            self._model, loading = AutoModelForSequenceClassification.from_pretrained(
                source, dtype=getattr(torch, config.dtype), output_loading_info=True, **options
            )
        except (OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError) as problem:
            # The libraries report a missing file, a damaged one and an unknown architecture in all of these.
            first_line = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
            raise ModelUnavailable(f"the model cannot be loaded: {first_line}", where=source, mend=_MEND) from problem
        missing = sorted(loading["missing_keys"])
        if missing:
            raise ModelUnavailable(
                f"the weights lack {', '.join(missing[:3])}: those layers would be random",
                where=source,
                mend="Use a model that was trained for sentiment classification.",
            )
        self._order = _label_order(self._model.config.id2label, source)
        positions = getattr(self._model.config, "max_position_embeddings", config.max_tokens)
        self._max_tokens = min(config.max_tokens, int(positions))
        self._model.eval()
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model.to(self._device)

    @property
    def name(self) -> str:
        """The hub's name, or the local folder's."""
        return self._name

    @property
    def revision(self) -> str:
        """Commit of the weights, or for a local folder without one ``sha256:`` and the digest of its files."""
        return self._revision

    def score(self, texts: Sequence[str]) -> list[Score]:
        """See ``SentimentModel.score``. Texts are cut to the configured number of tokens, and batched by length."""
        for text in texts:
            require_text(text)
        by_length = sorted(range(len(texts)), key=lambda position: (len(texts[position]), position))
        scores: dict[int, Score] = {}
        for start in range(0, len(by_length), self._batch_size):
            batch = by_length[start : start + self._batch_size]
            for position, score in zip(batch, self._score_batch([texts[each] for each in batch]), strict=True):
                scores[position] = score
        return [scores[position] for position in range(len(texts))]

    def _score_batch(self, texts: list[str]) -> list[Score]:
        """Score one batch; when memory runs out, its halves."""
        try:
            rows = self._logits(texts)
        except (RuntimeError, MemoryError) as problem:
            if not self._out_of_memory(problem):
                raise
            if len(texts) == 1:
                raise ScoringError("memory ran out while scoring one text", where=self._name) from problem
            middle = len(texts) // 2
            return [*self._score_batch(texts[:middle]), *self._score_batch(texts[middle:])]
        return [self._to_score(row) for row in rows]

    def _out_of_memory(self, problem: Exception) -> bool:
        # On a CPU torch reports it as a plain RuntimeError.
        told = isinstance(problem, (self._torch.OutOfMemoryError, MemoryError))
        return told or "allocate memory" in str(problem)

    def _logits(self, texts: list[str]) -> list[list[float]]:
        encoded = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._max_tokens, return_tensors="pt"
        ).to(self._device)
        with self._torch.inference_mode():
            logits: torch.Tensor = self._model(**encoded).logits
        rows: list[list[float]] = logits.float().cpu().tolist()
        return rows

    def _to_score(self, logits: list[float]) -> Score:
        if len(logits) != len(self._order) or not all(math.isfinite(value) for value in logits):
            raise ScoringError(f"the model answered {logits}, which is no score", where=self._name)
        highest = max(logits)
        weights = [math.exp(value - highest) for value in logits]
        share = {label: weight / sum(weights) for label, weight in zip(self._order, weights, strict=True)}
        return Score(share[Label.POSITIVE], share[Label.NEUTRAL], share[Label.NEGATIVE])


def folder_on_this_machine(config: ModelConfig) -> Path | None:
    """The folder that holds the model's files: the local one, or the hub's snapshot in the cache; None if it is not
    here or lacks configuration or weights. Asks no network. Raises ``ModelUnavailable`` if no revision is known."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    folder = Path(config.name).expanduser()
    if not folder.is_dir():
        revision = _revision(config, None)
        try:
            cached = try_to_load_from_cache(config.name, "config.json", revision=revision)
        except HFValidationError:
            return None
        if not isinstance(cached, str):
            return None
        folder = Path(cached).parent
    has_weights = any((folder / name).is_file() for name in _WEIGHTS)
    return folder if has_weights and (folder / "config.json").is_file() else None


def _label_order(id2label: dict[int, str], where: str) -> tuple[Label, ...]:
    names = [str(id2label[index]).strip().lower() for index in sorted(id2label)]
    if sorted(names) != sorted(label.value for label in Label):
        raise ModelUnavailable(
            f"the model's classes are {names}, expected positive, neutral and negative in any order",
            where=where,
            mend="Use a sentiment model, or name its classes in config.json (id2label).",
        )
    return tuple(Label(name) for name in names)


def _revision(config: ModelConfig, folder: Path | None) -> str:
    if config.revision is not None:
        return config.revision
    if folder is not None:
        return _folder_digest(folder)
    pinned = _PINNED.get(config.name)
    if pinned is None:
        raise ModelUnavailable(
            f"no revision is given for the model {config.name!r}, and there is no such folder",
            where="news.model.revision",
            mend="Name the commit, so that stored scores tell which weights made them.",
        )
    return pinned


def _folder_digest(folder: Path) -> str:
    """``sha256:`` and 32 hex digits over the names and contents of the folder's files."""
    hasher = hashlib.sha256()
    for path in sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith(".")):
        try:
            with path.open("rb") as opened:
                hasher.update(f"{path.name}:{hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
        except OSError as problem:
            raise ModelUnavailable(f"a file of the model cannot be read: {problem}", where=str(path)) from problem
    return f"sha256:{hasher.hexdigest()[:32]}"
