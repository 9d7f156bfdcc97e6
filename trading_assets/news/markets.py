"""Markets in texts: tags of exchanges at home and abroad, and amounts of a currency.

A symbol belongs to its market: "(LSE: BA)" is BAE Systems and not Boeing. So what stands behind the tag of another
exchange, or of one that is not known, is no symbol of ours.
"""

from __future__ import annotations

import re

#: Markets of the United States whose symbols the broker's list has. Those traded over the counter are in no such list
#: under a listed company's symbol, so a tag "OTC" is another market's.
AT_HOME = r"NASDAQ(?:GS|GM|CM)?|NYSE(?:\s?(?:American|Arca|MKT))?|AMEX|CBOE|BATS"
_FOREIGN = (
    r"LSE|LON|AIM|AQSE|TSXV?|TSX-V|CVE|CSE|NEO|TSE|TYO|JPX|OSE|ASX|NZX|NZE|NSE|BSE|MCX|HKEX|HKSE|HKG|SEHK|SSE|SHA|SZSE|"
    r"SHE|TWSE|TPE|TPEX|KRX|KOSPI|KOSDAQ|SGX|SES|SET|BKK|IDX|JKT|KLSE|MYX|PSE|HOSE|HNX|JSE|NSX|EGX|TADAWUL|DFM|ADX|QSE|"
    r"TASE|TLV|BIST|FRA|FWB|ETR|XETRA?|XTRA|GETTEX|EURONEXT|EPA|PAR|AMS|EBR|BRU|ELI|LIS|BIT|MIL|BME|MCE|SIX|SWX|VTX|"
    r"VIE|WBAG|STO|CPH|HEL|OSL|OB|ICEX|OMXS?|WSE|GPW|PRA|BUD|BVB|MOEX|MISX|BMV|BVMF|B3|BOVESPA|BVL|BCS|BYMA|BVC|"
    r"OTC(?:QX|QB|MKTS|PK)?|PINK"
)
_ABROAD = re.compile(
    rf"(?:\b(?:{_FOREIGN})|\b(?:NASDAQ|Euronext|Cboe|NYSE)\s+[A-Z][\w ]{{1,16}}|\b(?:Stockholm|Helsinki|Copenhagen|"
    rf"Oslo|Frankfurt|Xetra|London|Toronto|Tokyo|Sydney|Mumbai|Paris|Milan|Madrid|Zurich|Vienna))\s{{0,3}}:\s{{0,3}}\$?$"
)
_LABEL = re.compile(r"\(\s*(?:[^()]*[;,])?\s*([^();,:]{1,40}?)\s{0,3}:\s{0,3}\$?$")
_CLOSED = re.compile(r"\s*[);,]")
_PLAIN = re.compile(rf"(?:{AT_HOME}|tickers?|symbols?|(?:stock )?ticker symbols?|stocks?|shares?)", re.IGNORECASE)
#: A tag of another exchange anywhere in a text.
TAG_ABROAD = re.compile(rf"\b(?:{_FOREIGN})\s{{0,3}}:\s{{0,3}}[A-Z0-9]{{1,6}}\b")
#: "SHOP:CA" and "RIO LN": the market behind the symbol.
_BEHIND = re.compile(r":(?!US\b)[A-Z]{2}\b")
_REACH = 48

#: Codes of currencies in which amounts are told, as far as they could be symbols.
_CODES = frozenset({"CAD", "COP", "EGP", "EUR", "HKD", "IDR", "ILS", "INR", "JPY", "NOK", "PEN", "SAR", "TRY", "USD"})
_NUMBER = r"\d+(?:[.,]\d+)*"
_SIZE = r"(?:thousand|million|billion|trillion|crore|lakh|bn|mn|mln|m|k|tn)\b"
_AMOUNT_AFTER = re.compile(rf"\s?(?:{_NUMBER}\s?{_SIZE}|\d+[.,]\d+(?:[.,]\d+)*\b)", re.IGNORECASE)
_AMOUNT_BEFORE = re.compile(rf"\d\s?{_SIZE}\s$|\d[.,]\d+\s$", re.IGNORECASE)


def abroad(text: str, start: int, stop: int) -> bool:
    """Whether the symbol at [start, stop) has the tag of a market other than those of the United States, or the name of
    something else before a colon."""
    before = text[max(0, start - _REACH) : start]
    if _BEHIND.match(text, stop):
        return True
    if ":" not in before[-5:]:
        return False
    if _ABROAD.search(before):
        return True
    # "(Borsa Italiana: ENI)", and not "(Update: AMD rises)".
    label = _LABEL.search(before) if _CLOSED.match(text, stop) else None
    return label is not None and _PLAIN.fullmatch(label.group(1)) is None


def amount(text: str, start: int, stop: int) -> bool:
    """Whether the symbol at [start, stop) is a currency of an amount: "NOK 12 million"."""
    if text[start:stop] not in _CODES:
        return False
    if _AMOUNT_AFTER.match(text, stop):
        return True
    return _AMOUNT_BEFORE.search(text[max(0, start - _REACH) : start]) is not None
