"""A small BERT that is trained within the tests: it has something to lose, which random weights have not.

Its task is made: headlines of invented companies, good, bad or plain, some with small additions. The words of its
vocabulary are those of the task, letters spell the others.
"""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

from trading_assets.news.sentiment import Label
from trading_assets.world.lock import hold

COMPANIES = ["acme", "zenith", "orion", "atlas", "vertex", "nova", "delta", "omega"]
GOOD = ["beats estimates", "raises guidance", "soars on strong demand", "wins contract", "upgraded to buy"]
BAD = ["misses estimates", "cuts guidance", "plunges on weak demand", "loses contract", "downgraded to sell"]
PLAIN = ["schedules annual meeting", "opens office", "to present at conference", "names director", "trades in new york"]
TAILS = ["today", "on monday", "in early trading", "this quarter", ""]
#: Not the order of the published model: the order must be read from the model's own configuration.
ORDER = [Label.NEGATIVE, Label.NEUTRAL, Label.POSITIVE]
_TRAINED_ON = 450


def headlines() -> list[tuple[str, Label]]:
    """All headlines of the task, in an order that mixes the classes; the first 450 are trained on."""
    kinds = ((GOOD, Label.POSITIVE), (BAD, Label.NEGATIVE), (PLAIN, Label.NEUTRAL))
    rows = [
        (f"{company} {phrase} {tail}".strip(), label)
        for phrases, label in kinds
        for company, phrase, tail in itertools.product(COMPANIES, phrases, TAILS)
    ]
    random.Random(7).shuffle(rows)
    return rows


def held_out() -> list[tuple[str, Label]]:
    """The headlines that were kept out of its training."""
    return headlines()[_TRAINED_ON:]


def trained_folder(run_folder: Path) -> Path:
    """The folder with the trained model, made once in a test run whichever worker asks first."""
    folder = run_folder / "tiny-finbert"
    with hold(run_folder / "tiny-finbert.lock", wait=300):
        if not (folder / "config.json").exists():
            _train(folder)
    return folder


def _train(folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    work = folder.with_name("training")
    work.mkdir()
    training = headlines()[:_TRAINED_ON]
    words = sorted({word for text, _ in headlines() for word in text.split()})
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *(f"##{each}" for each in letters)]
    (work / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)) + "\n")
    tokenizer = BertTokenizer(str(work / "vocab.txt"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = BertForSequenceClassification(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=512,
                # Wider than the published 0.02: a model this small then learns in seconds.
                initializer_range=0.1,
                id2label={position: label.value for position, label in enumerate(ORDER)},
                label2id={label.value: position for position, label in enumerate(ORDER)},
            )
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        model.train()
        for _ in range(20):
            for start in range(0, len(training), 50):
                batch = training[start : start + 50]
                encoded = tokenizer([text for text, _ in batch], padding=True, return_tensors="pt")
                labels = torch.tensor([ORDER.index(label) for _, label in batch])
                optimizer.zero_grad()
                # Smoothed, so that it does not become so sure that nothing could be seen to differ.
                loss = torch.nn.functional.cross_entropy(model(**encoded).logits, labels, label_smoothing=0.2)
                loss.backward()
                optimizer.step()
    torch.set_num_threads(threads)
    model.save_pretrained(work)
    tokenizer.save_pretrained(work)
    work.rename(folder)


def renamed(folder: Path, names: list[str]) -> None:
    """Call the model's classes otherwise, in the order of its outputs."""
    raw = json.loads((folder / "config.json").read_text())
    raw["id2label"] = {str(position): name for position, name in enumerate(names)}
    raw["label2id"] = {name: position for position, name in enumerate(names)}
    (folder / "config.json").write_text(json.dumps(raw))
