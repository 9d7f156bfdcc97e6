"""What a model version is called: told without loading it, and another for whatever gives other scores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trading_assets.news import model_identity
from trading_assets.news.model_config import FINBERT_REVISION, InferencePath, ModelConfig, ModelKind
from trading_assets.news.model_identity import identity_of, lacking, resolved_path, version_text, weights_revision
from trading_assets.news.onnx_artefact import artefact_folder
from trading_assets.news.sentiment import ModelUnavailable

HEAVY = ("torch", "transformers", "onnxruntime", "onnx", "vaderSentiment")


def finbert(**changes: object) -> ModelConfig:
    return ModelConfig.model_validate({"kind": ModelKind.FINBERT, **changes})


def test_a_path_of_lower_precision_is_another_version_and_the_float32_ones_are_one() -> None:
    called = {path: identity_of(finbert(path=path)).revision for path in InferencePath}
    plain = FINBERT_REVISION
    assert called == {
        InferencePath.AUTO: plain,
        InferencePath.TORCH: plain,
        InferencePath.ONNX: plain,
        InferencePath.BF16: f"{plain}+bf16",
        InferencePath.INT8: f"{plain}+int8",
        InferencePath.ONNX_INT8: f"{plain}+onnx-int8",
    }
    assert identity_of(finbert(path="int8", max_tokens=128)).revision == f"{plain}+int8+128tokens"


def test_auto_is_float32_on_every_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = tmp_path / "gpu"
    monkeypatch.setattr(model_identity, "_GPU_FILES", (str(device),))
    assert resolved_path(finbert()) is InferencePath.ONNX
    device.touch()
    assert resolved_path(finbert()) is InferencePath.TORCH
    device.unlink()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert lacking(InferencePath.ONNX) == ("onnxruntime",)
    assert resolved_path(finbert()) is InferencePath.TORCH


def test_a_local_model_is_named_by_its_folder_and_the_digest_of_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    before = identity_of(finbert(name=str(folder)))
    assert before.name == "mine" and before.revision.startswith("sha256:")
    (folder / "config.json").write_text("{ }")
    assert identity_of(finbert(name=str(folder))).revision != before.revision
    assert weights_revision(finbert(name=str(folder), revision="v7")) == "v7"


@pytest.mark.parametrize("name", ["..", ".", "../mine", "mine/..", "./mine/../"])
def test_F59_a_folder_is_called_by_its_own_name_however_it_is_reached_and_exports_stay_in_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    here = tmp_path / "here"
    (here / "mine").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(here)
    called = {"..": tmp_path.name, "../mine": "mine"}.get(name, "here")
    assert identity_of(finbert(name=name)).name == called
    assert artefact_folder(tmp_path, called, "w", InferencePath.ONNX).parent == tmp_path / called


@pytest.mark.parametrize("name", ["..", ".", "", "/", "a/../..", ".hidden", "owner/name"])
def test_F59_no_name_of_a_model_leads_out_of_the_folder_of_exports(tmp_path: Path, name: str) -> None:
    below = artefact_folder(tmp_path, name, "w", InferencePath.ONNX).parent
    assert below.resolve().parent == tmp_path and not below.name.startswith(".")


def test_a_hub_model_needs_a_pinned_revision() -> None:
    assert weights_revision(finbert()) == FINBERT_REVISION
    with pytest.raises(ModelUnavailable, match="no revision"):
        weights_revision(finbert(name="someone/else"))
    for revision in ("main", "v1.0", "4556d13", "A" * 40):
        with pytest.raises(ModelUnavailable, match="is no commit"):
            weights_revision(finbert(revision=revision))
    assert version_text(finbert(name="someone/else")) == "someone/else of unknown revision"


def test_telling_a_version_imports_no_heavy_library() -> None:
    script = (
        "import sys\n"
        "from trading_assets.news.model_config import ModelConfig\n"
        "from trading_assets.news.model_identity import version_text\n"
        "print([version_text(ModelConfig(kind=kind)) for kind in ('lexicon', 'finbert')])\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    versions, heavy = said.stdout.splitlines()
    assert "vader-finance" in versions and FINBERT_REVISION in versions
    assert heavy == "[]"
