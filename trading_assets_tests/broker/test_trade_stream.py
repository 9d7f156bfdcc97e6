"""The trade stream against the practice exchange: what it tells is booked, what it keeps quiet about is found out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.consistency import compare
from trading_assets.broker.reconciliation import reconcile
from trading_assets.broker.trade_stream.session import stream_url
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.errors import ConfigurationError
from trading_assets.domain.values import OrderState, PositionState
from trading_assets.ledger import accounts
from trading_assets.ledger.listings import alerts
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.tables import trade_stream_oddities
from trading_assets.world.clocks import ExchangeClock
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.desk import ACCOUNT
from trading_assets_tests.broker.stream_desk import (
    BY_FRAMES,
    CONFIG,
    fills,
    following,
    health,
    position,
    send,
    stored,
    until,
)
from trading_assets_tests.broker.stream_proxy import Frame, StreamProxy, mute, proxying, unchanged
from trading_assets_tests.exchange.venue_process import KEY, OPEN, SECRET, SESSION, TOKEN, Exchange, prepare


@dataclass
class Bed:
    """A running exchange with a proxy before its stream, the adapter that trades, and a ledger."""

    exchange: Exchange
    proxy: StreamProxy
    clock: ExchangeClock
    broker: AlpacaBroker
    engine: Engine
    signals: tuple[str, ...]

    @property
    def connection(self) -> BrokerConnection:
        return BrokerConnection("PRACTICE", self.proxy.url, self.proxy.url, KEY, SECRET)

    def buy(self, quantity: int = 2, symbol: str = "KO", *, signal: int = 0) -> OrderIntent:
        return send(self.engine, self.broker, self.clock, symbol, quantity, signal_id=self.signals[signal])

    def agrees(self) -> None:
        """I1 to I3: after a look at the broker nothing is missing, doubled or different."""
        reconcile(self.engine, self.broker, self.clock, ACCOUNT, "start")
        assert compare(self.engine, self.broker, ACCOUNT).differences == []


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    exchange = prepare(tmp_path_factory.mktemp("exchange"), OPEN + timedelta(minutes=30)).start()
    yield exchange
    exchange.stop()


@pytest.fixture
def bed(running: Exchange, ledger: Engine) -> Iterator[Bed]:
    clock = ExchangeClock(running.url, TOKEN)
    running.trading().close_all_positions(cancel_orders=True)
    running.step(5)
    with ledger.begin() as connection:
        accounts.upsert_account(connection, ACCOUNT, "PRACTICE", clock.now())
        # The exchange is shared, and an order's id follows from its signal.
        signals = tuple(f"{uuid4()}" for _ in range(3))
        for signal in signals:
            desk.publish(connection, signal, "KO")
    broker = AlpacaBroker(BrokerConnection("PRACTICE", running.url, running.url, KEY, SECRET), clock, CONFIG)
    reconcile(ledger, broker, clock, ACCOUNT, "start")
    with proxying(running.url) as proxy:
        yield Bed(running, proxy, clock, broker, ledger, signals)
    broker.close()


def filled(bed: Bed, intent: OrderIntent) -> bool:
    return stored(bed.engine, intent).state is OrderState.FILLED


def test_a_fill_is_booked_as_it_is_told_without_anybody_looking(bed: Bed) -> None:
    with following(bed.engine, bed.connection, bed.clock, config=BY_FRAMES):
        lists = health(bed.engine).backfills
        intent = bed.buy()
        assert not fills(bed.engine)
        bed.exchange.step(20)
        until(lambda: filled(bed, intent))
        until(lambda: health(bed.engine).frames >= 2)
        assert health(bed.engine).backfills == lists, "no list had to be read"
    held = position(bed.engine, intent.position_id)
    assert (held.state, held.quantity) == (PositionState.OPEN, 2)
    assert all("::" not in fill.execution_id for fill in fills(bed.engine)), "the stream names executions alone"
    bed.agrees()
    assert sum(fill.quantity for fill in fills(bed.engine)) == 2


def test_F15_a_stream_that_is_connected_and_mute_is_found_out_booked_from_the_lists_and_left(bed: Bed) -> None:
    bed.proxy.rule = mute
    with following(bed.engine, bed.connection, bed.clock):
        connected = bed.proxy.connected
        intent = bed.buy()
        bed.exchange.step(20)
        until(lambda: filled(bed, intent))
        until(lambda: bed.proxy.connected > connected)
        assert health(bed.engine).suspicions >= 1
        assert health(bed.engine).unhealthy_since is not None, "a stream that was mute is not well"
        bed.proxy.rule = unchanged
        until(lambda: health(bed.engine).unhealthy_since is None and health(bed.engine).state == "listening")
    bed.agrees()


def test_F16_a_dropped_fill_frame_is_noticed_while_others_flow(bed: Bed) -> None:
    dropped: list[Frame] = []

    def rule(frame: Frame) -> list[Frame | str]:
        if frame["data"].get("execution_id") and not dropped:
            dropped.append(frame)
            return []
        return [frame]

    bed.proxy.rule = rule
    with following(bed.engine, bed.connection, bed.clock):
        first = bed.buy()
        bed.exchange.step(20)
        until(lambda: bool(dropped) and filled(bed, first))
        second = bed.buy(symbol="PFE", signal=1)
        bed.exchange.step(20)
        until(lambda: filled(bed, second))
    assert health(bed.engine).suspicions >= 1 or health(bed.engine).backfilled_fills >= 1
    bed.agrees()


def test_F17_what_was_filled_while_nobody_was_connected_is_booked_on_reconnect(bed: Bed) -> None:
    with following(bed.engine, bed.connection, bed.clock, config=BY_FRAMES):
        intent = bed.buy()
        bed.proxy.refuse = 2
        bed.proxy.cut()
        until(lambda: bed.proxy.refused >= 1)
        bed.exchange.step(20)
        until(lambda: filled(bed, intent))
        until(lambda: health(bed.engine).backfilled_fills >= 1)
        assert health(bed.engine).connections == 2
    bed.agrees()
    assert sum(fill.quantity for fill in fills(bed.engine)) == 2


def test_F17_fills_before_the_first_connection_are_booked_by_it(bed: Bed) -> None:
    intent = bed.buy()
    bed.exchange.step(20)
    with following(bed.engine, bed.connection, bed.clock, config=BY_FRAMES):
        assert filled(bed, intent)
    bed.agrees()


@pytest.mark.parametrize("order", ["twice", "backwards"])
def test_F18_frames_that_come_twice_or_out_of_order_book_each_fill_once(bed: Bed, order: str) -> None:
    held_back: list[Frame] = []

    def rule(frame: Frame) -> list[Frame | str]:
        if order == "twice":
            return [frame, frame]
        held_back.append(frame)
        return [*reversed(held_back)] if frame["data"]["event"] == "fill" else []

    bed.proxy.rule = rule
    with following(bed.engine, bed.connection, bed.clock, config=BY_FRAMES):
        intents = [bed.buy(9), bed.buy(7, "PFE", signal=1)]
        bed.exchange.step(30)
        until(lambda: all(filled(bed, intent) for intent in intents))
        until(lambda: health(bed.engine).frames >= 4)
    assert [stored(bed.engine, intent).filled_quantity for intent in intents] == [9, 7]
    bed.agrees()
    assert sum(fill.quantity for fill in fills(bed.engine)) == 16


def test_F19_a_connection_refused_because_of_a_ghost_is_waited_out(bed: Bed) -> None:
    bed.proxy.refuse = 3
    with following(bed.engine, bed.connection, bed.clock, listening=False):
        until(lambda: health(bed.engine).state == "refused")
        assert "406" in str(health(bed.engine).trouble)
        until(lambda: health(bed.engine).state == "listening")
        assert bed.proxy.refused == 3
        intent = bed.buy()
        bed.exchange.step(20)
        until(lambda: filled(bed, intent))


def test_F19_a_broker_that_says_no_word_after_the_handshake_is_not_waited_for_long(bed: Bed) -> None:
    bed.proxy.silent = True
    with following(bed.engine, bed.connection, bed.clock, listening=False):
        until(lambda: "no authorization within 1 s" in str(health(bed.engine).trouble))
        assert health(bed.engine).state == "connecting"
        bed.proxy.silent = False
        until(lambda: health(bed.engine).state == "listening")


@pytest.mark.parametrize(
    "bad",
    [
        "no JSON {",
        json.dumps([1, 2]),
        json.dumps({"stream": "trade_updates", "data": {"event": "fill"}}),
        json.dumps({"stream": "trade_updates", "data": None}),
        '{"a":' * 3000 + "1" + "}" * 3000,
        json.dumps({"stream": "trade_updates", "data": {"event": "fill", "note": "PKONE secret-of-account-one"}}),
    ],
    ids=["no-json", "a-list", "no-order", "no-data", "too-deep", "with-secrets"],
)
def test_F22_a_frame_that_makes_no_sense_is_kept_told_once_and_the_next_one_is_booked(bed: Bed, bad: str) -> None:
    with following(bed.engine, bed.connection, bed.clock, config=BY_FRAMES):
        for _ in range(2):
            bed.proxy.say(bad)
        intent = bed.buy()
        bed.exchange.step(20)
        until(lambda: filled(bed, intent))
        until(lambda: health(bed.engine).odd_frames == 2)
        assert health(bed.engine).connections == 1, "the connection lives on"
    with bed.engine.connect() as connection:
        (odd,) = connection.execute(select(trade_stream_oddities)).mappings()
        told = [row for row in alerts(connection, SESSION) if row["kind"] == "ODD_FRAME"]
    assert odd["times"] == 2 and len(told) == 1
    assert SECRET not in odd["frame"] and KEY not in odd["frame"]
    assert odd["frame"] == bad.replace(SECRET, "***").replace(KEY, "***")[:20_000]
    bed.agrees()


def test_F22_a_fill_in_a_frame_that_makes_no_sense_is_booked_from_the_lists(bed: Bed) -> None:
    def rule(frame: Frame) -> list[Frame | str]:
        if frame["data"].get("execution_id"):
            frame["data"]["price"] = "a lot"
        return [frame]

    bed.proxy.rule = rule
    with following(bed.engine, bed.connection, bed.clock, config=BY_FRAMES):
        intent = bed.buy()
        bed.exchange.step(20)
        until(lambda: filled(bed, intent))
        until(lambda: health(bed.engine).backfilled_fills >= 1)
    bed.agrees()


def test_F17_a_connection_cut_in_the_middle_again_and_again_loses_nothing(bed: Bed) -> None:
    with following(bed.engine, bed.connection, bed.clock):
        intents = []
        for number, symbol in enumerate(("KO", "PFE", "BAC")):
            intents.append(bed.buy(3, symbol, signal=number))
            bed.proxy.cut()
            bed.exchange.step(20)
        until(lambda: all(filled(bed, intent) for intent in intents))
        assert health(bed.engine).connections >= 2
    bed.agrees()


def test_F47_a_broker_whose_lists_fail_is_asked_again_and_the_stream_is_not_called_well(bed: Bed) -> None:
    bed.proxy.broken = ["activities"]
    with following(bed.engine, bed.connection, bed.clock, listening=False):
        until(lambda: health(bed.engine).state == "listening" and "503" in str(health(bed.engine).trouble))
        assert health(bed.engine).compared_at is None and health(bed.engine).unhealthy_since is not None
        bed.proxy.broken = []
        until(lambda: health(bed.engine).compared_at is not None and health(bed.engine).unhealthy_since is None)


def test_F57_neither_key_nor_secret_reach_log_ledger_or_repr(bed: Bed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bed.proxy.stream = False
    with following(bed.engine, bed.connection, bed.clock):
        bed.proxy.cut()
        until(lambda: health(bed.engine).connections == 2)
    # What the test's own server writes down is not the client's.
    said = "".join(record.getMessage() for record in caplog.records if record.name != "websockets.server")
    assert "listens at" in said and SECRET not in said and KEY not in said
    assert SECRET not in repr(health(bed.engine))


def test_F55_the_stream_goes_where_the_mode_says_and_nowhere_else() -> None:
    def at(mode: str, url: str) -> BrokerConnection:
        data = url if mode == "PRACTICE" else "https://data.alpaca.markets"
        return BrokerConnection(mode, url, data, "PK1" if mode == "PAPER" else "AK1", "secret")

    assert stream_url(at("PAPER", "https://paper-api.alpaca.markets")) == "wss://paper-api.alpaca.markets/stream"
    assert stream_url(at("LIVE", "https://api.alpaca.markets")) == "wss://api.alpaca.markets/stream"
    for mode, url in (
        ("PAPER", "https://api.alpaca.markets"),
        ("LIVE", "https://paper-api.alpaca.markets"),
        ("LIVE", "http://api.alpaca.markets"),
        ("PRACTICE", "http://example.com"),
        ("LIVE", ""),
    ):
        with pytest.raises(ConfigurationError):
            stream_url(at(mode, url))


def test_loopback_is_reached_without_a_proxy(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "ws_proxy", "wss_proxy", "socks_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with following(bed.engine, bed.connection, bed.clock):
        assert health(bed.engine).state == "listening"


def test_F31_a_stream_whose_keys_lead_to_another_account_is_not_followed(bed: Bed) -> None:
    crossed = BrokerConnection("PRACTICE", bed.proxy.url, bed.proxy.url, "PKTWO", "secret-of-account-two")
    with following(bed.engine, crossed, bed.clock, listening=False):
        until(lambda: health(bed.engine).state == "refused")
        assert "its own keys" in str(health(bed.engine).trouble)
    assert bed.proxy.connected == 0


def test_a_fill_by_hand_is_attributed_as_reconciliation_does_and_told(bed: Bed) -> None:
    with following(bed.engine, bed.connection, bed.clock, config=BY_FRAMES):
        bed.exchange.post({"symbol": "WMT", "side": "buy", "qty": 3, "type": "market", "time_in_force": "day"})
        bed.exchange.step(20)
        until(lambda: sum(fill.quantity for fill in fills(bed.engine)) == 3)
    with bed.engine.connect() as connection:
        told = [row for row in alerts(connection, SESSION) if row["kind"] == "FOREIGN_FILL"]
    assert {fill.reason for fill in fills(bed.engine)} == {"foreign"} and told
    bed.agrees()


def test_only_polling_is_enough(bed: Bed) -> None:
    intent = bed.buy()
    bed.exchange.step(20)
    bed.agrees()
    assert filled(bed, intent) and position(bed.engine, intent.position_id).quantity == 2
