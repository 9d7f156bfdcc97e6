"""Models on this machine: which are here, how large, by which paths they can be read; and getting one from the hub.

Only ``fetch`` uses the network. What is not fetched is never loaded: no minute waits for a download.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trading_assets.news.model_config import FINBERT, InferencePath, ModelConfig, ModelKind
from trading_assets.news.model_identity import (
    folder_on_this_machine,
    identity_of,
    lacking,
    resolved_path,
    weights_revision,
)
from trading_assets.news.onnx_artefact import stored_artefacts
from trading_assets.news.sentiment import ModelUnavailable

#: In the order in which they are shown and measured; the first is what the others are compared with.
PATHS = (
    InferencePath.TORCH,
    InferencePath.BF16,
    InferencePath.INT8,
    InferencePath.ONNX,
    InferencePath.ONNX_INT8,
)
_SETTINGS = ("config.json", "tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "added_tokens.json")
#: The first kind of weights that the model has is fetched: the others hold the same.
_WEIGHTS = (("*.safetensors", "model.safetensors.index.json"), ("pytorch_model*.bin", "pytorch_model.bin.index.json"))


@dataclass(frozen=True, slots=True)
class ModelState:
    """One model: what its scores are stored under, and what of it is on this machine.

    ``folder`` and ``bytes`` are None if its weights are not here. ``paths`` maps each way of computing to the libraries
    that it lacks; ``path`` is the one that the configuration means, None for the lexicon. ``problem`` says why nothing
    is known.
    """

    kind: ModelKind
    name: str
    revision: str | None
    configured: bool
    path: InferencePath | None
    folder: Path | None
    bytes: int | None
    paths: dict[str, tuple[str, ...]]
    artefacts: list[tuple[str, int]]
    problem: str | None


def states(config: ModelConfig, cache: Path) -> list[ModelState]:
    """The lexicon, the configured model, and the published FinBERT if that is another one."""
    asked = [ModelConfig(), *([config] if config.kind is ModelKind.FINBERT else [])]
    if config.kind is not ModelKind.FINBERT or config.name != FINBERT:
        asked.append(ModelConfig(kind=ModelKind.FINBERT))
    return [
        _state(each, cache, each.kind is config.kind and (each == config or each.kind is ModelKind.LEXICON))
        for each in asked
    ]


def _state(config: ModelConfig, cache: Path, configured: bool) -> ModelState:
    if config.kind is ModelKind.LEXICON:
        found = identity_of(config)
        return ModelState(config.kind, found.name, found.revision, configured, None, None, None, {}, [], None)
    try:
        identity = identity_of(config)
        folder = folder_on_this_machine(config)
    except ModelUnavailable as problem:
        return ModelState(config.kind, config.name, None, configured, None, None, None, {}, [], str(problem))
    return ModelState(
        kind=config.kind,
        name=identity.name,
        revision=identity.revision,
        configured=configured,
        path=resolved_path(config),
        folder=folder,
        bytes=None if folder is None else sum(each.stat().st_size for each in folder.iterdir() if each.is_file()),
        paths={path.value: lacking(path) for path in PATHS},
        artefacts=stored_artefacts(cache, identity.name),
        problem=None,
    )


def fetch(config: ModelConfig, *, progress: bool) -> Path:
    """Get the model's pinned revision from the hub into its cache; the folder. What is there already is not asked for.

    ``HF_ENDPOINT`` names another hub, ``HF_HOME`` another cache. Raises ``ModelUnavailable`` in one sentence if the
    hub cannot be reached, does not have it, or a file breaks off.
    """
    if Path(config.name).expanduser().is_dir():
        raise ModelUnavailable(
            "this model is a folder of this machine: there is nothing to fetch",
            where=config.name,
            mend="Name a model of the hub, owner/name.",
        )
    revision = weights_revision(config)
    missing = lacking(InferencePath.TORCH)
    if missing:
        raise ModelUnavailable(
            f"a fetched model could not be used: {', '.join(missing)} is not installed",
            where=config.name,
            mend="Run \"pip install -c constraints.txt -e '.[finbert]'\" first.",
        )
    import httpx2
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    (enable_progress_bars if progress else disable_progress_bars)()
    failures = (
        HFValidationError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        httpx2.HTTPError,
        OSError,
        # What answers is no hub: a page to log in at, or a form that the library does not know.
        ValueError,
        KeyError,
        TypeError,
    )
    where = f"{constants.ENDPOINT}/{config.name}"
    try:
        info = HfApi().model_info(config.name, revision=revision, timeout=30)
        names = [each.rfilename for each in info.siblings or ()]
        wanted = [*_SETTINGS, *_weights_of(names, where)]
        folder = Path(snapshot_download(config.name, revision=revision, allow_patterns=wanted))
    except failures as problem:
        said = " ".join(str(problem).split())[:200] or type(problem).__name__
        raise ModelUnavailable(
            f"revision {revision} of {config.name} could not be fetched: {said}",
            where=where,
            mend="Look at the network, HF_ENDPOINT and HF_HUB_OFFLINE, or copy the model's folder here and name it in "
            "news.model.name.",
        ) from problem
    if folder_on_this_machine(config) is None:
        raise ModelUnavailable(
            "what was fetched is no model: configuration or weights are missing", where=os.fspath(folder)
        )
    return folder


def _weights_of(names: Sequence[str], where: str) -> tuple[str, ...]:
    from fnmatch import fnmatch

    for patterns in _WEIGHTS:
        if any(fnmatch(name, pattern) for name in names for pattern in patterns):
            return patterns
    raise ModelUnavailable(
        "the hub's model has no weights for PyTorch", where=where, mend="Choose a model with safetensors."
    )
