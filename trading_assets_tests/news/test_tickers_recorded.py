"""Tickers in recorded headlines, with every listed symbol followed: the floors of precision and recall."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.news.companies import kind_of
from trading_assets.news.tickers import TickerExtractor, universe_of
from trading_assets_tests.news.ticker_truth import directory, extractor_of_all, headlines, measure, symbols_in

pytestmark = pytest.mark.recorded


@pytest.fixture(scope="module")
def everything(recorded_data: Path) -> TickerExtractor:
    return extractor_of_all(recorded_data)


@pytest.mark.parametrize("held_out", [False, True], ids=["developed", "held_out"])
def test_tickers_are_found_with_their_floors_on_both_halves(
    everything: TickerExtractor, recorded_data: Path, held_out: bool
) -> None:
    for name, labelled in headlines(recorded_data).items():
        found = measure(everything, labelled, held_out=held_out)
        assert found.annotated > 10, name
        assert found.precision >= 0.97, (name, found)
        assert found.recall >= 0.90, (name, found)


def test_no_ticker_outside_the_list_of_assets_is_ever_found(everything: TickerExtractor, recorded_data: Path) -> None:
    listed = directory(recorded_data)
    assert len(listed) == 12_828
    few = {symbol: listed[symbol] for symbol in sorted(listed)[::7]}
    every, allowed = frozenset(listed), frozenset(few)
    some = TickerExtractor(universe_of(list(listed)[::3], listed), universe_of(few, few))
    for labelled in headlines(recorded_data).values():
        for each in labelled:
            assert symbols_in(everything, each.title) <= every
            assert symbols_in(some, each.title) <= allowed
    for symbol in listed:
        tagged = f"Acme (NYSE: {symbol}) and ${symbol} rise, {symbol} shares fall, {listed[symbol]} waits"
        assert symbols_in(some, tagged) <= allowed, symbol


def test_a_warrant_a_unit_or_a_preferred_share_is_never_meant_by_a_name(
    everything: TickerExtractor, recorded_data: Path
) -> None:
    listed = directory(recorded_data)
    derived = [symbol for symbol, name in listed.items() if kind_of(symbol, name).name == "DERIVED"]
    assert len(derived) > 1000
    for symbol in derived:
        assert symbol not in symbols_in(everything, f"{listed[symbol]} shares rise"), symbol


_WORDS = st.sampled_from(
    [
        "Apple",
        "$NVDA",
        "(NYSE:",
        "T)",
        "ALL",
        "IT",
        "NOW",
        "Target",
        "Block's",
        "shares",
        "&amp;",
        "AT&T",
        "é",
        "株",
        "🚀",
        "S&P",
        "500",
        "ETF",
        "Trust",
        "-",
        ",",
        ";",
        "\n",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(_WORDS, st.text(max_size=12)), max_size=20))
def test_F42_any_text_gives_listed_tickers_only_and_the_words_that_it_holds(
    everything: TickerExtractor, words: list[str]
) -> None:
    reading = everything.read(" ".join(words))
    for mention in reading.mentions:
        assert mention.symbol in everything.symbols
        assert mention.position is not None
        assert reading.text[mention.position :].startswith(mention.matched)
