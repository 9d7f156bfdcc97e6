"""One account's stream, kept alive: connect, listen, book, compare, and connect again when anything is wrong.

What belongs here: the loop around a session and its decisions. Three rules make loss impossible however frames fare:
after every connection the broker's lists are read; a frame that cannot be booked as it is makes them be read; and at
regular times they are read only to see whether the stream told all of it. Booking is the ledger's and may be repeated.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized
from trading_assets.broker.trade_stream.applying import Outcome, apply
from trading_assets.broker.trade_stream.back_fill import Listing, Lists, names_of
from trading_assets.broker.trade_stream.diary import Diary, wall_now
from trading_assets.broker.trade_stream.frames import TradeUpdate, Unreadable, read_frame
from trading_assets.broker.trade_stream.session import Session, StreamLost, StreamRefused, open_session
from trading_assets.domain.clock import Clock
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.ledger.executions import fill_id
from trading_assets.ledger.trade_streams import CONNECTING, LISTENING, REFUSED, STOPPED

log = logging.getLogger(__name__)
RUN_ID = "trade-stream"
#: Longest wait for a frame: so soon a request to end is noticed.
_LOOK_SECONDS = 0.25
#: News that are remembered, to compare with the broker's lists.
_MOST_TOLD = 50_000
#: A stream that kept quiet about something so often in a row is opened anew even if other frames came.
_OFTEN = 3
#: A change of a fill that is not booked is tried so often before it is written without.
_TRIES = 5
#: What the ledger raises while it does not answer.
_AWAY = (OperationalError, InterfaceError, PoolTimeout)


class StreamMute(StreamLost):
    """Connected and alive, and yet it does not tell what happens."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the account meets its broker now, and whose time holds there."""

    connection: BrokerConnection
    clock: Clock


@dataclass(slots=True, eq=False)
class _Change:
    frame: str
    update: TradeUpdate
    tries: int = 0


