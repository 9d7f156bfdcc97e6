"""The high-water mark, what deposits do to it, and a pause that only a resume ends."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from trading_assets.ledger import equity_marks
from trading_assets.ledger.equity_marks import CashFlow, EquityMark
from trading_assets.ledger.tables import equity_marks as mark_table
from trading_assets_tests.ledger.factory import NOW, register


@pytest.fixture(autouse=True)
def tiny(ledger: Engine) -> None:
    with ledger.begin() as connection:
        register(connection, "tiny", "large")


def flow(identity: str, amount: int) -> CashFlow:
    return CashFlow(identity, "CSD" if amount > 0 else "CSW", Decimal(amount), date(2026, 3, 10))


def seen(ledger: Engine, equity: int, *flows: CashFlow, account: str = "tiny") -> EquityMark:
    with ledger.begin() as connection:
        return equity_marks.observe(connection, account, equity=Decimal(equity), flows=flows, at=NOW)


def test_the_mark_rises_with_equity_and_never_falls(ledger: Engine) -> None:
    assert [seen(ledger, equity).high_water for equity in (1000, 1200, 900, 1100)] == [1000, 1200, 1200, 1200]
    assert seen(ledger, 50, account="large").high_water == 50


@pytest.mark.parametrize(("amount", "mark"), [(900, 2000), (-450, 500), (-800, Decimal("111.111111"))])
def test_a_cash_flow_neither_causes_nor_hides_a_drawdown(ledger: Engine, amount: int, mark: int | Decimal) -> None:
    seen(ledger, 1000)
    seen(ledger, 900)
    found = seen(ledger, 900 + amount, flow("a", amount))
    assert found.high_water == mark
    assert float(found.equity / mark) == pytest.approx(0.9)
    assert seen(ledger, 900 + amount, flow("a", amount)) == found, "the same flow counts once"


def test_flows_from_before_the_first_look_change_nothing(ledger: Engine) -> None:
    assert seen(ledger, 1000, flow("a", 400)).high_water == 1000
    assert seen(ledger, 1000, flow("a", 400)).high_water == 1000


def test_a_deposit_into_an_empty_account_starts_the_mark_anew(ledger: Engine) -> None:
    seen(ledger, 1000)
    assert seen(ledger, 500, flow("a", 500)).high_water == 500


def test_a_pause_keeps_its_first_reason_until_a_resume_which_restarts_the_mark(ledger: Engine) -> None:
    seen(ledger, 1000)
    with ledger.begin() as connection:
        assert equity_marks.pause(connection, "tiny", NOW, "it fell")
        assert not equity_marks.pause(connection, "tiny", NOW + timedelta(hours=1), "it fell more")
        assert not equity_marks.pause(connection, "large", NOW, "it was never seen")
    paused = seen(ledger, 2000)
    assert (paused.paused_at, paused.pause_reason, paused.high_water) == (NOW, "it fell", Decimal(2000))
    with ledger.begin() as connection:
        assert equity_marks.resume(connection, "tiny", NOW + timedelta(days=1))
        assert not equity_marks.resume(connection, "tiny", NOW + timedelta(days=1))
    with ledger.connect() as connection:
        (resumed,) = equity_marks.all_marks(connection)
    assert (resumed.paused_at, resumed.pause_reason, resumed.high_water) == (None, None, None)
    assert seen(ledger, 700).high_water == 700


def test_a_pause_without_a_reason_is_refused(ledger: Engine) -> None:
    seen(ledger, 1000)
    with pytest.raises(IntegrityError), ledger.begin() as connection:
        connection.execute(mark_table.update().values(paused_at=NOW))
