"""Symbols in texts: cashtags ("$NVDA"), exchange tags ("(NASDAQ: NVDA)") and bare upper-case symbols ("NVDA")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from trading_assets.news.companies import canonical, ordinary
from trading_assets.news.mentions import How, TickerMention
from trading_assets.news.name_context import Style, elsewhere, in_parentheses, part_of_a_name, symbol_in_context
from trading_assets.news.wordlists import words_of

_SYMBOL = r"[A-Z]{1,5}(?:[.\-/][A-Z]{1,2})?"
_CASHTAG = re.compile(rf"(?<![\w$])\$({_SYMBOL}|[a-z]{{2,5}})(?![\w$]|[.\-/]\w)")
_EXCHANGE = re.compile(
    r"\b(?:NASDAQ(?:GS|GM|CM)?|NYSE(?:\s?(?:American|Arca|MKT))?|AMEX|CBOE|BATS|OTC(?:QX|QB|MKTS)?)\s{0,3}:\s{0,3}"
    rf"({_SYMBOL})(?![\w])",
    re.IGNORECASE,
)
_RIC = re.compile(r"\(([A-Z]{1,5})\.(?:OQ|O|N|K)\)")
_BARE = re.compile(r"(?<![\w$&.'’/-])([A-Z]{2,5}(?:\.[A-Z])?)(?=['’]s\b|(?![\w&/$]|[.'’-][A-Za-z]))")
_CURRENCIES = frozenset({"USD", "US", "EUR", "CAD", "AUD", "NZ", "NZD", "HK", "HKD", "SGD", "MN", "BN", "MM"})
_AMOUNTS = frozenset("MBKT")
_SHORT, _INITIALS = 3, 2


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
        if symbol in _AMOUNTS and text[match.start() - 1 : match.start()] == "(":
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
    text: str, style: Style, followed: Callable[[str], bool], curated: Callable[[str], bool]
) -> Iterator[TickerMention]:
    """Upper-case words that are the symbol of a followed company and no ordinary word.

    Of a company that nobody has looked at, and of two letters, a symbol counts only in parentheses behind a name or
    beside a word that is said of shares, three letters only in parentheses, and none in a text that speaks of another
    market: a few letters mean many things.
    """
    if style is Style.SHOUTING:
        return
    everyday = words_of("ordinary_words.txt")
    for match in _BARE.finditer(text):
        symbol = match.group(1)
        if symbol in everyday or not followed(symbol):
            continue
        start, stop = match.span(1)
        if len(symbol) <= _SHORT and part_of_a_name(text, start, stop, style):
            continue
        if curated(symbol) and len(symbol) > _INITIALS:
            yield TickerMention(symbol, How.SYMBOL, symbol, match.start())
            continue
        if elsewhere(text):
            continue
        behind = in_parentheses(text, start, stop)
        said = (curated(symbol) or len(symbol) > _SHORT) and symbol_in_context(text, start, stop)
        if not behind and not said:
            continue
        yield TickerMention(symbol, How.SYMBOL, symbol, match.start())