class Follower:
    """Follows one account until ``stop`` is set. ``place`` is asked before every connection."""

    def __init__(
        self,
        account: str,
        place: Callable[[], Place],
        engine: Engine,
        ledger_url: str,
        config: BrokerConfig,
        stop: threading.Event,
    ) -> None:
        self._account = account
        self._place = place
        self._engine = engine
        self._ledger_url = ledger_url
        self._config = config
        self._stop = stop
        self._diary = Diary(engine, account)
        self._told: dict[str, None] = {}
        self._changes: list[_Change] = []
        self._failures = 0
        self._silences = 0
        self._secrets: tuple[str, ...] = ()

    def run(self) -> None:
        """Until asked to stop. Failures of broker, network and ledger are waited out; anything else is a mistake of
        this code and ends the process, which is started anew."""
        self._diary.enter(CONNECTING)
        while not self._stop.is_set():
            try:
                self._follow()
            except (StreamRefused, NotAuthorized) as error:
                self._ended(REFUSED, error)
            except TradingAssetsError as error:
                self._ended(CONNECTING, error)
            except SQLAlchemyError as error:
                self._ended(CONNECTING, TradingAssetsError(f"the ledger does not answer ({type(error).__name__})"))
        self._diary.enter(STOPPED)

    def _ended(self, state: str, error: TradingAssetsError) -> None:
        log.warning("account %s: %s", self._account, self._struck(str(error)))
        self._diary.enter(state, self._struck(str(error)))
        wait = self._backoff(refused=state == REFUSED)
        self._failures += 1
        deadline = time.monotonic() + wait
        while not self._stop.is_set() and (left := deadline - time.monotonic()) > 0:
            self._diary.beat()
            self._stop.wait(min(left, 1.0))

    def _backoff(self, *, refused: bool) -> float:
        """Doubles up to the limit, with up to a half less by chance: many clients must not come back together.

        A refusal is waited out longer: another connection of this account may still be open there.
        """
        stream = self._config.stream
        wait = stream.backoff_seconds * 2.0 ** min(self._failures + (2 if refused else 0), 30)
        return min(wait, stream.longest_backoff_seconds) * random.uniform(0.5, 1.0)

    # --- one connection ---------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        place = self._place()
        self._secrets = tuple(text for text in (place.connection.secret, place.connection.key) if text)
        broker = AlpacaBroker(place.connection, place.clock, self._config)
        # One try and no wait: a bystander waits by nobody's clock, and asks again later.
        lists = Lists(self._engine, self._ledger_url, broker.impatient(), place.clock, self._account, RUN_ID)
        try:
            lists.verify()
            with open_session(place.connection, self._config.stream) as session:
                self._diary.enter(LISTENING)
                log.info("account %s: listens at %r", self._account, session)
                _Connection(self, session, lists).listen()
        finally:
            broker.close()

    def _struck(self, text: str) -> str:
        """``text`` without this account's credentials, should the broker have repeated them."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


class _Connection:
    """What happens while one connection lives."""

    def __init__(self, follower: Follower, session: Session, lists: Lists) -> None:
        self._follower = follower
        self._session = session
        self._lists = lists
        self._stream = follower._config.stream
        self._account = follower._account
        self._diary = follower._diary
        #: When the lists are to be read and booked, and how long to wait if that was not enough; None: nothing is owed.
        self._owed_at: float | None = None
        self._owed_wait = self._stream.retry_seconds
        self._compare_at = 0.0
        #: Names that the lists show and no frame has told, and until when one still may.
        self._missing: frozenset[str] = frozenset()
        self._missing_until = 0.0
        self._frames_before = 0

    def listen(self) -> None:
        """Until the connection is over (``StreamLost``) or the follower is asked to stop."""
        self._read_lists()
        self._compare_at = time.monotonic() + self._stream.compare_seconds
        self._frames_before = self._diary.row.frames
        while not self._follower._stop.is_set():
            frame = self._session.receive(_LOOK_SECONDS)
            if frame is not None:
                self._heard(frame)
            if self._session.keep_alive():
                self._diary.note(pong_at=wall_now())
            now = time.monotonic()
            if self._owed_at is not None and now >= self._owed_at:
                self._read_lists()
            if self._missing:
                if now >= self._missing_until:
                    self._suspect()
            elif now >= self._compare_at:
                self._compare()
            self._diary.beat()

    # --- frames -----------------------------------------------------------------------------------------------------

    def _heard(self, frame: str) -> None:
        """One frame. Whatever is wrong with it, the next one is heard, and the lists tell what it may have told."""
        try:
            update = read_frame(frame)
            if update is None:
                return
            self._diary.note(frames=self._diary.row.frames + 1, frame_at=wall_now())
            self._apply(_Change(frame, update))
            self._remember(update)
        except (StreamLost, *_AWAY):
            raise
        except Unreadable as error:
            self._odd(frame, error.what)
        except BrokerUnavailable as error:
            log.warning("account %s: a frame could not be booked now: %s", self._account, error)
            self._owe()
        except Exception as error:
            log.exception("account %s: a frame could not be handled", self._account)
            self._odd(frame, f"it could not be handled ({type(error).__name__})")

    def _apply(self, heard: _Change, *, ahead: bool = False) -> None:
        lists, waits = self._lists, False
        try:
            outcome = apply(lists.engine, self._account, heard.update, at=lists.clock.now(), run_id=RUN_ID, ahead=ahead)
            waits = outcome is Outcome.OWED and not ahead
        except _AWAY:
            # The broker tells it once: it waits for the ledger, over as many connections as that takes.
            waits = True
            raise
        finally:
            if heard.update.change is not None:
                self._keep(heard, waits)
        if outcome is Outcome.OWED:
            self._owe()

    def _keep(self, heard: _Change, waits: bool) -> None:
        changes = self._follower._changes
        if waits and heard not in changes:
            changes.append(heard)
        elif not waits and heard in changes:
            changes.remove(heard)

    def _remember(self, update: TradeUpdate) -> None:
        fill = () if update.fill is None else (fill_id(update.fill.activity_id),)
        self._tell((*names_of(update.order), *fill))

    def _tell(self, names: tuple[str, ...] | frozenset[str]) -> None:
        told = self._follower._told
        told.update(dict.fromkeys(names))
        while len(told) > _MOST_TOLD:
            told.pop(next(iter(told)))

    def _odd(self, frame: str, reason: str) -> None:
        self._diary.keep_oddity(self._follower._struck(frame), reason, self._lists.clock.now)
        self._owe()

    # --- the broker's lists -----------------------------------------------------------------------------------------

    def _owe(self) -> None:
        if self._owed_at is None:
            self._owed_at, self._owed_wait = time.monotonic(), self._stream.retry_seconds

    def _read_lists(self) -> None:
        """Read and book the lists; what is still owed is tried again, less and less often."""
        try:
            listing = self._lists.read()
            found = self._lists.book(listing)
            self._retry_changes()
        except (BrokerUnavailable, NotAuthorized) as error:
            log.warning("account %s: the broker's lists cannot be read: %s", self._account, error)
            self._diary.unwell(error.what)
            self._later()
            return
        self._tell(listing.told())
        self._diary.count("backfills")
        if found.booked:
            self._diary.count("backfilled_fills", found.booked)
            log.info("account %s: %d fills booked from the broker's lists", self._account, found.booked)
        if self._diary.row.compared_at is None:
            self._diary.note(compared_at=wall_now())
        if found.owed or self._follower._changes:
            self._later()
        else:
            self._owed_at = None

    def _later(self) -> None:
        self._owed_at = time.monotonic() + self._owed_wait
        self._owed_wait = min(self._owed_wait * 2, self._stream.compare_seconds)

    def _retry_changes(self) -> None:
        for heard in tuple(self._follower._changes):
            heard.tries += 1
            last = heard.tries >= _TRIES
            try:
                self._apply(heard, ahead=last)
            except Unreadable as error:
                self._odd(heard.frame, error.what)
            if last:
                self._odd(heard.frame, "it changes a fill that the broker's lists do not show")

    # --- comparing --------------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        """Look whether the stream told what the lists show. What it did not may still be on its way."""
        self._compare_at = time.monotonic() + self._stream.compare_seconds
        listing = self._listing()
        if listing is None:
            return
        missing = listing.told() - self._follower._told.keys()
        if missing:
            self._missing, self._missing_until = missing, time.monotonic() + self._stream.grace_seconds
            return
        self._agreed()

    def _listing(self) -> Listing | None:
        try:
            return self._lists.read()
        except (BrokerUnavailable, NotAuthorized) as error:
            log.warning("account %s: frames cannot be compared with the broker's lists: %s", self._account, error)
            self._diary.unwell(error.what)
            return None

    def _agreed(self) -> None:
        self._missing = frozenset()
        self._frames_before = self._diary.row.frames
        self._follower._failures = self._follower._silences = 0
        self._diary.well()

    def _suspect(self) -> None:
        """The grace is over: what was not told meanwhile was kept quiet. Book it, and leave a stream that is mute."""
        missing = self._missing - self._follower._told.keys()
        if not missing:
            self._agreed()
            return
        self._missing = frozenset()
        follower, heard = self._follower, self._diary.row.frames - self._frames_before
        follower._silences += 1
        self._diary.count("suspicions")
        trouble = f"the broker's lists show {len(missing)} changes that no frame told; {heard} frames came meanwhile"
        self._diary.unwell(trouble)
        log.warning("account %s: %s", self._account, trouble)
        self._owe()
        self._read_lists()
        self._frames_before = self._diary.row.frames
        if not heard or follower._silences >= _OFTEN:
            raise StreamMute(f"connected but mute: {trouble}", where=repr(self._session))
