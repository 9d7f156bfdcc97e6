"""What moves a name within a session: drawn one by one and reckoned all at once."""

from __future__ import annotations

from datetime import date

import numpy as np

from trading_assets.market.sessions import require_session
from trading_assets.simulation.events import draw_events, effect, net_effects
from trading_assets.simulation.profile import profile_of
from trading_assets.simulation.universe import LISTINGS

#: The second is a half day.
DAYS = (date(2026, 3, 11), date(2025, 11, 28), date(2026, 3, 12))


def test_what_events_add_in_all_is_the_sum_of_their_minutes_to_the_last_bit() -> None:
    trend = np.arange(len(LISTINGS)) % 5 - 2
    drawn = [
        (event, session.minutes)
        for session in map(require_session, DAYS)
        for event in draw_events(7, session, trend, profile_of("normal"))
    ]
    events, minutes = [event for event, _ in drawn], [count for _, count in drawn]
    assert {event.news for event in events} == {True, False}
    assert any(event.reversal for event in events) and any(event.stalls for event in events)
    assert net_effects(events, minutes) == [float(effect(event, count)[0].sum()) for event, count in drawn]
    assert net_effects([], []) == []


def test_events_are_numbered_in_the_order_of_their_publication() -> None:
    events = draw_events(7, require_session(DAYS[0]), np.zeros(len(LISTINGS), dtype=np.int64), profile_of("normal"))
    assert [event.number for event in events] == list(range(len(events)))
    assert [event.second for event in events] == sorted(event.second for event in events)
