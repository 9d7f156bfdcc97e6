"""Which tickers a headline names, and which words only look like one."""

from __future__ import annotations

import pytest

from trading_assets.news.tickers import Company, How, TickerExtractor, curated_companies, short_name, universe_of
from trading_assets_tests.news.ticker_truth import symbols_in

EXTRACTOR = TickerExtractor(curated_companies())


def found(text: str) -> list[str]:
    return [mention.symbol for mention in EXTRACTOR.extract(text)]


@pytest.mark.parametrize(
    ("text", "symbol", "how", "matched"),
    [
        ("$NVDA is up", "NVDA", How.CASHTAG, "$NVDA"),
        ("buying $nvda here", "NVDA", How.CASHTAG, "$nvda"),
        ("Acme (NYSE: NVDA) rises", "NVDA", How.EXCHANGE_TAG, "NYSE: NVDA"),
        ("Berkshire (NYSE:BRK-B) buys", "BRK.B", How.EXCHANGE_TAG, "NYSE:BRK-B"),
        ("Tesla (TSLA.O) rises", "TSLA", How.EXCHANGE_TAG, "(TSLA.O)"),
        ("McDonald’s E. coli outbreak", "MCD", How.NAME, "McDonald’s"),
        ("APPLE TO BUY STARTUP", "AAPL", How.NAME, "APPLE"),
        ("AMD's new chip", "AMD", How.SYMBOL, "AMD"),
    ],
)
def test_a_ticker_is_found_in_each_of_four_ways(text: str, symbol: str, how: How, matched: str) -> None:
    (mention,) = EXTRACTOR.extract(text)
    assert (mention.symbol, mention.how, mention.matched) == (symbol, how, matched)


def test_F39_a_reference_that_no_character_has_hides_no_ticker() -> None:
    assert found(f"Acme (NYSE: NVDA) rises &#{'9' * 5000};") == ["NVDA"]


def test_a_ticker_found_twice_is_told_once_by_the_surest_way() -> None:
    mentions = EXTRACTOR.extract("Nvidia rallies; AMD follows. Nvidia (NASDAQ: NVDA) now leads $NVDA")
    assert [(mention.symbol, mention.how) for mention in mentions] == [("NVDA", How.CASHTAG), ("AMD", How.SYMBOL)]


@pytest.mark.parametrize(
    "text",
    [
        "IT spending is ALL up NOW, ON AI and IT",
        "ALL STOCKS FALL AS AMD MU AND IBM SLIDE ON TARIFF NEWS",
        "Pineapple growers and an apple harvest",
        "Analysts raise price target on retailer",
        "The Gap widens between rich and poor",
        "Snap judgment in a snap election",
        "Dow falls 300 points",
        "Delta variant spreads",
        "US$5 billion and $100 million, $USD weaker",
        "S&P 500 slips",
        "NYSE: HALTS trading",
        "a META-analysis of trials",
        "Meta-Analysis of Trials",
        "AMDX and XAMD and AMD-like",
        "",
        "🚀🚀🚀",
        "株価が上昇",
    ],
)
def test_words_that_only_look_like_a_company_are_left_alone(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("Target shares fall as retailer cuts outlook", ["TGT"]),
        ("Snap's user growth slows", ["SNAP"]),
        ("Visa sues rival", ["V"]),
        ("Delta Air Lines and Southwest Airlines cut flights", ["DAL", "LUV"]),
        ("General Motors recalls trucks, General Mills does not", ["GM", "GIS"]),
        ("AT&T, P&G and J&J raise dividends", ["T", "PG", "JNJ"]),
        ("Allstate (ALL) reports", ["ALL"]),
        ("Tesla-backed startup; Apple-Google deal", ["TSLA", "AAPL", "GOOGL"]),
        ("GE Vernova surges", ["GEV"]),
        ("İstanbul store: Apple opens", ["AAPL"]),
    ],
)
def test_companies_are_told_from_words(text: str, symbols: list[str]) -> None:
    assert found(text) == symbols


def test_a_bare_symbol_or_name_counts_only_inside_the_universe() -> None:
    small = TickerExtractor(universe_of(["NVDA"]))
    assert [mention.symbol for mention in small.extract("Apple and AMD fall, Nvidia and NVDA rise")] == ["NVDA"]
    assert small.extract("$AMD falls") == ()


def test_a_company_nobody_curated_is_found_by_its_registered_name() -> None:
    extractor = TickerExtractor(universe_of(["ZZG", "QQN"], {"ZZG": "Zollow Group, Inc.", "QQN": "Quiet Night Corp."}))
    assert [mention.symbol for mention in extractor.extract("Zollow shares jump; Quiet Night opens")] == ["ZZG", "QQN"]
    assert extractor.extract("a quiet night and Quiet night") == ()


def test_a_name_that_two_companies_share_names_neither() -> None:
    twins = TickerExtractor({"AAA": Company("Twin Peaks Inc."), "BBB": Company("Twin Peaks Corp.")})
    assert twins.extract("Twin Peaks rallies") == ()
    assert [mention.symbol for mention in twins.extract("Twin Peaks Corp. rallies")] == ["BBB"]


