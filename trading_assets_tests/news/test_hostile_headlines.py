"""Headlines that are made, or happen, to look as if they named a company: what each may name."""

from __future__ import annotations

import pytest

from trading_assets.news.tickers import How, TickerExtractor, curated_companies, universe_of

#: Listed and followed beside the curated ones; nobody has looked at them.
_LEARNT = {
    "A": "Agilent Technologies, Inc. Common Stock",
    "AI": "C3.ai, Inc. Class A Common Stock",
    "AT": "Atlantic Power Corporation",
    "BN": "Brookfield Corporation Class A",
    "CET": "Central Securities Corporation Common Stock",
    "ERIC": "Ericsson - American Depositary Shares",
    "GGB": "Gerdau S.A. Common Stock",
    "HAYW": "Hayward Holdings, Inc. Common Stock",
    "LPLA": "LPL Financial Holdings Inc. - Common Stock",
    "NV": "Nevada Canyon Corp.",
    "OEC": "Orion S.A. Common Shares",
    "PPHC": "Public Policy Holding Company, Inc.",
    "S": "SentinelOne, Inc. Class A",
    "SU": "Suncor Energy Inc. Common Stock",
    "X": "United States Steel Corporation Common Stock",
}
_EVERY = {**curated_companies(), **universe_of(_LEARNT, _LEARNT)}
EXTRACTOR = TickerExtractor(_EVERY, _EVERY)

