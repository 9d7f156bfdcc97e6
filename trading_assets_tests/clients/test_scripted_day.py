"""The same day through three unmodified clients: each lives it wholly, and all report the same orders and money.

How each client is led to the exchange, from its own code:

* ``alpaca-py`` takes ``url_override`` for REST and for every stream.
* ``alpaca-trade-api`` (Python) takes base URLs for trading and for streams; its data interface reads
  ``APCA_API_DATA_URL`` at each request. Options are newer than it: contracts and chains go through its generic ``get``
  and ``data_get``, multi-leg orders through ``post``; it has no stream for options.
* ``@alpacahq/alpaca-trade-api`` 4 has no base URL on its facade (3 had ``baseUrl``). Its ``middleware`` may change the
  address of a request, which its migration guide names for this, and every stream takes a ``url``. Its code asks for
  neither https nor wss. It says that it wants node 20; Debian 12's node 18 lives the same day.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from trading_assets_tests.clients.lived import CLIENTS, Lived, live
from trading_assets_tests.clients.plan import FIELDS

PYTHON, LEGACY, NODE = CLIENTS
OPENING_CASH = Decimal(50_000)

#: Where a client says less than the others, by client and step: what it says, and why.
SAYS_LESS: dict[tuple[str, str], Any] = {
    # cancel_all_orders throws the answer's lines away.
    (LEGACY, "everything canceled"): None,
}
#: The one answer that another client lacks a stream for.
NO_OPTION_STREAM = "what the market's streams told"

#: Every order of the plan: type, class, how it ended, and what it filled.
ENDS: dict[str, tuple[str, str, str, str]] = {
    "market": ("market", "simple", "filled", "10"),
    "limit": ("limit", "simple", "filled", "8"),
    "limit that rests": ("limit", "simple", "replaced", "0"),
    "limit replaced": ("limit", "simple", "canceled", "0"),
    "stop": ("stop", "simple", "filled", "2"),
    "stop limit": ("stop_limit", "simple", "canceled", "0"),
    "trail by percent": ("trailing_stop", "simple", "replaced", "0"),
    "trail replaced": ("trailing_stop", "simple", "canceled", "0"),
    "trail by amount": ("trailing_stop", "simple", "filled", "2"),
    "bracket": ("market", "bracket", "filled", "3"),
    "bracket/0": ("limit", "bracket", "canceled", "0"),
    "bracket/1": ("stop", "bracket", "replaced", "0"),
    "stop moved": ("stop", "bracket", "filled", "3"),
    "oto": ("limit", "oto", "filled", "4"),
    "oto/0": ("stop_limit", "oto", "canceled", "0"),
    "oco": ("limit", "oco", "canceled", "0"),
    "oco/0": ("stop", "oco", "canceled", "0"),
    "option": ("market", "simple", "filled", "2"),
    "option out of reach": ("limit", "simple", "canceled", "0"),
    "a part closed": ("market", "simple", "filled", "4"),
    "the rest closed": ("market", "simple", "filled", "6"),
    "held over night": ("limit", "simple", "filled", "7"),
    "left to expire": ("limit", "simple", "expired", "0"),
}
REFUSALS = {
    "unknown asset": (404, 40410000),
    "unknown order": (404, 40410000),
    "no such position": (404, 40410000),
    "canceled twice": (422, 42210000),
    "off the tick": (422, 42210000),
    "the same client id": (422, 40010001),
    "too dear": (403, 40310000),
    "not held": (403, 40310000),
}


def made(day: Lived) -> dict[str, dict[str, Any]]:
    """The orders that the day's steps made, by label, as they stood when they were made."""
    found = {label: order for label, order in day.answers.items() if label in ENDS}
    legs = {f"{label}/{place}": leg for label, order in found.items() for place, leg in enumerate(order["legs"] or [])}
    return {**found, **legs}


def test_every_client_lives_the_whole_day(day: Lived) -> None:
    assert set(day.answers) == set(day.steps)
    wanted = {PYTHON: "0.44.", LEGACY: "3.2.0", NODE: "4."}
    assert (day.client, day.version.startswith(wanted[day.client])) == (day.client, True), day.version


