"""Every way of computing against plain transformers, on a BERT that was trained within the test run.

Random weights would put all logits near zero, where nothing can go wrong; this model decides, and is right.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from trading_assets.news.finbert import FinbertModel
from trading_assets.news.model_config import InferencePath, ModelConfig, ModelKind
from trading_assets.news.model_trial import AGREEMENT, compared
from trading_assets.news.onnx_artefact import MODEL, RECORD, artefact_of, stored_artefacts
from trading_assets.news.sentiment import Label, ModelUnavailable, Score
from trading_assets_tests.news.tiny_bert import held_out

#: Largest differences of a score that a path of lower precision may have on this model.
LARGEST = {InferencePath.BF16: 0.05, InferencePath.INT8: 0.15, InferencePath.ONNX_INT8: 0.15}
TEXTS = [text for text, _ in held_out()]
#: Longer ones too, up to more than the model reads.
LONG = [*(f"{text} " * 30 for text in TEXTS[:6]), "acme beats estimates " * 2500]


@pytest.fixture(scope="module")
def cache(run_folder: Path) -> Path:
    return run_folder / "exported"


@pytest.fixture(scope="module")
def plain(trained: Path) -> list[Score]:
    """What the library's own pipeline says of each text, one by one."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(trained), top_k=None, device=-1)
    found = []
    for text in [*TEXTS, *LONG]:
        answer = classify(text, truncation=True, max_length=512)
        said = {row["label"]: row["score"] for row in (answer[0] if isinstance(answer[0], list) else answer)}
        found.append(Score(said["positive"], said["neutral"], said["negative"]))
    return found


def scores_by(path: InferencePath, trained: Path, cache: Path, texts: Sequence[str]) -> list[Score]:
    return FinbertModel(ModelConfig(kind=ModelKind.FINBERT, name=str(trained), path=path), cache).score(texts)


@pytest.mark.parametrize("path", [InferencePath.TORCH, pytest.param(InferencePath.ONNX, marks=pytest.mark.patient)])
def test_float32_gives_the_scores_of_plain_transformers(
    path: InferencePath, trained: Path, cache: Path, plain: list[Score]
) -> None:
    difference, agree = compared(plain, scores_by(path, trained, cache, [*TEXTS, *LONG]))
    assert difference <= AGREEMENT
    assert agree == 1


@pytest.mark.parametrize(
    "path",
    [InferencePath.BF16, InferencePath.INT8, pytest.param(InferencePath.ONNX_INT8, marks=pytest.mark.patient)],
)
def test_lower_precision_gives_the_same_labels_and_nearly_the_same_scores(
    path: InferencePath, trained: Path, cache: Path, plain: list[Score], capsys: pytest.CaptureFixture[str]
) -> None:
    right = sum(score.label is label for score, (_, label) in zip(plain, held_out(), strict=False))
    assert right / len(TEXTS) >= 0.7, "a model that knows nothing proves nothing"
    assert {score.label for score in plain} == set(Label)
    difference, agree = compared(plain, scores_by(path, trained, cache, [*TEXTS, *LONG]))
    with capsys.disabled():
        print(f"\n{path.value}: labels agree {agree:.4f}, largest difference of a score {difference:.4f}")
    assert agree >= 0.98
    assert difference <= LARGEST[path]
    assert difference > AGREEMENT, "it is another version for a reason"


@pytest.mark.patient
def test_an_export_is_kept_verified_and_made_anew_when_it_is_damaged(trained: Path, tmp_path: Path) -> None:
    made = artefact_of(trained, tmp_path, "tiny", "w1", InferencePath.ONNX)
    first = (made.folder / RECORD).stat().st_mtime_ns
    assert artefact_of(trained, tmp_path, "tiny", "w1", InferencePath.ONNX).folder == made.folder
    assert (made.folder / RECORD).stat().st_mtime_ns == first, "made once"
    content = bytearray((made.folder / MODEL).read_bytes())
    content[len(content) // 2] ^= 1
    (made.folder / MODEL).write_bytes(content)
    mended = artefact_of(trained, tmp_path, "tiny", "w1", InferencePath.ONNX)
    assert mended.folder == made.folder and (made.folder / MODEL).read_bytes() != bytes(content)
    assert (made.folder / RECORD).stat().st_mtime_ns > first
    assert [name for name, _ in stored_artefacts(tmp_path, "tiny")] == [made.folder.name]
    assert [each.name for each in made.folder.parent.iterdir()] == [made.folder.name], "nothing half-made is left"


def test_F42_a_path_whose_library_is_missing_says_so(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelUnavailable, match=r"onnxruntime, not installed.*\[onnx\]"):
        scores_by(InferencePath.ONNX, trained, tmp_path, TEXTS)


@pytest.mark.patient
def test_a_minute_with_an_export_imports_neither_torch_nor_transformers(trained: Path, cache: Path) -> None:
    scores_by(InferencePath.ONNX, trained, cache, TEXTS[:1])
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from trading_assets.news.model_config import ModelConfig\n"
        "from trading_assets.news.sentiment import load_model\n"
        f"config = ModelConfig(kind='finbert', name={str(trained)!r}, path='onnx')\n"
        f"print(load_model(config, Path({str(cache)!r})).score(['acme beats estimates'])[0].label)\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert said.stdout.split("\n")[:2] == ["positive", "[]"], said.stderr


@pytest.mark.patient
def test_F42_a_process_that_may_have_little_memory_scores_all_the_same(trained: Path) -> None:
    script = (
        "import resource\n"
        "from pathlib import Path\n"
        "from trading_assets.news.finbert import FinbertModel\n"
        "from trading_assets.news.model_config import ModelConfig\n"
        f"config = ModelConfig(kind='finbert', name={str(trained)!r}, path='torch', batch_size=512, "
        "batch_tokens=262144, threads=1)\n"
        "model = FinbertModel(config, Path('unused'))\n"
        "texts = ['acme beats estimates today ' * 140] * 512\n"
        "sizes = []\n"
        "inner = model._backend.logits\n"
        "def counted(batch):\n"
        "    sizes.append(len(batch))\n"
        "    return inner(batch)\n"
        "model._backend.logits = counted\n"
        "used = int(next(line for line in open('/proc/self/status') if line.startswith('VmData')).split()[1]) * 1024\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (used + 250 * 2**20,) * 2)\n"
        "scores = model.score(texts)\n"
        "print(len(scores), {score.label.value for score in scores}, max(sizes), min(sizes))\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=300)
    assert said.returncode == 0, said.stderr[-2000:]
    count, label, largest, smallest = said.stdout.split()
    assert (count, label) == ("512", "{'positive'}")
    assert int(largest) == 512 > int(smallest), "the batch was too large and was halved"
