"""Symbols in texts: cashtags ("$NVDA"), exchange tags ("(NASDAQ: NVDA)") and bare upper-case symbols ("NVDA")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from trading_assets.news.companies import canonical, ordinary
from trading_assets.news.markets import AT_HOME, abroad, amount
from trading_assets.news.mentions import How, TickerMention
from trading_assets.news.name_context import (
    FORMS,
    Style,
    capitals_go_on,
    elsewhere,
    in_parentheses,
    listed_beside,
    part_of_a_name,
    symbol_in_context,
)
from trading_assets.news.visible import MARKS
from trading_assets.news.wordlists import words_of

_SYMBOL = r"[A-Z]{1,5}(?:[.\-/][A-Z]{1,2})?"
_CASHTAG = re.compile(rf"(?<![\w$])\$({_SYMBOL}|[a-z]{{2,5}})(?![\w${MARKS}]|[.\-/&]\w)")
_EXCHANGE = re.compile(rf"\b(?:{AT_HOME})\s{{0,3}}:\s{{0,3}}({_SYMBOL})(?![\w{MARKS}])", re.IGNORECASE)
_RIC = re.compile(r"\(([A-Z]{1,5})\.(?:OQ|O|N|K)\)")
_BARE = re.compile(
    rf"(?<![\w$&.'’/-])([A-Z]{{2,5}}(?:[.-][A-Z](?![\w.-]))?)(?=['’]s\b|(?![\w&/${MARKS}]|[.'’-][A-Za-z]))"
)
#: "sales in $M" says how a table counts, "a stake in $T" does not.
_UNIT = re.compile(
    r"\((?:in\s)?$|\d\s?$|\b(?:revenues?|sales|amounts?|figures|values?|assets|costs?|profits?|all) (?:in|per)\s$"
)
_CURRENCIES = frozenset({"USD", "US", "EUR", "CAD", "AUD", "NZ", "NZD", "HK", "HKD", "SGD", "MN", "BN", "MM"})
_AMOUNTS = frozenset("MBKT")
#: In capitals DOW is the index as often as the company.
_NO_SYMBOLS = FORMS | {"DOW"}
_SHORT, _INITIALS, _REACH = 3, 2, 16


def tagged(text: str, known: Callable[[str], bool]) -> Iterator[TickerMention]:
    """Cashtags and exchange tags of symbols that are ``known``."""
    everyday = words_of("ordinary_words.txt")
    for match in _CASHTAG.finditer(text):
        written = match.group(1)
        symbol = canonical(written)
        if symbol in _CURRENCIES or not known(symbol):
            continue
        # "$cash" is slang, "($M)" a unit.
        if written.islower() and (symbol in everyday or ordinary(written)):
            continue
        if symbol in _AMOUNTS and _UNIT.search(text[max(0, match.start() - _REACH) : match.start()]):
            continue
        if abroad(text, match.start(1), match.end(1)):
            continue
        yield TickerMention(symbol, How.CASHTAG, match.group(), match.start())
    for match in _EXCHANGE.finditer(text):
        symbol = canonical(match.group(1))
        if match.group(1).isupper() and known(symbol) and not _sentence(text, match, symbol, everyday):
            yield TickerMention(symbol, How.EXCHANGE_TAG, match.group(), match.start())
    for match in _RIC.finditer(text):
        if known(match.group(1)):
            yield TickerMention(match.group(1), How.EXCHANGE_TAG, match.group(), match.start())


def _sentence(text: str, match: re.Match[str], symbol: str, everyday: frozenset[str]) -> bool:
    """Outside parentheses "NYSE: ALL LISTINGS HALTED" is a sentence, and its first word no symbol."""
    return text[match.start() - 1 : match.start()] != "(" and symbol in everyday


def bare(
    text: str,
    style: Style,
    followed: Callable[[str], bool],
    curated: Callable[[str], bool],
    called: Callable[[str], bool],
) -> Iterator[TickerMention]:
    """Upper-case words that are the symbol of a followed company and no ordinary word.

    Short symbols mean many things. One of three letters counts by itself only if its company is ``called`` so ("IBM",
    "SAP"), else beside a word that is said of shares, in a list with another symbol or in parentheses behind a name
    ("LMT" is a telephone company, too). So does one of two letters. Of a company that nobody has looked at a longer
    symbol needs that, and one of three letters parentheses; in a text that speaks of another market neither counts.
    """
    if style is Style.SHOUTING:
        return
    everyday = words_of("ordinary_words.txt")

    def known(word: str) -> bool:
        return curated(word) and word not in everyday and word not in _NO_SYMBOLS

    for match in _BARE.finditer(text):
        written = match.group(1)
        symbol = canonical(written)
        if symbol in everyday or symbol in _NO_SYMBOLS or not followed(symbol):
            continue
        start, stop = match.span(1)
        if len(symbol) <= _SHORT and (part_of_a_name(text, start, stop, style) or capitals_go_on(text, stop)):
            continue
        if abroad(text, start, stop) or amount(text, start, stop):
            continue
        sure = curated(symbol) and len(symbol) > _INITIALS and (len(symbol) > _SHORT or called(symbol))
        if sure or (not elsewhere(text) and _told(text, start, stop, symbol, known)):
            yield TickerMention(symbol, How.SYMBOL, written, start)


def _told(text: str, start: int, stop: int, symbol: str, known: Callable[[str], bool]) -> bool:
    """Whether what stands around a short symbol says that it is one."""
    if in_parentheses(text, start, stop):
        return True
    if not known(symbol) and len(symbol) <= _SHORT:
        return False
    return symbol_in_context(text, start, stop, curated=known(symbol)) or (
        len(symbol) > _INITIALS and listed_beside(text, start, stop, known)
    )
