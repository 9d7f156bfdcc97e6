"""All accounts of a process: one thread each, so that one account's broker never delays another's.

A thread that ends by itself is a mistake of this code: the process ends with it, and whoever looks after the process
starts it anew; the lists of the broker tell what was missed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence

from trading_assets.broker.trade_stream.follower import Follower

log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.5
#: Longer than a follower needs to notice that it is asked to end, and to say good-bye.
_END_SECONDS = 10.0


def follow_all(followers: Mapping[str, Follower], stop: threading.Event) -> Sequence[str]:
    """Follow every account until ``stop`` is set; the accounts whose thread ended by itself (then all are ended)."""
    threads = {
        account: threading.Thread(target=follower.run, name=f"trade stream {account}", daemon=True)
        for account, follower in followers.items()
    }
    for thread in threads.values():
        thread.start()
    broken: list[str] = []
    while not stop.wait(_LOOK_SECONDS):
        broken = [account for account, thread in threads.items() if not thread.is_alive()]
        if broken:
            log.error("the trade stream of %s ended by a mistake", ", ".join(broken))
            stop.set()
    for account, thread in threads.items():
        thread.join(_END_SECONDS)
        if thread.is_alive():
            log.warning("account %s: the stream does not end in time", account)
    return broken
