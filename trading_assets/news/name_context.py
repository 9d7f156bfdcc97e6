"""When a word that is also a name means the company: by what stands beside it, and by how the text writes capitals."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache

from trading_assets.news.markets import TAG_ABROAD
from trading_assets.news.wordlists import words_of

_COMPANY_AFTER = re.compile(
    r"(?:['’]s?\b|,?\s+(?:inc|corp|corporation|co|company|companies|plc|ltd|group|holdings|shares?|stocks?|earnings|"
    r"revenues?|sales|profits?|ceo|cfo|chief|executives?|investors|shareholders|results|quarterly|stores?|options|"
    r"reports|posts|beats|misses|raises|cuts|lowers|unveils|launches|plans|sues|files|acquires|buys|names|says|to|"
    r"jumps|falls|soars|plunges|sinks|tumbles|surges|slides|drops|gains|climbs|rallies|slips|rises|dips|hires|"
    r"up|down|agrees|announces|appoints|approves|bought|buyout|deal|expects|hit|hits|loss|pays|posted|reported|returns|reveals|rose|fell|"
    r"sees|shrugs|signs|slumps|spikes|stake|swings|takes|trims|faces|leads|slump|buoyed|upgraded|downgraded|sells|recalls|settles|invests|opens|closes|expands|wins|loses|warns|is|has|will|may|could|"
    r"q[1-4])\b)",
    re.IGNORECASE,
)
#: Words that are said of other things as well: behind another word with a capital they do not count.
_WEAK = frozenset(
    {"to", "up", "down", "hit", "hits", "is", "has", "will", "may", "could", "company", "companies", "opens", "closes"}
)
_COMPOUND = re.compile(
    r"(?<![\w.,:;!?-])(?!(?:And|As|While|After|Before|But|Why|How|When|If|That|Because|Says|At|By|With)\b)[A-Z][a-z]+\s+$"
)
_COMPANY_BEFORE = re.compile(
    r"\b(?:shares|stock|stake|options|position|investors|investment) (?:of|in)\s+$|"
    r"\b(?:retailer|chipmaker|automaker|carmaker|drugmaker|lender|insurer|airline|miner|software maker|bank)\s+$",
    re.IGNORECASE,
)
_NEVER_BEFORE = re.compile(
    r"\b(?:price|profit|revenue|growth|inflation|the|a|an|new|sales|earnings|to|and|of|for|h-?1b|work|student)\s+$",
    re.IGNORECASE,
)
#: Between two companies of a list, or two of a comparison.
_LISTED = re.compile(r"\s*(?:,|&|/|;)\s*(?:and\s+|or\s+)?$|\s+(?:and|or|vs\.?|versus|with)\s+$", re.IGNORECASE)
#: Signs of another market: a name or symbol in such a text may be one of another exchange.
_ELSEWHERE = re.compile(r"\bRs\.?\s?\d|\b(?:crore|lakh|Sensex|Nifty|BSE|NSE|Sebi|TSX|ASX|HKEX|INR)\b|₹", re.IGNORECASE)
_SYMBOL_AFTER = re.compile(
    r",?\s+(?:shares|stock|earnings|revenue|calls|puts|options|ceo|cfo|q[1-4]|reports|posts|beats|misses|raises|cuts|"
    r"lowers|unveils|launches|announces|jumps|falls|soars|plunges|sinks|tumbles|surges|slides|drops|gains|climbs|rallies|"
    r"slips|rises|dips|spikes|slumps|shares|price target|guidance|rise|fall|gain|drop|jump|surge|slide|rally|sink|"
    r"tumble|target|rating|dividend|valuation|bulls|bears|investors|shareholders|insiders)\b",
    re.IGNORECASE,
)
_SYMBOL_BEFORE = re.compile(
    r"\b(?:shares|stock|calls|puts|options) (?:of|in|on)\s+$|"
    r"\b(?:buy|buys|buying|sell|sells|selling|sold|bought|shorts|upgrades|downgrades|initiates|reiterates|likes|loves)\s+$",
    re.IGNORECASE,
)
_SYMBOL_LEFT = re.compile(r"(?<![\w$.])([A-Z]{2,5})(?:\s?[,/;]\s?(?:and\s)?|\s(?:and|&|or|vs\.?|versus)\s)$")
_SYMBOL_RIGHT = re.compile(r"(?:\s?[,/;]\s?(?:and\s)?|\s(?:and|&|or|vs\.?|versus)\s)([A-Z]{2,5})(?![\w.&])")
_NAME_GOES_ON = re.compile(r"\s+[A-Z][a-z]")
_STRICT_AFTER = re.compile(r"['’]s\b|\s+(?:shares|stock|inc|corp|plc)\b", re.IGNORECASE)
_CAPITALS_AFTER = re.compile(r"\s+([A-Z]{2,})\b")
_CAPITALS_BEFORE = re.compile(r"\b[A-Z]{2,}\s+$")
_SHARES_BEFORE = re.compile(r"\b(?:shares|stock) (?:of|in)\s+$", re.IGNORECASE)
_WITHIN = re.compile(r"[a-z,]\s+$")
_WORD = re.compile(r"[^\W\d_]{2,}")
_TOKEN = re.compile(r"[^\W_]{2,}")
_INITIAL = re.compile(r"\b([A-Z])\w*")
_NEXT = re.compile(r"\s+([^\W\d_]+)")
_PREVIOUS = re.compile(r"([^\W\d_]+(?:\.[^\W\d_])*\.?)\s+$")
#: Legal forms in capitals: words of companies' names, and no symbols.
FORMS = frozenset({"AB", "AG", "ASA", "CO", "CORP", "INC", "LLP", "LTD", "NV", "OYJ", "PLC", "PTY", "PVT", "SPA"})
_REACH = 40
#: More than this share of words in capitals, and capitals say nothing about a word.
_SHOUTING = 0.6
#: More than this share of longer words that begin with a capital: a title, in which capitals mean little.
_TITLE = 0.7
_FEW, _LONG, _SYMBOL, _READ = 3, 4, 5, 2000


class Style(Enum):
    """How a text writes capitals."""

    SENTENCE = "sentence"
    TITLE = "title"
    SHOUTING = "shouting"


def style_of(text: str) -> Style:
    """How ``text`` writes capitals, by its beginning."""
    words = _WORD.findall(text, 0, _READ)
    shouted = [word for word in words if word.isupper()]
    # A list of symbols is not shouting: no symbol is that long.
    if len(words) > _FEW and len(shouted) > _SHOUTING * len(words) and max(map(len, shouted)) > _SYMBOL:
        return Style.SHOUTING
    long = [word for word in words if len(word) >= _LONG]
    if len(long) > _FEW and sum(word[0].isupper() for word in long) > _TITLE * len(long):
        return Style.TITLE
    return Style.SENTENCE


def in_company_context(text: str, start: int, stop: int) -> bool:
    """Whether the words at [start, stop) stand beside a word that belongs to companies."""
    before = text[max(0, start - _REACH) : start]
    if _COMPANY_BEFORE.search(before):
        return True
    after = _COMPANY_AFTER.match(text, stop, stop + _REACH)
    if after is None or _NEVER_BEFORE.search(before):
        return False
    # "Target to open stores", and not "raises Dividend Target to $2".
    return after.group().split()[-1].lower() not in _WEAK or _COMPOUND.search(before) is None


def symbol_in_context(text: str, start: int, stop: int, *, curated: bool) -> bool:
    """Whether a bare symbol at [start, stop) stands beside a word that is said of shares; behind a verb ("buy DIPS")
    only a curated one."""
    before = text[max(0, start - _REACH) : start]
    if curated and _SYMBOL_BEFORE.search(before):
        return True
    return _SHARES_BEFORE.search(before) is not None or _SYMBOL_AFTER.match(text, stop, stop + _REACH) is not None


def listed_beside(text: str, start: int, stop: int, known: Callable[[str], bool]) -> bool:
    """Whether a symbol at [start, stop) stands in a list with another one that is ``known``: "JPM, BAC and WFC"."""
    before = _SYMBOL_LEFT.search(text[max(0, start - _REACH) : start])
    after = _SYMBOL_RIGHT.match(text, stop, stop + _REACH)
    return any(match is not None and known(match.group(1)) for match in (before, after))


def part_of_a_name(text: str, start: int, stop: int, style: Style) -> bool:
    """Whether capitals are the beginning or the end of a longer name: "DB Realty", "HSBC AMC"."""
    if style is Style.SENTENCE and _NAME_GOES_ON.match(text, stop, stop + _REACH):
        return True
    return _CAPITALS_BEFORE.search(text[max(0, start - _REACH) : start]) is not None


def capitals_go_on(text: str, stop: int) -> bool:
    """Whether another word in capitals follows that is no everyday one: "SAN FRANCISCO", and not "IBM CEO"."""
    after = _CAPITALS_AFTER.match(text, stop, stop + _REACH)
    return after is not None and after.group(1) not in FORMS and after.group(1) not in words_of("ordinary_words.txt")


def in_parentheses(text: str, start: int, stop: int) -> bool:
    """Whether the capitals stand in parentheses behind a name they do not abbreviate: "QXO (QXO)", and not "Reserve
    Bank of India (RBI)"."""
    if text[start - 1 : start] != "(" or not text[stop : stop + 2].lstrip().startswith(")"):
        return False
    symbol, before = text[start:stop], _INITIAL.findall(text[max(0, start - 2 * _REACH) : start - 1])
    return "".join(before[-len(symbol) :]) != symbol


