"""The transformer scorer, over a small BERT that the tests train: real tokenizer, real weights, real loading."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import BertForSequenceClassification

from trading_assets.news.backend import label_order, padded, usable_cores
from trading_assets.news.classify import _score
from trading_assets.news.finbert import FinbertModel
from trading_assets.news.model_config import InferencePath, ModelConfig, ModelKind
from trading_assets.news.sentiment import Label, LoadedOnce, ModelUnavailable, Score, ScoringError, load_model
from trading_assets.news.torch_backend import TorchBackend
from trading_assets_tests.news.tiny_bert import COMPANIES, ORDER, held_out, renamed


def config(folder: Path, **changes: Any) -> ModelConfig:
    return ModelConfig(kind=ModelKind.FINBERT, name=str(folder), **{"path": InferencePath.TORCH} | changes)


def loaded(folder: Path, **changes: Any) -> FinbertModel:
    """The model by torch: it keeps no export."""
    return FinbertModel(config(folder, **changes), folder / "unused")


def backend_of(model: FinbertModel) -> TorchBackend:
    assert isinstance(model._backend, TorchBackend)
    return model._backend


@pytest.fixture(scope="module")
def model(trained: Path) -> FinbertModel:
    return loaded(trained, batch_size=4)


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """The model's folder, free to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "damaged"))


def test_a_trained_model_is_loaded_and_finds_the_mood_of_unseen_headlines(model: FinbertModel) -> None:
    unseen = held_out()
    scores = model.score([text for text, _ in unseen])
    right = sum(score.label is label for score, (_, label) in zip(scores, unseen, strict=True))
    assert right / len(unseen) >= 0.95
    good, bad = model.score(["acme beats estimates", "acme misses estimates"])
    assert good.signed > 0.5 > -0.5 > bad.signed
    assert good.p_positive + good.p_neutral + good.p_negative == pytest.approx(1)


def test_scores_do_not_depend_on_the_batch_they_were_made_in(model: FinbertModel) -> None:
    texts = [*(text for text, _ in held_out()[:11]), "acme beats estimates " * 30]
    together = model.score(texts)
    for text, score in zip(texts, together, strict=True):
        alone = model.score([text])[0]
        assert alone.signed == pytest.approx(score.signed, abs=1e-4)


def test_the_published_order_of_labels_is_understood_too(copied: Path, model: FinbertModel) -> None:
    published = [Label.POSITIVE, Label.NEGATIVE, Label.NEUTRAL]
    renamed(copied, [label.value.title() for label in published])
    before = model.score(["acme beats estimates"])[0]
    after = loaded(copied).score(["acme beats estimates"])[0]
    # The same outputs under other names: output 2, once positive, is now called neutral.
    assert after.p_neutral == pytest.approx(before.p_positive)
    assert after.p_positive == pytest.approx(before.p_negative)


@pytest.mark.parametrize("names", [["LABEL_0", "LABEL_1", "LABEL_2"], ["positive", "negative"], ["positive"] * 3])
def test_F42_a_model_with_other_classes_is_refused(names: list[str]) -> None:
    with pytest.raises(ModelUnavailable, match="in any order"):
        label_order(dict(enumerate(names)), "here")


