"""Which model version a configuration means, told without loading it: the name and revision stored with every score.

Two scores carry the same revision only if they may stand beside each other. Both float32 paths (torch and ONNX Runtime)
agree within 0.0001, so they share the weights' own revision, and a machine without one of the libraries goes on where
another stopped. A path of lower precision gives other scores: its revision ends in ``+bf16``, ``+int8`` or
``+onnx-int8``. So does a model that reads fewer tokens than it could: ``+128tokens``.

torch, transformers and onnxruntime are never imported here: definitions ask for this once a minute.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from trading_assets.news.model_config import (
    FINBERT,
    FINBERT_REVISION,
    MOST_TOKENS,
    InferencePath,
    ModelConfig,
    ModelKind,
)
from trading_assets.news.sentiment import ModelUnavailable

_PINNED = {FINBERT: FINBERT_REVISION}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_LIBRARIES = {
    InferencePath.TORCH: ("torch", "transformers"),
    InferencePath.BF16: ("torch", "transformers"),
    InferencePath.INT8: ("torch", "transformers"),
    InferencePath.ONNX: ("torch", "transformers", "onnx", "onnxruntime", "onnxscript"),
    InferencePath.ONNX_INT8: ("torch", "transformers", "onnx", "onnxruntime", "onnxscript"),
}
#: Paths whose scores agree, so that they share a revision.
FLOAT32 = frozenset({InferencePath.TORCH, InferencePath.ONNX})
#: Device files of NVIDIA's driver, of Linux and of Linux under Windows.
_GPU_FILES = ("/dev/nvidiactl", "/dev/dxg")


@dataclass(frozen=True, slots=True)
class Identity:
    """Name and revision under which scores are stored."""

    name: str
    revision: str

    def __str__(self) -> str:
        return f"{self.name} {self.revision}"


def identity_of(config: ModelConfig) -> Identity:
    """What the configured model's scores are stored under. Raises ``ModelUnavailable`` if no revision is known."""
    if config.kind is ModelKind.LEXICON:
        from trading_assets.news.lexicon import LexiconModel, lexicon_revision

        return Identity(LexiconModel.name, lexicon_revision())
    folder = Path(config.name).expanduser()
    name = config.name
    if folder.is_dir():
        # A path may end in "..": that is every folder's name.
        name = folder.resolve().name if folder.name in ("", "..") else folder.name
    return Identity(name, weights_revision(config) + _suffix(config))


def version_text(config: ModelConfig) -> str:
    """The identity in one line; of a model whose revision cannot be told, that it cannot. Never raises for a model."""
    try:
        return str(identity_of(config))
    except ModelUnavailable:
        return f"{config.name} of unknown revision"


def weights_revision(config: ModelConfig) -> str:
    """Commit of the weights, or for a local folder without one ``sha256:`` and the digest of its files.

    Raises ``ModelUnavailable`` for a model of the hub without a commit: two weights must not share a revision.
    """
    folder = Path(config.name).expanduser()
    if folder.is_dir():
        return config.revision or _folder_digest(folder)
    pinned = config.revision or _PINNED.get(config.name)
    if pinned is None:
        raise ModelUnavailable(
            f"no revision is given for the model {config.name!r}, and there is no such folder",
            where="news.model.revision",
            mend="Name the commit, so that stored scores tell which weights made them.",
        )
    if not _COMMIT.fullmatch(pinned):
        raise ModelUnavailable(
            f"the revision {pinned!r} of the model {config.name!r} is no commit: what a branch or tag names may change",
            where="news.model.revision",
            mend="Name the commit by its 40 hexadecimal digits, so that stored scores tell which weights made them.",
        )
    return pinned


def resolved_path(config: ModelConfig) -> InferencePath:
    """The configured path; for ``auto`` a float32 one: torch where there is a GPU, else ONNX Runtime where it is
    installed, else torch. It depends on nothing else, so it is the same at every start of one machine."""
    if config.path is not InferencePath.AUTO:
        return config.path
    if not any(Path(name).exists() for name in _GPU_FILES) and not lacking(InferencePath.ONNX):
        return InferencePath.ONNX
    return InferencePath.TORCH


def lacking(path: InferencePath) -> tuple[str, ...]:
    """Libraries that the path needs and that are not installed. Imports none of them."""
    return tuple(name for name in _LIBRARIES[path] if not _installed(name))


def folder_on_this_machine(config: ModelConfig) -> Path | None:
    """The folder that holds the model's files: the local one, or the hub's snapshot in the cache; None if it is not
    here or lacks configuration or weights. Asks no network. Raises ``ModelUnavailable`` if no revision is known."""
    folder = Path(config.name).expanduser()
    if not folder.is_dir():
        if not _installed("huggingface_hub"):
            return None
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            cached = try_to_load_from_cache(config.name, "config.json", revision=weights_revision(config))
        except HFValidationError:
            return None
        if not isinstance(cached, str):
            return None
        folder = Path(cached).parent
    has_weights = any((folder / name).is_file() for name in _WEIGHTS)
    return folder if has_weights and (folder / "config.json").is_file() else None


def _suffix(config: ModelConfig) -> str:
    path = resolved_path(config)
    precision = "" if path in FLOAT32 else f"+{path.value}"
    return precision + ("" if config.max_tokens == MOST_TOKENS else f"+{config.max_tokens}tokens")


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:
        return False


def _folder_digest(folder: Path) -> str:
    """``sha256:`` and 32 hex digits over the names and contents of the folder's files."""
    try:
        files = sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))
        stats = [each.stat() for each in files]
        seen = tuple((s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in stats)
        return _digest(tuple(files), seen)
    except OSError as problem:
        raise ModelUnavailable(f"a file of the model cannot be read: {problem}", where=str(folder)) from problem


@lru_cache(maxsize=8)
def _digest(files: tuple[Path, ...], seen: tuple[tuple[int, ...], ...]) -> str:
    # A file that changed has another `seen`: the same bytes are not read twice in a process.
    hasher = hashlib.sha256()
    for path in files:
        with path.open("rb") as opened:
            hasher.update(f"{path.name}:{hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return f"sha256:{hasher.hexdigest()[:32]}"
