"""The venue: state, engine, journal and clock behind one lock.

Every mutation is decided, written, made durable, applied and only then answered. An advance writes one transaction per
instant at which something happened and one for the clock, and makes them durable together before anybody sees them:
the event loop is not given up in between. If the journal cannot be written the venue stops for good.

Shortly before a session opens its market takes over: contracts are listed anew, and equity at the close before is kept.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

from trading_assets.domain.errors import ConfigurationError
from trading_assets.exchange.actions import ActionBook, AnyAction
from trading_assets.exchange.config import LEAD, ExchangeConfig
from trading_assets.exchange.configuration import read_configuration
from trading_assets.exchange.engine import Engine
from trading_assets.exchange.events import (
    AccountOpened,
    ActionAnnounced,
    Event,
    OrderAccepted,
    SessionOpened,
    Transaction,
    WorldOpened,
)
from trading_assets.exchange.identities import Identities
from trading_assets.exchange.journal import Journal, JournalBroken, JournalCorrupt
from trading_assets.exchange.market_port import MarketPort
from trading_assets.exchange.marks import worth
from trading_assets.exchange.names import check_listed
from trading_assets.exchange.overnight import Overnight, in_force
from trading_assets.exchange.refusal import Refusal, unprocessable
from trading_assets.exchange.state import Account, Order, World
from trading_assets.market.sessions import Session, shift

_log = logging.getLogger(__name__)
#: Grid instants worked on before others get a turn (and the work so far is made durable).
_TURN = 600
_TICK_SECONDS = 0.1
#: The market of a session; the symbols are what accounts hold, which stays listed.
Markets = Callable[[date, frozenset[str]], MarketPort]


class Venue:
    """One practice exchange. ``on_failure`` is called once if the journal breaks."""

    def __init__(
        self, config: ExchangeConfig, markets: Markets, journal: Journal, actions: ActionBook | None = None
    ) -> None:
        self.config = config
        #: The corporate actions of this world, which its markets must know, too.
        self.actions = ActionBook(config.actions) if actions is None else actions
        self.world = World()
        self._markets = markets
        self.failed = False
        self.on_failure: Callable[[], None] = lambda: None
        #: Told each event once the world has taken it in, and that all events so far are in the journal.
        self.on_event: Callable[[Event, datetime], None] = lambda event, at: None
        self.on_durable: Callable[[], None] = lambda: None
        #: What else happens at an instant at which something happened: the broker's own doing.
        self.after_step: Callable[[], Sequence[Event]] = lambda: ()
        self._journal = journal
        self._lock = asyncio.Lock()
        self._overnight = Overnight(self.actions, config.seed)
        self._restore()
        self.market, self.engine = self._open_market(self.world.session)

    # --- start ------------------------------------------------------------------------------------------------------

    def _restore(self) -> None:
        opened = WorldOpened(
            seed=self.config.seed,
            session=self.config.session,
            scenario=self.config.scenario,
            accounts=tuple(
                AccountOpened(
                    name=account.name,
                    id=Identities(self.config.seed).account(account.name),
                    cash=account.cash,
                    options_level=account.options_level,
                    shorting=account.shorting,
                )
                for account in self.config.accounts
            ),
            in_force=in_force(self.config.actions, self.config.session),
        )
        for number, payload in enumerate(self._journal.read(), start=1):
            try:
                self.world.apply(Transaction.model_validate_json(payload))
            except (ValueError, KeyError) as error:
                raise JournalCorrupt(
                    f"the journal cannot be replayed: {type(error).__name__}",
                    where=f"{self._journal.path}, line {number}",
                    mend="Restore the file from a copy, or begin a new world in an empty directory",
                ) from error
        for action in self.world.announced:
            try:
                self.actions.add(action)
            except ValueError as error:
                raise ConfigurationError(
                    f"{error}: it was announced on the control path before",
                    where=str(self._journal.path),
                    mend="Take the other one out of the configuration",
                ) from None
        if self.world.sequence == 0:
            self._write(self.config.first_instant, [opened])
            self._journal.sync()
            _log.info("a new world opens at %s", self.world.now.isoformat())
        elif self.world.opened != opened:
            raise ConfigurationError(
                "the journal was begun with another seed, session, scenario or accounts",
                where=str(self._journal.path),
                mend="Use the configuration it was begun with, or an empty directory",
            )
        elif self.world.in_force != in_force(self.actions.all, self.world.session):
            raise ConfigurationError(
                f"the market of {self.world.session} was drawn with other corporate actions",
                where=str(self._journal.path),
                mend="Leave the actions that were in force as they were; only those to come may change",
            )
        else:
            _log.info("replayed %d transactions; the clock stands at %s", self.world.sequence, self.world.now)

    def _open_market(self, day: date) -> tuple[MarketPort, Engine]:
        # What is held or ordered stays listed.
        held = frozenset(
            symbol
            for account in self.world.accounts.values()
            for symbol in (*account.positions, *(order.terms.symbol for order in account.open_orders.values()))
        )
        market = self._markets(day, held)
        return market, Engine(self.config, market, day)

    # --- writing ----------------------------------------------------------------------------------------------------

    def _write(self, at: datetime, events: Sequence[Event]) -> None:
        transaction = Transaction(sequence=self.world.sequence + 1, at=at, events=tuple(events))
        # Before it is written: a line that cannot be applied would keep this world from ever starting again.
        self.world.check(transaction.events)
        self._journal.append(transaction.model_dump_json().encode())
        self.world.apply(transaction, self.on_event)

    def _commit(self, events: Sequence[Event]) -> None:
        self._guarded(lambda: self._write_and_sync(events))

    def _write_and_sync(self, events: Sequence[Event]) -> None:
        self._write(self.world.now, events)
        self._sync()

    def _sync(self) -> None:
        self._journal.sync()
        self.on_durable()

    def _guarded(self, work: Callable[[], None]) -> None:
        self.require_sound()
        try:
            work()
        except JournalBroken as error:
            self.failed = True
            _log.critical("the exchange stops: %s", error)
            self.on_failure()
            raise Refusal(500, 50010000, "internal server error occurred") from error

    def require_sound(self) -> None:
        """Raise ``Refusal`` (503) once the journal has failed: memory may be ahead of the disk."""
        if self.failed:
            raise Refusal(503, 50310000, "service unavailable")

    # --- commands ---------------------------------------------------------------------------------------------------

    async def place(self, account: Account, body: object) -> Order:
        """Book an order; raises ``Refusal``."""
        async with self._lock:
            events = self.engine.place(self.world, account, body)
            self._commit(events)
            for event in events:
                _log.info("order %s %s %s %d %s", account.name, event.id, event.side, event.quantity, event.symbol)
            return account.orders[events[0].id]

    async def replace(self, account: Account, order_id: str, body: object) -> Order:
        """Put a changed order in the place of another; the new one. Raises ``Refusal``."""
        async with self._lock:
            events = self.engine.replace(self.world, account, order_id, body)
            self._commit(events)
            new = next(event for event in events if isinstance(event, OrderAccepted))
            _log.info("replace %s %s by %s", account.name, order_id, new.id)
            return account.orders[new.id]

    async def configure(self, account: Account, body: object) -> None:
        """Take over what the account's owner sets; raises ``Refusal``."""
        async with self._lock:
            self._commit([read_configuration(account, body)])

    async def exercise(self, account: Account, contract: str) -> None:
        """Exercise what is held of a contract; it is settled on the next morning. Raises ``Refusal``."""
        async with self._lock:
            self._commit([self.engine.expiry.exercise(account, contract, self.world.now)])
            _log.info("exercise %s %s", account.name, contract)

    async def decline(self, account: Account, contract: str) -> None:
        """Let a contract expire without exercise; raises ``Refusal``."""
        async with self._lock:
            self._commit([self.engine.expiry.decline(account, contract)])
            _log.info("no exercise %s %s", account.name, contract)

    async def assign(self, account: Account, contract: str, quantity: int) -> None:
        """Assign short contracts before their expiry; settled on the next morning. Raises ``Refusal``."""
        async with self._lock:
            self._commit([self.engine.expiry.assign(account, contract, quantity)])
            _log.info("assigned %s %d %s", account.name, quantity, contract)

    async def announce(self, action: AnyAction) -> None:
        """Let a corporate action of a session to come take place; raises ``Refusal``."""
        async with self._lock:
            if not self.world.session < action.ex_session <= self.config.final_session:
                raise unprocessable(
                    f"ex_session: expected one after {self.world.session} and up to {self.config.final_session}"
                )
            trial = ActionBook(self.actions.all)
            try:
                trial.add(action)
            except ValueError as error:
                raise unprocessable(str(error)) from None
            # Before it is written: a market that cannot be opened would keep this world from ever going on.
            check_listed(trial.all, self.world.session, self.market)
            self._commit([ActionAnnounced(action=action)])
            self.actions.add(action)
            _log.info("announced %s of %s on %s", action.kind, action.symbol, action.ex_session)

    async def cancel(self, account: Account, order_id: str) -> None:
        """Cancel the rest of an order; raises ``Refusal``."""
        async with self._lock:
            self._commit(self.engine.cancel(account, order_id))
            _log.info("cancel %s %s", account.name, order_id)

    async def cancel_all(self, account: Account) -> list[tuple[Order, Refusal | None]]:
        """Cancel every open order; those that may not be canceled come back with their refusal.

        One after the other, each as the last one left things, and made durable together.
        """
        async with self._lock:
            result: list[tuple[Order, Refusal | None]] = []

            def cancel_each() -> None:
                for order in list(account.open_orders.values()):
                    if order.is_combo_leg:
                        continue
                    refusal = None
                    # A leg may have gone with its entry or its sibling.
                    if order.terms.id in account.open_orders:
                        try:
                            self._write(self.world.now, self.engine.cancel(account, order.terms.id))
                        except Refusal as error:
                            refusal = error
                    result.append((order, refusal))
                self._sync()

            self._guarded(cancel_each)
            return result

    async def act(self, decide: Callable[[], Sequence[Event]]) -> None:
        """Book what the broker does of itself, decided as the world stands; no events: nothing. Raises ``Refusal``."""
        async with self._lock:
            if events := decide():
                self._commit(events)

    # --- time -------------------------------------------------------------------------------------------------------

    async def advance_to(self, target: datetime) -> datetime:
        """Move the clock forward to ``target`` and match on the way; an earlier target changes nothing.

        Raises ``Refusal`` for a target behind the end of the world.
        """
        if target > self.config.last_instant:
            raise unprocessable(f"this world ends at {self.config.last_instant.isoformat()}")
        async with self._lock:
            while self.world.now < target:
                self._guarded(lambda: self._advance(target))
                await asyncio.sleep(0)
            self.require_sound()
            return self.world.now

    def _advance(self, target: datetime) -> None:
        """One turn towards ``target``; everything it did is durable when it returns."""
        cursor = self.world.now
        for _ in range(_TURN):
            change = self._next_market()
            until = target if change is None else min(target, change.open - LEAD)
            instant = self.engine.next_instant(self.world, cursor, until)
            if instant is None:
                cursor = max(cursor, until)
                if change is None or until < change.open - LEAD:
                    break
                self._change_market(change)
                continue
            events = self.engine.step(self.world, instant)
            if events:
                self._write(instant, events)
                if more := self.after_step():
                    self._write(instant, more)
            cursor = instant
        if self.world.now < cursor:
            self._write(cursor, [])
        self._sync()

    def _next_market(self) -> Session | None:
        """The session after the one that is played, or None if this world ends before it."""
        following = shift(self.world.session, 1)
        return following if following.day <= self.config.final_session else None

    def _change_market(self, session: Session) -> None:
        equities = {}
        for account in self.world.accounts.values():
            equities[account.name] = account.cash
            for position in account.positions.values():
                equities[account.name] += worth(self.market, position, self.engine.session.close)
        mark = in_force(self.actions.all, session.day)
        opened = SessionOpened(session=session.day, equities=equities, in_force=mark)
        self._write(session.open - LEAD, [opened])
        for action in self._overnight.due(session.day):
            # One after the other: the next one meets what this one has left.
            events = self._overnight.events(
                self.world, action, self.market, self.engine.session.close, session.open - LEAD
            )
            if events:
                self._write(session.open - LEAD, events)
        self.market, self.engine = self._open_market(session.day)
        _log.info("the market of %s took over", session.key)

    async def run_clock(self) -> None:
        """Move the clock with wall time at the configured speed, by whole seconds, until the world's end."""
        anchor, started = self.world.now, time.monotonic()
        while not self.failed and self.world.now < self.config.last_instant:
            await asyncio.sleep(_TICK_SECONDS)
            elapsed = timedelta(seconds=(time.monotonic() - started) * self.config.speed)
            target = min((anchor + elapsed).replace(microsecond=0), self.config.last_instant)
            if self.world.now > target:
                anchor, started = self.world.now, time.monotonic()
            elif target > self.world.now:
                try:
                    await self.advance_to(target)
                except Refusal:
                    return
