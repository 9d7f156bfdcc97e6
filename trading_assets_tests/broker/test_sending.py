"""The last step of a request: dripping answers, redirects, and addresses that hide another one."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.errors import BrokerUnavailable
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.errors import ConfigurationError
from trading_assets_tests.broker.desk import SECRET, SteppedClock
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server whose answers never end although a byte comes every few milliseconds."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
            while not over.wait(0.02):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    over.set()
    listener.close()


def test_F08_an_answer_that_drips_for_ever_is_given_up_as_a_whole(dripping: str, clock: SteppedClock) -> None:
    config = BrokerConfig(read_timeout_seconds=5, answer_timeout_seconds=0.2, read_attempts=1)
    broker = AlpacaBroker(BrokerConnection("PRACTICE", dripping, dripping, "PKTEST", SECRET), clock, config)
    answered: list[Exception] = []

    def ask() -> None:
        try:
            broker.account()
        except BrokerUnavailable as error:
            answered.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    deadline = time.monotonic() + 20
    while asking.is_alive() and time.monotonic() < deadline:
        asking.join(0.05)
    assert len(answered) == 1, "the read never came back"


def test_a_redirect_is_no_answer_and_an_empty_one_no_success(broker: AlpacaBroker, proxy: FaultProxy) -> None:
    elsewhere = {"Location": "http://127.0.0.1:9/v2/orders/1"}
    proxy.faults.append(Fault("DELETE", "/v2/orders", "answer", status=307, headers=elsewhere, times=99))
    with pytest.raises(BrokerUnavailable):
        broker.cancel("1")
    assert proxy.count("DELETE", "/v2/orders") == broker.config.read_attempts, "nothing was sent elsewhere"


@pytest.mark.parametrize(
    "address",
    [
        "https://paper-api.alpaca.markets:8443",
        "https://someone@paper-api.alpaca.markets",
        "https://paper-api.alpaca.markets?to=",
        "https://paper-api.alpaca.markets#there",
    ],
)
def test_F55_an_address_with_more_than_scheme_and_host_is_refused(address: str, clock: SteppedClock) -> None:
    connection = BrokerConnection("PAPER", address, "https://data.alpaca.markets", "PK1", SECRET)
    with pytest.raises(ConfigurationError):
        AlpacaBroker(connection, clock)
