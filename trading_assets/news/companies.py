"""Listed companies and what they are called: curated names, and names learnt from the registered one.

A registered name is a name of law: "Alphabet Inc. - Class C Capital Stock". From it come the issuer ("Alphabet Inc."),
what kind of security it is, and the names that people write ("Alphabet"). A warrant, a right, a unit, a preferred
share or a note is never meant by its issuer's name, and a fund only by its whole name: "S&P 500" is no fund. What does
not belong here: reading texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

from trading_assets.news.wordlists import document, words_of

_LEGAL = re.compile(
    r"[\s,]+(?:incorporated|inc|corporation|corp|company|companies|co|limited|ltd|public limited company|plc|p\.l\.c|"
    r"n\.?v|s\.?a|a/s|ag|se|lp|l\.p|llc|group|holdings?|class [a-c]|common stock|ordinary shares|"
    r"american depositary shares|& co|and company|s\.?p\.?a|asa|ab|the|de c\.?v|s\.?a\.?b|reit|\(the\))\.?$",
    re.IGNORECASE,
)
#: Where the name ends and what kind of share it is begins.
_SHARES = re.compile(
    r"(?:\s+[-–]\s+|[\s,]+)(?:(?:new|registered|sponsored|unsponsored|restricted|non-voting|(?:sub)?ordinate(?:d)?|"
    r"multiple|limited|variable|voting|redeemable|transferable|perpetual|(?:class|series) [a-z]\b)[\s,]+)*"
    r"(?:(?:common|ordinary|capital|preferred|preference|voting)\s+(?:stock|shares?|units?|voting|subordinate)|"
    r"american\s+deposit[ao]ry|depositary|shares?\s+of\s+beneficial|adrs?\b|ads?s\b|units?\s*(?:,|$|consisting|\(|each)|"
    r"warrants?\b|rights?\s*(?:,|$|\(|each)|registered\s+shares?|class [a-z](?:$|[\s,]+shares)|"
    r"series [a-z]\s*$|shares?$|units?$|limited partner|pfd\b|when-issued)",
    re.IGNORECASE,
)
_DERIVED = re.compile(
    r"\b(?:warrants?|rights?|units|unit|preferred|preference|pfd|notes?|debentures?|bonds?|convertible)\b|"
    r"(?<!american )deposit[ao]ry (?:shares?|sh)\b|\d%|\bdue 20\d\d",
    re.IGNORECASE,
)
_DETAILS = re.compile(r"[,(]|\b(?:each|representing|exercisable|consisting|entitling|to purchase|and)\b", re.IGNORECASE)
_PARTNERS = re.compile(r"\bcommon units|units representing limited|limited partner", re.IGNORECASE)
_DERIVED_NAME = re.compile(r"\b\d+(?:\.\d+)?\s?%|\bdue 20\d\d\b|\b(?:notes|debentures) due\b|\bCorTS\b", re.IGNORECASE)
_PLACE = re.compile(r"\s*\((?:the|canada|delaware|de|new|switzerland)\)", re.IGNORECASE)
_THE = re.compile(r"^the\s+", re.IGNORECASE)
_DERIVED_SYMBOL = re.compile(r"[$+=]|\.(?:WS?|U|R|RT|PR)(?:\.?[A-Z])?$")
_FUND = re.compile(
    r"\b(?:etfs?|etns?|funds?|index|ishares|proshares|spdr|exchange[- ]traded|daily target|[23]x|bull|bear|"
    r"trust,? series|physical|bitcoin trust|ether(?:eum)? trust|gold (?:mini)?shares|buffer|weeklypay)\b",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[^\W_]+(?:['’&.][^\W_]+)*")
_ABBREVIATED = {"incorporated": "inc", "corporation": "corp", "company": "co", "limited": "ltd", "and": "&"}
_STEMS = (
    ("ies", ("y",)), ("es", ("", "e")), ("s", ("",)), ("ied", ("y",)), ("ed", ("", "e")), ("ing", ("", "e")),
    ("er", ("", "e")), ("ly", ("",)),
)  # fmt: skip
_SHORTEST_STEM, _SHORTEST_HEAD, _WHOLE_FUND, _ACRONYM = 3, 5, 3, 4


class Guard(IntEnum):
    """What must stand beside a name for it to count: nothing, a word of companies, or that within a sentence."""

    NONE = 0
    CONTEXT = 1
    STRICT = 2


class Kind(IntEnum):
    """What a symbol stands for; of two symbols of one issuer the lower kind is meant by its name."""

    SHARE = 1
    FUND = 2
    DERIVED = 3


@dataclass(frozen=True, slots=True)
class Company:
    """What a company is called. ``guarded`` names count only beside a word that belongs to companies.

    ``name`` is the registered name. With neither aliases nor guarded names given nobody has looked at it: names are
    learnt from it. Beside one of the words in ``unless_before`` or ``unless_after`` neither name nor symbol counts;
    with one of ``unless_near`` anywhere in the text its symbol, initials and guarded names are something else's.
    ``namesakes``: companies of the same name are listed elsewhere, so it does not count in a text about that market.
    """

    name: str
    aliases: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()
    unless_before: tuple[str, ...] = ()
    unless_after: tuple[str, ...] = ()
    unless_near: frozenset[str] = frozenset()
    namesakes: bool = False

    @property
    def curated(self) -> bool:
        """Whether a person has looked at its names."""
        return bool(self.aliases or self.guarded)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A name of a company as texts may write it. ``rank``: 0 curated, 1 registered, 2 without its legal tail, 3 the
    first word alone; of two companies with the same name the lower rank has it, and of two equals neither."""

    text: str
    rank: int
    guard: Guard


