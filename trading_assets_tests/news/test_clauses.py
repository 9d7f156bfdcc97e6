"""Which part of a text speaks of which company."""

from __future__ import annotations

import pytest

from trading_assets.news.clauses import clauses_of, words_of_clauses
from trading_assets.news.tickers import TickerExtractor, curated_companies

EXTRACTOR = TickerExtractor(curated_companies())


def parts(text: str) -> dict[str, str]:
    reading = EXTRACTOR.read(text)
    return {
        key: words_of_clauses(reading.text, found) for key, found in clauses_of(reading.text, reading.spans).items()
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Nvidia soars as Intel plunges", {"NVDA": "Nvidia soars", "INTC": "Intel plunges"}),
        ("Nvidia soars; Intel, in trouble, plunges", {"NVDA": "Nvidia soars", "INTC": "Intel, in trouble, plunges"}),
        (
            "Nvidia and AMD rise while Intel falls",
            {"NVDA": "Nvidia and AMD rise", "AMD": "Nvidia and AMD rise", "INTC": "Intel falls"},
        ),
        (
            "Nvidia falls after weak guidance, Apple gains",
            {"NVDA": "Nvidia falls after weak guidance", "AAPL": "Apple gains"},
        ),
        (
            "Chips were sold. Nvidia fell. Apple rose.",
            {"NVDA": "Chips were sold. Nvidia fell.", "AAPL": "Chips were sold. Apple rose."},
        ),
        ("Apple sues Microsoft", {"AAPL": "Apple sues Microsoft", "MSFT": "Apple sues Microsoft"}),
        ("Johnson & Johnson rises; Pfizer falls", {"JNJ": "Johnson & Johnson rises", "PFE": "Pfizer falls"}),
    ],
)
def test_each_company_has_the_words_about_it(text: str, told: dict[str, str]) -> None:
    assert parts(text) == told


@pytest.mark.parametrize("text", ["Nvidia soars as the market falls", "Nothing happened", "", "🚀"])
def test_a_text_of_one_company_or_none_is_not_cut(text: str) -> None:
    assert parts(text) == {}


def test_F42_of_an_article_of_ten_thousand_words_the_beginning_is_cut() -> None:
    text = "Nvidia soars as Intel plunges. " * 2000 + "Pfizer falls."
    found = clauses_of(text, EXTRACTOR.read(text).spans)
    assert set(found) == {"NVDA", "INTC"}
    assert 0 < found["NVDA"][-1][1] <= 4000
