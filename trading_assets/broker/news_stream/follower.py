"""The news socket, kept alive: connect, read what was missed, listen, compare, connect again when anything is wrong.

Three rules make loss impossible however frames fare: after every connection the interface is asked for what changed
since it was last read, a frame that makes no sense makes it be asked, and at regular times it is asked only to see
whether the socket told all of it. An article is stored the moment it is known, whichever way it came.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

from trading_assets.broker.config import TradeStreamConfig
from trading_assets.broker.errors import NotAuthorized
from trading_assets.broker.news_stream.session import FrameUnreadable, NewsSession, open_news_session
from trading_assets.broker.trade_stream.session import StreamLost, StreamRefused
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.errors import TradingAssetsError

log = logging.getLogger(__name__)
#: Longest wait for a frame: so soon a request to end is noticed.
_LOOK_SECONDS = 0.25
#: Names that are remembered, to compare with the interface.
_MOST_TOLD = 20_000


class NewsMute(StreamLost):
    """Connected and alive, and yet it does not tell what is published."""


class News(Protocol):
    """What becomes of articles, at the place where the account meets its broker now."""

    connection: BrokerConnection

    def heard(self, messages: Iterable[Mapping[str, Any]]) -> frozenset[str]:
        """Store what the socket told; its names."""
        ...

    def missed(self) -> frozenset[str] | None:
        """Ask the interface and store what is new; the names of all that came, None if it gave no answer."""
        ...

    def well(self) -> None:
        """Socket and interface told the same."""
        ...

    def unwell(self, trouble: str) -> None:
        """Something is wrong; written down for people."""
        ...

    def close(self) -> None:
        """The place is left."""
        ...


@dataclass(slots=True)
class Counts:
    """What happened so far."""

    connections: int = 0
    frames: int = 0
    odd_frames: int = 0
    suspicions: int = 0


class NewsFollower:
    """Follows the news until ``stop`` is set. ``place`` is asked before every connection."""

    def __init__(
        self, place: Callable[[], News], config: TradeStreamConfig, compare_seconds: float, stop: threading.Event
    ) -> None:
        self.counts = Counts()
        self._place = place
        self._config = config
        self._compare_seconds = compare_seconds
        self._stop = stop
        self._told: dict[str, None] = {}
        self._failures = 0

    def run(self) -> None:
        """Until asked to stop. Failures of broker, network and ledger are waited out; anything else is a mistake of
        this code and ends the process, which is started anew."""
        while not self._stop.is_set():
            news: News | None = None
            try:
                news = self._place()
                self._follow(news)
            except (TradingAssetsError, SQLAlchemyError) as error:
                self._ended(news, error)
            finally:
                if news is not None:
                    news.close()

    def _ended(self, news: News | None, error: TradingAssetsError | SQLAlchemyError) -> None:
        text = str(error) if isinstance(error, TradingAssetsError) else f"the ledger: {type(error).__name__}"
        if news is not None:
            for secret in (news.connection.secret, news.connection.key):
                text = text.replace(secret, "***") if secret else text
        log.warning("the news socket: %s", text)
        if news is not None:
            try:
                news.unwell(text)
            except (TradingAssetsError, SQLAlchemyError) as failure:
                log.error("the socket's health cannot be written: %s", type(failure).__name__)
        # Doubles up to the limit, with up to a half less by chance. A refusal is waited out longer: another connection
        # of this account may still be open there.
        refused = isinstance(error, StreamRefused | NotAuthorized)
        wait = self._config.backoff_seconds * 2.0 ** min(self._failures + (2 if refused else 0), 30)
        self._failures += 1
        self._stop.wait(min(wait, self._config.longest_backoff_seconds) * random.uniform(0.5, 1.0))

    def _follow(self, news: News) -> None:
        with open_news_session(news.connection, self._config) as session:
            self.counts.connections += 1
            log.info("listens at %r", session)
            _Connection(self, session, news).listen()

    def _tell(self, names: frozenset[str]) -> None:
        self._told.update(dict.fromkeys(names))
        while len(self._told) > _MOST_TOLD:
            self._told.pop(next(iter(self._told)))


class _Connection:
    """What happens while one connection lives."""

    def __init__(self, follower: NewsFollower, session: NewsSession, news: News) -> None:
        self._follower = follower
        self._session = session
        self._news = news
        self._compare_at = 0.0
        #: Names that the interface showed and no frame has told, and until when one still may.
        self._missing: frozenset[str] = frozenset()
        self._missing_until = 0.0
        self._frames_before = 0

    def listen(self) -> None:
        """Until the connection is over (``StreamLost``) or the follower is asked to stop."""
        follower = self._follower
        # What the first answer shows was published before this connection: no frame will tell it.
        names = self._news.missed()
        follower._tell(names or frozenset())
        if names is not None:
            self._news.well()
        pause = follower._config.retry_seconds if names is None else follower._compare_seconds
        self._compare_at, baseline = time.monotonic() + pause, names is not None
        self._frames_before = follower.counts.frames
        while not follower._stop.is_set():
            self._hear()
            self._session.keep_alive()
            now = time.monotonic()
            if self._missing:
                if now >= self._missing_until:
                    self._suspect()
            elif now >= self._compare_at:
                baseline = self._compare(baseline)

    def _hear(self) -> None:
        """One frame. Whatever is wrong with it, the next one is heard, and the interface shows what it missed."""
        counts = self._follower.counts
        try:
            messages = self._session.articles(_LOOK_SECONDS)
        except FrameUnreadable as error:
            counts.odd_frames += 1
            log.error("the news socket: a frame was not used: %s", error)
            self._compare_at = min(self._compare_at, time.monotonic() + self._follower._config.retry_seconds)
            return
        if messages:
            counts.frames += 1
            self._follower._tell(self._news.heard(messages))

    def _compare(self, baseline: bool) -> bool:
        """Look whether the socket told what the interface shows. What it did not may still be on its way."""
        follower = self._follower
        self._compare_at = time.monotonic() + follower._compare_seconds
        names = self._news.missed()
        if names is None:
            return baseline
        missing = names - follower._told.keys()
        if missing and baseline:
            self._missing, self._missing_until = missing, time.monotonic() + follower._config.grace_seconds
        else:
            follower._tell(names)
            self._agreed()
        return True

    def _agreed(self) -> None:
        self._missing = frozenset()
        self._frames_before = self._follower.counts.frames
        self._follower._failures = 0
        self._news.well()

    def _suspect(self) -> None:
        """The grace is over: what was not told meanwhile was kept quiet. It is stored; a mute socket is left."""
        follower = self._follower
        missing = self._missing - follower._told.keys()
        if not missing:
            self._agreed()
            return
        follower.counts.suspicions += 1
        follower._tell(missing)
        heard = follower.counts.frames - self._frames_before
        trouble = f"the interface shows {len(missing)} articles that no frame told; {heard} frames came meanwhile"
        log.warning("the news socket: %s", trouble)
        self._news.unwell(trouble)
        self._missing, self._frames_before = frozenset(), follower.counts.frames
        if not heard:
            raise NewsMute(f"connected but mute: {trouble}", where=repr(self._session))
