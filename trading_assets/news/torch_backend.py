"""The transformer through torch: float32, bfloat16, or the encoder's weights quantised to eight bits when loaded.

float32 and bfloat16 use a GPU where torch sees one; int8 is the processor's. torch and transformers are imported when a
backend is made: they cost seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trading_assets.news.backend import CannotCompute, label_order, padded, told_out_of_memory
from trading_assets.news.model_config import InferencePath
from trading_assets.news.sentiment import Label, ModelUnavailable

MEND = "Mend the folder (trading-assets models fetch gets the published one), or set news.model.kind to lexicon."


class TorchBackend:
    """A ``Backend`` over ``AutoModelForSequenceClassification``."""

    def __init__(self, folder: Path, path: InferencePath, *, max_tokens: int, threads: int) -> None:
        import torch

        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        self._torch = torch
        model, tokenizer = load_transformer(folder)
        self.labels: tuple[Label, ...] = label_order(model.config.id2label, str(folder))
        self.special = frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        self.unknown: int | None = tokenizer.unk_token_id
        self._tokenizer = tokenizer
        self._pad = int(tokenizer.pad_token_id or 0)
        self._max_tokens = readable_tokens(model, max_tokens)
        self.device = "cuda" if torch.cuda.is_available() and path is not InferencePath.INT8 else "cpu"
        if path is InferencePath.BF16:
            model = model.to(torch.bfloat16)
        elif path is InferencePath.INT8:
            _quantise(torch, model)
        self._model = model.to(self.device).eval()

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """See ``Backend.tokens``."""
        encoded = self._tokenizer(list(texts), truncation=True, max_length=self._max_tokens)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def logits(self, batch: Sequence[Sequence[int]]) -> list[list[float]]:
        """See ``Backend.logits``."""
        torch = self._torch
        try:
            ids, mask = (torch.tensor(rows, device=self.device) for rows in padded(batch, self._pad))
            with torch.inference_mode():
                answer = self._model(input_ids=ids, attention_mask=mask).logits
            rows: list[list[float]] = answer.float().cpu().tolist()
        except (RuntimeError, IndexError) as problem:
            # On a processor torch reports it as a plain RuntimeError; a token that the weights lack is an IndexError.
            if isinstance(problem, torch.OutOfMemoryError) or told_out_of_memory(problem):
                raise MemoryError(str(problem)) from problem
            raise CannotCompute(str(problem)) from problem
        return rows


def load_transformer(folder: Path) -> tuple[Any, Any]:
    """Model in float32 and tokenizer of a folder; asks no network and runs no code that lies there.

    Raises ``ModelUnavailable`` when weights, tokenizer or a trained classification head are missing or damaged.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **options)
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            str(folder), dtype="float32", output_loading_info=True, **options
        )
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError) as problem:
        # The libraries report a missing file, a damaged one and an unknown architecture in all of these.
        first_line = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise ModelUnavailable(f"the model cannot be loaded: {first_line}", where=str(folder), mend=MEND) from problem
    missing = sorted(loading["missing_keys"])
    if missing:
        raise ModelUnavailable(
            f"the weights lack {', '.join(missing[:3])}: those layers would be random",
            where=str(folder),
            mend="Use a model that was trained for sentiment classification.",
        )
    return model.eval(), tokenizer


def readable_tokens(model: Any, most: int) -> int:
    """How many tokens of a text are read: as configured, and no more than the model has positions for."""
    return min(most, int(getattr(model.config, "max_position_embeddings", most)))


def _quantise(torch: Any, model: Any) -> None:
    """The encoder's linear layers in eight bits, activations quantised per batch. The small head stays float32."""
    engines = torch.backends.quantized.supported_engines
    torch.backends.quantized.engine = next(each for each in ("x86", "fbgemm", "onednn", "qnnpack") if each in engines)
    with warnings.catch_warnings():
        # torch announces that this will move to a library of its own; its version is bounded.
        warnings.simplefilter("ignore")
        encoder = torch.ao.quantization.quantize_dynamic(model.base_model, {torch.nn.Linear}, dtype=torch.qint8)
    setattr(model, model.base_model_prefix, encoder)
