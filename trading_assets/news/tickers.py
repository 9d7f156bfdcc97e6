"""Which listed companies a text names.

Four ways, the surest first: a cashtag ("$NVDA"), an exchange tag ("(NASDAQ: NVDA)"), a company's name or alias, and a
bare upper-case symbol. The last two only find members of the universe; a bare symbol must also be no ordinary word.
Words that are names and words at once ("Target", "Block", "Snap") count as a company only beside a word that belongs
to companies ("Target shares", "Block's"): they are called guarded here. With the broker's list of assets known, no
ticker outside it is ever found; without one, none outside the universe. The names of listed companies that are not
followed are known too, so that "Apple Hospitality" is not Apple.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from trading_assets.news.companies import (
    Company,
    Guard,
    Universe,
    all_ordinary,
    called_by_symbol,
    canonical,
    curated_companies,
    fold,
    short_name,
    universe_of,
)
from trading_assets.news.longer_names import (
    another_form,
    another_security,
    another_trade,
    inside_capitals,
    means_else,
    person_or_town,
    speaks_of_else,
)
from trading_assets.news.mentions import How, NamedSpan, TickerMention
from trading_assets.news.name_book import Name, names_of
from trading_assets.news.name_context import (
    Style,
    beside,
    capitalised,
    elsewhere,
    in_company_context,
    part_of_a_name,
    style_of,
    within_sentence,
)
from trading_assets.news.tags import bare, tagged
from trading_assets.news.text import unescaped
from trading_assets.news.visible import combines, visible, without_addresses

__all__ = [
    "Company",
    "How",
    "TickerExtractor",
    "TickerMention",
    "canonical",
    "curated_companies",
    "short_name",
    "universe_of",
]

_COMPOUND = re.compile(
    r"-(?:backed|owned|led|based|listed|related|parent|made|maker|supplier|rival|linked|branded|funded|controlled|"
    r"affiliated|operated|run|designed|built|friendly|heavy|style|like)\b|-(?!Analys)[A-Z]"
)

_Hit = tuple[int, int, Name]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text names: tickers in the order of their first appearance, and every span that names a company."""

    text: str
    mentions: tuple[TickerMention, ...]
    spans: tuple[NamedSpan, ...]


