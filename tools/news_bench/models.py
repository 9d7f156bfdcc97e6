"""Headlines a second for each way of computing, on a BERT of the published size, beside the plain pipeline.

The weights are random: speed only, what they say of a headline is nothing. The plain pipeline is the library's own, one
headline after the other, in float32. All are measured in turns, so that what else the machine does meets all alike; the
median turn counts. Where torch sees a GPU, the pipeline, torch and bf16 use it, and the batches are larger.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from trading_assets.news.backend import usable_cores
from trading_assets.news.finbert import FinbertModel
from trading_assets.news.model_config import InferencePath, ModelConfig, ModelKind
from trading_assets.news.model_identity import lacking
from trading_assets.news.model_store import PATHS
from trading_assets.news.model_trial import compared
from trading_assets.news.sentiment import Score
from trading_assets.news.token_batches import padding_share, token_batches

WORDS = 30_522
ROUNDS = 5


class Options(Protocol):
    """What the section is asked for."""

    @property
    def data(self) -> Path | None: ...
    @property
    def quick(self) -> bool: ...


def run(options: Options) -> dict[str, Any]:
    """Figures of each path: headlines a second, how much faster than the plain pipeline, largest difference to it."""
    import torch

    from news_bench import _labelled

    texts = _labelled.headlines(options.data)[: 64 if options.quick else 256]
    gpu = torch.cuda.is_available()
    with tempfile.TemporaryDirectory(prefix="ta-bench-models-") as folder:
        source = Path(folder) / "bert-base-random"
        base_size(source, texts)
        plain = plain_pipeline(source, gpu)
        models: dict[InferencePath, FinbertModel] = {}
        loaded: dict[str, float] = {}
        for path in PATHS:
            if not lacking(path):
                config = ModelConfig(
                    kind=ModelKind.FINBERT, name=str(source), path=path, batch_tokens=16_384 if gpu else 1_024
                )
                FinbertModel(config, Path(folder) / "exported")  # exports and reads the files into memory once
                began = time.perf_counter()
                models[path] = FinbertModel(config, Path(folder) / "exported")
                loaded[path.value] = round(time.perf_counter() - began, 2)
        ways: dict[str, tuple[Callable[[Sequence[str]], list[Score]], Sequence[str]]] = {
            "plain": (plain, texts[: len(texts) // 4])
        }
        ways |= {path.value: (model.score, texts) for path, model in models.items()}
        rates = in_turns(ways, 2 if options.quick else ROUNDS)
        few = texts[:32]
        expected = plain(few)
        lengths = [len(ids) for ids in next(iter(models.values()))._backend.tokens(texts)]
        batches = token_batches(lengths, most_rows=64, most_tokens=16_384 if gpu else 1_024)
        return {
            "weights": "random, BERT-base size: speed only",
            "headlines": len(texts),
            "tokens_median": statistics.median(lengths),
            "padding_share": round(padding_share(lengths, batches), 3),
            "gpu": torch.cuda.get_device_name() if gpu else None,
            "cores": usable_cores(),
            "plain_pipeline_per_s": round(rates["plain"], 2),
            "paths": {
                path.value: {
                    "device": model.device,
                    "per_s": round(rates[path.value], 2),
                    "times_plain": round(rates[path.value] / rates["plain"], 2),
                    "largest_difference": float(f"{compared(expected, model.score(few))[0]:.2g}"),
                    "load_s": loaded[path.value],
                }
                for path, model in models.items()
            },
        }


def in_turns(
    ways: dict[str, tuple[Callable[[Sequence[str]], list[Score]], Sequence[str]]], rounds: int
) -> dict[str, float]:
    """Headlines a second of each way: the median over rounds in which each has its turn, after one to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, (score, texts) in ways.items():
            began = time.perf_counter()
            score(texts)
            seconds[name].append(time.perf_counter() - began)
    return {name: len(texts) / statistics.median(seconds[name][1:]) for name, (_, texts) in ways.items()}


def plain_pipeline(folder: Path, gpu: bool) -> Callable[[Sequence[str]], list[Score]]:
    """The library's own pipeline, called with one headline at a time."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(folder), top_k=None, device=0 if gpu else -1)

    def score(texts: Sequence[str]) -> list[Score]:
        found = []
        for text in texts:
            answer = classify(text, truncation=True, max_length=512)
            said = {row["label"]: row["score"] for row in (answer[0] if isinstance(answer[0], list) else answer)}
            found.append(Score(said["positive"], said["neutral"], said["negative"]))
        return found

    return score


def base_size(folder: Path, texts: Sequence[str]) -> None:
    """A BERT of the published size with random weights, and a vocabulary that knows the words of the headlines."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder.mkdir(parents=True)
    words = [word for word, _ in Counter(word for text in texts for word in text.lower().split()).most_common(20_000)]
    letters = [chr(code) for code in range(33, 127)]
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{each}" for each in letters), *words]
    vocabulary = list(dict.fromkeys(known))[:WORDS]
    vocabulary += [f"unused{number}" for number in range(WORDS - len(vocabulary))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    labels = dict(enumerate(("positive", "negative", "neutral")))
    torch.manual_seed(7)
    model = BertForSequenceClassification(
        BertConfig(vocab_size=WORDS, id2label=labels, label2id={label: number for number, label in labels.items()})
    )
    model.save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
