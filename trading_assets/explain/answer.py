"""``why``: from a question to its page."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from trading_assets.explain.accounts import make_position, make_signal
from trading_assets.explain.moments import Rules, make_moment
from trading_assets.explain.page import Page, SignalView
from trading_assets.explain.reading import Frames, read_moment, read_position, read_signal
from trading_assets.explain.target import Found, NothingToExplain, Question, find
from trading_assets.ledger.explanations import account_names


def why(connection: Connection, frames: Frames, rules: Rules, question: Question) -> Page:
    """The page that answers ``question``.

    Raises :class:`NothingToExplain` in one sentence if there is no such ticker, signal, order, account or session.
    """
    found = find(connection, frames, question)
    adopted = not found.signals and found.position is not None
    signals = tuple(_signals(connection, found, question.account))
    missing = []
    if found.kind == "ticker" and not signals:
        missing.append("no signal was decided at this instant, so no account was to consider one")
    for signal in signals:
        if signal.published_at is None:
            missing.append("the signal was never published: no account considered it")
        elif not signal.accounts:
            missing.append("no account follows the signal's strategy: none considered it")
    if question.account is not None and found.position is None and not any(signal.accounts for signal in signals):
        _require_account(connection, found, question.account)
    return Page(
        target=question.target,
        kind=found.kind,
        session=found.session,
        asked_for=found.asked_for,
        note=found.note,
        moment=None
        if adopted
        else make_moment(
            read_moment(frames, found.session, found.ticker, found.as_of),
            rules,
            None if found.kind == "ticker" else next(iter(found.signals)),
        ),
        signals=signals,
        adopted=(make_position(read_position(connection, found.position), found.marked),)
        if adopted and found.position is not None
        else (),
        not_done=tuple(missing),
    )


def _signals(connection: Connection, found: Found, account: str | None) -> Iterator[SignalView]:
    for identity, decided in found.signals.items():
        made = make_signal(read_signal(connection, identity), decided, account, found.marked)
        if made is not None:
            yield made


def _require_account(connection: Connection, found: Found, account: str) -> None:
    """Refuse an account that the answer knows nothing of, and say which there are."""
    names = account_names(connection)
    if account not in names:
        raise NothingToExplain(f"there is no account {account!r}", mend=f"Known are: {', '.join(names) or 'none'}.")
    if found.signals:
        raise NothingToExplain(f"account {account!r} did not consider the signal {', '.join(found.signals)}")
