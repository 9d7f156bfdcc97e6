"""``why`` over a finished day: every page stands, is complete, and says what the ledger and the frames say."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Connection, select

from trading_assets.domain.clock import NEW_YORK
from trading_assets.explain.answer import why
from trading_assets.explain.moments import Rules
from trading_assets.explain.page import AccountView, Page, PositionView
from trading_assets.explain.paper import plain
from trading_assets.explain.render import blocks
from trading_assets.explain.target import NothingToExplain, Question
from trading_assets.ledger.canonical import plain as json_ready
from trading_assets.ledger.explanations import signal_ids_of
from trading_assets.ledger.tables import (
    active_positions,
    decisions,
    dispatch_executions,
    dispatch_status,
    order_intents,
    position_events,
)
from trading_assets.settings import load_settings
from trading_assets.strategy.signals import RULE_SET
from trading_assets.world.frames import FrameStore
from trading_assets.world.service import reading
from trading_assets_tests.e2e.demo_runs import DemoWorld

DAY = date(2026, 3, 11)
WORLD = ("--world", "demo")


@dataclass(frozen=True)
class Look:
    """The finished day, open to be read."""

    world: DemoWorld
    connection: Connection
    frames: FrameStore
    rules: Rules

    def why(self, target: str, time: str | None = None, **more: Any) -> Page:
        return why(self.connection, self.frames, self.rules, Question(target, time, **more))

    def rows(self, query: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def signals(self) -> list[str]:
        found = signal_ids_of(self.connection, DAY)
        assert len(found) >= 5, "an eventful day"
        return found


@pytest.fixture(scope="module")
def look(eventful_day: tuple[DemoWorld, dict[str, Any]]) -> Iterator[Look]:
    world, _ = eventful_day
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("TRADING_ASSETS_"):
                patch.delenv(name)
        patch.setenv("TRADING_ASSETS_HOME", str(world.home))
        patch.chdir(world.home)
        with reading("demo") as engine, engine.connect() as connection:
            settings = load_settings(world="demo")
            strategy = settings.strategy
            rules = Rules(
                settings.config_hash,
                frozenset({RULE_SET}),
                strategy.signals,
                strategy.watchlist,
                strategy.news_view,
            )
            yield Look(world, connection, FrameStore(settings.world.frames), rules)


def accounts_of(page: Page) -> list[AccountView]:
    return [account for signal in page.signals for account in signal.accounts]


def positions_of(page: Page) -> list[PositionView]:
    return [position for account in accounts_of(page) for position in account.positions]


def in_new_york(row: dict[str, Any]) -> str:
    return f"{row['as_of'].astimezone(NEW_YORK):%H:%M}"


def said(look: Look, *arguments: str) -> str:
    result = look.world.tool("why", *arguments, *WORLD)
    assert result.returncode == 0, result.stderr
    return result.stdout


# --- every signal -----------------------------------------------------------------------------------------------------


def test_every_published_signal_has_a_page_whose_gates_and_candidates_are_those_of_the_ledger(look: Look) -> None:
    judged = 0
    for identity in look.signals():
        page = look.why(identity)
        text = plain(blocks(page))
        as_json = json.loads(json.dumps(json_ready(page)))
        (signal,) = page.signals
        statuses = look.rows(select(dispatch_status).where(dispatch_status.c.signal_id == identity))
        assert {(row["account"], row["status"], row["reason"]) for row in statuses} == {
            (account.account, account.status, account.reason) for account in signal.accounts
        }
        shown = {
            judgement["decision_id"]: judgement
            for account in as_json["signals"][0]["accounts"]
            for judgement in account["judgements"]
        }
        stored = look.rows(select(decisions).where(decisions.c.signal_id == identity))
        assert set(shown) == {row["decision_id"] for row in stored}
        for row in stored:
            judgement = shown[row["decision_id"]]
            assert judgement["gates"] == row["gates"], "every gate, in order, with what it saw"
            assert judgement["not_stored"] == []
            assert judgement["inputs"] == row["inputs"]
            assert len(judgement["selection"]["candidates"]) == len(row["selection"]["candidates"])
            refusals = [code for found in row["selection"]["candidates"] for code in found["refusals"]]
            assert sum(judgement["selection"]["refused_by"].values()) == len(refusals)
            assert {found["name"] for found in judgement["sizing"]["constraints"] if found["binding"]} == {
                row["sizing"]["binding"]
            }
            for gate in row["gates"]:
                assert gate["gate"] in text and " ".join(gate["reason"].split()) in text
            judged += 1
        moment = page.moment
        assert moment is not None and moment.not_stored == () and moment.undecided is None
        assert moment.bar is not None and moment.features is not None and moment.watched is not None
        assert moment.bar["close"] == moment.features["close"]
        (decision,) = moment.decisions
        assert decision.signal_id == identity and decision.agrees is True
    assert judged == len(look.rows(select(decisions.c.decision_id)))


def test_orders_fills_events_and_results_are_those_of_the_ledger(look: Look) -> None:
    shown = {position.position_id: position for one in look.signals() for position in positions_of(look.why(one))}
    stored = look.rows(select(active_positions).where(active_positions.c.origin == "signal"))
    assert set(shown) == {row["position_id"] for row in stored}
    for row in stored:
        position = shown[row["position_id"]]
        assert (position.realized_pnl, position.exit_reason) == (row["realized_pnl"], row["exit_reason"])
        of = {
            name: look.rows(select(table).where(table.c.position_id == row["position_id"]))
            for name, table in (("orders", order_intents), ("fills", dispatch_executions), ("events", position_events))
        }
        assert {order.client_order_id for order in position.orders} == {row["client_order_id"] for row in of["orders"]}
        assert sum(fill.quantity for fill in position.fills) == sum(row["quantity"] for row in of["fills"])
        assert len(position.events) == len(of["events"])
        decided = [row["details"] for row in of["events"] if row["kind"] == "exit_decided"]
        assert [exit_.numbers for exit_ in position.exits] == [details["numbers"] for details in decided]


def test_what_was_seen_and_weighed_adds_up_at_every_looked_at_minute(look: Look) -> None:
    """Product and news are recomputed from what the page shows; a row without a page would raise."""
    rows = look.frames.read("signals", [DAY.isoformat()]).sort("as_of", "ticker")
    looked = rows.gather_every(37)
    assert looked.height > 20
    for row in looked.to_dicts():
        moment = look.why(row["ticker"], in_new_york(row)).moment
        assert moment is not None and moment.as_of == row["as_of"] and moment.rules_in_force is True
        (decision,) = moment.decisions
        assert decision.reason == row["reason"]
        assert decision.agrees is (None if row["confidence"] is None else True)
        counted = [story for story in moment.stories if story.counts]
        assert len(counted) == (row["news_count"] or 0)
        if counted:
            weight = sum(story.confidence or 0.0 for story in counted)
            mean = sum((story.score or 0.0) * (story.confidence or 0.0) for story in counted) / weight
            assert row["sentiment"] == pytest.approx(mean, abs=1e-9)
        assert all(story.known_at <= moment.as_of for story in moment.stories)
        assert all(story.source and story.fetched_at for story in moment.stories)
        watched = moment.watched
        assert watched is not None and watched.score is not None and watched.listed_at <= moment.as_of
        total = sum((factor.weight or 0.0) * (factor.value or 0.0) for factor in watched.factors)
        assert watched.score == pytest.approx(total, abs=1e-9)
        parts = sum((part.weight or 0.0) * (part.value or 0.0) for part in decision.parts)
        if decision.factors["base"] is not None:
            assert decision.factors["base"] == pytest.approx(parts, abs=1e-9)


# --- one of each kind -------------------------------------------------------------------------------------------------


def test_a_bought_signal_is_told_from_headline_to_result(look: Look) -> None:
    closed = look.rows(
        select(active_positions).where(active_positions.c.state == "CLOSED", active_positions.c.origin == "signal")
    )
    row = closed[0]
    text = said(look, row["signal_id"][:12], "--account", row["account"])
    assert "EXECUTED" in text and "all passed" in text and "chosen" in text and "BINDS" in text
    assert f"Signal {row['signal_id']}" in text and f"Position {row['position_id']}" in text
    assert f"ended by {row['exit_reason']}" in text and "exit decided at" in text
    assert f"realised P&L {row['realized_pnl']:.2f} dollars" in text
    assert "\x1b" not in text, "no colour on a pipe"
    assert text.count("Account ") == 1


def test_a_denied_signal_names_every_gate_that_denied_and_its_numbers(look: Look) -> None:
    denied = [row for row in look.rows(select(decisions)) if not all(gate["passed"] for gate in row["gates"])]
    assert denied, "an eventful day"
    row = denied[0]
    whole = json.loads(said(look, row["signal_id"], "--account", row["account"], "--json"))
    (account,) = whole["signals"][0]["accounts"]
    assert account["status"] == "SKIPPED" and account["positions"] == []
    (judgement,) = account["judgements"]
    assert judgement["gates"] == row["gates"]
    text = said(look, row["signal_id"], "--account", row["account"])
    names = [gate["gate"] for gate in row["gates"] if not gate["passed"]]
    assert f"{len(row['gates'])} gates, denied by {', '.join(names)}" in text
    assert text.count("DENIED") == len(names)
    assert "no order and no position came of it" in text


def test_a_minute_that_held_names_the_threshold_it_missed(look: Look) -> None:
    rows = look.frames.read("signals", [DAY.isoformat()])
    held = rows.filter((pl.col("action") == "HOLD") & pl.col("reason").str.starts_with("confidence ")).to_dicts()
    row = held[0]
    text = said(look, row["ticker"].lower(), in_new_york(row))
    assert f"HOLD {row['direction']}: {row['reason']}" in text
    missed = [line for line in text.splitlines() if "MISSED" in line]
    assert any("confidence of a swing trade" in line for line in missed)
    assert f"stored: {row['confidence']:.6f}" in text
    assert "no signal was decided at this instant" in text
    assert "Account " not in text


def test_a_ticker_that_was_no_member_is_told_why_it_was_not(look: Look) -> None:
    rows = look.frames.read("watchlist", [DAY.isoformat()]).filter(~pl.col("member") & pl.col("score").is_not_null())
    row = rows.to_dicts()[0]
    page = look.why(row["ticker"], in_new_york(row))
    assert page.moment is not None and page.moment.decisions == ()
    assert page.moment.undecided == (
        f"no decision was made: {row['ticker']} was no member of the watchlist ({row['reason']})"
    )


def test_an_exit_order_is_marked_on_the_page_of_its_signal(look: Look) -> None:
    order = look.rows(
        select(order_intents)
        .where(order_intents.c.purpose == "EXIT", order_intents.c.filled_quantity > 0)
        .order_by(order_intents.c.created_at)
    )[0]
    text = said(look, order["client_order_id"])
    (marked,) = [line for line in text.splitlines() if line.lstrip().startswith("> ")]
    assert order["client_order_id"] in marked and order["reason"] in marked
    assert f"exit decided at {order['created_at'].astimezone(NEW_YORK):%H:%M}" in text

    page = look.why(order["client_order_id"])
    assert replace(look.why(order["broker_order_id"]), target=page.target) == page
    (position,) = [found for found in positions_of(page) if found.position_id == order["position_id"]]
    assert [found.client_order_id for found in position.orders if found.marked] == [order["client_order_id"]]
    assert position.exits[-1].rule == position.exit_reason
    asked = look.why(order["position_id"])
    assert [found.position_id for found in positions_of(asked) if found.marked] == [order["position_id"]]


def test_a_time_between_two_decisions_gets_the_newest_before_it_and_says_so(look: Look) -> None:
    page = look.why("INTC", "10:47")
    assert page.moment is not None and in_new_york({"as_of": page.moment.as_of}) == "10:45"
    assert page.note == "nothing was decided in the minute 10:47; the newest decision before is that of 10:45"
    assert look.why("INTC", "10:45").note is None
    same = look.why("INTC", "2026-03-11T14:45:00Z")
    assert same.moment == look.why("INTC", "10:45", session=DAY).moment


def test_numbers_of_other_rules_are_said_to_be_not_stored_and_never_guessed(look: Look) -> None:
    other = replace(look, rules=replace(look.rules, config_hash="f" * 64))
    for target, time in ((look.signals()[0], None), ("INTC", "10:45")):
        page = other.why(target, time)
        moment = page.moment
        assert moment is not None and moment.rules_in_force is False
        assert any("its weights, thresholds and news window are not stored" in said for said in moment.not_stored)
        assert moment.sentiment_again is None and all(story.counts is None for story in moment.stories)
        for decision in moment.decisions:
            assert decision.thresholds == () and all(part.weight is None for part in decision.parts)
        assert moment.watched is not None and all(factor.weight is None for factor in moment.watched.factors)
        text = plain(blocks(page))
        assert "(the weights are not stored)" in text and "0.4 x" not in text


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (Question("ZZZZ", "10:45"), ["nothing is stored about 'ZZZZ' on 2026-03-11", "AAPL, AMD"]),
        (Question("[red]X\x1b[31m", "10:45"), ["nothing is stored about '[red]X[31m'"]),
        (Question("INTC"), ["a ticker needs a time", "why INTC 10:42"]),
        (Question("INTC", "25:61"), ["'25:61' is no time"]),
        (Question("INTC", "2026-03-11T14:45:00"), ["is no time", "with its zone"]),
        (Question("INTC", "08:00"), ["nothing was decided by 08:00", "The first decisions were made at "]),
        (Question("INTC", "10:45", date(2026, 3, 9)), ["the session 2026-03-09 has no decisions", "2026-03-11"]),
        (Question("INTC", "2026-03-11T14:45Z", date(2026, 3, 9)), ["lies on 2026-03-11 in New York"]),
        (Question("0000000000000000"), ["there is no signal '0000000000000000'", "data signals"]),
        (Question("ta-large-en-nothing-0-0"), ["there is no signal, order or position 'ta-large-en-nothing-0-0'"]),
        (Question("%"), ["there is no signal, order or position '%'"]),
    ],
    ids=lambda value: f"{value.target} {value.time}" if isinstance(value, Question) else "",
)
def test_what_is_not_there_is_refused_with_what_is(look: Look, question: Question, says: list[str]) -> None:
    with pytest.raises(NothingToExplain) as refusal:
        why(look.connection, look.frames, look.rules, question)
    for text in says:
        assert text in str(refusal.value)
    assert all(character.isprintable() for character in str(refusal.value))


def test_accounts_and_sessions_that_do_not_fit_are_refused(look: Look) -> None:
    order = look.rows(select(order_intents).order_by(order_intents.c.created_at))[0]
    other = "tiny" if order["account"] == "large" else "large"
    for question, says in (
        (Question(look.signals()[0], account="nobody"), "there is no account 'nobody'. Known are: large, tiny"),
        (Question(order["client_order_id"], account=other), f"belongs to account {order['account']}"),
        (Question(look.signals()[0], session=date(2026, 3, 9)), "is of 2026-03-11, and --session says 2026-03-09"),
    ):
        with pytest.raises(NothingToExplain, match=r".") as refusal:
            why(look.connection, look.frames, look.rules, question)
        assert says in str(refusal.value)


def test_on_the_command_line_a_refusal_is_one_line_and_exit_code_2(look: Look) -> None:
    result = look.world.tool("why", "ZZZZ", "10:45", *WORLD)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("trading-assets: nothing is stored about 'ZZZZ'")
    assert len(result.stderr.strip().splitlines()) == 1