def test_a_model_is_loaded_with_the_first_text_and_once_whatever_the_threads(trained: Path, tmp_path: Path) -> None:
    lazy = load_model(config(trained), tmp_path)
    assert isinstance(lazy, LoadedOnce) and lazy._model is None and lazy.name == "tiny-finbert"
    assert load_model(config(trained), tmp_path) is lazy
    found, texts = list[Any](), [text for text, _ in held_out()]
    threads = [threading.Thread(target=lambda: found.append((lazy.loaded(), lazy.score(texts)))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 4 and len({id(each) for each, _ in found}) == 1
    assert all(scores == found[0][1] for _, scores in found)


def test_F42_weights_that_are_missing_are_told_with_how_to_mend_it(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"models fetch.*lexicon"):
        loaded(copied)


def test_F42_weights_that_are_damaged_are_refused(copied: Path) -> None:
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        loaded(copied)


def test_F42_a_model_without_a_trained_head_is_refused(copied: Path) -> None:
    BertForSequenceClassification.from_pretrained(copied).bert.save_pretrained(copied)
    renamed(copied, [label.value for label in ORDER])
    with pytest.raises(ModelUnavailable, match="would be random"):
        loaded(copied)


def test_F42_a_hub_model_that_is_not_on_this_machine_is_told_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailable, match=r"not on this machine.*models fetch"):
        FinbertModel(ModelConfig(kind=ModelKind.FINBERT, path=InferencePath.TORCH), tmp_path)


def test_F42_weights_that_are_no_numbers_are_refused_when_loaded(copied: Path) -> None:
    spoilt = BertForSequenceClassification.from_pretrained(copied)
    with torch.no_grad():
        spoilt.classifier.bias[0] = float("nan")
    spoilt.save_pretrained(copied)
    with pytest.raises(ModelUnavailable, match="no score"):
        loaded(copied)


@pytest.mark.parametrize("text", ["", "  \n", None, 3])
def test_F42_what_is_no_text_is_an_error_and_never_a_neutral_score(model: FinbertModel, text: object) -> None:
    with pytest.raises(ScoringError):
        model.score(["acme beats estimates", text])  # type: ignore[list-item]


def test_F42_ten_thousand_words_are_cut_to_what_the_model_reads(model: FinbertModel) -> None:
    long, longer = model.score(["acme beats estimates today " * 200, "acme beats estimates today " * 2500])
    assert longer.signed == pytest.approx(long.signed, abs=1e-4)


@pytest.mark.parametrize("text", ["株価が急騰しました", "Акции выросли", "🚀🚀🚀", "Gewinn bricht ein", "\x00\x01"])
def test_F42_what_the_model_cannot_read_is_an_error_and_never_a_neutral_score(model: FinbertModel, text: str) -> None:
    with pytest.raises(ScoringError):
        model.score([text])


def test_F42_emoji_beside_words_do_no_harm(model: FinbertModel) -> None:
    assert model.score(["acme beats estimates 🚀"])[0].signed > 0.5


def test_F42_logits_that_are_not_numbers_are_an_error(copied: Path) -> None:
    damaged = loaded(copied)
    with torch.no_grad():
        backend_of(damaged)._model.classifier.bias[0] = float("nan")
    with pytest.raises(ScoringError, match="no score"):
        damaged.score(["acme beats estimates"])


@pytest.mark.parametrize(
    "problem",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_F42_when_memory_runs_out_the_batch_is_halved(copied: Path, problem: Exception) -> None:
    scorer = loaded(copied, batch_size=8)
    texts = [f"{company} beats estimates" for company in COMPANIES]
    expected = scorer.score(texts)
    forward, sizes = backend_of(scorer)._model, []

    def small_machine(**encoded: torch.Tensor) -> Any:
        sizes.append(len(encoded["input_ids"]))
        if sizes[-1] > 2:
            raise problem
        return forward(**encoded)

    backend_of(scorer)._model = small_machine
    assert [score.signed for score in scorer.score(texts)] == pytest.approx(
        [score.signed for score in expected], abs=1e-4
    )
    assert sizes == [8, 4, 2, 2, 4, 2, 2]


def test_F42_when_one_text_alone_is_too_large_it_is_an_error(copied: Path) -> None:
    scorer = loaded(copied)

    def no_memory(**_: torch.Tensor) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    backend_of(scorer)._model = no_memory
    with pytest.raises(ScoringError, match="memory ran out"):
        scorer.score(["acme beats estimates"])


def test_another_failure_of_the_model_is_not_taken_for_a_lack_of_memory(copied: Path) -> None:
    scorer = loaded(copied)

    def broken(**_: torch.Tensor) -> Any:
        raise RuntimeError("shapes do not match")

    backend_of(scorer)._model = broken
    with pytest.raises(ScoringError, match=r"fails at one text \(shapes do not match\)"):
        scorer.score(["acme beats estimates"])


def test_F42_a_model_of_the_wrong_width_is_an_error(copied: Path) -> None:
    scorer = loaded(copied)
    backend_of(scorer)._model = lambda **_: SimpleNamespace(logits=torch.zeros(1, 2))
    with pytest.raises(ScoringError, match="no score"):
        scorer.score(["acme beats estimates"])


def test_batches_are_filled_to_the_longest_and_masked() -> None:
    rows: Sequence[Sequence[int]] = [[1, 2, 3], [4]]
    assert padded(rows, 9) == ([[1, 2, 3], [4, 9, 9]], [[1, 1, 1], [1, 0, 0]])


def test_the_model_takes_no_more_threads_than_the_process_may_use(trained: Path) -> None:
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))
    before = torch.get_num_threads()
    try:
        loaded(trained, threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("path", ["torch", pytest.param("onnx", marks=pytest.mark.patient)])
def test_F42_a_text_that_the_model_fails_at_stays_unscored_and_keeps_no_other_from_its_score(
    copied: Path, path: str
) -> None:
    """Its tokenizer knows a word for which the weights have no row."""
    vocabulary = json.loads((copied / "tokenizer.json").read_text())
    words = vocabulary["model"]["vocab"]
    words["acmezilla"] = max(words.values()) + 1
    (copied / "tokenizer.json").write_text(json.dumps(vocabulary))
    model = loaded(copied, path=InferencePath(path))
    texts = ["acme beats estimates", "acmezilla beats estimates", "acme misses estimates"]
    good, failed, bad = _score(model, texts)
    assert isinstance(failed, ScoringError) and "fails at one text" in failed.what
    assert isinstance(good, Score) and isinstance(bad, Score) and good.signed > 0 > bad.signed
