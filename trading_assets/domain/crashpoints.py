"""Named instants at which a process may be killed to prove that nothing is lost or doubled.

``reached(name)`` costs one dictionary look-up and does nothing unless a hook was installed. Only the fault tests of a
practice world install one (see ``world.crash_hook``); there is no way to arm it in a paper or live world.
"""

from __future__ import annotations

from collections.abc import Callable

#: Every named point, in the order in which an order's life passes them.
POINTS = (
    "submission.before_intent",
    "submission.after_intent",
    "submission.after_post",
    "submission.after_answer",
    "booking.before_commit",
    "booking.after_commit",
    "exit.before_intent",
    "exit.after_intent",
    "exit.after_post",
    "exit.after_answer",
    "reconciliation.before_commit",
    "protection.before_intent",
    "protection.after_intent",
    "protection.after_post",
    "protection.after_answer",
    "rolling.before_intent",
    "rolling.after_intent",
    "rolling.after_post",
    "rolling.after_answer",
)
_hook: Callable[[str], None] | None = None


def install(hook: Callable[[str], None] | None) -> None:
    """Install (or with None remove) the function that is called at every named point."""
    global _hook
    _hook = hook


def reached(name: str) -> None:
    """Tell the installed hook, if any, that ``name`` was reached. Unknown names raise ``ValueError``."""
    if _hook is None:
        return
    if name not in POINTS:
        raise ValueError(f"unknown crash point {name!r}")
    _hook(name)
