"""What a run may write: the current minute of the current session, a past partition, or nothing.

The current session (or day) is written by the minute runs alone: a run that a person starts on it reports what is
stored and writes nothing. A past partition is rebuilt from what was stored; where a live run wrote decisions, the
rebuild is compared with them and never replaces them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

from dagster import AssetExecutionContext

from trading_assets.automation.names import MINUTE_JOB
from trading_assets.automation.tags import tag_session
from trading_assets.automation.tickets import TICKET_TAG, NotPermitted, permitted
from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.market.sessions import session_on
from trading_assets.resources.desk import Desk

#: How long after the close minute runs may still complete their session, so that its last bar is stored.
LATE_MINUTES = 5


class Kind(Enum):
    """How one partition of a run is treated."""

    LIVE = "live"
    CURRENT = "current"
    PAST = "past"


@dataclass(frozen=True, slots=True)
class Scope:
    """One partition of a run: its key, how to treat it, and the instant at which the run looks at it. ``requested``: a
    schedule asked for the run; nobody who wants a past partition made anew did."""

    key: str
    kind: Kind
    now: datetime
    requested: bool = False

    @property
    def day(self) -> date:
        """The partition's date."""
        return date.fromisoformat(self.key)


def scopes(context: AssetExecutionContext, desk: Desk, *, job: str, tick: str) -> list[Scope]:
    """The partitions of this run with their treatment, oldest first.

    Raises ``TradingAssetsError`` for a partition in the future, and ``NotPermitted`` if a ticket is present but not
    valid: a run that claims to act and may not is a failure, not a quiet no-op.
    """
    tag_session(context.instance, context.run, context.partition_keys)
    now = desk.clock.now()
    today = now.astimezone(NEW_YORK).date()
    live = False
    if TICKET_TAG in context.run.tags:
        ticket = desk.acting_ticket(context.run.run_id)
        if ticket is None:
            ticket = permitted(desk.secret, context.run.tags, job=job, tick=tick, now=desk.wall.now()).text
            desk.claim_ticket(context.run.run_id, job=job, account=None, ticket=ticket, as_of=now)
            if job == MINUTE_JOB:
                desk.write_down(context.run.run_id, now)
        elif ticket != context.run.tags[TICKET_TAG]:
            raise NotPermitted("the run's ticket changed while it ran")
        live = True
    result = []
    for key in context.partition_keys:
        day = date.fromisoformat(key)
        if day > today:
            raise TradingAssetsError(
                f"the partition {key} lies in the future: it is {today} in New York",
                where=f"{context.asset_key.to_user_string()}/{key}",
                mend="Choose a past partition.",
            )
        result.append(Scope(key, _kind(day, today, now, live), now, live))
    return sorted(result, key=lambda scope: scope.key)


def _kind(day: date, today: date, now: datetime, live: bool) -> Kind:
    if day < today:
        return Kind.PAST
    if live:
        return Kind.LIVE
    session = session_on(day)
    # A finished session of today is complete: rebuilding it compares, as for any other past day.
    return Kind.PAST if session is not None and now > session.close else Kind.CURRENT
