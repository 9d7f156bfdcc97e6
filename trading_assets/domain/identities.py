"""Deterministic identities. The same decision, taken twice, has the same name: that is what makes doubling visible."""

from __future__ import annotations

import hashlib
from datetime import datetime

from trading_assets.domain.clock import require_utc

#: Alpaca accepts client order ids of at most 128 characters.
MAX_CLIENT_ORDER_ID = 128


def digest(*parts: str) -> str:
    """SHA-256 over length-prefixed parts, so that ('a', 'bc') and ('ab', 'c') differ. 64 hex digits."""
    hasher = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        hasher.update(f"{len(raw)}:".encode())
        hasher.update(raw)
    return hasher.hexdigest()


def signal_id(rule_set: str, ticker: str, bar_start: datetime, action: str, strategy: str) -> str:
    """Identity of a signal (RULEBOOK §6): rule set version, ticker, bar start, action, strategy. 32 hex digits."""
    return digest("signal", rule_set, ticker, require_utc(bar_start).isoformat(), action, strategy)[:32]


def position_id(account: str, entry_signal_id: str) -> str:
    """Identity of the position an account opens from a signal. 32 hex digits."""
    return digest("position", account, entry_signal_id)[:32]


def adopted_position_id(account: str, symbol: str, found_at: datetime) -> str:
    """Identity of a position found at the broker that no intent of ours explains. 32 hex digits."""
    return digest("adopted", account, symbol, require_utc(found_at).isoformat())[:32]


def rolled_position_id(account: str, rolled_from: str, symbol: str, number: int) -> str:
    """Identity of the position in ``symbol`` that a roll opens in place of another; ``number`` counts those that were
    closed before, of which each had its own. 32 hex digits."""
    return digest("rolled", account, rolled_from, symbol, str(number))[:32]


def leg_name(parent: str, place: int) -> str:
    """Name of a leg of a multi-leg order in the ledger: a leg's ids at the broker are the broker's own."""
    return f"{parent}.{place}"


def client_order_id(account: str, purpose: str, subject: str, attempt: int, step: int) -> str:
    """``ta-<account>-<en|ex|pr|ro>-<subject>-<attempt>-<step>``: deterministic, at most 128 characters.

    ``purpose`` is ``ENTRY``, ``EXIT``, ``PROTECT`` or ``ROLL``; ``subject`` the signal id of an entry, else the
    position id; ``attempt`` counts exits (or protections, or rolls) of one position; ``step`` counts the rungs of the
    limit ladder.
    """
    code = {"ENTRY": "en", "EXIT": "ex", "PROTECT": "pr", "ROLL": "ro"}[purpose]
    result = f"ta-{account}-{code}-{subject}-{attempt}-{step}"
    if len(result) > MAX_CLIENT_ORDER_ID:
        raise ValueError(f"client order id of {len(result)} characters exceeds {MAX_CLIENT_ORDER_ID}: {result}")
    return result
