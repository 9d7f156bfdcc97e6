"""A transformer exported for ONNX Runtime, in float32 or with weights of eight bits: made once, kept, verified.

An artefact is a folder ``onnx-<key>`` or ``onnx-int8-<key>`` below ``models/<name>/``. The key is a digest of the
weights' revision, the form below and the versions of all libraries that had a part in it: another one is another
folder. It is written beside its place and renamed into it, so that a half-written one is never found, and its files
carry their digests, so that a damaged one is made anew and never loaded.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import secrets
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trading_assets.news.backend import label_order, padded
from trading_assets.news.model_config import MOST_TOKENS, InferencePath, ModelConfig
from trading_assets.news.model_identity import identity_of, lacking, resolved_path, weights_revision
from trading_assets.news.sentiment import ModelUnavailable

MODEL, TOKENIZER, RECORD = "model.onnx", "tokenizer.json", "artefact.json"
#: Float32 logits may differ from torch's by so much; scores then differ by less than half of it.
TOLERANCE = 1e-4
_FORM = 1
_OPSET = 18
_PARTS = ("torch", "transformers", "tokenizers", "onnx", "onnxruntime", "onnxscript")
_PROBES = (
    "Acme beats estimates and raises guidance",
    "Zenith cuts its outlook after a weak quarter, shares plunge in early trading",
    "The annual meeting takes place on Tuesday",
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Artefact:
    """A verified artefact and what its record says."""

    folder: Path
    labels: tuple[str, ...]
    pad: int
    unknown: int | None
    special: frozenset[int]
    positions: int


def artefact_folder(cache: Path, name: str, weights: str, path: InferencePath) -> Path:
    """Where the artefact of these weights lies, made or not."""
    parts = [str(_FORM), weights, path.value, *(f"{part} {version(part)}" for part in _PARTS)]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return cache / _below(name) / f"{path.value}-{key}"


def _below(name: str) -> str:
    """One part of a path, whatever the model is called."""
    return re.sub(r"[^A-Za-z0-9._-]+", "--", name).lstrip(".") or "model"


def artefact_of(source: Path, cache: Path, name: str, weights: str, path: InferencePath) -> Artefact:
    """The artefact of the model in ``source``, made if it is not there or is damaged. Making one takes up to minutes.

    Raises ``ModelUnavailable`` if a library is missing, or if what was exported computes something else.
    """
    missing = lacking(path)
    if missing:
        raise ModelUnavailable(
            f"the path {path.value} needs {', '.join(missing)}, not installed",
            where="news.model.path",
            mend="Run \"pip install -c constraints.txt -e '.[onnx]'\", or choose another path.",
        )
    target = artefact_folder(cache, name, weights, path)
    found = _verified(target)
    if found is None:
        _log.info("exporting %s %s for %s: this is done once", name, weights, path.value)
        _make(source, target, path)
        found = _verified(target)
    if found is None:
        raise ModelUnavailable("the exported model cannot be read back", where=str(target))
    return found


def exported(config: ModelConfig, cache: Path) -> bool:
    """Whether the configured path can be loaded without exporting anything."""
    path = resolved_path(config)
    if path not in (InferencePath.ONNX, InferencePath.ONNX_INT8) or lacking(path):
        return path in (InferencePath.TORCH, InferencePath.BF16, InferencePath.INT8)
    return (artefact_folder(cache, identity_of(config).name, weights_revision(config), path) / RECORD).is_file()


def stored_artefacts(cache: Path, name: str) -> list[tuple[str, int]]:
    """Folder names and sizes in bytes of what is kept for the model; other revisions and versions among them."""
    folder = artefact_folder(cache, name, "", InferencePath.ONNX).parent
    if not folder.is_dir():
        return []
    kept = sorted(each for each in folder.iterdir() if (each / RECORD).is_file())
    return [(each.name, sum(file.stat().st_size for file in each.iterdir())) for each in kept]


def _verified(folder: Path) -> Artefact | None:
    """The artefact if all its files are as they were written, else None."""
    try:
        record = json.loads((folder / RECORD).read_text())
        for name, digest in record["files"].items():
            if _sha256(folder / name) != digest:
                _log.warning("%s of %s is not as it was written: the artefact is made anew", name, folder)
                return None
        return Artefact(
            folder=folder,
            labels=tuple(record["labels"]),
            pad=int(record["pad"]),
            unknown=record["unknown"],
            special=frozenset(record["special"]),
            positions=int(record["positions"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        _log.warning("the artefact %s cannot be read (%s): it is made anew", folder, problem)
        return None


def _make(source: Path, target: Path, path: InferencePath) -> None:
    """Export, compare, record, and rename into place. Two processes may do so at once: the first one's stays."""
    from trading_assets.news.torch_backend import load_transformer

    model, tokenizer = load_transformer(source)
    labels = label_order(model.config.id2label, str(source))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    work = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    work.mkdir(mode=0o700)
    try:
        _export(model, tokenizer, work / MODEL)
        tokenizer.backend_tokenizer.save(str(work / TOKENIZER))
        _compare(model, tokenizer, work / MODEL, TOLERANCE)
        if path is InferencePath.ONNX_INT8:
            _quantise(work / MODEL)
            _compare(model, tokenizer, work / MODEL, math.inf)
        record = {
            "labels": [label.value for label in labels],
            "pad": int(tokenizer.pad_token_id or 0),
            "unknown": tokenizer.unk_token_id,
            "special": sorted(set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}),
            "positions": int(getattr(model.config, "max_position_embeddings", MOST_TOKENS)),
            "files": {name: _sha256(work / name) for name in (MODEL, TOKENIZER)},
        }
        (work / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        for each in work.iterdir():
            _sync(each)
        _put(work, target)
        _sync(target.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put(work: Path, target: Path) -> None:
    """Rename ``work`` to ``target``; a damaged artefact there goes first, a sound one of another process stays."""
    if target.exists() and _verified(target) is None:
        shutil.rmtree(target, ignore_errors=True)
    try:
        work.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _export(model: Any, tokenizer: Any, target: Path) -> None:
    import torch

    class Logits(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by the type checker
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.inner(input_ids=input_ids, attention_mask=attention_mask).logits

    ids, mask = _probe_tensors(torch, tokenizer)
    # What it registers and skips is of no use to anybody who scores headlines.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    dims = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Logits(model),
            (ids, mask),
            str(target),
            dynamo=True,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": dims, "attention_mask": dims},
            opset_version=_OPSET,
            external_data=False,
            verbose=False,
        )


def _quantise(model: Path) -> None:
    """Weights of matrix products in eight bits, one scale a column; activations are quantised per batch.

    Seven bits of the range are used, so that processors without VNNI do not overflow and all give the same scores.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = model.with_suffix(".int8")
    # It recommends a step that only helps static quantisation, on the root logger.
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(
            str(model),
            str(small),
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul"],
        )
    finally:
        logging.disable(logging.NOTSET)
    small.replace(model)


def _compare(model: Any, tokenizer: Any, exported: Path, tolerance: float) -> None:
    """Refuse an export whose logits are no numbers, or further from torch's than ``tolerance``."""
    import numpy as np
    import torch

    ids, mask = _probe_tensors(torch, tokenizer)
    with torch.inference_mode():
        expected = model(input_ids=ids, attention_mask=mask).logits.numpy()
    answer = open_session(exported, threads=0).run(
        ["logits"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    )[0]
    difference = float(np.abs(answer - expected).max()) if answer.shape == expected.shape else math.nan
    # Not written as "difference > tolerance": what is no number is refused too.
    if not difference <= tolerance:
        raise ModelUnavailable(
            f"the exported model differs from its source by {difference:.2g} in a logit",
            where=str(exported.parent),
            mend="Choose the path torch, and report the model's name.",
        )


def _probe_tensors(torch: Any, tokenizer: Any) -> tuple[Any, Any]:
    ids: Sequence[Sequence[int]] = tokenizer(list(_PROBES))["input_ids"]
    rows, mask = padded(ids, int(tokenizer.pad_token_id or 0))
    return torch.tensor(rows), torch.tensor(mask)


def open_session(model: Path, *, threads: int) -> Any:
    """An ONNX Runtime session on the processor; ``threads`` 0 leaves their number to the runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Shapes differ from batch to batch: a plan of memory for each would grow without end.
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
