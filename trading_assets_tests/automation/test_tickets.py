"""A ticket permits one run to act, and nothing that a person or a backfill does can stand in for one."""

from datetime import UTC, datetime, timedelta

import pytest

from trading_assets.automation.tickets import FOREIGN_TAGS, TICKET_TAG, NotPermitted, issue, permitted, read

SECRET = b"s" * 32
NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
TICK = "dispatcher_sensor"


def ticket(**changes: object) -> str:
    values: dict[str, object] = {"job": "dispatcher", "account": "large", "as_of": NOW, "batch": "b1", "attempt": 0}
    return issue(SECRET, **(values | changes))  # type: ignore[arg-type]


def tags(text: str, **changes: str) -> dict[str, str]:
    return {TICKET_TAG: text, "dagster/sensor_name": TICK} | changes


def may_act(found: dict[str, str], now: datetime = NOW) -> None:
    permitted(SECRET, found, job="dispatcher", tick=TICK, now=now)


def test_a_fresh_ticket_on_its_sensors_run_permits_and_says_for_whom() -> None:
    granted = permitted(SECRET, tags(ticket()), job="dispatcher", tick=TICK, now=NOW)
    assert (granted.account, granted.batch, granted.attempt, granted.as_of) == ("large", "b1", 0, NOW)


@pytest.mark.parametrize("tag", FOREIGN_TAGS)
def test_F13_a_re_executed_or_backfilled_run_never_acts(tag: str) -> None:
    with pytest.raises(NotPermitted, match="re-executed or backfilled"):
        may_act(tags(ticket(), **{tag: "x"}))


def test_F13_a_run_started_by_hand_never_acts_even_with_a_valid_ticket() -> None:
    with pytest.raises(NotPermitted, match="started by hand"):
        may_act({TICKET_TAG: ticket()})


def test_a_run_without_a_ticket_never_acts() -> None:
    with pytest.raises(NotPermitted, match="no ticket"):
        may_act({"dagster/sensor_name": TICK})


@pytest.mark.parametrize("position", range(0, 60, 7))
def test_a_ticket_with_one_changed_character_is_not_believed(position: int) -> None:
    text = ticket()
    changed = text[:position] + ("x" if text[position] != "x" else "y") + text[position + 1 :]
    with pytest.raises(NotPermitted, match="not issued"):
        may_act(tags(changed))


def test_a_ticket_of_another_world_is_not_believed() -> None:
    with pytest.raises(NotPermitted, match="not issued"):
        read(b"t" * 32, ticket())


def test_a_ticket_for_another_job_does_not_permit_this_one() -> None:
    with pytest.raises(NotPermitted, match="for the job position_manager"):
        may_act(tags(ticket(job="position_manager")))


@pytest.mark.parametrize("age", [timedelta(seconds=121), timedelta(hours=1), timedelta(seconds=-6)])
def test_F48_a_ticket_that_is_old_or_from_the_future_no_longer_acts(age: timedelta) -> None:
    with pytest.raises(NotPermitted, match="too old"):
        may_act(tags(ticket()), NOW + age)


def test_a_separator_cannot_be_smuggled_into_a_ticket() -> None:
    with pytest.raises(ValueError, match="must not contain"):
        ticket(account="large|x")
