"""What a headline says, in a form in which two of them can be compared: its significant words and what it insists on.

Words are folded: endings are cut, and the many words of the market for one thing ("soars", "jumps", "rallies") are one.
What does not belong here: which stories are compared, and what follows from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from trading_assets.news.wordlists import document, words_of

_WORD = re.compile(r"[^\W_]+(?:[.,'’&-][^\W_]+)*", re.UNICODE)
_PREFIX = re.compile(
    r"^\s*(?:(?:(?:update|correct(?:ed|ion)|refile|wrapup|breaking(?: news)?|exclusive|just in|live|watch|video|"
    r"analysis)\s*\d*\s*[-:|]|\[속보\])\s*)+",
    re.IGNORECASE,
)
#: The publisher behind a headline, and Yonhap's mark of a report that was filled up ("wrap-up", "3rd version").
_SUFFIX = re.compile(r"\s+(?:[-–—|]|\|\|)\s+[\w.&' ]{2,30}$|\s*\((?:종합)?(?:\d*보)?\)$")
_NUMBER = re.compile(r"(\d+(?:,\d{3})*(?:\.\d+)?)(bn|bln|b|mn|mln|m|tn|trln|t|k|pct|p)?")
_UNITS = {"b": "billion", "m": "million", "t": "trillion", "k": "thousand"}
_SYMBOL = re.compile(r"\((?:[A-Za-z ]{2,12}: ?)?([A-Z]{1,5}(?:[.-][A-Z])?)\)|\$([A-Z]{1,5})\b")
#: More than this share of words begins with a capital, and a capital says nothing about a word.
_TITLE_CASE = 0.85
_NO_LEAD = frozenset({"stock"})


@dataclass(frozen=True, slots=True)
class Headline:
    """``words`` are the significant ones, folded; ``plain`` the same in order; ``lead`` the first ("Shares of" leads
    nothing)."""

    plain: str
    words: frozenset[str]
    lead: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What a headline insists on.

    ``numbers`` are words with a digit; ``days`` name a day or a month; ``turns`` are words that have an opposite;
    ``names`` begin with a capital inside, None for a headline that capitalises everything or nothing; ``caseless`` is
    one in a script without capitals; ``symbols`` are the tickers it prints itself.
    """

    numbers: frozenset[str]
    days: frozenset[str]
    turns: frozenset[str]
    names: frozenset[str] | None
    caseless: bool
    symbols: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Lexicon:
    stop: frozenset[str]
    days: frozenset[str]
    first: frozenset[str]
    phrases: re.Pattern[str]
    instead: Mapping[str, str]
    same: Mapping[str, str]
    opposite: Mapping[str, frozenset[str]]


@lru_cache(maxsize=1)
def _lexicon() -> _Lexicon:
    raw: Mapping[str, Any] = document("headline_words.json")
    same = {_stem(word): name for name, words in raw["same"].items() for word in words}
    opposite: dict[str, frozenset[str]] = {}
    for pair in raw["opposed"]:
        one, other = (same.get(_stem(word), _stem(word)) for word in pair)
        opposite[one] = opposite.get(one, frozenset()) | {other}
        opposite[other] = opposite.get(other, frozenset()) | {one}
    phrases = "|".join(sorted(map(re.escape, raw["phrases"]), key=len, reverse=True))
    return _Lexicon(
        words_of("stop_words.txt"),
        frozenset(raw["days"]),
        frozenset(phrase.split()[0] for phrase in raw["phrases"]),
        re.compile(rf"\b(?:{phrases})\b", re.IGNORECASE),
        raw["phrases"],
        same,
        opposite,
    )


