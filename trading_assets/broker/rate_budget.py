"""How many requests an account may still send, shared by every process of this machine that speaks for it.

The broker counts per account and interface (trading, data), and says in each answer how many requests its window still
allows. That word is kept in one small file per interface, together with the requests that are under way; whoever wants
to send asks the file first. The broker's count is the truth, so other machines with the same keys are seen as well.

A file and not the database: an exit must not need one connection more to get out, and a look costs microseconds. The
lock is the kernel's: it is held for two system calls, ends with its process, and whoever cannot get it at once goes on
without: the budget keeps refusals rare, the broker's own limit and its 429 stay in force.

What does not belong here: waiting (``broker.transport``) and what to do about a 429 (the callers).
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from pathlib import Path

log = logging.getLogger(__name__)

_SECOND = 1_000_000_000
#: The longest window that is believed, and how long one lasts whose end the broker did not say.
_LONGEST_WINDOW, _USUAL_WINDOW = 120 * _SECOND, 60 * _SECOND
#: What a killed process left under way is forgotten after one to two of these.
_SLOT = 30 * _SECOND
_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 20, 0.0005


class Share(Enum):
    """Who asks; the value is the part of the limit that is left untouched for those who come before.

    Leaving a position comes before everything, then entering one, then what is needed to know where one stands; what
    merely fills frames comes last.
    """

    EXIT = 0.0
    ENTRY = 0.05
    ACCOUNT = 0.15
    BULK = 0.30


def share_of(method: str, path: str, body: bytes | str | None) -> Share:
    """Whose share a request takes. What cannot be read counts as the later of its kind."""
    if method in ("DELETE", "PATCH"):
        return Share.EXIT
    if method == "POST":
        return Share.EXIT if _leaves(body) or "/positions/" in path else Share.ENTRY
    if "/orders" in path:
        # Without the fate of an order neither its rest nor its position can be left.
        return Share.EXIT
    if any(part in path for part in ("/positions", "/account", "/quotes/latest", "/clock")):
        return Share.ACCOUNT
    return Share.BULK


def _leaves(body: bytes | str | None) -> bool:
    """Whether an order sells, or closes with any of its legs."""
    try:
        order = json.loads(body or b"{}")
        parts = [order, *(order.get("legs") or [])]
        return order.get("side") == "sell" or any(
            str(part.get("position_intent", "")).endswith("_to_close") for part in parts
        )
    except (ValueError, AttributeError, TypeError):
        return False


@dataclass(frozen=True, slots=True)
class Word:
    """What one answer said about the limit. ``seconds`` until the window ends are counted by the broker's own clock
    (its ``Date``), so a clock that is off here does not matter; None: not a time of this wall."""

    limit: int
    remaining: int
    reset: int
    seconds: float | None


def word_of(headers: Mapping[str, str]) -> Word | None:
    """The rate-limit headers of an answer, None where they are missing or cannot be read."""
    try:
        limit = int(headers["X-RateLimit-Limit"])
        remaining = int(headers["X-RateLimit-Remaining"])
        reset = int(float(headers["X-RateLimit-Reset"]))
    except (KeyError, ValueError, OverflowError):
        return None
    return Word(limit, max(0, remaining), reset, seconds_until(reset, headers)) if limit > 0 else None


def seconds_until(reset: float, headers: Mapping[str, str]) -> float | None:
    """Seconds from an answer to ``reset`` (epoch) by the clock that wrote the answer; None if they are implausible.

    A stepped practice exchange names a reset of its own time beside the wall's ``Date``: nothing to wait for.
    """
    try:
        now = parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError, TypeError):
        now = datetime.now(UTC)
    seconds = reset - now.timestamp()
    return seconds if 0 <= seconds <= _LONGEST_WINDOW / _SECOND else None


@dataclass(frozen=True, slots=True)
class Window:
    """The state of one interface. Instants are nanoseconds of the machine's monotonic clock, one for all processes.

    ``limit`` 0: the broker has not said one. ``reset`` is the broker's name of the window; ``rolled``: that window has
    ended here and no answer of the next one has come yet. ``asked`` requests of time slot ``slot`` and ``before`` of
    the one before it are under way.
    """

    limit: int = 0
    remaining: int = 0
    reset: int = 0
    ends: int = 0
    rolled: int = 0
    slot: int = 0
    asked: int = 0
    before: int = 0

    def at(self, now: int) -> Window:
        """The window as it is at ``now``."""
        window, slot = self, now // _SLOT
        if slot != window.slot:
            window = replace(window, slot=slot, asked=0, before=window.asked if slot == window.slot + 1 else 0)
        if window.limit and not now < window.ends <= now + _LONGEST_WINDOW:
            window = replace(window, remaining=window.limit, ends=now + _USUAL_WINDOW, rolled=1)
        return window

    def free(self, share: Share) -> int:
        """Requests that this share may still send; below 1: none."""
        return self.remaining - self.asked - self.before - int(self.limit * share.value)

    def answered(self, slot: int, word: Word | None, now: int) -> Window:
        """After the end of a request that was asked for in ``slot``; without a ``word`` it counts as spent."""
        window = self.at(now)
        if slot == window.slot:
            window = replace(window, asked=max(0, window.asked - 1))
        elif slot == window.slot - 1:
            window = replace(window, before=max(0, window.before - 1))
        if word is None:
            return replace(window, remaining=max(0, window.remaining - 1))
        late = window.reset - word.reset
        if late < 0 or late > _LONGEST_WINDOW // _SECOND:
            ends = now + int((word.seconds or 0.0) * _SECOND)
            return replace(window, limit=word.limit, remaining=word.remaining, reset=word.reset, ends=ends, rolled=0)
        if late == 0 and not window.rolled:
            return replace(window, remaining=min(window.remaining, word.remaining))
        return window


_LAYOUT = struct.Struct("<8q")


@dataclass(frozen=True, slots=True)
class Spent:
    """No request may be sent for ``seconds``; ``reset`` is the broker's name (epoch) of the instant."""

    seconds: float
    reset: int


