"""The requests of the recordings, asked of the practice exchange: answers of the same shape, parsed to the same types.

What differs is named here one by one with its reason; a name that no longer differs must go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alpaca.data import models as data
from alpaca.trading import models
from pydantic import BaseModel, ValidationError

from trading_assets.broker import parsing
from trading_assets_tests.exchange.recorded_requests import Asker
from trading_assets_tests.exchange.recordings import KINDS, Recording, recordings
from trading_assets_tests.exchange.venue_process import OPEN, prepare

pytestmark = pytest.mark.recorded

#: Kinds of answers that this exchange does not give.
NOT_HERE = {
    "first data interface": "the broker itself shut it down in 2021",
    "crypto": "stocks and options only",
    "screener": "this market has no lists of movers",
    "announcements": "the broker replaced it by /v1/corporate-actions",
}
_NO_EXTENDED_HOURS = "extended hours are not offered"
_NOT_PAYABLE = "this account cannot pay for the shares"
_MINUTES = "option bars are of a minute"
_TODAY = "the market knows today's option trades alone"
#: Statuses that differ: the recording's, this exchange's, and why.
STATUSES: dict[str, tuple[int, int, str]] = {
    "new_order__places_a_new_Order": (200, 422, _NO_EXTENDED_HOURS),
    "new_order__raises_an_exception_when_buying_power_is_not_sufficient": (403, 422, _NO_EXTENDED_HOURS),
    "new_order__supports_fractionable_orders": (200, 422, "whole shares only"),
    "new_order__supports_notional_orders": (200, 422, "whole shares only"),
    "test_position_routes test_exercise_options_position_with_symbol 4": (200, 403, _NOT_PAYABLE),
    "test_position_routes test_exercise_options_position_with_id 5": (200, 403, _NOT_PAYABLE),
    "test_historical_option_data test_get_bars 0": (200, 400, _MINUTES),
    "test_historical_option_data test_multisymbol_get_bars 1": (200, 400, _MINUTES),
    "test_historical_option_data test_get_bars_single_empty_response 2": (200, 400, _MINUTES),
    "test_historical_option_data test_get_bars_multi_empty_response 3": (200, 400, _MINUTES),
    "test_historical_option_data test_get_trades 4": (200, 422, _TODAY),
    "test_historical_option_data test_multisymbol_get_trades 5": (200, 422, _TODAY),
    "test_historical_option_data test_get_trades_single_empty_response 6": (200, 422, _TODAY),
    "test_historical_option_data test_get_trades_multi_empty_response 7": (200, 422, _TODAY),
    "test_position_routes test_close_all_positions 1": (200, 207, "the SDK's test says 200, the documents say 207"),
}
CODES: dict[str, tuple[int, int, str]] = {
    "new_order__raises_an_exception_when_buying_power_is_not_sufficient": (40310000, 42210000, _NO_EXTENDED_HOURS),
    "new_order__raises_an_exception_when_required_parameters_are_not_provided": (
        40010001,
        42210000,
        _NO_EXTENDED_HOURS,
    ),
    "replace_order__raises_an_exception_when_trying_to_replace_orders_that_are_not_open": (
        40010001,
        42210000,
        "a replacement of what has ended is refused with the words and the code of a cancel",
    ),
}
#: What the SDK of today cannot read of its time: a field that it requires was not there yet, or was scrubbed.
TOO_OLD = {"account": {"account_number"}, "asset": {"fractionable"}, "order": {"extended_hours"}}
#: Fields that the SDK makes another type of, by form, and why.
TYPES = {
    "order": {"filled_avg_price": "text in every recording from life, a number in the SDK's own test alone"},
}
_GONE = "the broker removed it in 2026"
_SINCE = "the broker added it after the recording; its document has it"
_NOT_BOOKED = "the daily history of this market counts no trades"
#: What differs in shape: ``+`` is only here, ``-`` only there, ``~`` has a type here that the broker did not send.
SHAPES: dict[str, str] = {
    "-account.daytrade_count": _GONE,
    "-account.daytrading_buying_power": _GONE,
    "-account.pattern_day_trader": _GONE,
    "-configurations.dtbp_check": _GONE,
    "-configurations.pdt_check": _GONE,
    "+account.crypto_status": _SINCE,
    "+account.position_market_value": _SINCE,
    "~account.options_approved_level number": "the recording has text; the document says integer",
    "~account.options_trading_level number": "the recording has text; the document says integer",
    "-activity": "no dividends here, and nothing expires on this day",
    "+fill.order_status": _SINCE,
    "-asset.last_close_pct_change": "never in the document",
    "-asset.last_price": "never in the document",
    "+asset.maintenance_margin_requirement": _SINCE,
    "+calendar[].session_close": _SINCE,
    "+calendar[].session_open": _SINCE,
    "+calendar[].settlement_date": _SINCE,
    "-cancel all[].body": "the broker sends it no more; the document has id and status",
    "-contract.close_price": "yesterday's close of an option is not known here",
    "-contract.close_price_date": "yesterday's close of an option is not known here",
    "+contract.multiplier": _SINCE,
    "+contract.ppind": _SINCE,
    "-corporate actions.corporate_actions.*": "there are none in this market",
    "-news.news[].images[]": "the headlines of this market have no pictures",
    "+chain.snapshots.*.dailyBar": _SINCE,
    "+option snapshots.snapshots.*.dailyBar": _SINCE,
    "+option snapshots.next_page_token": "the SDK's tests leave the null out",
    "-latest option trades.trade": "one recording says trade where the document and the others say trades",
    "-order.commission": "never in the document",
    "+order.expires_at": _SINCE,
    "-position.usd": "only accounts in other currencies have it",
    "+position.asset_marginable": _SINCE,
    "+position.qty_available": _SINCE,
    "~chain.next_page_token text": "the recorded chain ends with its first page",
    "+refusal.buying_power": "the broker adds it today",
    "+refusal.cost_basis": "the broker adds it today",
    "+refusal.related_orders": "the broker adds it today",
    "~stock bars.bars.*[].n null": _NOT_BOOKED,
    "~stock bars.bars.*[].vw null": _NOT_BOOKED,
    "~stock snapshots.*.prevDailyBar.n null": _NOT_BOOKED,
    "~stock snapshots.*.prevDailyBar.vw null": _NOT_BOOKED,
}

Answers = dict[str, list[tuple[Recording, int, Any]]]


@pytest.fixture(scope="module")
def told(recorded_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """Every recording with the exchange's status and body, by kind."""
    running = prepare(tmp_path_factory.mktemp("recorded"), OPEN + timedelta(hours=2)).start()
    try:
        asker = Asker(running)
        found: Answers = {kind: [] for kind in KINDS}
        for row in asker.ask_all(recordings(recorded_data / "alpaca")):
            found[row[0].kind].append(row)
    finally:
        running.stop()
    yield found


