"""The built-in scorer on headlines of finance, on what it cannot read, and on labelled sentences."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.news.lexicon import LexiconModel, probabilities
from trading_assets.news.model_config import ModelConfig
from trading_assets.news.model_trial import SENTENCES
from trading_assets.news.sentiment import Label, Score, ScoringError, load_model
from trading_assets.news.wordlists import document

MODEL = LexiconModel()


def label(text: str) -> Label:
    return MODEL.score([text])[0].label


@pytest.mark.parametrize(
    "text",
    [
        "Nvidia beats estimates, raises guidance",
        "Tesla upgraded to Buy",
        "AMD soars to record high",
        "Quarterly profit rises 20%",
        "Net loss narrowed to $5 million",
        "Ford cuts costs",
        "Fall in inflation",
        "Stock up 5%",
        "Boeing wins contract worth $2 billion",
    ],
)
def test_good_news_is_positive(text: str) -> None:
    assert label(text) is Label.POSITIVE


@pytest.mark.parametrize(
    "text",
    [
        "Apple misses estimates",
        "Boeing downgraded on 737 probe",
        "Meta plunges after weak outlook",
        "Ford recalls 500,000 trucks",
        "Intel cuts outlook",
        "Unemployment rises",
        "Net loss widened in the fourth quarter",
        "Nvidia did not beat estimates",
        "Stock down 5%",
        "Shareholders file lawsuit against Pfizer",
        "Retailer files for bankruptcy",
    ],
)
def test_bad_news_is_negative(text: str) -> None:
    assert label(text) is Label.NEGATIVE


@pytest.mark.parametrize(
    "text",
    [
        "Apple to hold event on Tuesday",
        "Shares of the company are traded in New York",
        "Best Buy opens store in Ohio",
        "Gross margin and interest rates explained",
        "Crude oil inventories due at 10:30",
    ],
)
def test_words_of_daily_speech_carry_no_mood_in_finance(text: str) -> None:
    score = MODEL.score([text])[0]
    assert score.label is Label.NEUTRAL
    assert score.confidence < 0.6


@pytest.mark.parametrize("text", ["", "   \n\t", None, 7, b"bytes"])
def test_F42_what_is_no_text_is_an_error_and_never_a_neutral_score(text: object) -> None:
    with pytest.raises(ScoringError):
        MODEL.score([text])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("株価が急騰", "other letters"),
        ("Акции Apple выросли после отчёта", "other letters"),
        ("Gewinn bricht ein", "another language"),
        ("Les ventes de la société progressent dans le monde", "another language"),
        (
            "Der Gewinn ist gesunken, und die Aktie hat nach der Meldung an der Boerse in Frankfurt verloren",
            "another language",
        ),
    ],
)
def test_F42_another_language_is_an_error_and_never_a_neutral_score(text: str, why: str) -> None:
    with pytest.raises(ScoringError, match=why):
        MODEL.score([text])


@pytest.mark.parametrize(
    "text",
    [
        "El Pollo Loco beats estimates",
        "Rio de Janeiro plant opens",
        "Las Vegas Sands falls",
        "Der Spiegel: VW recall",
    ],
)
def test_foreign_names_do_not_make_a_headline_foreign(text: str) -> None:
    assert MODEL.score([text])


@pytest.mark.parametrize("text", ["12345 67%", "!!! ???"])
def test_F42_a_text_without_a_readable_word_is_an_error(text: str) -> None:
    with pytest.raises(ScoringError, match="no word"):
        MODEL.score([text])


def test_F42_emoji_are_read_by_their_names() -> None:
    happy, sad = MODEL.score(["NVDA 😍", "NVDA 😭"])
    assert happy.signed > 0 > sad.signed
    assert MODEL.score(["😍😍"])[0].signed > 0


def test_F42_ten_thousand_words_are_scored_by_their_beginning() -> None:
    long = MODEL.score(["Nvidia beats estimates. " + "but the weather was bad " * 2500])[0]
    assert 0 <= long.confidence <= 1


@given(st.text(max_size=400))
def test_F42_any_text_gives_a_sound_score_or_a_scoring_error(text: str) -> None:
    try:
        (score,) = MODEL.score([text])
    except ScoringError:
        return
    assert -1 <= score.signed <= 1
    assert score.p_positive + score.p_neutral + score.p_negative == pytest.approx(1)
    assert score == MODEL.score([text])[0]


@given(st.floats(-1, 1))
def test_the_compound_score_keeps_its_sign_and_mirrors(compound: float) -> None:
    score, mirror = probabilities(compound), probabilities(-compound)
    assert score.signed == pytest.approx(-mirror.signed)
    assert (score.signed > 0) == (compound > 0) or abs(compound) < 1e-12


def test_the_label_leaves_neutral_beyond_a_quarter() -> None:
    assert probabilities(0.24).label is Label.NEUTRAL
    assert probabilities(0.26).label is Label.POSITIVE
    assert probabilities(-0.26).label is Label.NEGATIVE
    assert probabilities(0).confidence == pytest.approx(0.576, abs=0.001)


@pytest.mark.parametrize("values", [(0.5, 0.5, 0.5), (float("nan"), 0.5, 0.5), (-0.5, 1.0, 0.5), (1.5, -0.5, 0.0)])
def test_F42_probabilities_that_are_none_are_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ScoringError, match="no probability"):
        Score(*values)


def test_the_model_is_loaded_once_per_process_and_names_its_version(tmp_path: Path) -> None:
    assert load_model(ModelConfig(), tmp_path) is load_model(ModelConfig(), tmp_path)
    assert (MODEL.name, MODEL.revision) == ("vader-finance", "vader-3.3+2026.1")


def test_other_scores_are_another_revision() -> None:
    """If this fails, the words or the way of reading them have changed: give ``finance_lexicon.json`` another
    ``version`` before the digest here, or scores of both would stand beside each other under one revision."""
    lists = document("finance_lexicon.json")
    words = sorted({*lists["neutral"], *lists["words"], *lists["phrases"], *lists["good_high"], *lists["bad_high"]})
    moved = [
        f"Acme {each} {move}" for each in ("profit", "cost") for move in sorted({*lists["rises"], *lists["falls"]})
    ]
    texts = [*SENTENCES, *moved, *(f"Acme and {word}" for word in words)]
    told = "".join(f"{text}:{MODEL.score([text])[0].signed:.4f};" for text in texts)
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    assert (MODEL.revision, digest) == ("vader-3.3+2026.1", "88d6bc2eacf50c93")


@pytest.mark.recorded
def test_the_lexicon_agrees_with_three_quarters_of_labelled_finance_sentences(
    recorded_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = recorded_data / "sentiment" / "P1_financial_phrasebank" / "Sentences_AllAgree.txt"
    rows = [line.rsplit("@", 1) for line in source.read_text("iso-8859-1").splitlines()]
    assert len(rows) == 2264
    scores = MODEL.score([text for text, _ in rows])
    hits = {
        kind: sum(s.label == kind for s, (_, said) in zip(scores, rows, strict=True) if said == kind) for kind in Label
    }
    accuracy = sum(hits.values()) / len(rows)
    recall = {kind.value: round(hits[kind] / sum(said == kind for _, said in rows), 3) for kind in Label}
    with capsys.disabled():
        print(f"\nlexicon on {len(rows)} sentences with full agreement: accuracy {accuracy:.4f}, recall {recall}")
    assert accuracy >= 0.75
    assert min(recall.values()) >= 0.6


@pytest.mark.recorded
@pytest.mark.parametrize("neutral_weight", [0.6, 1.0, 1.4, 1.8])
def test_the_floor_holds_without_any_entry_that_only_these_sentences_could_have_taught(
    recorded_data: Path, monkeypatch: pytest.MonkeyPatch, neutral_weight: float
) -> None:
    """Held out: own entries that occur in none of the other labelled sets are gone, those left weigh all the same, and
    where neutral ends is moved. What such a lexicon reaches cannot come from having seen these sentences."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "tools"))
    labelled, section = import_module("news_bench._labelled"), import_module("news_bench.sentiment")
    monkeypatch.setattr("trading_assets.news.lexicon.NEUTRAL_WEIGHT", neutral_weight)
    pruned = section.held_out_lexicon(recorded_data)
    assert len(pruned._phrases) < len(MODEL._phrases) / 2, "most phrases are gone"
    own = {*document("finance_lexicon.json")["words"], *pruned._phrases.values()}
    lexicon = pruned._analyzer.lexicon
    lexicon.update({word: 2.0 if lexicon[word] > 0 else -2.0 for word in own & set(lexicon)})
    rows = labelled.phrasebank(recorded_data, "AllAgree")
    found = section.judged(pruned, rows)
    assert found["always_the_commonest"] < 0.62
    assert found["accuracy"] >= 0.70
