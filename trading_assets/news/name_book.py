"""Which name means which company: one entry for each name of the followed and of all listed companies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trading_assets.news.companies import Company, Guard, issuer_key, kind_of, spoken_names

_CLASS = re.compile(r"\bclass ([a-z])\b|\bseries ([a-z])\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Name:
    """A name in the automaton. ``symbol`` None: of a company that is listed and not followed, or of several."""

    symbol: str | None
    key: str
    length: int
    rank: int
    guard: Guard
    company: Company


def names_of(companies: Mapping[str, Company], followed: frozenset[str]) -> dict[str, Name]:
    """Every name with the company that has it. Several symbols of one issuer are one company: its name means the
    followed one, of several the one with the ordinary share."""
    issuers: dict[str, list[str]] = {}
    keys: dict[str, str] = {}
    for symbol, company in sorted(companies.items()):
        keys[symbol] = issuer_key(company.name) or symbol
        issuers.setdefault(keys[symbol], []).append(symbol)
    meant: dict[str, str] = {}
    for key, symbols in issuers.items():
        meant[key] = min(symbols, key=lambda symbol: (symbol not in followed, *_preference(symbol, companies[symbol])))
    found: dict[str, Name] = {}
    for symbol, company in sorted(companies.items()):
        key = keys[symbol]
        target = meant[key] if meant[key] in followed else None
        for spoken in spoken_names(symbol, company):
            entry = Name(target, key, len(spoken.text), spoken.rank, spoken.guard, company)
            found[spoken.text] = _stronger(found.get(spoken.text), entry)
    return found


def _stronger(known: Name | None, entry: Name) -> Name:
    if known is None or entry.rank < known.rank:
        return entry
    if known.rank < entry.rank or known.key == entry.key:
        return known
    # One name for two companies names neither.
    return Name(None, f"{known.key} or {entry.key}", known.length, known.rank, known.guard, Company(""))


def _preference(symbol: str, company: Company) -> tuple[Any, ...]:
    """Smaller: rather meant by the issuer's name. The curated symbol, then a share, the first class, the plainest."""
    match = _CLASS.search(company.name)
    share_class = (match.group(1) or match.group(2)).lower() if match else ""
    return (not company.curated, kind_of(symbol, company.name), share_class, "." in symbol, len(symbol), symbol)
