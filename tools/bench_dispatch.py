"""How many signals of many accounts are dispatched in a minute: ``python tools/bench_dispatch.py``.

A practice world whose exchange goes at the speed of the wall and counts requests (200 a minute and account, trading and
data each), a real database, and the dispatcher's own code: claims, reconciliation, gates, contract selection, orders,
fills. All signals are published at once, each to every account, and dispatched by one thread per account in a few
processes; in production each account's run is a process of its own, which costs its start and memory besides. What is
measured is the exchange, the database and all accounts sharing this machine's cores; so the figures are beside those of
a peer in the same run: bare alpaca-py that sends as many orders to the same exchange, without ledger, gates or chains.

At the end every rule is checked: no 429, no limit exceeded, no order twice, ledger = exchange. Exit status 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from trading_assets_tests.e2e.many_accounts import (
    Outcome,
    dispatched,
    outcome,
    percentile,
    running_world,
    undecided,
)
from trading_assets_tests.e2e.playground import Playground


def peer(world: Playground, count: int) -> list[float]:
    """Seconds of each of ``count`` orders that bare alpaca-py sends, one after the other, to an account by itself.

    Limits far below the market, so that nothing fills; they are cancelled afterwards.
    """
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderSide, TimeInForce
    from alpaca.trading.requests import LimitOrderRequest

    connection = world.desk.runtime.connection(world.desk.accounts[-1])
    client = TradingClient(connection.key, connection.secret, raw_data=True, url_override=connection.trading_url)
    client._session.trust_env = False
    took = []
    for _ in range(count):
        request = LimitOrderRequest(
            symbol="SPY", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=1.0
        )
        began = time.perf_counter()
        client.submit_order(request)
        took.append(time.perf_counter() - began)
    client.cancel_orders()
    return sorted(took)


def figures(found: dict[str, Any], came_of_it: Outcome, bare: list[float], wall: float) -> dict[str, Any]:
    """Everything that is printed, JSON-ready."""
    asked: Counter[str] = Counter()
    for one in found.values():
        asked.update(one["asked"])
    p95 = percentile(came_of_it.acknowledged_s, 0.95)
    bare_p95 = percentile(bare, 0.95)
    return {
        "accounts": len(found),
        "signals": came_of_it.signals,
        "pairs": came_of_it.pairs,
        "statuses": came_of_it.statuses,
        "wall_s": round(wall, 1),
        "decisions": came_of_it.decisions,
        "decisions_per_s": round(came_of_it.decisions / wall, 1),
        "cpu_s_per_decision": round(sum(one["cpu_s"] for one in found.values()) / max(1, came_of_it.decisions), 3),
        "decided_within_60_s": sum(seconds <= 60 for seconds in came_of_it.decided_s),
        "decided_median_s": percentile(came_of_it.decided_s, 0.5),
        "decided_p95_s": percentile(came_of_it.decided_s, 0.95),
        "orders": came_of_it.orders,
        "entries_filled": came_of_it.entries_filled,
        "signal_to_acknowledged_order_median_s": percentile(came_of_it.acknowledged_s, 0.5),
        "signal_to_acknowledged_order_p95_s": p95,
        "bare_order_median_s": percentile(bare, 0.5),
        "bare_order_p95_s": bare_p95,
        "p95_over_bare_p95": None if p95 is None or not bare_p95 else round(p95 / bare_p95, 1),
        "requests": dict(asked.most_common()),
        "requests_per_decision": round(sum(asked.values()) / max(1, came_of_it.decisions), 2),
        "most_requests_of_an_account_in_a_minute": max(one["most_in_a_minute"] for one in found.values()),
        "answers_429": sum(int(one["statuses"].get("429", 0)) for one in found.values()),
        "troubles": [sentence for one in found.values() for sentence in one["troubles"]],
        "undecided": undecided(came_of_it),
        "broken": came_of_it.broken,
    }


def main() -> int:
    """0 if every rule held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=20)
    parser.add_argument("--signals", type=int, default=1000, help="each for every account")
    parser.add_argument("--processes", type=int, default=4, help="that share the accounts")
    parser.add_argument("--seconds", type=float, default=290, help="after which no further signal is taken up")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    chosen, _ = parser.parse_known_args()
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    # An embedded database may run as a service user that has to pass through.
    home.chmod(0o711)
    try:
        with running_world(home, chosen.accounts) as world:
            go = home / "go"
            found = dispatched(world, chosen.processes, chosen.seconds, go, chosen.signals)
            wall = max(one["seconds"] for one in found.values())
            came_of_it = outcome(world)
            bare = peer(world, min(60, max(20, came_of_it.orders)))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    shown = figures(found, came_of_it, bare, wall)
    for name, value in shown.items():
        print(f"dispatch  {name:40} {value}")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(shown, indent=2) + "\n")
    return 1 if shown["answers_429"] or shown["broken"] or shown["troubles"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
