"""When a stream is well. Connected is not enough: frames must have been compared with the broker's lists lately.

What belongs here: judging a row of ``trade_streams``, for doctor, checks and alerts alike. What does not: writing it
(``follower``). A dead service writes nothing, so its silence is judged by whoever reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_assets.broker.config import TradeStreamConfig
from trading_assets.ledger.trade_streams import LISTENING, STOPPED, StreamHealth

#: How often the service writes its rows, wall seconds.
WRITE_SECONDS = 5.0
#: How often in a row something may be late before it counts.
_PATIENCE = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """``trouble`` None: the stream is well, or was stopped in order. ``since``: since when it is not well.

    ``alert``: it has not been well for longer than the configured time.
    """

    account: str
    trouble: str | None
    since: datetime | None
    alert: bool
    seen: str

    def sentence(self) -> str:
        """For a person."""
        if self.trouble is None:
            return f"trade stream of {self.account}: {self.seen}"
        since = "" if self.since is None else f" since {self.since:%Y-%m-%d %H:%M:%S} UTC"
        return f"trade stream of {self.account}: {self.trouble}{since}; fills are learned by polling meanwhile"


def judge(row: StreamHealth, now: datetime, config: TradeStreamConfig) -> Verdict:
    """``now`` is the machine's time, as all instants of ``row`` are."""
    if row.state == STOPPED:
        return Verdict(row.account, None, None, False, f"stopped in order at {row.changed_at:%Y-%m-%d %H:%M:%S} UTC")
    trouble, since = _trouble(row, now, config)
    alert = since is not None and now - since > timedelta(seconds=config.alert_seconds)
    return Verdict(row.account, trouble, since, alert, _seen(row))


def judge_all(rows: Iterable[StreamHealth], now: datetime, config: TradeStreamConfig) -> list[Verdict]:
    """Every row, in order."""
    return [judge(row, now, config) for row in rows]


def _trouble(row: StreamHealth, now: datetime, config: TradeStreamConfig) -> tuple[str | None, datetime | None]:
    if now - row.seen_at > timedelta(seconds=_PATIENCE * WRITE_SECONDS + longest_silence(config)):
        return "its service gives no sign of life", row.seen_at
    if row.state != LISTENING or row.connected_at is None:
        return f"{row.state}: {row.trouble or 'not connected yet'}", row.unhealthy_since or row.changed_at
    heard = row.pong_at or row.connected_at
    if now - heard > timedelta(seconds=_PATIENCE * config.ping_seconds + config.pong_seconds + longest_silence(config)):
        return "connected, but no pong comes", heard
    compared = row.compared_at or row.connected_at
    longest = _PATIENCE * (config.compare_seconds + config.grace_seconds) + longest_silence(config)
    if now - compared > timedelta(seconds=longest):
        return f"connected, but not compared with the broker's lists ({row.trouble or 'no reason said'})", compared
    if row.unhealthy_since is not None:
        return row.trouble or "not well", row.unhealthy_since
    return None, None


def longest_silence(config: TradeStreamConfig) -> float:
    """Wall seconds for which one attempt to connect, or one question to the broker, may keep the service busy."""
    return config.open_seconds + 2 * config.welcome_seconds


def _seen(row: StreamHealth) -> str:
    last = "no frame yet" if row.frame_at is None else f"last frame {row.frame_at:%Y-%m-%d %H:%M:%S}"
    return (
        f"{row.state}, {last}, {row.frames} frames, {row.connections} connections, {row.suspicions} suspicions, "
        f"{row.backfilled_fills} fills from the broker's lists, {row.odd_frames} odd frames"
    )