def within_sentence(text: str, start: int, stop: int) -> bool:
    """Whether the words stand after a small word and beside one of companies, so that their capital means something."""
    before = text[max(0, start - _REACH) : start]
    if _SHARES_BEFORE.search(before):
        return True
    return _WITHIN.search(before) is not None and _STRICT_AFTER.match(text, stop, stop + _REACH) is not None


@lru_cache(maxsize=64)
def elsewhere(text: str) -> bool:
    """Whether ``text`` speaks of a market outside the United States."""
    if _ELSEWHERE.search(text, 0, _READ) is not None:
        return True
    return ":" in text and TAG_ABROAD.search(text, 0, _READ) is not None


@lru_cache(maxsize=64)
def words_in(text: str) -> frozenset[str]:
    """The words and numbers in the beginning of ``text``, in lower case."""
    return frozenset(word.lower() for word in _TOKEN.findall(text, 0, _READ))


def beside(text: str, first_stop: int, second_start: int) -> bool:
    """Whether two names are neighbours in a list: "Walmart, Target and Costco"."""
    return second_start - first_stop <= _REACH and _LISTED.fullmatch(text, first_stop, second_start) is not None


def capitalised(written: str, *, first: bool = False) -> bool:
    """Whether each longer word of a name has a capital, or the ``first`` one alone."""
    words = _WORD.findall(written)
    return all(
        len(word) < _LONG or any(letter.isupper() for letter in word) for word in (words[:1] if first else words)
    )


def next_word(text: str, stop: int) -> str:
    """The word after ``stop``, in lower case; "" if another sign comes first."""
    match = _NEXT.match(text, stop, stop + _REACH)
    return match.group(1).lower() if match else ""


def previous_word(text: str, start: int) -> str:
    """The word before ``start``, in lower case; "" if another sign stands between."""
    match = _PREVIOUS.search(text[max(0, start - _REACH) : start])
    return match.group(1).lower() if match else ""
