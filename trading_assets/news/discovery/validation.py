"""What of an answer counts. The answer is a stranger's: each name is judged by itself, and nothing in it is followed.

An answer can do nothing but name symbols. One that is no list of entries, or has anything beside it, is refused as a
whole; a wrong entry is refused alone, with its reason. What is left must be enough, or the last universe stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.ledger.universe import Member, Status
from trading_assets.news.bedrock import finite_number
from trading_assets.news.discovery.config import DiscoveryConfig
from trading_assets.news.discovery.plain_text import plain

#: Keys of an entry; there must be no other.
KEYS = ("ticker", "sector", "catalyst", "confidence", "expected_volume")
#: The answer's only key.
LIST = "tickers"
_SYMBOL = re.compile(r"[A-Z]{1,5}(\.[A-Z]{1,2})?")
_MOST_ENTRIES = 500
_LONGEST_SECTOR, _LONGEST_CATALYST, _GREATEST_VOLUME = 60, 300, 1000.0


class AnswerRefused(TradingAssetsError):
    """The answer as a whole is none. ``members`` are its entries with what was wrong about each, if it had any."""

    def __init__(self, what: str, members: Sequence[Member] = ()) -> None:
        super().__init__(what, mend="The last universe stays; the next discovery asks again.")
        self.members = tuple(members)


@dataclass(frozen=True, slots=True)
class Listed:
    """What the broker says of an asset."""

    tradable: bool
    optionable: bool


def judged(
    answer: Any,
    listed: Mapping[str, Listed],
    config: DiscoveryConfig,
    sources: Callable[[str], Mapping[str, Any]] = lambda _: {},
) -> tuple[Member, ...]:
    """The members that ``answer`` makes: the most confident active, the others reserve, the wrong ones rejected with
    the reason. Of equal ones the one named first. Raises ``AnswerRefused`` if fewer than ``least`` are right."""
    if not isinstance(answer, dict) or not isinstance(answer.get(LIST), list):
        raise AnswerRefused(f"the answer is no list of tickers but {type(answer).__name__}")
    if len(answer) > 1:
        # Its other keys are not repeated: what is said here is shown as a description, which may be read as markup.
        raise AnswerRefused(f"the answer holds more than tickers: {len(answer) - 1} keys beside them")
    members: list[Member] = []
    right: set[str] = set()
    for position, entry in enumerate(answer[LIST][:_MOST_ENTRIES], start=1):
        member = _member(position, entry, listed, right, config)
        if member.reason is None and len(right) == config.wanted:
            member = _rejected(member, f"only {config.wanted} were asked for")
        if member.reason is None:
            right.add(member.symbol)
            member = replace(member, sources=sources(member.symbol))
        members.append(member)
    if len(right) < config.least:
        raise AnswerRefused(
            f"only {len(right)} of the {len(answer[LIST])} tickers named are right, and {config.least} are needed",
            members,
        )
    ranked = sorted((each for each in members if each.reason is None), key=lambda each: -(each.confidence or 0.0))
    active = {each.symbol for each in ranked[: config.active]}
    return tuple(
        each
        if each.reason is not None
        else replace(each, status=Status.ACTIVE if each.symbol in active else Status.RESERVE)
        for each in members
    )


def with_kept(members: Sequence[Member], at_stake: Mapping[str, Sequence[str]], index: str) -> tuple[Member, ...]:
    """``members`` and every ticker in which something is open, which is followed whatever the answer says."""
    active = {each.symbol for each in members if each.status is Status.ACTIVE}
    reserve = {each.symbol: each for each in members if each.status is Status.RESERVE}
    found = list(members)
    for ticker in sorted(set(at_stake) - active - {index}):
        reason = f"something is open in it: account {', '.join(at_stake[ticker])}"
        if ticker in reserve:
            place = found.index(reserve[ticker])
            found[place] = replace(reserve[ticker], status=Status.KEPT, reason=reason)
        else:
            position = max((each.position for each in found), default=0) + 1
            found.append(Member(position, ticker, Status.KEPT, reason, sources={"accounts": list(at_stake[ticker])}))
    return tuple(found)


def _member(
    position: int, entry: Any, listed: Mapping[str, Listed], right: set[str], config: DiscoveryConfig
) -> Member:
    """The entry, as a member to be if its ``reason`` is None, else rejected for it."""
    if not isinstance(entry, dict):
        return Member(position, plain(str(entry), 40) or "?", Status.REJECTED, "it is no entry with a ticker")
    raw = entry.get("ticker")
    named = Member(
        position=position,
        symbol=(plain(raw, 40) if isinstance(raw, str) else "") or "?",
        status=Status.RESERVE,
        sector=_text(entry.get("sector"), _LONGEST_SECTOR),
        catalyst=_text(entry.get("catalyst"), _LONGEST_CATALYST),
        confidence=_within(entry.get("confidence"), 0.0, 1.0),
        expected_volume=_within(entry.get("expected_volume"), 0.0, _GREATEST_VOLUME),
    )
    reason = _wrong(entry, named, listed, right, config)
    return named if reason is None else _rejected(named, reason)


def _wrong(
    entry: Mapping[Any, Any], named: Member, listed: Mapping[str, Listed], right: set[str], config: DiscoveryConfig
) -> str | None:
    beside = sorted(plain(str(key), 40) for key in entry if key not in KEYS)
    absent = [key for key in KEYS if key not in entry]
    asset = listed.get(named.symbol)
    checks = (
        (bool(beside), f"it holds more than it may: {', '.join(beside[:5])}"),
        (bool(absent), f"it lacks {', '.join(absent)}"),
        (not (isinstance(entry.get("ticker"), str) and _SYMBOL.fullmatch(entry["ticker"])), "it is no symbol"),
        (named.confidence is None, "its confidence is no number from 0 to 1"),
        ((named.confidence or 0.0) < config.min_confidence, f"its confidence is below {config.min_confidence:g}"),
        (named.sector is None or named.catalyst is None, "its sector or catalyst is no text"),
        (
            entry.get("expected_volume") is not None and named.expected_volume is None,
            "its expected volume is no multiple of the usual one",
        ),
        (named.symbol in right, "it is named twice"),
        (asset is None, "the broker lists no active asset of that symbol"),
        (asset is not None and not asset.tradable, "the broker does not trade it"),
        (asset is not None and not asset.optionable, "it has no options"),
    )
    return next((reason for wrong, reason in checks if wrong), None)


def _rejected(member: Member, reason: str) -> Member:
    return replace(member, status=Status.REJECTED, reason=reason)


def _text(value: Any, limit: int) -> str | None:
    return plain(value, limit) if isinstance(value, str) else None


def _within(value: Any, low: float, high: float) -> float | None:
    number = finite_number(value)
    return number if number is not None and low <= number <= high else None