def test_an_empty_universe_finds_tags_of_listed_companies_only() -> None:
    listed = universe_of(["MSFT", "AAPL"])
    assert TickerExtractor({}).extract("Apple AAPL $MSFT") == ()
    assert [mention.symbol for mention in TickerExtractor({}, listed).extract("Apple AAPL $MSFT")] == ["MSFT"]


@pytest.mark.parametrize(
    ("registered", "short"),
    [("NVIDIA Corporation", "NVIDIA"), ("The Walt Disney Company", "Walt Disney"), ("Linde plc", "Linde"),
     ("Zillow Group, Inc. Class A", "Zillow"), ("Merck & Co., Inc.", "Merck"), ("Company", "Company")],
)  # fmt: skip
def test_the_legal_tail_of_a_name_is_dropped(registered: str, short: str) -> None:
    assert short_name(registered) == short


def test_every_curated_company_is_found_by_each_of_its_names() -> None:
    for symbol, company in curated_companies().items():
        for name in (company.name, *company.aliases):
            assert found(f"Yesterday {name} met analysts") == [symbol], name
        for name in company.guarded:
            assert found(f"Yesterday {name} shares met analysts") == [symbol], name


def test_F59_a_hostile_text_is_only_a_text() -> None:
    assert found("'; DROP TABLE inbound_events_raw; -- $NVDA; " + "A" * 100_000) == ["NVDA"]


def test_no_ticker_outside_the_list_of_assets_is_found_and_every_listed_one_by_its_tags() -> None:
    listed = universe_of(["AAPL", "AMD"])
    extractor = TickerExtractor(universe_of(["AAPL", "NVDA"]), listed)
    assert extractor.symbols == {"AAPL"}
    assert symbols_in(extractor, "Apple, Nvidia, $NVDA, (NASDAQ: NVDA) and (NVDA.O) fall") == {"AAPL"}
    assert symbols_in(extractor, "$AMD and Advanced Micro Devices") == {"AMD"}
    assert symbols_in(extractor, "Advanced Micro Devices") == frozenset()


@pytest.mark.parametrize(
    ("followed", "found"), [(["GOOG"], ["GOOG"]), (["GOOGL", "GOOG"], ["GOOGL"]), (["BRK.A"], ["BRK.A"])]
)
def test_the_name_of_an_issuer_means_the_followed_symbol(followed: list[str], found: list[str]) -> None:
    names = {
        "GOOG": "Alphabet Inc. - Class C Capital Stock",
        "GOOGL": "Alphabet Inc. - Class A Common Stock",
        "BRK.A": "Berkshire Hathaway Inc. Common Stock",
        "BRK.B": "Berkshire Hathaway Inc. New Common Stock",
    }
    extractor = TickerExtractor(universe_of(followed, names), universe_of(names, names))
    told = extractor.extract("Alphabet gains" if "GOOG" in followed else "Berkshire Hathaway gains")
    assert [mention.symbol for mention in told] == found


def test_a_company_that_is_not_followed_keeps_its_longer_name() -> None:
    names = {"AAPL": "Apple Inc. - Common Stock", "APLE": "Apple Rush Hotels, Inc. Common Shares"}
    extractor = TickerExtractor(universe_of(["AAPL"], names), universe_of(names, names))
    assert extractor.extract("Apple Rush Hotels opens a house") == ()
    assert symbols_in(extractor, "Apple opens a house") == {"AAPL"}


def test_a_symbol_that_was_given_away_does_not_inherit_the_names() -> None:
    names = {"META": "Metallic Explorers ETF", "AAPL": "AAPL", "XYZ": "Block, Inc. Class A Common Stock,"}
    extractor = TickerExtractor(universe_of(names, names), universe_of(names, names))
    assert symbols_in(extractor, "Facebook and Apple and Block's stores") == {"AAPL", "XYZ"}


@pytest.mark.parametrize(
    "text",
    [
        "Record gains on the S&P 500 as index funds rise",
        "Stocks rally: best buy signals of the week",
        "GM of Colgate-Palmolive India resigns",
        "Reserve Bank of India (RBI) acts",
        "Buy Pfizer with a target of Rs 1,200",
        "HSBC AMC: NBFC stocks fall",
    ],
)
def test_with_everything_followed_names_of_other_things_are_left_alone(text: str) -> None:
    names = {
        "SPY": "State Street SPDR S&P 500 ETF Trust", "BBY": "Best Buy Co., Inc.", "CL": "Colgate-Palmolive Company",
        "RBI": "Some Fund ETF", "PFE": "Pfizer, Inc. Common Stock", "NBFC": "Narrow Bridge Fuel Co. Common Stock",
    }  # fmt: skip
    every = universe_of(names, names)
    assert TickerExtractor(every, every).extract(text) == ()


def test_entities_lists_initials_and_parentheses_are_read() -> None:
    names = {"QXO": "QXO, Inc. Common Stock", "JNJ": "Johnson & Johnson Common Stock", "TGT": "Target Corporation"}
    every = universe_of([*names, "WMT", "COST", "ARM"], names)
    extractor = TickerExtractor(every, every)
    assert symbols_in(extractor, "QXO (QXO) struggled; J&amp;J waits") == {"QXO", "JNJ"}
    assert symbols_in(extractor, "Walmart, Target and Costco lower prices") == {"WMT", "TGT", "COST"}
    assert symbols_in(extractor, "ARM and chips") == {"ARM"}
    assert symbols_in(extractor, "arm and chips") == frozenset()