class TickerExtractor:
    """Finds tickers of one universe in texts. Keep it: the names are compiled into one automaton.

    ``listed`` is what the symbols of the broker's list of assets are called; None if no list is known.
    """

    def __init__(self, universe: Universe, listed: Universe | None = None) -> None:
        followed = {canonical(symbol): company for symbol, company in universe.items()}
        self._listed = None if listed is None else frozenset(canonical(symbol) for symbol in listed)
        self._companies = {
            symbol: company for symbol, company in followed.items() if self._listed is None or symbol in self._listed
        }
        self._symbols = frozenset(self._companies)
        self._curated = frozenset(symbol for symbol, company in self._companies.items() if company.curated)
        self._called = frozenset(
            symbol for symbol in self._curated if called_by_symbol(symbol, self._companies[symbol])
        )
        self._every = {**(listed or {}), **self._companies}

    @cached_property
    def _automaton(self) -> Any:
        """Built when the first text is read: most minutes have no new story, and thousands of names take a moment."""
        import ahocorasick

        automaton = ahocorasick.Automaton()
        for text, name in names_of(self._every, self._symbols).items():
            automaton.add_word(text, name)
        if len(automaton):
            automaton.make_automaton()
        return automaton

    @property
    def symbols(self) -> frozenset[str]:
        """The symbols of the universe, as far as they are listed."""
        return self._symbols

    def extract(self, text: str) -> tuple[TickerMention, ...]:
        """The tickers ``text`` names, in the order of their first appearance."""
        return self.read(text).mentions

    def members(self, symbols: Iterable[str]) -> tuple[str, ...]:
        """Those of ``symbols`` that are followed and listed, once each, in their order."""
        return tuple(dict.fromkeys(symbol for symbol in map(canonical, symbols) if symbol in self._symbols))

    def read(self, text: str) -> Reading:
        """The tickers ``text`` names, and where it names any company. HTML entities are resolved first."""
        if "&" in text and ";" in text:
            text = unescaped(text)
        whole = visible(text)
        text = without_addresses(whole)
        style = style_of(text)
        named = tuple(self._named(text, style))
        taken = {position for span in named for position in range(span.start, span.stop)}
        found = list(tagged(text, self._known))
        found += [
            TickerMention(span.symbol, How.NAME, text[span.start : span.stop], span.start)
            for span in named
            if span.symbol is not None
        ]
        # The first word of "GE Vernova" is not the symbol GE.
        found += [
            mention
            for mention in bare(
                text, style, self._symbols.__contains__, self._curated.__contains__, self._called.__contains__
            )
            if mention.position not in taken and not self._means_else(text, mention)
        ]
        spans = {(span.start, span.stop): span for span in named}
        for mention in found:
            start = mention.position or 0
            stop = start + len(mention.matched)
            spans.setdefault((start, stop), NamedSpan(start, stop, mention.symbol, mention.symbol))
        return Reading(whole, _surest(found), tuple(spans[key] for key in sorted(spans)))

    def _means_else(self, text: str, mention: TickerMention) -> bool:
        """Whether a bare symbol stands for something else: "wet AMD" is a disease of the eye."""
        company, start = self._companies[mention.symbol], mention.position or 0
        return speaks_of_else(text, company) or means_else(text, start, start + len(mention.matched), company)

    def _known(self, symbol: str) -> bool:
        return symbol in (self._symbols if self._listed is None else self._listed)

    def _named(self, text: str, style: Style) -> Iterator[NamedSpan]:
        if not len(self._automaton):
            return
        hits: list[_Hit] = []
        for end, name in self._automaton.iter(fold(text)):
            start = end - name.length + 1
            if _bounded(text, start, end + 1):
                hits.append((start, end + 1, name))
        hits.sort(key=lambda hit: (hit[0], -hit[1]))
        taken = 0
        accepted: list[_Hit] = []
        waiting: list[_Hit] = []
        for start, stop, name in hits:
            if start < taken:
                continue
            verdict = _judge(text, start, stop, name, style)
            if verdict in (_Verdict.COMPANY, _Verdict.OTHER):
                taken = stop
            if verdict is _Verdict.COMPANY:
                accepted.append((start, stop, name))
            elif verdict is _Verdict.IN_A_LIST:
                waiting.append((start, stop, name))
        accepted = _with_neighbours(text, accepted, waiting)
        yield from (NamedSpan(start, stop, name.symbol, name.symbol or name.key) for start, stop, name in accepted)


def _surest(found: Iterable[TickerMention]) -> tuple[TickerMention, ...]:
    """One mention per ticker, the surest, in the order in which the tickers appear."""
    first: dict[str, int] = {}
    best: dict[str, TickerMention] = {}
    for mention in found:
        position = mention.position or 0
        first[mention.symbol] = min(position, first.get(mention.symbol, position))
        known = best.get(mention.symbol)
        if known is None or (mention.how, position) < (known.how, known.position or 0):
            best[mention.symbol] = mention
    return tuple(best[symbol] for symbol in sorted(first, key=lambda symbol: (first[symbol], symbol)))


#: Initials of a company have no more letters than the first; a name in no more capitals than the second may be others'.
_INITIALS, _CAPITALS = 3, 5


class _Verdict(Enum):
    """What the words of a name mean: the company, the company if it stands in a list of companies, another company or
    thing whose name goes on, or nothing."""

    COMPANY = "company"
    IN_A_LIST = "in a list"
    OTHER = "other"
    NOTHING = "nothing"


