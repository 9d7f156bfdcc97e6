"""Playing one sequence: perform its steps, let things settle, judge."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trading_assets_tests.chaos.judge import Verdict, judge
from trading_assets_tests.chaos.ring import Ring, perform, ring
from trading_assets_tests.chaos.steps import ACCOUNTS, Step
from trading_assets_tests.chaos.template import Template

#: How often both jobs of both accounts run after the last fault, and the seconds of the exchange between: claims of
#: runs that died expire, what was UNKNOWN is asked for again, what is missing is seen missing twice.
_SETTLING = (1, 65, 130)


def play(template: Template, steps: Sequence[Step], name: str) -> Verdict:
    """Play ``steps`` in a world of its own and judge it."""
    home = Path(tempfile.mkdtemp(prefix=f"chaos-{name}-"))
    try:
        with ring(template, home, name) as opened:
            for step in steps:
                perform(opened, step)
            settle(opened)
            return judge(opened)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def settle(opened: Ring, accounts: Sequence[str] = ACCOUNTS) -> None:
    """Take every fault and switch back and let the jobs of ``accounts`` make things good."""
    opened.disarm()
    for account in accounts:
        opened.kill_switch(account, "off")
    for seconds in _SETTLING:
        opened.advance(seconds)
        for account in accounts:
            opened.run(("dispatch", "manage"), account=account)
    opened.note_fired()
