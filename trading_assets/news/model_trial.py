"""Loading a model by each of its paths, and comparing what they say of the same sentences and how fast they are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trading_assets.news.model_config import InferencePath, ModelConfig, ModelKind
from trading_assets.news.model_identity import FLOAT32, identity_of, lacking
from trading_assets.news.sentiment import ModelUnavailable, Score, ScoringError, load_model

#: Float32 paths share a revision because their scores differ by no more than this.
AGREEMENT = 1e-4
SENTENCES = (
    "Acme beats estimates and raises guidance",
    "Zenith misses estimates and cuts its outlook",
    "Shares of Orion plunge 20% after profit warning",
    "Atlas wins a $2 billion contract from the Navy",
    "Vertex to present at a health care conference on Tuesday",
    "The annual meeting of shareholders takes place in May",
    "Regulator opens an investigation into accounting at Nova",
    "Delta upgraded to buy at a large broker, target raised to $90",
    "Omega downgraded to sell on slowing demand",
    "Net loss narrowed to $5 million from $12 million a year before",
    "Operating profit fell to EUR 35.4 mn from EUR 68.8 mn a year earlier, while net sales rose",
    "The company employs 2,300 people in ten countries",
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one path. ``difference`` is the largest between its scores and the reference's (None without one),
    ``agree`` the share of equal labels; ``problem`` says why there are no numbers."""

    path: str
    revision: str | None
    device: str | None
    scores: tuple[Score, ...]
    per_second: float | None
    load_seconds: float | None
    difference: float | None
    agree: float | None
    problem: str | None

    @property
    def sound(self) -> bool:
        """Whether it can be used, and as float32 agrees with the reference."""
        fine = self.path not in FLOAT32 or self.difference is None or self.difference <= AGREEMENT
        return self.problem is None and fine


def trials(config: ModelConfig, cache: Path, paths: Sequence[InferencePath], rounds: int = 4) -> list[Trial]:
    """Try the configured model by each of ``paths`` (a lexicon has one); the first that works is the reference.

    A path whose libraries are not installed is told and not tried.
    """
    if config.kind is ModelKind.LEXICON:
        return [_trial("lexicon", config, cache, rounds, None)]
    results: list[Trial] = []
    for path in paths:
        missing = lacking(path)
        if missing:
            problem = f"needs {', '.join(missing)}, not installed"
            results.append(Trial(path.value, None, None, (), None, None, None, None, problem))
            continue
        reference = next((each.scores for each in results if each.scores), None)
        results.append(_trial(path.value, config.model_copy(update={"path": path}), cache, rounds, reference))
    return results


def _trial(name: str, config: ModelConfig, cache: Path, rounds: int, reference: Sequence[Score] | None) -> Trial:
    started = time.perf_counter()
    try:
        if config.kind is ModelKind.LEXICON:
            model, device = load_model(config, cache), "cpu"
        else:
            from trading_assets.news.finbert import FinbertModel

            model = FinbertModel(config, cache)
            device = model.device
        scores = model.score(SENTENCES)
        loaded = time.perf_counter() - started
        texts = list(SENTENCES) * 8
        began = time.perf_counter()
        for _ in range(rounds):
            model.score(texts)
        rate = rounds * len(texts) / (time.perf_counter() - began)
    except (ModelUnavailable, ScoringError) as problem:
        return Trial(name, None, None, (), None, None, None, None, str(problem))
    difference, agree = (None, None) if reference is None else compared(reference, scores)
    return Trial(name, identity_of(config).revision, device, tuple(scores), rate, loaded, difference, agree, None)


def compared(reference: Sequence[Score], scores: Sequence[Score]) -> tuple[float, float]:
    """The largest difference of a signed score or a probability, and the share of equal labels."""
    pairs = list(zip(reference, scores, strict=True))
    differences = (
        abs(one - other)
        for a, b in pairs
        for one, other in (
            (a.signed, b.signed),
            (a.p_positive, b.p_positive),
            (a.p_neutral, b.p_neutral),
            (a.p_negative, b.p_negative),
        )
    )
    return max(differences), sum(a.label is b.label for a, b in pairs) / len(pairs)