Universe = Mapping[str, Company]


def canonical(symbol: str) -> str:
    """A symbol as Alpaca writes it: upper-case, share classes after a dot (BRK.B, also for BRK-B and BRK/B)."""
    return symbol.strip().upper().replace("-", ".").replace("/", ".")


@lru_cache(maxsize=1)
def _curated() -> Mapping[str, Company]:
    raw: Mapping[str, Mapping[str, Any]] = document("companies.json")
    return {
        symbol: Company(
            entry["name"],
            tuple(entry["aliases"]),
            tuple(entry.get("guarded", ())),
            tuple(entry.get("unless_before", ())),
            tuple(entry.get("unless_after", ())),
            frozenset(entry.get("unless_near", ())),
            bool(entry.get("namesakes", False)),
        )
        for symbol, entry in raw.items()
    }


def curated_companies() -> dict[str, Company]:
    """Names and aliases of large companies and a few index funds that ship with the project."""
    return dict(_curated())


def universe_of(symbols: Iterable[str], names: Mapping[str, str | None] | None = None) -> dict[str, Company]:
    """What ``symbols`` are called. ``names`` are registered names by symbol, as the broker's list of assets has them.

    A curated company is taken as it is, unless its registered name is another company's by now: a symbol that was
    given away does not inherit the names. Without either, only tags and the bare symbol find it.
    """
    curated, given = _curated(), names or {}
    found = {}
    for symbol in sorted({canonical(symbol) for symbol in symbols}):
        known, registered = curated.get(symbol), given.get(symbol) or ""
        if canonical(registered) == symbol:
            registered = ""  # a list that repeats the symbol names nothing
        if known is None or (registered and not _same_company(known, registered)):
            found[symbol] = Company(registered)
        else:
            found[symbol] = known
    return found


def _same_company(curated: Company, registered: str) -> bool:
    """Whether the two share a word that is no legal form."""
    theirs = {word for word in _WORDS.findall(fold(short_name(issuer(registered)))) if word != "the"}
    ours = {
        word
        for name in (short_name(curated.name), *curated.aliases, *curated.guarded)
        for word in _WORDS.findall(fold(name))
    }
    return not theirs.isdisjoint(ours)


@lru_cache(maxsize=20_000)
def issuer(registered: str) -> str:
    """A registered name without the description of the share: "Fox Corporation - Class B Common Stock" ->
    "Fox Corporation"."""
    found = _SHARES.search(registered)
    name = registered[: found.start()] if found and found.start() else registered
    if "(" in name:
        name = _PLACE.sub("", name)
    return name.rstrip(" ,-")