def offered() -> list[str]:
    return [kind for kind in KINDS if kind not in NOT_HERE]


def compared(told: Answers) -> Iterator[tuple[str, Recording, Any]]:
    """Kind, recording and this exchange's answer, wherever both did or both refused what was asked."""
    for kind in offered():
        for recording, status, body in told[kind]:
            if recording.is_refusal == (status >= 400):
                yield kind, recording, body


# --- statuses -------------------------------------------------------------------------------------------------------


def test_the_status_of_every_answer_is_the_brokers(told: Answers) -> None:
    different = {
        recording.name: (recording.status, status)
        for kind in offered()
        for recording, status, _ in told[kind]
        if status != recording.status
    }
    assert different == {name: pair[:2] for name, pair in STATUSES.items()}


def test_what_is_not_here_is_refused_by_name(told: Answers) -> None:
    for kind in NOT_HERE:
        for recording, status, body in told[kind]:
            assert status == 404 and recording.path.split("{")[0] in body["message"], recording.name


def test_a_refusal_has_the_brokers_code(told: Answers) -> None:
    codes = {r.name: (r.answer["code"], body["code"]) for _, r, body in compared(told) if r.is_refusal}
    assert len(codes) > 8
    different = {name: pair for name, pair in codes.items() if pair[0] != pair[1]}
    assert different == {name: row[:2] for name, row in CODES.items()}


# --- shapes ---------------------------------------------------------------------------------------------------------

_NAMES = {type(None): "null", bool: "bool", int: "number", float: "number", str: "text", dict: "object", list: "list"}
#: Maps whose keys are symbols or kinds: what is under one key is as what is under another.
_MAPS = ("bars", "quotes", "trades", "snapshots", "corporate_actions")


#: What is the same thing wherever it appears, by the keys that it must have.
_FORMS = {
    "order": {"client_order_id", "submitted_at"},
    "refusal": {"code", "message"},
    "position": {"asset_id", "avg_entry_price"},
    "asset": {"class", "tradable"},
    "contract": {"strike_price", "expiration_date"},
    "fill": {"activity_type", "order_id"},
    "activity": {"activity_type", "net_amount"},
}


