"""Which listed companies a text names.

Four ways, the surest first: a cashtag ("$NVDA"), an exchange tag ("(NASDAQ: NVDA)"), a company's name or alias, and a
bare upper-case symbol. The last two only find members of the universe; a bare symbol must also be no ordinary word.
Words that are names and words at once ("Target", "Block", "Snap") count as a company only beside a word that belongs
to companies ("Target shares", "Block's"): they are called guarded here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from trading_assets.news.wordlists import document, words_of

_SYMBOL = r"[A-Z]{1,5}(?:[.\-/][A-Z]{1,2})?"
_CASHTAG = re.compile(rf"(?<![\w$])\$({_SYMBOL}|[a-z]{{2,5}})(?![\w$]|[.\-/]\w)")
_EXCHANGE = re.compile(
    r"\b(?:NASDAQ(?:GS|GM|CM)?|NYSE(?:\s?(?:American|Arca|MKT))?|AMEX|CBOE|BATS|OTC(?:QX|QB|MKTS)?)\s*:\s*"
    rf"({_SYMBOL})(?![\w])",
    re.IGNORECASE,
)
_BARE = re.compile(r"(?<![\w$&.'’/-])([A-Z]{2,5}(?:\.[A-Z])?)(?![\w&/$]|[.'’-][A-Za-z])")
_RIC = re.compile(r"\(([A-Z]{1,5})\.(?:OQ|O|N|K)\)")
_POSSESSIVE_BARE = re.compile(r"(?<![\w$&.'’/-])([A-Z]{2,5}(?:\.[A-Z])?)(?=['’]s\b)")
_WORD = re.compile(r"[^\W\d_]{2,}")
_LEGAL = re.compile(
    r"[\s,]+(?:incorporated|inc|corporation|corp|company|co|limited|ltd|plc|p\.l\.c|n\.?v|s\.?a|a/s|ag|se|lp|llc|group|"
    r"holdings?|class [a-c]|common stock|ordinary shares|american depositary shares|& co|the)\.?$",
    re.IGNORECASE,
)
_COMPANY_AFTER = re.compile(
    r"^(?:['’]s?\b|,?\s+(?:inc|corp|corporation|co|company|companies|plc|ltd|group|holdings|shares?|stocks?|earnings|"
    r"revenue|sales|profits?|ceo|cfo|chief|executives?|investors|shareholders|results|quarterly|stores?|options|"
    r"reports|posts|beats|misses|raises|cuts|lowers|unveils|launches|plans|sues|files|acquires|buys|names|says|to|"
    r"jumps|falls|soars|plunges|sinks|tumbles|surges|slides|drops|gains|climbs|rallies)\b)",
    re.IGNORECASE,
)
_NEVER_BEFORE = re.compile(
    r"(?:price|profit|revenue|growth|inflation|the|a|an|new|sales|earnings|to|and)\s+$", re.IGNORECASE
)
_COMPOUND = re.compile(
    r"-(?:backed|owned|led|based|listed|related|parent|made|maker|supplier|rival|linked|branded|funded|controlled|"
    r"affiliated|operated|run|designed|built|friendly|heavy|style|like)\b|-(?!Analys)[A-Z]"
)
_CURRENCIES = frozenset({"USD", "US", "EUR", "CAD", "AUD", "NZ", "HK", "SGD", "M", "B", "K", "MN", "BN", "MM"})
#: More than this share of words in capitals, and capitals say nothing about a word.
_SHOUTING = 0.6


class How(IntEnum):
    """How a ticker was found, the surest first."""

    CASHTAG = 1
    EXCHANGE_TAG = 2
    NAME = 3
    SYMBOL = 4


@dataclass(frozen=True, slots=True)
class Company:
    """What a company is called. ``guarded`` names count only beside a word that belongs to companies.

    With neither aliases nor guarded names given, the registered name without its legal tail is used too; a single
    word then counts as guarded.
    """

    name: str
    aliases: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TickerMention:
    """A ticker that a text names: once per text, by the surest way; ``matched`` is the text's own spelling."""

    symbol: str
    how: How
    matched: str


Universe = Mapping[str, Company]


@dataclass(frozen=True, slots=True)
class _Name:
    symbol: str
    length: int
    guarded: bool


def canonical(symbol: str) -> str:
    """A symbol as Alpaca writes it: upper-case, share classes after a dot (BRK.B, also for BRK-B and BRK/B)."""
    return symbol.strip().upper().replace("-", ".").replace("/", ".")


def curated_companies() -> dict[str, Company]:
    """Names and aliases of large companies and a few index funds that ship with the project."""
    raw: Mapping[str, Mapping[str, Any]] = document("companies.json")
    return {
        symbol: Company(entry["name"], tuple(entry["aliases"]), tuple(entry.get("guarded", ())))
        for symbol, entry in raw.items()
    }


def universe_of(symbols: Iterable[str], names: Mapping[str, str] | None = None) -> dict[str, Company]:
    """A universe of ``symbols``. A curated company is taken as it is; ``names`` gives the registered name of others
    (without one, only tags and the bare symbol find it)."""
    curated, given = curated_companies(), names or {}
    wanted = sorted({canonical(symbol) for symbol in symbols})
    return {symbol: curated.get(symbol) or Company(given.get(symbol, "")) for symbol in wanted}


def short_name(name: str) -> str:
    """A registered name without its legal tail: "NVIDIA Corporation" -> "NVIDIA"."""
    result = re.sub(r"^the\s+", "", name.strip(), flags=re.IGNORECASE)
    while (shorter := _LEGAL.sub("", result).rstrip(" ,&")) != result and shorter:
        result = shorter
    return result


