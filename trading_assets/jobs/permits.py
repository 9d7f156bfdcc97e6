"""What an entry was decided by, asked again each time that one of its orders is about to leave.

Between a decision and its last order lie the rungs of a ladder, lost answers and waits: minutes, in which the account
may pass to another run and the signal may grow too old. What belongs here: the conditions of a dispatch. What does not:
kill switch and blocked symbols (``broker.ladder``), which hold for every entry, and prices (the gates). An exit asks
nothing of this: what is held must get out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Connection

from trading_assets.broker.errors import NoLongerAllowed
from trading_assets.ledger import dispatch
from trading_assets.ledger.account_lock import AccountLock
from trading_assets.ledger.dispatch import ClaimedSignal
from trading_assets.market.sessions import Session
from trading_assets.resources.desk import Desk
from trading_assets.risk.account_gates import entry_hours

#: A claim lasts this long by the clock and is renewed whenever an order is about to be sent.
LEASE = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class Permit:
    """One entry's permission to send orders; ``expiry`` is that of its contract, None for a stock."""

    desk: Desk
    lock: AccountLock
    claimed: ClaimedSignal
    expiry: date | None
    session: Session
    run_id: str

    def __call__(self, connection: Connection) -> None:
        """Renew the claim within the caller's transaction.

        Raises ``AccountLockLost`` or ``ClaimLost`` where another run may work on account or signal by now, and
        ``NoLongerAllowed`` where the signal is too old or the time for entries is over.
        """
        self.lock.verify()
        signal, account, now = self.claimed.signal, self.claimed.account, self.desk.clock.now()
        dispatch.renew(connection, signal.signal_id, account, self.run_id, now, LEASE)
        gates = self.desk.strategy(account).gates
        age = (now - signal.known_at).total_seconds()
        if age > gates.max_signal_age_s:
            raise NoLongerAllowed(
                f"the signal is {age:.0f} s old, more than {gates.max_signal_age_s:g} s", where=account
            )
        schedule = self.desk.account(account).limits.schedule
        _, last = entry_hours(self.session, signal.strategy, self.expiry, gates, schedule)
        if now >= last:
            raise NoLongerAllowed(f"the time for entries ended at {last:%H:%M:%S} UTC", where=account)
