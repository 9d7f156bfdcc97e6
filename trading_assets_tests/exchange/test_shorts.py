"""Short stock, covered calls and cash-secured puts; and whatever is ordered, money is conserved and a replay equal."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from trading_assets.domain.values import Quote
from trading_assets.exchange.config import ExchangeConfig
from trading_assets.exchange.events import OptionSettling, OrderFilled, Transaction
from trading_assets.exchange.journal import Journal
from trading_assets.exchange.margin import requirement
from trading_assets.exchange.markets import HISTORY_SESSIONS, SimulatedPort, simulated_port
from trading_assets.exchange.marks import mark_shorts
from trading_assets.exchange.refusal import Refusal
from trading_assets.exchange.rest_account import AccountRoutes
from trading_assets.exchange.state import Account
from trading_assets.exchange.venue import Venue
from trading_assets.market.sessions import shift
from trading_assets.simulation.market import SimulatedMarket
from trading_assets_tests.exchange.test_combos import spreads
from trading_assets_tests.exchange.test_venue import START, cents, market_order, visible
from trading_assets_tests.exchange.venue_process import SESSION, configuration

MORNING = shift(SESSION, 1).open - timedelta(minutes=5)


def config(**changes: Any) -> ExchangeConfig:
    values = spreads(shorting=True, cash="400000") | {"rules": {"hard_to_borrow": ["PFE"]}} | changes
    return ExchangeConfig.model_validate(configuration(START, **values))


@pytest.fixture(scope="module")
def market() -> SimulatedPort:
    return simulated_port(config(), SESSION)


def opened(market: SimulatedPort, folder: Path, **changes: Any) -> tuple[Venue, Journal, Account]:
    journal = Journal(folder / "journal.jsonl")
    venue = Venue(config(**changes), lambda day, held: market, journal)
    return venue, journal, venue.world.accounts["one"]


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def later(venue: Venue, seconds: int = 60) -> None:
    await venue.advance_to(venue.world.now + timedelta(seconds=seconds))


def option(market: SimulatedPort, right: str, low: float, high: float, place: int = 0) -> str:
    """A contract of AMD that expires later, whose delta has a size between the two."""
    lines = [
        line.contract.symbol
        for line in market.chain("AMD", START)
        if line.contract.right == right and low < abs(line.delta or 0) < high and line.contract.expiry > SESSION
    ]
    first = min(symbol[3:9] for symbol in lines)
    return [symbol for symbol in lines if symbol[3:9] == first][place]


def test_stock_is_sold_short_and_bought_back_and_ties_up_its_value_twice(market: SimulatedPort, tmp_path: Path) -> None:
    venue, journal, account = opened(market, tmp_path)

    async def play() -> None:
        order = await venue.place(account, market_order("KO", "sell", 100))
        assert order.terms.position_intent == "sell_to_open" and account.reserved > 0
        await later(venue)
        position = account.positions["KO"]
        assert position.quantity == -100 and position.cost == -order.filled_value
        assert account.cash == 400000 + order.filled_value and account.reserved == 0
        assert account.buying_power == 400000 - order.filled_value
        with pytest.raises(Refusal, match="insufficient qty"):
            await venue.place(account, market_order("KO", "buy", 101))
        with pytest.raises(Refusal, match="mismatch, inferred: buy_to_close"):
            await venue.place(account, market_order("KO", "buy", 1) | {"position_intent": "buy_to_open"})
        with pytest.raises(Refusal, match="must be entry orders"):
            legs = {"take_profit": {"limit_price": "900"}, "stop_loss": {"stop_price": "1"}}
            await venue.place(account, market_order("KO", "buy", 1) | {"order_class": "bracket", **legs})
        with pytest.raises(Refusal, match=r"PFE.*cannot be sold short"):
            await venue.place(account, market_order("PFE", "sell", 1))
        with pytest.raises(Refusal, match="insufficient buying power"):
            await venue.place(account, market_order("KO", "sell", 20000))
        stop = market_order("KO", "buy", 60) | {"type": "stop", "stop_price": "900"}
        await venue.place(account, stop)
        with pytest.raises(Refusal, match="insufficient qty"):
            await venue.place(account, market_order("KO", "buy", 50))
        await venue.cancel_all(account)
        await venue.place(account, market_order("KO", "buy", 100))
        await later(venue)
        assert account.positions == {} and account.required == 0

    run(play())
    journal.close()


class Risen(SimulatedPort):
    """The drawn market after one name has become so many times as dear."""

    name, times = "KO", Decimal(1)

    def _quote(self, symbol: str, instant: datetime) -> Quote | None:
        found = super()._quote(symbol, instant)
        if found is None or symbol != self.name or found.bid is None or found.ask is None:
            return found
        return replace(found, bid=found.bid * self.times, ask=found.ask * self.times)


def test_a_short_that_rises_ties_up_what_it_costs_now_and_can_always_be_bought_back(tmp_path: Path) -> None:
    drawn = config()
    market = Risen(SimulatedMarket(drawn.seed, SESSION, drawn.scenario, history_sessions=HISTORY_SESSIONS))
    venue, journal, account = opened(market, tmp_path, **spreads(shorting=True, cash="20000"))

    async def play() -> None:
        await venue.place(account, market_order("KO", "sell", 200))
        await later(venue)
        proceeds = account.cash - 20000
        market.times = Decimal(2)
        market.quote.cache_clear()
        mark_shorts(market, account, venue.world.now)
        quote = market.quote("KO", venue.world.now)
        assert quote is not None and quote.ask is not None
        assert account.required == 2 * 200 * quote.ask > 2 * proceeds
        assert account.buying_power == max(0, account.cash - account.required) < 20000 - proceeds
        with pytest.raises(Refusal, match="insufficient buying power"):
            await venue.place(account, market_order("MSFT", "buy", 20))
        await venue.place(account, market_order("KO", "buy", 200))
        await later(venue)
        assert account.positions == {} and account.required == 0 and account.cash < 20000
        market.times = Decimal("0.5")
        market.quote.cache_clear()
        await venue.place(account, market_order("KO", "sell", 10))
        await later(venue)
        assert account.required == -2 * account.positions["KO"].cost

    run(play())
    journal.close()


def test_the_account_tells_what_a_short_that_rose_leaves_to_buy_with_before_anything_else_asks(tmp_path: Path) -> None:
    drawn = config()
    market = Risen(SimulatedMarket(drawn.seed, SESSION, drawn.scenario, history_sessions=HISTORY_SESSIONS))
    venue, journal, account = opened(market, tmp_path, **spreads(shorting=True, cash="60000"))

    async def told() -> dict[str, Any]:
        answer = await AccountRoutes(venue).account(Request({"type": "http"}), account)
        found: dict[str, Any] = json.loads(answer.body)
        return found

    async def play() -> None:
        await venue.place(account, market_order("KO", "sell", 100))
        await later(venue)
        before = await told()
        market.times = Decimal(2)
        market.quote.cache_clear()
        after, quote = await told(), market.quote("KO", venue.world.now)
        assert quote is not None and quote.ask is not None
        assert Decimal(after["buying_power"]) == account.cash - 2 * 100 * quote.ask < Decimal(before["buying_power"])
        assert Decimal(after["initial_margin"]) == 2 * 100 * quote.ask

    run(play())
    journal.close()


def test_a_long_buy_and_a_short_sale_do_not_wait_side_by_side(market: SimulatedPort, tmp_path: Path) -> None:
    venue, journal, account = opened(market, tmp_path)

    async def play() -> None:
        await venue.place(account, market_order("KO", "sell", 5) | {"type": "limit", "limit_price": "900"})
        with pytest.raises(Refusal, match="long buy while a short sell order is open"):
            await venue.place(account, market_order("KO", "buy", 5) | {"type": "limit", "limit_price": "1"})

    run(play())
    journal.close()


def test_an_owner_who_wants_no_shorting_gets_none(market: SimulatedPort, tmp_path: Path) -> None:
    venue, journal, account = opened(market, tmp_path)

    async def play() -> None:
        await venue.configure(account, {"no_shorting": True})
        with pytest.raises(Refusal, match="insufficient qty available"):
            await venue.place(account, market_order("KO", "sell", 1))
        with pytest.raises(Refusal, match="not allowed to short"):
            await venue.place(account, market_order("KO", "sell", 1) | {"position_intent": "sell_to_open"})
        with pytest.raises(Refusal, match="not offered"):
            await venue.configure(venue.world.accounts["two"], {"no_shorting": False})
        await venue.configure(account, {"no_shorting": False})
        await venue.place(account, market_order("KO", "sell", 1))

    run(play())
    journal.close()
    again, journal, account = opened(market, tmp_path)
    assert account.may_short and visible(again) == visible(venue)
    journal.close()


def test_a_put_is_sold_against_cash_and_a_call_against_shares_that_are_then_not_for_sale(
    market: SimulatedPort, tmp_path: Path
) -> None:
    two = configuration(START)["accounts"][0] | {"options_level": 1, "cash": "60000"}
    venue, journal, account = opened(market, tmp_path, accounts=[two])
    put, call = option(market, "put", 0.2, 0.5), option(market, "call", 0.2, 0.5)
    opening = {"position_intent": "sell_to_open"}

    async def play() -> None:
        strike = Decimal(put[-8:]) / 1000
        most = int(60000 / (strike * 100))
        with pytest.raises(Refusal, match=r"cash-secured put \(required: \d+.*, available: 60000\)"):
            await venue.place(account, market_order(put, "sell", most + 1) | opening)
        await venue.place(account, market_order(put, "sell", 1) | opening)
        await later(venue)
        assert account.positions[put].quantity == -1
        assert account.buying_power == account.cash - strike * 100
        await venue.place(account, market_order("AMD", "buy", 150))
        await later(venue)
        with pytest.raises(Refusal, match=r"covered call \(required: 200, available: 150\)"):
            await venue.place(account, market_order(call, "sell", 2) | opening)
        await venue.place(account, market_order(call, "sell", 1) | opening)
        for _ in range(2):
            with pytest.raises(Refusal, match=r"insufficient qty available for order \(requested: 51, available: 50\)"):
                await venue.place(account, market_order("AMD", "sell", 51))
            await later(venue)
        await venue.place(account, market_order(call, "buy", 1))
        await later(venue)
        await venue.place(account, market_order("AMD", "sell", 150))
        await later(venue)
        assert set(account.positions) == {put}

    run(play())
    journal.close()


@pytest.mark.parametrize(
    ("options", "shares", "loss", "uncovered"),
    [
        ({"A260320C00100000": 1, "A260320C00110000": -1}, {}, 0, 0),
        ({"A260320C00100000": -1, "A260320C00110000": 1}, {}, 1000, 0),
        ({"A260320P00100000": -2, "A260320P00095000": 2}, {}, 1000, 0),
        ({"A260320P00100000": -1}, {}, 10000, 0),
        # The two wings of a condor cannot both lose.
        (
            {"A260320P00095000": 1, "A260320P00100000": -1, "A260320C00110000": -1, "A260320C00117000": 1},
            {},
            700,
            0,
        ),
        # A calendar is covered by what lives longer, and not by what lives less long.
        ({"A260320C00100000": -1, "A260417C00100000": 1}, {}, 0, 0),
        ({"A260320C00100000": 1, "A260417C00100000": -1}, {}, 10000, 1),
        ({"A260320C00100000": -1}, {"A": 100}, 0, 0),
        ({"A260320C00100000": -2}, {"A": 199}, 10000, 1),
        ({"A260320C00100000": -1, "A260417C00100000": -1, "A260417C00105000": 1}, {"A": 100}, 500, 0),
    ],
)
def test_short_options_tie_up_the_most_that_they_can_lose(
    options: dict[str, int], shares: dict[str, int], loss: int, uncovered: int
) -> None:
    found = requirement(options, shares)
    assert found.loss == loss and found.uncovered == uncovered


def test_events_that_turn_or_settle_what_is_not_held_are_not_written(market: SimulatedPort, tmp_path: Path) -> None:
    venue, journal, account = opened(market, tmp_path)

    async def play() -> str:
        order = await venue.place(account, market_order("KO", "sell", 5))
        return order.terms.id

    order_id = asyncio.run(play())
    account.positions["KO"] = account.positions.get("KO") or _long("KO", 5)
    filled = OrderFilled(account="one", order_id=order_id, execution_id="x", price=Decimal(1), quantity=5)
    settling = OptionSettling(account="one", symbol="AMD260320C00100000", quantity=1, reason="OPASN", day=SESSION)
    for event in (filled, settling):
        with pytest.raises(ValueError):
            venue.world.check([event])
    journal.close()


def _long(symbol: str, quantity: int) -> Any:
    from trading_assets.exchange.state import Position

    return Position(symbol, "us_equity", "id", 1, quantity, Decimal(quantity))


def test_a_journal_from_before_shorts_and_spreads_is_read_as_it_was(market: SimulatedPort, tmp_path: Path) -> None:
    """The lines of that time have none of the new fields."""
    venue, journal, account = opened(market, tmp_path)
    run(_bought(venue, account))
    journal.close()
    new = {"shorting", "ratio", "no_shorting"}
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines()
    again = Journal(tmp_path / "old.jsonl")
    again.read()
    for line in lines:
        payload = Transaction.model_validate_json(line.partition(b" ")[2]).model_dump(mode="json")
        for event in payload["events"]:
            for part in (event, *event.get("accounts", [])):
                for name in new & set(part):
                    if not part[name]:
                        del part[name]
        again.append(Transaction.model_validate(payload).model_dump_json(exclude_defaults=False).encode())
    again.close()
    old = Venue(config(), lambda day, held: market, Journal(tmp_path / "old.jsonl"))
    assert visible(old) == visible(venue)


async def _bought(venue: Venue, account: Account) -> None:
    await venue.place(account, market_order("KO", "buy", 5))
    await later(venue)


# --- whatever is ordered ----------------------------------------------------------------------------------------------


def assert_conserved(account: Account, market: SimulatedPort) -> None:
    """Cash and quantities follow from the history alone; short options are covered and nothing is claimed twice."""
    money, held = account.opening_cash, dict[str, int]()
    for line in account.activities:
        if line.kind == "FILL":
            signed = line.quantity if line.side == "buy" else -line.quantity
            money -= line.price * signed * line.multiplier
        else:
            signed = line.quantity
            money += line.amount
        held[line.symbol] = held.get(line.symbol, 0) + signed
    assert account.cash == money
    assert {s: p.quantity for s, p in account.positions.items()} == {s: n for s, n in held.items() if n}
    for symbol, position in account.positions.items():
        assert position.cost * position.quantity > 0
        assert 0 <= account.held_for_orders(symbol) <= abs(position.quantity)
    assert account.option_requirement().uncovered == 0
    for order in account.orders.values():
        if order.is_combo:
            assert [leg.filled for leg in account.legs(order)] == [
                order.filled * (leg.terms.ratio or 0) for leg in account.legs(order)
            ]
            paid = sum(
                (leg.filled_value * (1 if leg.terms.side == "buy" else -1) for leg in account.legs(order)), Decimal(0)
            )
            assert paid == order.filled_value
            limit = order.terms.limit_price
            assert limit is None or order.filled == 0 or order.filled_value <= limit * order.filled
            ends = {leg.terms.id in account.open_orders for leg in account.legs(order)}
            assert ends == {order.terms.id in account.open_orders}


CONTRACTS = ["c0", "c1", "c2", "p0", "p1"]
COMMANDS = st.one_of(
    st.tuples(
        st.just("order"),
        st.sampled_from(["AMD", "KO", *CONTRACTS]),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 120),
        st.sampled_from([None, "0.99", "1.01"]),
        st.booleans(),
    ),
    st.tuples(
        st.just("combo"),
        st.lists(st.sampled_from(CONTRACTS), min_size=2, max_size=4, unique=True),
        st.lists(st.sampled_from(["buy", "sell"]), min_size=4, max_size=4),
        st.sampled_from([1, 1, 1, 2]),
        st.integers(1, 20),
        st.sampled_from([None, "-3", "0", "1.5", "40"]),
    ),
    st.tuples(
        st.just("spread"),
        st.sampled_from([("c0", "c1"), ("c1", "c2"), ("c1", "c0"), ("p0", "p1"), ("p1", "p0")]),
        st.sampled_from(["open", "open", "close"]),
        st.integers(1, 6),
    ),
    st.tuples(st.just("replace"), st.integers(0, 8), st.integers(1, 30)),
    st.tuples(st.just("cancel"), st.integers(0, 12)),
    st.tuples(st.sampled_from(["exercise", "decline"]), st.sampled_from(CONTRACTS)),
    st.tuples(st.just("assign"), st.sampled_from(CONTRACTS), st.integers(1, 3)),
    st.tuples(st.just("advance"), st.sampled_from([1, 2, 30])),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commands=st.lists(COMMANDS, min_size=4, max_size=25))
def test_spreads_and_shorts_conserve_money_stay_covered_and_replay_to_the_same_world(
    market: SimulatedPort, commands: list[tuple[Any, ...]]
) -> None:
    names = {f"c{n}": option(market, "call", 0.15, 0.8, n) for n in range(3)}
    names |= {f"p{n}": option(market, "put", 0.15, 0.8, n) for n in range(2)}

    async def act(venue: Venue, account: Account, kind: str, rest: list[Any]) -> None:
        if kind == "order":
            name, side, quantity, share, opens = rest
            symbol = names.get(name, name)
            body: dict[str, Any] = market_order(symbol, side, quantity)
            quote = market.quote(symbol, venue.world.now)
            if share is not None and quote is not None and quote.ask is not None:
                body |= {"type": "limit", "limit_price": cents(quote.ask * Decimal(share))}
            await venue.place(account, body | ({"position_intent": "sell_to_open"} if opens and side == "sell" else {}))
        elif kind == "combo":
            symbols, sides, ratio, units, limit = rest
            legs = [
                {"symbol": names[name], "side": side, "ratio_qty": ratio if place == 0 else 1}
                for place, (name, side) in enumerate(zip(symbols, sides, strict=False))
            ]
            body = {"qty": units, "time_in_force": "day", "order_class": "mleg", "legs": legs, "type": "market"}
            await venue.place(account, body if limit is None else body | {"type": "limit", "limit_price": limit})
        elif kind == "spread":
            pair, effect, units = rest
            sides = ("buy", "sell") if effect == "open" else ("sell", "buy")
            legs = [
                {"symbol": names[name], "ratio_qty": 1, "position_intent": f"{side}_to_{effect}"}
                for name, side in zip(pair, sides, strict=True)
            ]
            body = {"qty": units, "time_in_force": "day", "order_class": "mleg", "legs": legs, "type": "market"}
            await venue.place(account, body)
            await later(venue, 2)
        elif kind == "replace":
            await venue.replace(account, list(account.orders)[rest[0]], {"qty": rest[1]})
        elif kind == "cancel":
            await venue.cancel(account, list(account.orders)[rest[0]])
        elif kind in ("exercise", "decline"):
            await getattr(venue, kind)(account, names[rest[0]])
        elif kind == "assign":
            await venue.assign(account, names[rest[0]], rest[1])
        else:
            await later(venue, rest[0])

    async def play(venue: Venue) -> None:
        account = venue.world.accounts["one"]
        for kind, *rest in commands:
            with contextlib.suppress(Refusal, IndexError):
                await act(venue, account, kind, rest)
            assert_conserved(account, market)
        await venue.cancel_all(account)
        await venue.advance_to(MORNING)
        assert_conserved(account, market)
        assert not account.settling and not venue.failed

    with TemporaryDirectory() as folder:
        venue, journal, _ = opened(market, Path(folder))
        asyncio.run(play(venue))
        journal.close()
        again, journal, _ = opened(market, Path(folder))
        journal.close()
        assert visible(again) == visible(venue)