def shape(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every place in an answer with the type that is there. A thing that has a form begins a path of its own."""
    if isinstance(value, dict):
        form = next((form for form, keys in _FORMS.items() if keys <= value.keys()), None)
        if form is not None and path != form:
            yield path, form
            path = form
    yield path, _NAMES[type(value)]
    if isinstance(value, dict):
        keyed = path.rpartition(".")[2] in _MAPS or path == "stock snapshots"
        for key, item in value.items():
            yield from shape(item, f"{path}.*" if keyed else f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from shape(item, f"{path}[]")


def merged(answers: list[tuple[str, Any]]) -> dict[str, set[str]]:
    """The types at each place, over all answers, each with its kind."""
    found: dict[str, set[str]] = {}
    for kind, answer in answers:
        for path, name in shape(answer, kind):
            found.setdefault(path, set()).add(name)
    return found


def differences(theirs: dict[str, set[str]], ours: dict[str, set[str]]) -> set[str]:
    """Places that only one has, and places whose type here the broker never sent."""
    only = theirs.keys() ^ ours.keys()
    below = {path for path in only if any(path.startswith((f"{place}.", f"{place}[")) for place in only)}
    found = {f"-{path}" for path in theirs.keys() - ours.keys() - below}
    found |= {f"+{path}" for path in ours.keys() - theirs.keys() - below}
    both = theirs.keys() & ours.keys()
    news = {path: "/".join(sorted(ours[path] - theirs[path])) for path in both}
    return found | {f"~{path} {names}" for path, names in news.items() if names}


def test_answers_have_the_shape_of_the_brokers(told: Answers) -> None:
    """One comparison over all: an order is an order, whatever was asked."""
    rows = list(compared(told))
    theirs = merged([(kind, recording.answer) for kind, recording, _ in rows])
    found = differences(theirs, merged([(kind, body) for kind, _, body in rows]))
    assert found == set(SHAPES)


# --- types ----------------------------------------------------------------------------------------------------------

Parse = Callable[[dict[str, Any]], Any]
#: How the SDK and this project's own code read what has a form.
_READERS: dict[str, list[Parse]] = {
    "order": [lambda raw: models.Order(**raw), parsing.order],
    "position": [lambda raw: models.Position(**raw), parsing.position],
    "asset": [lambda raw: models.Asset(**raw), parsing.asset],
    "contract": [lambda raw: models.OptionContract(**raw), parsing.contract],
    "account": [lambda raw: models.TradeAccount(**raw), parsing.account],
    "configurations": [lambda raw: models.AccountConfiguration(**raw)],
    "clock": [lambda raw: models.Clock(**raw)],
    "calendar[]": [lambda raw: models.Calendar(**raw)],
    "fill": [parsing.fill],
    "news.news[]": [data.News],
    "stock bars.bars.*[]": [lambda raw: data.Bar("AAPL", raw)],
    "latest stock bars.bars.*": [lambda raw: data.Bar("AAPL", raw)],
    "latest stock quotes.quotes.*": [lambda raw: data.Quote("AAPL", raw), lambda raw: parsing.quote("AAPL", raw)],
    "latest option quotes.quotes.*": [lambda raw: data.Quote("AAPL", raw), lambda raw: parsing.quote("AAPL", raw)],
    "latest stock trades.trades.*": [lambda raw: data.Trade("AAPL", raw)],
    "stock snapshots.*": [lambda raw: data.Snapshot("AAPL", raw)],
    "option snapshots.snapshots.*": [lambda raw: data.OptionsSnapshot("AAPL", raw)],
    "chain.snapshots.*": [lambda raw: data.OptionsSnapshot("AAPL", raw)],
}


def things(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in an answer, by its form or its place."""
    if isinstance(value, dict):
        path = next((form for form, keys in _FORMS.items() if keys <= value.keys()), path)
        yield path, value
        keyed = path.rpartition(".")[2] in _MAPS or path == "stock snapshots"
        for key, item in value.items():
            yield from things(item, f"{path}.*" if keyed else f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from things(item, f"{path}[]")


def types(value: Any) -> dict[str, str]:
    """The type of every field of a parsed value that has one; what is None says nothing."""
    named = type(value).model_fields if isinstance(value, BaseModel) else [f.name for f in fields(value)]
    return {name: type(getattr(value, name)).__name__ for name in named if getattr(value, name) is not None}


def read(told: Answers, place: int, form: str, reader: Parse) -> dict[str, set[str]]:
    """The types that ``reader`` makes of all that has the form, in the recordings (0) or in this exchange's answers."""
    found: dict[str, set[str]] = {}
    for kind, recording, body in compared(told):
        for name, raw in things((recording.answer, body)[place], kind):
            if name != form:
                continue
            try:
                value = reader(raw)
            except ValidationError as error:
                missing = {str(fault["loc"][0]) for fault in error.errors() if fault["type"] == "missing"}
                assert place == 0 and missing <= TOO_OLD.get(form, set()), (recording.name, missing)
                continue
            for field, seen in types(value).items():
                found.setdefault(field, set()).add(seen)
    return found


@pytest.mark.parametrize("form", _READERS)
def test_the_sdk_and_our_own_parsing_read_both_to_the_same_types(told: Answers, form: str) -> None:
    for reader in _READERS[form]:
        theirs, ours = read(told, 0, form, reader), read(told, 1, form, reader)
        assert theirs and ours, form
        different = {name: (theirs[name], ours[name]) for name in theirs.keys() & ours.keys()}
        found = {name: pair for name, pair in different.items() if not pair[1] <= pair[0]}
        assert found.keys() <= TYPES.get(form, {}).keys(), found


def test_the_comparison_finds_another_shape() -> None:
    order = {"client_order_id": "a", "submitted_at": "b", "qty": "5", "legs": None}
    other = {**{key: order[key] for key in ("client_order_id", "submitted_at")}, "qty": 5, "new": True, "legs": [order]}
    found = differences(merged([("orders", [order])]), merged([("orders", [other])]))
    assert found == {"~order.qty number", "+order.new", "~order.legs list", "+order.legs[]"}
    assert types(parsing.order({**order, "id": "x", "status": "new"}))["quantity"] == "Decimal"
