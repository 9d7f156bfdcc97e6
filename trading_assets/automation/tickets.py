"""Tickets: the single-use permission to act that a schedule or sensor tick issues to the run it requests.

A run may write the current session or reach the broker only with a ticket: signed with the world's secret, naming job,
account and instant, fresh on the wall (a practice exchange's clock may run faster), never used by another run, on a run
that no person re-executed and no backfill started. The text of a ticket is visible in the run's tags; it is worthless
after its first use.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trading_assets.domain.clock import require_utc
from trading_assets.domain.errors import TradingAssetsError

TICKET_TAG = "trading-assets/ticket"
ACCOUNT_TAG = "trading-assets/account"
SESSION_TAG = "trading-assets/session"
AS_OF_TAG = "trading-assets/as_of"
#: Tags that Dagster puts on runs which a person or a backfill started from an earlier one.
FOREIGN_TAGS = ("dagster/parent_run_id", "dagster/root_run_id", "dagster/backfill", "dagster/is_resume_retry")
#: A tick that is older than this on the wall no longer acts.
MAX_AGE = timedelta(seconds=120)
_STAMP = "%Y%m%dT%H%M%S%fZ"
_NO_ACCOUNT = "*"


class NotPermitted(TradingAssetsError):
    """This run may not act. Nothing was done."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a valid ticket says. ``batch`` and ``attempt`` make two requests for the same work distinguishable."""

    job: str
    account: str | None
    as_of: datetime
    batch: str
    attempt: int
    text: str


def issue(secret: bytes, *, job: str, account: str | None, as_of: datetime, batch: str, attempt: int) -> str:
    """The signed text ``job|account|instant|batch|attempt|mac``. Parts must not contain '|'."""
    parts = (job, account or _NO_ACCOUNT, require_utc(as_of).strftime(_STAMP), batch, str(attempt))
    if any("|" in part for part in parts):
        raise ValueError(f"a ticket's parts must not contain '|': {parts}")
    body = "|".join(parts)
    return f"{body}|{_mac(secret, body)}"


def read(secret: bytes, text: str) -> Ticket:
    """The ticket behind ``text``; raises ``NotPermitted`` if it is malformed or was not issued here."""
    body, _, mac = text.rpartition("|")
    parts = body.split("|")
    if len(parts) != 5 or not hmac.compare_digest(mac, _mac(secret, body)):
        raise NotPermitted("the run carries a ticket that was not issued by this world")
    job, account, stamp, batch, attempt = parts
    return Ticket(
        job=job,
        account=None if account == _NO_ACCOUNT else account,
        as_of=datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC),
        batch=batch,
        attempt=int(attempt),
        text=text,
    )


def issued_at(text: str) -> datetime:
    """When, on the wall, a ticket that a run has already used was issued. It proves nothing: see ``read``."""
    return datetime.strptime(text.split("|")[2], _STAMP).replace(tzinfo=UTC)


def permitted(secret: bytes, tags: Mapping[str, str], *, job: str, tick: str, now: datetime) -> Ticket:
    """The ticket of a run that may act now as ``job``; raises ``NotPermitted`` saying why it may not.

    ``tick`` is the name of the schedule or sensor that must have requested the run.
    """
    for tag in FOREIGN_TAGS:
        if tag in tags:
            raise NotPermitted(f"a re-executed or backfilled run never acts (it carries the tag {tag})")
    if tick not in (tags.get("dagster/sensor_name"), tags.get("dagster/schedule_name")):
        raise NotPermitted(f"only runs requested by {tick} act; this one was started by hand")
    if TICKET_TAG not in tags:
        raise NotPermitted(f"the run carries no ticket (tag {TICKET_TAG})")
    ticket = read(secret, tags[TICKET_TAG])
    if ticket.job != job:
        raise NotPermitted(f"the ticket is for the job {ticket.job}, not for {job}")
    age = now - ticket.as_of
    if not timedelta(seconds=-5) <= age <= MAX_AGE:
        raise NotPermitted(
            f"the ticket was issued at {ticket.as_of.isoformat()} and it is {now.isoformat()}: too old to act on"
        )
    return ticket


def _mac(secret: bytes, body: str) -> str:
    return hmac.new(secret, body.encode(), hashlib.sha256).hexdigest()[:32]
