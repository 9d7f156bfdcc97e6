"""Orders are neither lost nor doubled, whatever happens to request and answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderResult, LadderState
from trading_assets.broker.errors import SymbolBlocked
from trading_assets.broker.reconciliation import reconcile
from trading_assets.domain.values import OrderState, PositionState
from trading_assets.ledger import orders, positions
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.desk import SteppedClock, assert_nothing_lost_or_doubled, entry, plan
from trading_assets_tests.broker.fault_proxy import HTML, Fault, FaultProxy, Kind
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange

LOOK_UP = "by_client_order_id"


def buy(engine: Engine, broker: AlpacaBroker, clock: SteppedClock, signal: str = "s1") -> LadderResult:
    return ladder.enter(engine, broker, clock, entry(signal), plan("2.50"), run_id="run")


def only_intent(engine: Engine) -> orders.OrderIntent:
    with engine.connect() as connection:
        (intent,) = orders.of_account(connection, desk.ACCOUNT)
    return intent


def test_an_accepted_order_fills_and_opens_its_position(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    result = buy(engine, broker, clock)
    assert (result.state, result.filled_quantity, str(result.avg_price)) == (LadderState.FILLED, 2, "2.500000")
    with engine.connect() as connection:
        position = positions.get_position(connection, result.position_id)
    assert position is not None
    assert (position.state, position.quantity, position.entry_price) == (PositionState.OPEN, 2, result.avg_price)
    assert exchange.posts == 1
    assert_nothing_lost_or_doubled(engine, exchange)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("POST", "/v2/orders", "lose_answer"), id="F01-time-out-after-acceptance"),
        pytest.param(Fault("POST", "/v2/orders", "reset_after"), id="F03-reset-after-acceptance"),
        pytest.param(Fault("POST", "/v2/orders", "answer", status=504, forward=True), id="F04-504-after-acceptance"),
        pytest.param(Fault("POST", "/v2/orders", "answer", status=502, body=HTML, forward=True), id="F08-html"),
        pytest.param(Fault("POST", "/v2/orders", "answer", body=HTML, forward=True), id="F08-html-as-200"),
        pytest.param(Fault("POST", "/v2/orders", "answer", forward=True), id="F08-empty-200"),
        pytest.param(Fault("POST", "/v2/orders", "answer", body=b"[]", forward=True), id="F08-wrong-kind-of-json"),
        pytest.param(Fault("POST", "/v2/orders", "truncate"), id="F08-truncated"),
    ],
)
def test_F01_F03_F04_F08_an_order_whose_answer_was_lost_is_found_and_adopted(
    fault: Fault,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    proxy: FaultProxy,
    exchange: ScriptedExchange,
) -> None:
    proxy.faults.append(fault)
    result = buy(engine, broker, clock)
    assert result.state is LadderState.FILLED
    assert proxy.count("POST", "/v2/orders") == exchange.posts == 1
    assert_nothing_lost_or_doubled(engine, exchange)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("POST", "/v2/orders", "lose_request"), id="F02-time-out-before-acceptance"),
        pytest.param(Fault("POST", "/v2/orders", "reset_before"), id="F03-reset-before-acceptance"),
        pytest.param(Fault("POST", "/v2/orders", "answer", status=504), id="F04-504-before-acceptance"),
        pytest.param(Fault("POST", "/v2/orders", "answer", status=500, body=b'{"code":1}'), id="F07-500"),
        pytest.param(
            Fault(
                "POST",
                "/v2/orders",
                "answer",
                status=429,
                headers={"X-RateLimit-Reset": "1773154803"},
                body=b'{"code":42910000,"message":"rate limit exceeded"}',
            ),
            id="F06-429-with-reset",
        ),
    ],
)
def test_F02_F03_F04_F06_F07_an_order_that_did_not_arrive_is_sent_exactly_once_more(
    fault: Fault,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    proxy: FaultProxy,
    exchange: ScriptedExchange,
) -> None:
    proxy.faults.append(fault)
    result = buy(engine, broker, clock)
    assert result.state is LadderState.FILLED
    assert (proxy.count("POST", "/v2/orders"), exchange.posts) == (2, 1)
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F06_a_rate_limit_is_waited_out_by_the_clock_before_the_second_try(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    reset = clock.now().timestamp() + 4
    proxy.faults.append(Fault("POST", "/v2/orders", "answer", status=429, headers={"X-RateLimit-Reset": str(reset)}))
    buy(engine, broker, clock)
    (order,) = exchange.orders.values()
    assert order.submitted_at.timestamp() >= reset


def test_F06_a_lasting_rate_limit_ends_the_entry_and_not_in_a_storm(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    proxy.faults.append(Fault("POST", "/v2/orders", "answer", status=429, times=99))
    result = buy(engine, broker, clock)
    assert result.state is LadderState.UNFILLED
    assert result.error is not None and "it was not sent" in result.error
    assert proxy.count("POST", "/v2/orders") == 2
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F07_an_order_that_stays_unclear_is_unknown_blocks_its_symbol_and_is_resolved_later(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    proxy.faults.append(Fault("POST", "/v2/orders", "lose_answer"))
    proxy.faults.append(Fault("GET", LOOK_UP, "answer", status=503, times=99))
    result = buy(engine, broker, clock)
    assert result.state is LadderState.UNKNOWN
    assert exchange.posts == 1
    assert_nothing_lost_or_doubled(engine, exchange)
    with engine.connect() as connection:
        assert orders.unknown_symbols(connection, desk.ACCOUNT) == {desk.SYMBOL, "NVDA"}
    with pytest.raises(SymbolBlocked):
        buy(engine, broker, clock, "s2")
    assert exchange.posts == 1

    proxy.faults.clear()
    report = reconcile(engine, broker, clock, desk.ACCOUNT, "start")
    assert report.clean
    assert only_intent(engine).state is OrderState.FILLED
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F14_an_outage_of_ten_minutes_in_mid_submission_loses_and_doubles_nothing(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    proxy.faults.append(Fault("POST", "/v2/orders", "reset_before", times=999))
    proxy.faults.append(Fault("GET", "/v2/", "reset_before", times=999))
    assert buy(engine, broker, clock).state is LadderState.UNKNOWN
    proxy.faults.clear()
    report = reconcile(engine, broker, clock, desk.ACCOUNT, "start")
    assert only_intent(engine).state is OrderState.ABANDONED
    assert report.resolved == {only_intent(engine).client_order_id: "ABANDONED"}
    assert exchange.posts == 0
    with engine.connect() as connection:
        assert positions.live_positions(connection, desk.ACCOUNT) == ()
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F05_a_duplicate_client_order_id_is_fetched_compared_and_adopted(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    # The first request lands, its answer is lost and the broker shows the order only after the look-ups.
    proxy.faults.append(Fault("POST", "/v2/orders", "lose_answer"))
    missing = b'{"code":40410000,"message":"order not found"}'
    proxy.faults.append(Fault("GET", LOOK_UP, "answer", status=404, body=missing, times=4))
    result = buy(engine, broker, clock)
    assert result.state is LadderState.FILLED
    assert exchange.posts == 2
    assert len(exchange.orders) == 1
    assert_nothing_lost_or_doubled(engine, exchange)


NOT_FOUND = b'{"code":40410000,"message":"order not found"}'
#: What may refuse the second try while the first one lives.
REFUSALS = [
    pytest.param(403, b'{"code":40310000,"message":"insufficient buying power"}', id="F01-money-held-by-the-first"),
    pytest.param(422, b'{"code":42210000,"message":"potential wash trade detected"}', id="F01-wash-trade"),
    pytest.param(422, b'{"code":40010001,"message":"client_order_id must be unique"}', id="F05-id-in-use"),
    pytest.param(401, b'{"code":40110000,"message":"request is not authorized"}', id="F01-keys-refused"),
    pytest.param(429, b'{"code":42910000,"message":"rate limit exceeded"}', id="F06-rate-limit"),
]


def refuse_the_second(proxy: FaultProxy, first: Kind, status: int, body: bytes) -> None:
    """The first POST gets no answer and is not seen in the first look-ups; the second one is refused."""
    proxy.faults.append(Fault("POST", "/v2/orders", first))
    proxy.faults.append(Fault("GET", LOOK_UP, "answer", status=404, body=NOT_FOUND, times=4))
    proxy.faults.append(Fault("POST", "/v2/orders", "answer", status=status, body=body))


@pytest.mark.parametrize(("status", "body"), REFUSALS)
def test_F01_F05_F06_an_order_that_landed_is_found_whatever_its_second_try_is_refused_for(
    status: int,
    body: bytes,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    proxy: FaultProxy,
    exchange: ScriptedExchange,
) -> None:
    refuse_the_second(proxy, "lose_answer", status, body)
    result = buy(engine, broker, clock)
    assert result.state is LadderState.FILLED
    assert (proxy.count("POST", "/v2/orders"), exchange.posts) == (2, 1)
    assert_nothing_lost_or_doubled(engine, exchange)


@pytest.mark.parametrize(("status", "body"), REFUSALS)
def test_F01_F05_F06_a_refused_second_try_is_unknown_while_the_first_cannot_be_asked_for(
    status: int,
    body: bytes,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    proxy: FaultProxy,
    exchange: ScriptedExchange,
) -> None:
    refuse_the_second(proxy, "lose_answer", status, body)
    proxy.faults.append(Fault("GET", LOOK_UP, "answer", status=503, times=999))
    assert buy(engine, broker, clock).state is LadderState.UNKNOWN
    assert_nothing_lost_or_doubled(engine, exchange)
    proxy.faults.clear()
    assert reconcile(engine, broker, clock, desk.ACCOUNT, "start").clean
    assert only_intent(engine).state is OrderState.FILLED
    assert_nothing_lost_or_doubled(engine, exchange)


@pytest.mark.parametrize(("status", "body"), REFUSALS)
def test_F02_F10_a_second_try_that_is_refused_is_final_once_the_first_is_clearly_absent(
    status: int,
    body: bytes,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    proxy: FaultProxy,
    exchange: ScriptedExchange,
) -> None:
    refuse_the_second(proxy, "lose_request", status, body)
    assert buy(engine, broker, clock).state is (LadderState.UNFILLED if status == 429 else LadderState.REJECTED)
    assert (proxy.count("POST", "/v2/orders"), exchange.posts) == (2, 0)
    assert proxy.count("GET", LOOK_UP) == 8, "the first try was asked for again"
    assert only_intent(engine).state is (OrderState.ABANDONED if status == 429 else OrderState.REJECTED)
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F05_another_order_under_the_same_id_is_not_adopted(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.post_order(
        {
            "symbol": desk.SYMBOL,
            "qty": 7,
            "side": "buy",
            "type": "limit",
            "limit_price": 2.5,
            "client_order_id": f"ta-{desk.ACCOUNT}-en-s1-0-0",
        }
    )
    assert buy(engine, broker, clock).state is LadderState.UNKNOWN
    intent = only_intent(engine)
    assert intent.state is OrderState.UNKNOWN
    assert intent.error is not None and "quantity: meant 2, found 7" in intent.error


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, 40310000, "insufficient buying power"),
        (403, 40310000, "account not eligible to trade uncovered option contracts"),
        (422, 42210000, "invalid limit_price 2.513. sub-penny increment does not fulfill minimum pricing criteria"),
        (422, 42210000, "potential wash trade detected. use complex orders"),
        (422, 40010001, "bracket orders must be market or limit orders"),
    ],
)
def test_F10_a_permanent_rejection_is_stored_in_the_brokers_words_without_a_retry(
    status: int,
    code: int,
    message: str,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
) -> None:
    exchange.refusals[desk.SYMBOL] = (status, {"code": code, "message": message})
    result = ladder.enter(engine, broker, clock, entry(), plan("2.50", "2.55", "2.60"), run_id="run")
    assert result.state is LadderState.REJECTED
    assert result.error is not None and message in result.error
    assert exchange.posts == 1
    assert only_intent(engine).state is OrderState.REJECTED
    with engine.connect() as connection:
        position = positions.get_position(connection, result.position_id)
    assert position is not None and position.state is PositionState.VOID
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F13_the_same_signal_traded_once_is_refused_the_second_time(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    buy(engine, broker, clock)
    with pytest.raises(SymbolBlocked):
        buy(engine, broker, clock)
    assert exchange.posts == 1
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F12_of_two_dispatchers_at_once_only_one_sends_the_order(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    start = threading.Barrier(2)

    def dispatch(_: int) -> LadderState | None:
        start.wait()
        try:
            return buy(engine, broker, clock).state
        except SymbolBlocked:
            return None

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(dispatch, range(2)))
    assert sorted(outcomes, key=str) == [LadderState.FILLED, None]
    assert exchange.posts == 1
    assert exchange.holdings[desk.SYMBOL][0] == 2
    assert_nothing_lost_or_doubled(engine, exchange)