def kind_of(symbol: str, registered: str) -> Kind:
    """What the security is, by the form of its symbol and its registered name. A share unless something else is
    said."""
    if _DERIVED_SYMBOL.search(symbol) or _DERIVED_NAME.search(registered):
        return Kind.DERIVED
    if _FUND.search(registered):
        return Kind.FUND
    # Only its first words: a receipt of shares may tell of "the right to receive twenty of them".
    described = _DETAILS.split(registered[len(issuer(registered)) :].lstrip(" -,"), maxsplit=1)[0]
    if _DERIVED.search(described) and not _PARTNERS.search(described):
        return Kind.DERIVED
    return Kind.SHARE


def called_by_symbol(symbol: str, company: Company) -> bool:
    """Whether people say the symbol for the company: it is one of its names, or the initials of one ("IBM")."""
    for name in (company.name, *company.aliases, *company.guarded):
        words = [word for word in _WORDS.findall(name) if word[0].isupper()]
        if symbol in {word.upper() for word in words} or "".join(word[0] for word in words).startswith(symbol):
            return True
    return False


def issuer_key(registered: str) -> str:
    """The issuer in one spelling, by which two symbols of one company are known."""
    words = _WORDS.findall(fold(issuer(registered)).replace("&", " and "))
    return " ".join(_ABBREVIATED.get(word, word).replace(".", "") for word in words if word != "the")


def short_name(name: str) -> str:
    """A registered name without its legal tail: "NVIDIA Corporation" -> "NVIDIA"."""
    result = _THE.sub("", name.strip())
    while (shorter := _LEGAL.sub("", result).rstrip(" ,&")) != result and shorter:
        result = shorter
    return result


def ordinary(word: str) -> bool:
    """Whether a word, in lower case, is one of the language, or the name of persons or places."""
    known = words_of("english_words.txt")
    return (
        len(word) == 1
        or word in known
        or word.upper() in words_of("ordinary_words.txt")
        or any(stem in known for stem in _stems(word))
    )


def _stems(word: str) -> Iterator[str]:
    for ending, instead in _STEMS:
        if word.endswith(ending):
            for end in instead:
                stem = word[: -len(ending)] + end
                if len(stem) >= _SHORTEST_STEM:
                    yield stem


def all_ordinary(name: str) -> bool:
    """Whether every word of a folded name is an ordinary one, so that capitals alone make it a name."""
    return all(ordinary(word.removesuffix("'s")) for word in _WORDS.findall(name))


def spoken_names(symbol: str, company: Company) -> Iterator[Spoken]:
    """The folded names by which texts may mean ``symbol``."""
    if company.curated:
        guarded = {fold(name) for name in company.guarded}
        yield from (Spoken(name, 0, Guard.CONTEXT) for name in sorted(guarded))
        plain = {fold(name) for name in (*company.aliases, company.name) if name} - guarded
        yield from (Spoken(name, 0, Guard.NONE) for name in sorted(plain))
        return
    kind = kind_of(symbol, company.name)
    if not company.name or kind is Kind.DERIVED:
        return
    if kind is Kind.FUND:
        whole = fold(issuer(company.name))
        if len(whole.split()) >= _WHOLE_FUND:
            yield Spoken(whole, 1, Guard.NONE)
        return
    registered = issuer(company.name)
    whole, short = fold(registered), fold(short_name(registered))
    if whole != short:
        yield Spoken(whole, 1, Guard.NONE)
    words = short.split()
    if len(short) > 1:
        # One word of the language is no name by itself ("Progressive"), and few letters mean many things ("FMC").
        weak = len(words) == 1 and (len(short) <= _ACRONYM or all_ordinary(short))
        yield Spoken(short, 2, Guard.STRICT if weak else Guard.NONE)
    head = words[0] if words else ""
    if (
        len(words) > 1
        and words_of("company_tails.txt").issuperset(words[1:])
        and len(head) >= _SHORTEST_HEAD
        and not all_ordinary(head)
    ):
        yield Spoken(head, 3, Guard.CONTEXT)


def fold(text: str) -> str:
    """Lower-case with straight apostrophes and the same length, so that positions hold in the original too."""
    text = text.replace("’", "'")
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in text)
