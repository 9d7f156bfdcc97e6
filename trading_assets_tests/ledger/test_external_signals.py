"""Signals from outside in the ledger: once per delivery, as they came, by the instant of their receipt."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, insert, select
from sqlalchemy.exc import IntegrityError

from trading_assets.domain.values import Direction, Strategy
from trading_assets.ledger import external_signals
from trading_assets.ledger.external_signals import ExternalSignal, RefusedSignal
from trading_assets.ledger.tables import external_signals as table
from trading_assets_tests.ledger.factory import NOW

SECOND = timedelta(seconds=1)
SAID = {"source": "desk", "ticker": "NVDA", "direction": "bullish"}


class At:
    """A clock that stands at one instant."""

    def __init__(self, instant: datetime = NOW) -> None:
        self.instant = instant

    def now(self) -> datetime:
        return self.instant

    def wait_until(self, instant: datetime) -> None:
        self.instant = max(self.instant, instant)


def receive(ledger: Engine, at: datetime = NOW, **said: Any) -> bool:
    with ledger.begin() as connection:
        return external_signals.receive(connection, At(at), sources={"desk", "blog"}, **{**SAID, **said})


def received(ledger: Engine, since: datetime, until: datetime) -> list[ExternalSignal]:
    with ledger.connect() as connection:
        return external_signals.received(connection, since, until)


def test_a_signal_is_kept_as_it_came(ledger: Engine) -> None:
    assert receive(ledger, strategy="swing_trade", external_id="7", note="breakout, see chart")
    assert receive(ledger, NOW + SECOND, source="blog", direction="Bearish")
    assert received(ledger, NOW, NOW + 2 * SECOND) == [
        ExternalSignal("desk", "7", "NVDA", Direction.BULLISH, Strategy.SWING_TRADE, NOW, "breakout, see chart"),
        ExternalSignal("blog", None, "NVDA", Direction.BEARISH, None, NOW + SECOND, None),
    ]


def test_a_repeated_delivery_is_one_row_and_the_first_counts(ledger: Engine) -> None:
    assert receive(ledger, external_id="7")
    assert not receive(ledger, NOW + SECOND, external_id="7", ticker="AMD", direction="bearish")
    assert receive(ledger, external_id="7", source="blog"), "another source has ids of its own"
    assert receive(ledger) and receive(ledger), "without an id each is a signal of its own"
    assert [row.ticker for row in received(ledger, NOW, NOW + 9 * SECOND)] == ["NVDA"] * 4
    with ledger.connect() as connection:
        assert external_signals.latest(connection, "desk", "7").received_at == NOW


def test_the_end_of_what_is_read_is_not_part_of_it(ledger: Engine) -> None:
    receive(ledger)
    assert received(ledger, NOW - SECOND, NOW) == []
    assert received(ledger, NOW + SECOND, NOW + 2 * SECOND) == []
    assert len(received(ledger, NOW, NOW + SECOND)) == 1


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"source": "stranger"}, "'stranger' is not configured.*Configured are: blog, desk"),
        ({"source": ""}, "the source is not taken"),
        ({"source": "d" * 65}, "1 to 64 characters"),
        ({"ticker": "nvda"}, "'nvda' is no ticker"),
        ({"ticker": "NVDA; DROP"}, "is no ticker"),
        ({"ticker": "NVDA\n"}, "is no ticker"),
        ({"direction": "up"}, "direction 'UP' is not known.*BULLISH, BEARISH"),
        ({"strategy": "lottery"}, "strategy 'lottery' is not known"),
        ({"external_id": " "}, "the id is not taken"),
        ({"external_id": "1\x00"}, "the id is not taken"),
        ({"note": "\x1b[2Jgone"}, "the note is not taken.*without control characters"),
        ({"note": "turned \u202e round"}, "the note is not taken"),
        ({"note": "n" * 501}, "1 to 500 characters"),
    ],
    ids=repr,
)
def test_what_is_not_well_formed_is_refused_in_words_and_not_stored(
    ledger: Engine, said: dict[str, Any], says: str
) -> None:
    with pytest.raises(RefusedSignal, match=says) as refusal:
        receive(ledger, **said)
    assert str(refusal.value).isprintable()
    with ledger.connect() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


def test_without_configured_sources_the_place_to_name_them_is_told(ledger: Engine) -> None:
    with pytest.raises(RefusedSignal, match=r"signals.webhook.sources.*None is configured"), ledger.begin() as open_:
        external_signals.receive(open_, At(), sources={}, **SAID)


@pytest.mark.parametrize(
    ("constraint", "changes"),
    [
        ("direction_known", {"direction": "UP"}),
        ("strategy_known", {"strategy": "lottery"}),
        ("ticker_well_formed", {"ticker": "nvda"}),
        ("source_bounded", {"source": ""}),
        ("external_id_bounded", {"external_id": "x" * 129}),
        ("note_bounded", {"note": "x" * 501}),
    ],
)
def test_the_table_itself_refuses_an_odd_row(ledger: Engine, constraint: str, changes: dict[str, Any]) -> None:
    row = {**SAID, "direction": "BULLISH", "received_at": NOW} | changes
    with pytest.raises(IntegrityError, match=constraint), ledger.begin() as connection:
        connection.execute(insert(table).values(**row))


def test_who_reads_up_to_an_instant_waits_for_what_is_being_stored_before_it(ledger: Engine) -> None:
    """A signal whose instant was taken and that is not committed yet must not appear behind a reader's back."""
    seen: list[ExternalSignal] = []
    reader = threading.Thread(target=lambda: seen.extend(received(ledger, NOW, NOW + SECOND)))
    with ledger.begin() as connection:
        external_signals.receive(connection, At(), sources={"desk"}, **SAID)
        reader.start()
        reader.join(0.3)
        assert reader.is_alive() and not seen
    reader.join(30)
    assert [row.ticker for row in seen] == ["NVDA"]