class RateBudget:
    """The budget of one account at one interface, kept in ``path``."""

    def __init__(self, path: Path, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._path = path
        self._clock = clock

    def take(self, share: Share) -> int | Spent:
        """Note a request that is about to be sent; what ``answered`` wants to be told afterwards, or ``Spent``."""
        with self._file() as file:
            now = self._clock()
            window = self._read(file).at(now)
            if window.limit and window.free(share) < 1:
                return Spent((window.ends - now) / _SECOND, window.reset)
            self._write(file, replace(window, asked=window.asked + 1))
            return window.slot

    def seconds_until(self, requests: int, share: Share) -> float:
        """Seconds until this share may send so many requests, 0.0 if it may now. Takes nothing.

        At most half of what the share may ever have is waited for: a small limit must not mean for ever.
        """
        with self._file() as file:
            now = self._clock()
            window = self._read(file).at(now)
        needed = min(requests, max(1, int(window.limit * (1 - share.value)) // 2))
        return 0.0 if not window.limit or window.free(share) >= needed else (window.ends - now) / _SECOND

    def answered(self, slot: int, word: Word | None) -> None:
        """Note the end of a request and the broker's word on what is left; None: no answer, or none with a word."""
        with self._file() as file:
            self._write(file, self._read(file).answered(slot, word, self._clock()))

    @contextmanager
    def _file(self) -> Iterator[int | None]:
        """The locked file. None if it cannot be had: then nothing is counted this time.

        It is opened anew each time, so that threads and forked processes exclude each other as well.
        """
        try:
            descriptor = self._open()
        except OSError as error:
            log.warning("the request budget %s cannot be opened: %s", self._path.name, error)
            yield None
            return
        try:
            yield descriptor if self._lock(descriptor) else None
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self._path, flags, 0o600)
        except FileNotFoundError:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self._path, flags, 0o600)

    def _lock(self, descriptor: int) -> bool:
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                time.sleep(_LOCK_PAUSE_SECONDS)
        log.warning("the request budget %s is held by a process that does not go on", self._path.name)
        return False

    def _read(self, descriptor: int | None) -> Window:
        """What the file holds; an empty, foreign or damaged one starts anew."""
        raw = b"" if descriptor is None else os.pread(descriptor, _LAYOUT.size + 1, 0)
        if len(raw) != _LAYOUT.size:
            return Window()
        window = Window(*_LAYOUT.unpack(raw))
        return window if min(window.limit, window.remaining, window.asked, window.before) >= 0 else Window()

    def _write(self, descriptor: int | None, window: Window) -> None:
        if descriptor is None:
            return
        try:
            os.pwrite(
                descriptor,
                _LAYOUT.pack(
                    window.limit,
                    window.remaining,
                    window.reset,
                    window.ends,
                    window.rolled,
                    window.slot,
                    window.asked,
                    window.before,
                ),
                0,
            )
        except OSError as error:
            log.warning("the request budget %s cannot be kept: %s", self._path.name, error)