#: What is written, and which symbols it names.
TAGS = {
    "Local bakery opens (NASDAQ: NVDA)": "NVDA",
    "Acme Ltd (LSE: BA) rises": "",
    "LSE: BA shares fall": "",
    "Acme (TSX: SU) and (TSX:CNQ) fall": "",
    "Bank (TSX: RY, NYSE: RY) pays": "RY",
    "Bank (NYSE: RY; TSX: RY) pays": "RY",
    "Acme (NSE: INFY) gains": "",
    "Infosys (NSE: INFY) gains": "INFY",
    "Acme (OTC: X), (OTCQB: NVDA) to the moon": "",
    "Fund TASE : MARA sold shares": "",
    "Acme (Nasdaq Stockholm: ERIC)": "",
    "Acme (Borsa Italiana: ETN) buys": "",
    "Acme (Update: AMD rises)": "AMD",
    "Acme (ticker: NVDA)": "NVDA",
    "SHOP:CA slips, NVDA:US gains": "NVDA",
    "INFY.NS gains, VOD.L falls, IBM.TO waits": "",
    "Acme (TSX: $SU)": "",
    "AMS: INGA and NYSE: UP": "",
}
CASHTAGS = {
    "$AI and $A rise": "AI A",
    "$nvda and $brk.b": "NVDA",
    "$ai is the future, $now": "",
    "$BRK.B and $BRK-B, BRK.B too": "BRK.B",
    "BRK-B shares rise": "BRK.B",
    "$SHOP.TO, $VOD.L, $BTC.X, $T-Mobile, $AT&T and $S&P": "",
    "Revenue ($M), assets (in $B) and 5 $T": "",
    "investing in $T and $M": "T M",
    "US$A, A$AP and $$NVDA": "",
    "https://evil.example/?q=$NVDA and www.x.com/$TSLA": "",
    "t.co/$AAPL, mail $A@evil.com or ir@Nvidia.com": "",
    "See https://news.example/Apple-sues-Tesla today": "",
    "Nvidia sues https://x.com/Apple": "NVDA",
    "$AMD 162.50 and $NOK 4.10": "AMD NOK",
}
LETTERS = {
    "$NV\u200dDA rises": "NVDA",
    "$NV\u00adDA rises": "NVDA",
    "$\u202eNVDA\u202c rises": "NVDA",
    "\u200fNvidia\u200f rises": "NVDA",
    "Nvi\u200bdia rises": "NVDA",
    "$NVD\u0410 rises": "",
    "$\u039dVDA rises": "",
    "\u0410pple rises": "",
    "$\uff2e\uff36\uff24\uff21 rises": "",
    "$A\u0301BC rises": "",
    "$NVD\u0336A\u0336 rises": "",
    "Apple\u0336 rises": "",
    "\U0001d40d\U0001d415\U0001d403\U0001d400 rises": "",
}
SHORT = {
    "In 2007 it had revenue of NOK 69.3 a share and COP 4,000": "",
    "Profit of NOK 12 million, 5 million NOK before": "",
    "NOK shares rise": "NOK",
    "SAN FRANCISCO (AP) - Nokia shows a phone": "NOK",
    "The state's stake in LMT goes to TeliaSonera": "",
    "Nasdaq's revamp of PSX exchange": "",
    "LMT beats estimates": "LMT",
    "IBM, JPM and XOM lead": "IBM JPM XOM",
    "Buy DIS": "DIS",
    "SSH SECURITY CORP and tech leads DOW higher": "",
    "AMD CEO speaks": "AMD",
}
NAMES = {
    "CITI urges traders to release cotton": "",
    "CITI shares fall, Citi agrees": "C",
    "Sridhar Krishnamoorthy to head Gerdau Steel India": "",
    "Microsoft (India) and Google India Pvt Ltd hire": "",
    "Amazon Pvt Ltd hires": "",
    "Genel Shares Plunge After Tony Hayward's Oil Explorer Cuts": "",
    "Mr. Ford and Harrison Ford, J. Ford": "",
    "The Hayward, Calif.-based maker of boots": "",
    "Oil man Anthony Hayward's firm": "",
    "Hayward shares rise": "HAYW",
    "Responsible for Geographic Central Securities": "",
    "The Central Securities Depository pays": "",
    "Public Policy Management Institute reports": "",
    "Pharma group Orion Corp falls": "",
    "Yesterday Orion S.A. fell": "OEC",
    "Blackstone Private Credit Fund and Brookfield Real Estate Income Trust": "",
    "Blackstone private credit fund closes": "BX",
    "Ford Foundation, Oracle Arena and Target Field": "",
    "Raises Dividend Target to $2 and Target company found": "",
    "Target to open stores": "TGT",
    "Oracle Financial Services and Honeywell Automation gain in a weak market": "",
    "Shares of Dr. Reddy's Laboratories and of Oracle gain": "RDY ORCL",
    "LPL Financial LLC settles": "LPLA",
    "Gov. Abbott says Texas will sue, and Texas Governor Abbott signs it": "",
    "President Ford, Premier Ford and the Ford government in Ontario": "",
    "PM Abbott says no, Dr. Abbott agrees": "",
    "Abbott raises outlook": "ABT",
    "Ford CEO and President of the United States meet": "F",
    "Merck KGaA raises outlook": "",
    "Merck raises outlook": "MRK",
    "Coca-Cola HBC and Coca-Cola Consolidated raise prices": "",
    "Paris Hilton's brand grows": "",
}
ELSE = {
    "Drug for wet AMD wins FDA approval": "",
    "Regeneron jumps on age-related macular degeneration (AMD) data": "REGN",
    "AMD jumps as patients of chips return, $AMD gains": "AMD",
    "AMD and Nvidia win FDA approval of their chips": "AMD NVDA",
    "Nvidia launches RTX 5090 at $1,999": "NVDA",
    "GeForce RTX laptops go on sale": "",
    "RTX wins a missile order, AMD rises": "RTX AMD",
    "NSC spokesman says no decision on Iran": "",
    "NSC beats estimates as Norfolk Southern cuts costs": "NSC",
    "CME to hit Earth on Friday, aurora expected": "",
    "CME sets a record for volume": "CME",
    "Lakers GM says no trade is near": "",
    "GM mosquitoes released in Florida": "",
    "GM recalls trucks": "GM",
    "High BP raises stroke risk, study finds": "",
    "BP raises dividend": "BP",
    "Abbott signs redistricting map into law in Texas": "",
}


@pytest.mark.parametrize(
    ("text", "symbols"), [pair for group in (TAGS, CASHTAGS, LETTERS, SHORT, NAMES, ELSE) for pair in group.items()]
)
def test_what_only_looks_like_a_company_names_none(text: str, symbols: str) -> None:
    assert {mention.symbol for mention in EXTRACTOR.extract(text)} == set(symbols.split())


def test_tags_in_a_row_are_told_as_tags_and_stand_where_they_say() -> None:
    reading = EXTRACTOR.read("Free caf\u0065\u0301 \u200b(NASDAQ: NVDA) (NYSE: IBM) at https://x.com/$T $TSLA")
    assert [mention.how for mention in reading.mentions] == [How.EXCHANGE_TAG, How.EXCHANGE_TAG, How.CASHTAG]
    for mention in reading.mentions:
        assert mention.position is not None
        assert reading.text[mention.position :].startswith(mention.matched)
