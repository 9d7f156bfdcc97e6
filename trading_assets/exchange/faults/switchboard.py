"""The switchboard: which faults are armed, whether one hits, and the record of those that did.

A record is written before its fault takes effect, so that whoever suffered it finds it. It lies beside the journal and
outlives the process; what is armed does not.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from trading_assets.domain.errors import ConfigurationError
from trading_assets.exchange.faults.parameters import Nothing
from trading_assets.exchange.faults.plan import KINDS, Fault, Hit, Hook

RECORD_FILE = "faults.jsonl"
_log = logging.getLogger(__name__)
Parameters = TypeVar("Parameters", bound=Nothing)


class Fired(BaseModel):
    """One fault that happened: when, by which armed fault, and what it hit. What was not known is None."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    fault: int
    kind: str
    wall_at: AwareDatetime
    exchange_at: AwareDatetime
    method: str | None = None
    path: str | None = None
    account: str | None = None
    symbol: str | None = None
    side: str | None = None
    client_order_id: str | None = None
    order_id: str | None = None
    event: str | None = None
    detail: str | None = None


@dataclass(slots=True)
class Armed:
    """A fault in place. ``seen`` counts its matches, ``hits`` those that it hit; ``kept`` is what it remembers."""

    id: int
    fault: Fault
    chances: Random
    armed_at: datetime
    wall_until: float | None
    exchange_until: datetime | None
    seen: int = 0
    hits: int = 0
    kept: dict[str, Any] = field(default_factory=dict)

    def parameters(self, model: type[Parameters]) -> Parameters:
        """What was set about it."""
        return model.model_validate(self.fault.parameters)

    def over(self, now: datetime) -> bool:
        """Whether it can never hit again, at ``now`` of the exchange's clock."""
        times = self.fault.times
        return (
            (times is not None and self.hits >= times)
            or (self.wall_until is not None and time.monotonic() >= self.wall_until)
            or (self.exchange_until is not None and now >= self.exchange_until)
        )


class Switchboard:
    """Armed faults of one exchange in the order of arming, and the record of what happened.

    ``now`` is the exchange's clock; it is set once the venue stands. Raises ``ConfigurationError`` if the record cannot
    be read.
    """

    def __init__(self, record: Path) -> None:
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._record = record
        self._armed: dict[int, Armed] = {}
        self._fired = _read(record)
        self._next = 1 + max((one.fault for one in self._fired), default=0)

    # --- arming -----------------------------------------------------------------------------------------------------

    def arm(self, fault: Fault) -> Armed:
        """Put a fault in place."""
        lasts = None if fault.duration_s is None else timedelta(seconds=fault.duration_s)
        armed = Armed(
            id=self._next,
            fault=fault,
            chances=Random(fault.seed),
            armed_at=datetime.now(UTC),
            wall_until=None if lasts is None or fault.clock != "wall" else time.monotonic() + lasts.total_seconds(),
            exchange_until=None if lasts is None or fault.clock != "exchange" else self.now() + lasts,
        )
        self._next += 1
        self._armed[armed.id] = armed
        _log.warning("fault %d armed: %s", armed.id, fault.model_dump_json(exclude_defaults=True))
        return armed

    def disarm(self, identity: int) -> bool:
        """Take a fault away; False if it is not there."""
        return self._armed.pop(identity, None) is not None

    def disarm_all(self) -> int:
        """Take all away; how many there were."""
        count = len(self.armed())
        self._armed.clear()
        return count

    def armed(self) -> list[Armed]:
        """What is in place and not over."""
        now = self.now()
        for identity in [one.id for one in self._armed.values() if one.over(now)]:
            del self._armed[identity]
        return list(self._armed.values())

    def fired(self, after: int = 0, kind: str | None = None) -> list[Fired]:
        """What happened, in order, behind the sequence number ``after``."""
        return [one for one in self._fired if one.sequence > after and (kind is None or one.kind == kind)]

    # --- deciding ---------------------------------------------------------------------------------------------------

    def waits_for(self, hook: Hook, *kinds: str) -> list[Armed]:
        """What is armed at ``hook``, in order of arming; of ``kinds`` only, if any are named."""
        if not self._armed:
            return []
        return [
            one for one in self.armed() if KINDS[one.fault.kind].hook == hook and (not kinds or one.fault.kind in kinds)
        ]

    def first(self, hook: Hook, hit: Hit, *kinds: str) -> Armed | None:
        """The first armed fault that hits, recorded; None if none does."""
        for one in self.waits_for(hook, *kinds):
            if self.strikes(one, hit):
                return one
        return None

    def all(self, hook: Hook, hit: Hit, *kinds: str) -> Iterator[Armed]:
        """Every armed fault that hits, recorded, one after the other."""
        for one in self.waits_for(hook, *kinds):
            if self.strikes(one, hit):
                yield one

    def strikes(self, one: Armed, hit: Hit, detail: str | None = None) -> bool:
        """Whether ``one`` hits ``hit``: counted, and recorded if it does."""
        if one.over(self.now()) or not one.fault.covers(hit):
            return False
        one.seen += 1
        if one.seen <= one.fault.after:
            return False
        if one.fault.probability < 1 and one.chances.random() >= one.fault.probability:
            return False
        one.hits += 1
        self._note(one, hit, detail)
        return True

    def _note(self, one: Armed, hit: Hit, detail: str | None) -> None:
        symbols = [symbol for symbol in hit.symbols if one.fault.covers(_only(hit, symbol))]
        fired = Fired(
            sequence=len(self._fired) + 1,
            fault=one.id,
            kind=one.fault.kind,
            wall_at=datetime.now(UTC),
            exchange_at=self.now(),
            method=hit.method,
            path=hit.path,
            account=hit.account,
            symbol=symbols[0] if symbols else None,
            side=hit.side,
            client_order_id=hit.client_order_id,
            order_id=hit.order_id,
            event=hit.event,
            detail=detail,
        )
        with self._record.open("a") as file:
            file.write(fired.model_dump_json() + "\n")
        self._fired.append(fired)
        _log.warning("fault %d happens: %s", one.id, fired.model_dump_json(exclude_none=True))


def _only(hit: Hit, symbol: str) -> Hit:
    return Hit(hit.method, hit.path, hit.account, (symbol,), hit.side, hit.client_order_id, hit.order_id, hit.event)


def _read(record: Path) -> list[Fired]:
    """The record of earlier runs; a torn last line is cut off, as its fault was never told to anybody."""
    if not record.exists():
        return []
    whole, _, torn = record.read_bytes().rpartition(b"\n")
    if torn:
        record.write_bytes(whole + b"\n" if whole else b"")
        _log.warning("cut off a torn last line of %s", record.name)
    try:
        return [Fired.model_validate_json(line) for line in whole.splitlines()]
    except (ValidationError, json.JSONDecodeError) as error:
        raise ConfigurationError(
            "the record of faults cannot be read", where=str(record), mend="Move the file away"
        ) from error