def _judge(text: str, start: int, stop: int, name: Name, style: Style) -> _Verdict:
    written = text[start:stop]
    if not any(letter.isupper() for letter in written):
        return _Verdict.NOTHING
    company = name.company
    if means_else(text, start, stop, company):
        return _Verdict.OTHER
    if (name.guard is not Guard.NONE or len(written) <= _INITIALS) and speaks_of_else(text, company):
        return _Verdict.NOTHING
    one_word = " " not in written
    if another_security(text, stop) or (company.namesakes and elsewhere(text)):
        return _Verdict.OTHER
    if style is Style.SENTENCE and another_trade(text, stop, (company.name, *company.aliases)):
        return _Verdict.OTHER
    if one_word and person_or_town(text, start, stop):
        return _Verdict.OTHER
    guard = name.guard
    if name.rank == 0 and len(written) <= _INITIALS and style is not Style.SHOUTING:
        # Initials are written as initials: "GE" and not "Ge", and "ARM" is more than "Arm".
        if not written.isupper() and written.upper() in company.aliases:
            return _Verdict.NOTHING
        if written.isupper() and style is Style.SENTENCE and not part_of_a_name(text, start, stop, style):
            return _Verdict.COMPANY
    words_alone = False
    if one_word:
        # "CITI" in a sentence are initials of something else.
        capitals = len(written) <= _CAPITALS and written.isupper() and not company.name.startswith(written)
        if name.rank == 0 and capitals and style is not Style.SHOUTING and written not in company.aliases:
            guard = max(guard, Guard.CONTEXT)
    else:
        words_alone = all_ordinary(fold(written))
        if not capitalised(written, first=name.rank == 0 and not words_alone):
            return _Verdict.NOTHING
        # In a title every word has a capital: "Public Storage Demand Rises".
        if style is not Style.SENTENCE and name.rank > 0 and words_alone:
            guard = max(guard, Guard.CONTEXT)
    if name.rank > 1 and another_form(text, stop, company.name):
        return _Verdict.OTHER
    if guard is Guard.STRICT:
        sure = style is Style.SENTENCE and within_sentence(text, start, stop) and not elsewhere(text)
        return _Verdict.COMPANY if sure else _Verdict.NOTHING
    if name.rank > 1:
        if elsewhere(text) or (one_word and part_of_a_name(text, start, stop, style)):
            return _Verdict.NOTHING
        if (
            style is Style.SENTENCE
            and (one_word or words_alone)
            and inside_capitals(text, start, stop, one_word=one_word)
        ):
            return _Verdict.NOTHING
    if guard is Guard.NONE or in_company_context(text, start, stop):
        return _Verdict.COMPANY
    return _Verdict.IN_A_LIST


def _with_neighbours(text: str, accepted: list[_Hit], waiting: list[_Hit]) -> list[_Hit]:
    """A guarded name in a list with companies is one of them: "Walmart, Target and Costco"."""
    if not waiting or not accepted:
        return accepted
    spans = list(accepted)
    for hit in waiting:
        start, stop, _ = hit
        place = bisect(spans, start, key=lambda other: other[0])
        before, after = spans[place - 1] if place else None, spans[place] if place < len(spans) else None
        if (before is not None and before[1] > start) or (after is not None and after[0] < stop):
            continue
        if (before is not None and beside(text, before[1], start)) or (
            after is not None and beside(text, stop, after[0])
        ):
            spans.insert(place, hit)
    return spans


def _bounded(text: str, start: int, stop: int) -> bool:
    before = text[start - 1] if start else " "
    after = text[stop] if stop < len(text) else " "
    if before.isalnum() or before in "_$@#" or after.isalnum() or after == "_" or combines(after):
        return False
    # "Tesla-backed" speaks of Tesla, "meta-analysis" not of Meta.
    return after != "-" or not text[stop + 1 : stop + 2].isalpha() or _COMPOUND.match(text, stop) is not None