def _stem(word: str) -> str:
    word = word.removesuffix("'s").removesuffix("’s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    for ending in ("ing", "ed", "es", "s"):
        if len(word) > len(ending) + 3 and word.endswith(ending) and not word.endswith("ss"):
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word


@lru_cache(maxsize=65_536)
def _folded(word: str) -> tuple[str, ...]:
    """The significant words that one word of a text stands for; none for a stop word. "$2bn" says two."""
    lexicon = _lexicon()
    lowered = word.casefold()
    if lowered in lexicon.stop or (bare := lowered.removesuffix("'s").removesuffix("’s")) in lexicon.stop:
        return ()
    if (number := _NUMBER.fullmatch(lowered)) is not None:
        return _number(number.group(1), number.group(2))
    if "." in bare and all(len(part) == 1 for part in bare.split(".")):
        bare = bare.replace(".", "")
    if "-" in bare and not any(letter.isdigit() for letter in bare):
        parts = bare.split("-")
        if all(len(part) > 1 for part in parts):
            return tuple(each for part in parts for each in _folded(part))
    stem = _stem(bare)
    return (lexicon.same.get(stem, stem),)


def _number(digits: str, unit: str | None) -> tuple[str, ...]:
    plain = digits.replace(",", "")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    named = _UNITS.get(unit[0]) if unit is not None else None
    return (plain,) if named is None or unit == "mm" else (plain, _lexicon().same.get(_stem(named), named))


def read_headline(title: str) -> Headline:
    """Wire prefixes and publisher suffixes ("UPDATE 2-", "- Reuters") do not count."""
    ordered = [each for word in _written(title) for each in _folded(word)]
    lead = next((word for word in ordered if word not in _NO_LEAD), ordered[0] if ordered else "")
    return Headline(" ".join(ordered), frozenset(ordered), lead)


def claims_of(title: str) -> Claims:
    """Of the same words as ``read_headline``."""
    symbols = frozenset(one or other for one, other in _SYMBOL.findall(_bare(title)))
    written = _written(title)
    inside = [(word, said) for word in written if (said := _folded(word))]
    words = frozenset(each for _, said in inside for each in said)
    return Claims(
        numbers=frozenset(word for word in words if any(map(str.isdigit, word))),
        days=words & _folded_days(),
        turns=words & _lexicon().opposite.keys(),
        names=_names(inside),
        caseless=_caseless(written),
        symbols=symbols,
    )


def _bare(title: str) -> str:
    return _SUFFIX.sub("", _PREFIX.sub("", title))


def _written(title: str) -> list[str]:
    """The words of a headline, its phrases put shortly."""
    lexicon = _lexicon()
    text = _bare(title)
    written = _WORD.findall(text)
    # Few headlines have a phrase, and looking for fifteen takes longer than all else.
    if lexicon.first.isdisjoint([word.lower() for word in written]):
        return written
    return _WORD.findall(lexicon.phrases.sub(lambda found: lexicon.instead[found.group().casefold()], text))


@lru_cache(maxsize=1)
def _folded_days() -> frozenset[str]:
    return frozenset(_stem(day) for day in _lexicon().days)


def _names(inside: list[tuple[str, tuple[str, ...]]]) -> frozenset[str] | None:
    rest = [(word, said) for word, said in inside[1:] if word[0].isalpha()]
    # An abbreviation is written in capitals everywhere.
    telling = [word for word, _ in rest if not word.isupper()]
    if not any(word[0].isupper() for word, _ in inside):
        return None
    if telling and sum(word[0].isupper() for word in telling) > _TITLE_CASE * len(telling):
        return None
    return frozenset(each for word, said in rest if word[0].isupper() for each in said) - _folded_days()


def _caseless(written: list[str]) -> bool:
    """Whether most words are of a script without capitals."""
    letters = [word[0] for word in written if word[0].isalpha()]
    return sum(letter.lower() == letter.upper() for letter in letters) * 2 > len(letters)


def named_words(written: Iterable[str]) -> frozenset[str]:
    """The folded words of these names."""
    return frozenset(each for name in written for word in _WORD.findall(name) for each in _folded(word))


def replaced(one: Headline, other: Headline) -> bool:
    """Whether the two are the same sentence with something else in one place: a template that was filled in twice."""
    ours, theirs = one.plain.split(), other.plain.split()
    start = _same(ours, theirs)
    end = _same(ours[start:][::-1], theirs[start:][::-1])
    mine, yours = ours[start : len(ours) - end], theirs[start : len(theirs) - end]
    return bool(mine) and bool(yours) and set(mine).isdisjoint(yours)


def _same(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """How many words they begin with in common."""
    return next(
        (n for n, (mine, yours) in enumerate(zip(ours, theirs, strict=False)) if mine != yours),
        min(len(ours), len(theirs)),
    )


def opposed(one: Claims, other: Claims) -> bool:
    """Whether one says "rises" where the other says "falls". A headline that says both opposes neither."""
    opposite = _lexicon().opposite
    return any(
        opposite[word] & other.turns and not opposite[word] & one.turns and word not in other.turns
        for word in one.turns
    )