@pytest.mark.parametrize("other", [LEGACY, NODE])
def test_the_same_day_gives_every_client_the_same_orders_fills_positions_and_cash(
    days: dict[str, Lived], other: str
) -> None:
    one, two = days[PYTHON].answers, days[other].answers
    for label in one:
        if (other, label) in SAYS_LESS:
            assert two[label] == SAYS_LESS[other, label], f"{other} says more than it did: {label}"
        elif label == NO_OPTION_STREAM and other == LEGACY:
            assert two[label] == {key: seen for key, seen in one[label].items() if key != "quotes"}
        else:
            assert two[label] == one[label], f"{other}: {label}"
    assert days[other].kept == days[PYTHON].kept


def test_orders_of_every_type_and_class_end_as_the_day_has_it(day: Lived) -> None:
    known = {order["id"]: order for order in day.answers["every order"]}
    orders = made(day)
    found = {label: known[orders[label]["id"]] for label in ENDS}
    told = {label: (order["type"], order["order_class"], order["status"]) for label, order in found.items()}
    assert told == {label: ends[:3] for label, ends in ENDS.items()}
    assert {label: order["filled_qty"] for label, order in found.items()} == {k: ends[3] for k, ends in ENDS.items()}
    types = {order["type"] for order in known.values()}
    assert types == {"market", "limit", "stop", "stop_limit", "trailing_stop"}
    nested = {order["id"]: order["legs"] for order in day.answers["every order with legs"]}
    legs = {label: {leg["id"] for leg in nested[orders[label]["id"]]} for label in ("bracket", "oto", "oco")}
    # What was replaced is no leg any more; what took its place is.
    assert legs["bracket"] == {orders["bracket/0"]["id"], orders["stop moved"]["id"]}
    assert (legs["oto"], legs["oco"]) == ({orders["oto/0"]["id"]}, {orders["oco/0"]["id"]})


def test_what_a_client_reports_is_what_the_exchange_keeps(day: Lived) -> None:
    def same(reported: dict[str, Any], kept: dict[str, Any], kind: str) -> None:
        # Instants are the client's own; everything else is the text on the wire.
        names = [name for name in FIELDS[kind] if not name.endswith(("_at", "_time", "timestamp"))]
        # A multi-leg order has no symbol, side or intent of its own: empty on the wire, or not there.
        found = {name: None if kept.get(name) == "" else kept.get(name) for name in names}
        assert {name: reported[name] for name in names} == found

    kept = {order["id"]: order for order in day.kept["orders?status=all&limit=500"]}
    assert [order["id"] for order in day.answers["every order"]] == list(kept)
    for order in day.answers["every order"]:
        same(order, kept[order["id"]], "order")
    for kind, label, rows in (
        ("position", "positions at last", day.kept["positions"]),
        ("activity", "fills", day.kept["fills"]),
        ("account", "account at last", [day.kept["account"]]),
    ):
        answers = day.answers[label] if isinstance(day.answers[label], list) else [day.answers[label]]
        assert len(answers) == len(rows) > 0, label
        for answer, row in zip(answers, rows, strict=True):
            same(answer, row, kind)


def test_the_cash_is_what_the_fills_leave_of_it(day: Lived) -> None:
    options = {contract["symbol"] for contract in day.answers["contracts"]}
    cash = OPENING_CASH
    held: dict[str, Decimal] = {}
    for fill in day.answers["fills"]:
        sign = 1 if fill["side"] == "buy" else -1
        quantity = sign * Decimal(fill["qty"])
        held[fill["symbol"]] = held.get(fill["symbol"], Decimal(0)) + quantity
        cash -= quantity * Decimal(fill["price"]) * (100 if fill["symbol"] in options else 1)
    assert Decimal(day.answers["account at last"]["cash"]) == cash
    positions = {position["symbol"]: Decimal(position["qty"]) for position in day.answers["positions at last"]}
    assert {symbol: quantity for symbol, quantity in held.items() if quantity} == positions == {"XOM": Decimal(7)}


def test_a_refusal_reaches_the_client_with_status_and_code(day: Lived) -> None:
    told = {label: (day.answers[label]["status"], day.answers[label]["code"]) for label in REFUSALS}
    assert told == REFUSALS
    assert all(day.answers[label]["message"] for label in REFUSALS)