class TickerExtractor:
    """Finds tickers of one universe in texts. Build it once: the names are compiled into one automaton."""

    def __init__(self, universe: Universe) -> None:
        import ahocorasick

        self._symbols = frozenset(canonical(symbol) for symbol in universe)
        self._ordinary = words_of("ordinary_words.txt")
        self._automaton = ahocorasick.Automaton()
        found: dict[str, _Name | None] = {}
        for symbol, company in sorted(universe.items()):
            for text, guarded in self._names_of(company):
                entry = _Name(canonical(symbol), len(text), guarded)
                known = found.get(text)
                # One name for two companies names neither.
                found[text] = entry if text not in found or (known and known.symbol == entry.symbol) else None
        for text, name in found.items():
            if name is not None:
                self._automaton.add_word(text, name)
        self._any_names = len(self._automaton) > 0
        if self._any_names:
            self._automaton.make_automaton()

    @property
    def symbols(self) -> frozenset[str]:
        """The symbols of the universe."""
        return self._symbols

    def extract(self, text: str) -> tuple[TickerMention, ...]:
        """The tickers ``text`` names, in the order of their first appearance."""
        best: dict[str, tuple[int, TickerMention]] = {}
        named = list(self._named(text))
        spans = [(start, start + len(mention.matched)) for start, mention in named]
        # The first word of "GE Vernova" is not the symbol GE.
        bare = [each for each in self._bare(text) if not any(start <= each[0] < stop for start, stop in spans)]
        for position, mention in (*self._tags(text), *named, *bare):
            first, known = best.get(mention.symbol, (position, mention))
            best[mention.symbol] = (min(first, position), min(known, mention, key=lambda each: each.how))
        ordered = sorted(best.values(), key=lambda each: (each[0], each[1].symbol))
        return tuple(mention for _, mention in ordered)

    def symbols_in(self, text: str) -> frozenset[str]:
        """The symbols alone."""
        return frozenset(mention.symbol for mention in self.extract(text))

    def _names_of(self, company: Company) -> Iterable[tuple[str, bool]]:
        guarded = {_fold(name) for name in company.guarded}
        spoken = {_fold(name) for name in company.aliases} - guarded
        if company.name:
            spoken.add(_fold(company.name))
        if not company.aliases and not company.guarded:
            # Nobody has looked at this name: one word of it may be a word of the language ("Progressive").
            short = _fold(short_name(company.name))
            (spoken if " " in short else guarded).add(short)
        yield from ((name, False) for name in sorted(spoken) if name)
        yield from ((name, True) for name in sorted(guarded) if name)

    def _tags(self, text: str) -> Iterable[tuple[int, TickerMention]]:
        for match in _CASHTAG.finditer(text):
            written = match.group(1)
            symbol = canonical(written)
            known = symbol in self._symbols
            if known or (written.isupper() and symbol not in _CURRENCIES):
                yield match.start(), TickerMention(symbol, How.CASHTAG, match.group())
        for match in _EXCHANGE.finditer(text):
            symbol = canonical(match.group(1))
            # Outside parentheses "NYSE: HALTS" is a sentence, so only a known symbol counts there.
            tagged = text[: match.start()].endswith("(") or symbol in self._symbols
            if match.group(1).isupper() and tagged:
                yield match.start(), TickerMention(symbol, How.EXCHANGE_TAG, match.group())
        for match in _RIC.finditer(text):
            yield match.start(), TickerMention(match.group(1), How.EXCHANGE_TAG, match.group())

    def _named(self, text: str) -> Iterable[tuple[int, TickerMention]]:
        if not self._any_names:
            return
        folded = _fold(text)
        hits: list[tuple[int, int, _Name]] = []
        for end, name in self._automaton.iter(folded):
            start = end - name.length + 1
            if _bounded(text, start, end + 1):
                hits.append((start, end + 1, name))
        taken = 0
        for start, stop, name in sorted(hits, key=lambda hit: (hit[0], -hit[1])):
            written = text[start:stop]
            if start < taken or not any(letter.isupper() or letter.isdigit() for letter in written):
                continue
            if name.guarded and not (_COMPANY_AFTER.match(text[stop:]) and not _NEVER_BEFORE.search(text[:start])):
                continue
            taken = stop
            yield start, TickerMention(name.symbol, How.NAME, written)

    def _bare(self, text: str) -> Iterable[tuple[int, TickerMention]]:
        words = _WORD.findall(text)
        if len(words) > 3 and sum(word.isupper() for word in words) > _SHOUTING * len(words):
            return
        for pattern in (_BARE, _POSSESSIVE_BARE):
            for match in pattern.finditer(text):
                symbol = match.group(1)
                if symbol in self._symbols and symbol not in self._ordinary:
                    yield match.start(), TickerMention(symbol, How.SYMBOL, symbol)


def _fold(text: str) -> str:
    """Lower-case with straight apostrophes and the same length, so that positions hold in the original too."""
    text = text.replace("’", "'")
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in text)


def _bounded(text: str, start: int, stop: int) -> bool:
    before = text[start - 1] if start else " "
    after = text[stop] if stop < len(text) else " "
    if before.isalnum() or before in "_$@#" or after.isalnum() or after == "_":
        return False
    # "Tesla-backed" speaks of Tesla, "meta-analysis" not of Meta.
    return after != "-" or not text[stop + 1 : stop + 2].isalpha() or _COMPOUND.match(text, stop) is not None