def test_the_stream_tells_every_order_its_whole_life_and_the_fills_that_were_booked(day: Lived) -> None:
    updates = day.answers["what the stream told"]
    ends = {order["id"]: order["status"] for order in day.answers["every order"]}
    lives: dict[str, list[str]] = {}
    for update in updates:
        lives.setdefault(update["order_id"], []).append(update["event"])
    assert set(lives) == set(ends)
    last = {"filled": "fill", "canceled": "canceled", "replaced": "replaced", "expired": "expired"}
    for order_id, events in lives.items():
        assert events[0] in ("new", "held") and events[-1] == last[ends[order_id]], events
    told = {u["execution_id"]: (u["order_id"], u["qty"], u["price"]) for u in updates if u["qty"] is not None}
    booked = {
        fill["id"].partition("::")[2]: (fill["order_id"], float(fill["qty"]), float(fill["price"]))
        for fill in day.answers["fills"]
    }
    # A spread's fill is told once, at the net price; it is booked leg by leg.
    known = {order["id"]: order for order in day.answers["every order with legs"]}
    spread = known[day.answers["combination"]["id"]]
    (whole,) = [fill for fill in told.values() if fill[0] == spread["id"]]
    sides = {leg["id"]: 1 if leg["side"] == "buy" else -1 for leg in spread["legs"]}
    parts = [fill for fill in booked.values() if fill[0] in sides]
    assert whole[2] == pytest.approx(sum(sides[order_id] * price for order_id, _, price in parts)) and len(parts) == 2
    assert {key: fill for key, fill in told.items() if fill != whole} == {
        key: fill for key, fill in booked.items() if fill not in parts
    }
    assert len(told) > len(ENDS) / 2
    assert any(update["event"] == "partial_fill" for update in updates)


def test_market_data_are_there_for_every_client(day: Lived) -> None:
    minutes, days = day.answers["minutes"], day.answers["days"]["KO"]
    assert {symbol: len(bars) for symbol, bars in minutes.items()} == {"KO": 30, "PFE": 30}
    assert len(days) == 14 and days[0][0] < minutes["KO"][0][0]
    assert day.answers["latest"]["bars"]["KO"] == minutes["KO"][-1] == day.answers["snapshots"]["KO"]["minute"]
    assert day.answers["snapshots"]["KO"]["before"] == days[-1]
    contracts = {contract["symbol"] for contract in day.answers["contracts"]}
    assert contracts == set(day.answers["chain"]) and len(contracts) > 100
    assert len(day.answers["news"]) == 5


def test_a_spread_is_one_order_for_every_client_that_can_send_it(day: Lived) -> None:
    answer = day.answers["combination"]
    known = {order["id"]: order for order in day.answers["every order with legs"]}
    spread = known[answer["id"]]
    assert (spread["order_class"], spread["status"], len(spread["legs"])) == ("mleg", "filled", 2)
    assert {leg["side"] for leg in spread["legs"]} == {"buy", "sell"}
    assert {leg["status"] for leg in spread["legs"]} == {"filled"}
    legs = {leg["symbol"] for leg in spread["legs"]}
    assert legs <= {position["symbol"] for position in day.answers["positions"]}


def test_the_sockets_of_market_data_tell_every_client_the_same(day: Lived) -> None:
    seen = day.answers[NO_OPTION_STREAM]
    bars = day.answers["minutes"]
    assert {bar[0] for bar in seen["bars"]} == set(bars)
    assert all(bar[1] > bars[bar[0]][-1][0] for bar in seen["bars"]), "nothing from before they watched"
    assert len({(bar[0], bar[1]) for bar in seen["bars"]}) == len(seen["bars"]) == 40
    assert seen["news"]


def test_the_comparison_finds_a_day_that_went_otherwise(
    days: dict[str, Lived], tmp_path_factory: pytest.TempPathFactory
) -> None:
    def one_share_less(plan: dict[str, Any]) -> None:
        next(step for step in plan["steps"] if step["label"] == "market")["with"]["qty"] = 9

    other = live(PYTHON, tmp_path_factory.mktemp("otherwise"), one_share_less)
    one = days[PYTHON]
    different = {label for label in one.answers if one.answers[label] != other.answers[label]}
    assert {"market", "every order", "what the stream told", "fills", "account at last"} <= different
