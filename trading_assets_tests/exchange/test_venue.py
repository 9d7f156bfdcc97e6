"""The venue without HTTP: money is conserved whatever is ordered, and the journal leads every answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_assets.domain.values import Quote
from trading_assets.exchange.config import ExchangeConfig
from trading_assets.exchange.events import OrderCanceled, OrderFilled, Transaction
from trading_assets.exchange.journal import Journal, JournalBroken, JournalCorrupt
from trading_assets.exchange.market_port import Execution, Resting
from trading_assets.exchange.markets import HISTORY_SESSIONS, SimulatedPort, simulated_port
from trading_assets.exchange.marks import last_price, worth
from trading_assets.exchange.refusal import Refusal
from trading_assets.exchange.state import Account
from trading_assets.exchange.venue import Venue
from trading_assets.simulation.market import SimulatedMarket
from trading_assets_tests.exchange.venue_process import CLOSE, MINUTE, OPEN, configuration

START = OPEN + 60 * MINUTE


def config() -> ExchangeConfig:
    return ExchangeConfig.model_validate(configuration(START))


@pytest.fixture(scope="module")
def market() -> SimulatedPort:
    return simulated_port(config(), config().session)


class Scarce(SimulatedPort):
    """The drawn market, in which a buy never gets more than ``most`` at a time."""

    most = 40

    def execute(self, order: Resting, quote: Quote, instant: datetime) -> Execution | None:
        found = super().execute(order, quote, instant)
        if found is None or order.side == "sell":
            return found
        most = min(found.quantity, self.most)
        return Execution(found.price, most) if most > 0 else None


@pytest.fixture(scope="module")
def thin() -> Scarce:
    """A market that fills most buys in parts."""
    market = Scarce(
        SimulatedMarket(config().seed, config().session, config().scenario, history_sessions=HISTORY_SESSIONS)
    )
    market.most = 17
    return market


class Silent(SimulatedPort):
    """The drawn market after it has lost every price of some names."""

    lost: frozenset[str] = frozenset()

    def _quote(self, symbol: str, instant: datetime) -> Quote | None:
        return None if symbol in self.lost else super()._quote(symbol, instant)


def open_venue(market: SimulatedPort, path: Path) -> tuple[Venue, Journal]:
    journal = Journal(path / "journal.jsonl")
    return Venue(config(), lambda day, held: market, journal), journal


def market_order(symbol: str, side: str, qty: int) -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "qty": qty, "type": "market", "time_in_force": "day"}


def visible(venue: Venue) -> tuple[Any, ...]:
    return (venue.world.now, venue.world.sequence, venue.world.orders, venue.world.accounts)


def assert_conserved(account: Account) -> None:
    """Cash, positions and cost follow from the fills alone."""
    cash, held, cost = account.opening_cash, dict[str, int](), dict[str, Decimal]()
    for activity in account.activities:
        if activity.kind == "OPEXP":
            assert held.pop(activity.symbol) == -activity.quantity
            continue
        value = activity.price * activity.quantity * activity.multiplier
        before = held.get(activity.symbol, 0)
        if activity.side == "buy":
            cash -= value
            held[activity.symbol] = before + activity.quantity
            cost[activity.symbol] = cost.get(activity.symbol, Decimal(0)) + value
        else:
            cash += value
            cost[activity.symbol] -= cost[activity.symbol] * activity.quantity / before
            held[activity.symbol] = before - activity.quantity
    assert account.cash == cash
    assert {s: p.quantity for s, p in account.positions.items()} == {s: n for s, n in held.items() if n}
    for symbol, position in account.positions.items():
        assert position.quantity > 0 and abs(position.cost - cost[symbol]) < Decimal("1e-9")
        assert 0 <= account.held_for_orders(symbol) <= position.quantity
    for order in account.orders.values():
        filled = sum(a.quantity for a in account.activities if a.order_id == order.terms.id)
        assert order.filled == filled <= order.quantity
        assert (order.status in ("new", "partially_filled", "held")) == (order.terms.id in account.open_orders)
        assert not order.waits or order.filled == 0
    assert_pairs_sell_once(account)


def assert_pairs_sell_once(account: Account) -> None:
    """The legs of a bracket sell what it bought at most, and no leg stands for more than that."""
    groups: dict[str, list[Any]] = {}
    for order in account.orders.values():
        if order.terms.group is not None:
            groups.setdefault(order.terms.group, []).append(order)
    for orders in groups.values():
        bought = sum(order.filled for order in orders if order.terms.role == "entry")
        legs = [order for order in orders if order.terms.role != "entry"]
        entered = any(order.terms.role == "entry" for order in orders)
        most = bought if entered else max(order.terms.quantity for order in legs)
        assert sum(leg.filled for leg in legs) <= most
        working = [leg for leg in legs if leg.terms.id in account.open_orders and not leg.waits]
        sold = sum(leg.filled for leg in legs)
        assert all(leg.remaining <= most - sold for leg in working)


def cents(price: Decimal) -> str:
    return str(price.quantize(Decimal("0.01")))


def complex_order(
    market: SimulatedPort, venue: Venue, kind: str, symbol: str, quantity: int, below: str, above: str
) -> dict[str, Any]:
    """A bracket, OTO or entry with a limit at the ask, an OCO over what is held, or a lone stop that sells."""
    quote = market.quote(symbol, venue.world.now)
    assert quote is not None and quote.ask is not None
    stop, profit = cents(quote.ask * Decimal(below)), cents(quote.ask * Decimal(above))
    body: dict[str, Any] = market_order(symbol, "sell", quantity)
    legs = {"take_profit": {"limit_price": profit}, "stop_loss": {"stop_price": stop}}
    if kind in ("bracket", "oto"):
        if kind == "oto":
            del legs["take_profit"]
        limit = {"side": "buy", "type": "limit", "limit_price": str(quote.ask), "order_class": kind}
        return {**body, **limit, **legs}
    if kind == "oco":
        return {**body, "type": "limit", "limit_price": profit, "order_class": "oco", **legs}
    prices = {"stop": {"stop_price": stop}, "trailing_stop": {"trail_percent": "0.1"}}
    return {**body, "type": kind, **prices.get(kind, {"stop_price": stop, "limit_price": stop})}


COMMANDS = st.one_of(
    st.tuples(
        st.just("order"),
        st.sampled_from(["KO", "PFE", "call", "put"]),
        st.sampled_from(["buy", "buy", "sell"]),
        st.integers(1, 60),
        st.sampled_from([None, "0.99", "1.00", "1.01"]),
    ),
    st.tuples(
        st.just("complex"),
        st.sampled_from(["bracket", "bracket", "oto", "oco", "stop", "stop_limit", "trailing_stop"]),
        st.sampled_from(["KO", "PFE"]),
        st.integers(1, 60),
        st.sampled_from(["0.998", "0.9995"]),
        st.sampled_from(["1.0005", "1.01"]),
    ),
    st.tuples(st.just("replace"), st.integers(0, 10), st.integers(1, 60), st.sampled_from(["0.999", "1.001"])),
    st.tuples(st.just("cancel"), st.integers(0, 10)),
    st.tuples(st.just("cancel all")),
    st.tuples(st.just("advance"), st.sampled_from([1, 2, 7, 61])),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commands=st.lists(COMMANDS, min_size=3, max_size=25))
def test_money_and_quantities_are_conserved_and_a_replay_gives_the_same_world(
    thin: Scarce, commands: list[tuple[Any, ...]]
) -> None:
    near = [line for line in thin.chain("SPY", START) if 0.3 < abs(line.delta or 0) < 0.7]
    options = {side: next(li.contract.symbol for li in near if li.contract.right == side) for side in ("call", "put")}

    async def play(venue: Venue) -> None:
        account = venue.world.accounts["one"]
        for kind, *rest in commands:
            try:
                if kind == "order":
                    symbol = options.get(rest[0], rest[0])
                    body: dict[str, Any] = market_order(symbol, rest[1], rest[2])
                    quote = thin.quote(symbol, venue.world.now)
                    if rest[3] is not None and quote is not None and quote.ask is not None:
                        price = (quote.ask * Decimal(rest[3])).quantize(Decimal("0.01"))
                        body |= {"type": "limit", "limit_price": str(price)}
                    await venue.place(account, body)
                elif kind == "complex":
                    await venue.place(account, complex_order(thin, venue, *rest))
                elif kind == "replace":
                    order = list(account.orders.values())[rest[0]]
                    body = {} if order.terms.role in ("take_profit", "stop_loss") else {"qty": rest[1]}
                    for name in ("limit_price", "stop_price"):
                        price = getattr(order.terms, name)
                        body |= {} if price is None else {name: cents(price * Decimal(rest[2]))}
                    await venue.replace(account, order.terms.id, body)
                elif kind == "cancel all":
                    await venue.cancel_all(account)
                elif kind == "cancel":
                    await venue.cancel(account, list(account.orders)[rest[0]])
                else:
                    await venue.advance_to(venue.world.now + timedelta(seconds=rest[0]))
            except (Refusal, IndexError):
                pass
            assert_conserved(account)
        await venue.advance_to(CLOSE)
        assert_conserved(account)

    with TemporaryDirectory() as folder:
        venue, journal = open_venue(thin, Path(folder))
        asyncio.run(play(venue))
        journal.close()
        again, journal = open_venue(thin, Path(folder))
        journal.close()
        assert visible(again) == visible(venue)


def test_five_minutes_of_time_are_made_durable_once_and_an_order_once(market: SimulatedPort, tmp_path: Path) -> None:
    venue, journal = open_venue(market, tmp_path)
    account = venue.world.accounts["one"]

    async def play() -> list[int]:
        counts = [journal.synced]
        await venue.place(account, market_order("KO", "buy", 3))
        counts.append(journal.synced)
        await venue.place(account, market_order("PFE", "buy", 3) | {"type": "limit", "limit_price": 1})
        await venue.advance_to(START + 5 * MINUTE)
        counts.append(journal.synced)
        return counts

    first, placed, advanced = asyncio.run(play())
    assert placed == first + 1 and advanced == placed + 2
    assert account.positions["KO"].quantity == 3
    journal.close()


def test_every_prefix_of_the_journal_continues_to_the_same_world(market: SimulatedPort, tmp_path: Path) -> None:
    """A crash between any two lines of an advance, then the same advance again."""
    venue, journal = open_venue(market, tmp_path)

    async def play() -> None:
        account = venue.world.accounts["one"]
        for symbol, quantity in (("PFE", 1000), ("KO", 100), ("BAC", 100)):
            await venue.place(account, market_order(symbol, "buy", quantity))
        await venue.advance_to(START + 2 * MINUTE)

    asyncio.run(play())
    journal.close()
    whole = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    assert len(whole) > 6
    for cut in range(4, len(whole)):
        (tmp_path / "journal.jsonl").write_bytes(b"".join(whole[:cut]))
        again, journal = open_venue(market, tmp_path)
        asyncio.run(again.advance_to(START + 2 * MINUTE))
        journal.close()
        assert again.world.accounts == venue.world.accounts and again.world.now == venue.world.now


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines.pop(2),
        lambda lines: lines.insert(2, lines[1]),
        lambda lines: lines.insert(2, b"\n"),
        lambda lines: lines.__setitem__(slice(2, 4), [lines[3], lines[2]]),
        lambda lines: lines.__setitem__(2, lines[2].replace(b"advance", b"advancf").replace(b"KO", b"KP")),
    ],
)
def test_a_line_that_was_not_written_there_is_corruption(
    market: SimulatedPort, tmp_path: Path, damage: Callable[[list[bytes]], object]
) -> None:
    venue, journal = open_venue(market, tmp_path)

    async def play() -> None:
        for _ in range(4):
            await venue.place(venue.world.accounts["one"], market_order("KO", "buy", 1))

    asyncio.run(play())
    journal.close()
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    damage(lines)
    (tmp_path / "journal.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(JournalCorrupt, match="line 3"):
        open_venue(market, tmp_path)


def test_a_checked_line_that_says_nonsense_is_corruption_too(market: SimulatedPort, tmp_path: Path) -> None:
    venue, journal = open_venue(market, tmp_path)
    journal.append(Transaction(sequence=venue.world.sequence + 2, at=START).model_dump_json().encode())
    journal.sync()
    journal.close()
    with pytest.raises(JournalCorrupt, match="cannot be replayed"):
        open_venue(market, tmp_path)


def test_an_order_that_cannot_be_written_is_not_booked_and_the_exchange_stops(
    market: SimulatedPort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue, journal = open_venue(market, tmp_path)
    account = venue.world.accounts["one"]
    stopped: list[bool] = []
    venue.on_failure = lambda: stopped.append(True)

    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Refusal) as first:
        asyncio.run(venue.place(account, market_order("KO", "buy", 1)))
    monkeypatch.undo()
    with pytest.raises(Refusal) as second:
        asyncio.run(venue.place(account, market_order("KO", "buy", 1)))
    assert (first.value.status, second.value.status) == (500, 503)
    assert stopped == [True] and account.orders == {}
    journal.close()
    again, journal = open_venue(market, tmp_path)
    assert again.world.accounts["one"].orders == {}
    journal.close()


def test_a_line_that_was_written_in_half_is_broken_off_and_read_again_as_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    assert journal.read() == []
    journal.append(b'{"a":1}')
    journal.sync()
    journal.close()
    with (tmp_path / "journal.jsonl").open("ab") as handle:
        handle.write(b"0123456789abcdef {")
    again = Journal(tmp_path / "journal.jsonl")
    assert again.read() == [b'{"a":1}']
    again.append(b'{"b":2}')
    again.close()
    with pytest.raises(JournalBroken):
        again.sync()
    last = Journal(tmp_path / "journal.jsonl")
    assert last.read() == [b'{"a":1}', b'{"b":2}']
    last.close()


# --- brackets whose entry is filled in part ---------------------------------------------------------------------------


async def half_bought(venue: Venue, market: Scarce) -> tuple[Account, Any, dict[str, Any]]:
    """An account whose bracket of 100 has bought 40 and then gets no more; the entry and its legs' prices."""
    account = venue.world.accounts["one"]
    quote = market.quote("KO", venue.world.now)
    assert quote is not None and quote.ask is not None
    legs = {"take_profit": {"limit_price": cents(quote.ask * 2)}, "stop_loss": {"stop_price": "1.00"}}
    body = market_order("KO", "buy", 100) | {"type": "limit", "limit_price": cents(quote.ask + 1), **legs}
    entry = await venue.place(account, {**body, "order_class": "bracket"})
    await venue.advance_to(venue.world.now + timedelta(seconds=1))
    market.most = 0
    assert (entry.filled, account.positions["KO"].quantity) == (40, 40)
    return account, entry, legs


def scarce(tmp_path: Path) -> tuple[Venue, Journal, Scarce]:
    day = config().session
    market = Scarce(SimulatedMarket(config().seed, day, config().scenario, history_sessions=HISTORY_SESSIONS))
    journal = Journal(tmp_path / "journal.jsonl")
    return Venue(config(), lambda day, held: market, journal), journal, market


def legs_of(account: Account, entry: Any) -> list[Any]:
    return [order for order in account.group(entry) if order.terms.role != "entry"]


def restarted(venue: Venue, journal: Journal, market: Scarce) -> None:
    journal.close()
    again = Journal(journal.path)
    assert visible(Venue(config(), lambda day, held: market, again)) == visible(venue)
    again.close()


def test_what_a_bracket_has_bought_so_far_belongs_to_its_legs_and_nobody_sells_it_twice(tmp_path: Path) -> None:
    venue, journal, market = scarce(tmp_path)

    async def play() -> None:
        account, entry, _ = await half_bought(venue, market)
        assert account.held_for_orders("KO") == 40
        with pytest.raises(Refusal, match="insufficient qty"):
            await venue.place(account, market_order("KO", "sell", 40) | {"type": "limit", "limit_price": "900"})
        await venue.cancel(account, entry.terms.id)
        assert [(leg.quantity, leg.waits) for leg in legs_of(account, entry)] == [(40, False), (40, False)]
        assert account.held_for_orders("KO") == 40
        assert_conserved(account)

    asyncio.run(play())
    restarted(venue, journal, market)


def test_everything_is_canceled_also_where_a_half_filled_entry_was_replaced(tmp_path: Path) -> None:
    venue, journal, market = scarce(tmp_path)

    async def play() -> None:
        account, entry, _ = await half_bought(venue, market)
        changed = await venue.replace(account, entry.terms.id, {"limit_price": "5.00"})
        assert (changed.quantity, changed.filled) == (60, 0)
        lines = await venue.cancel_all(account)
        assert [refusal for _, refusal in lines] == [None] * 3 and not account.open_orders
        assert_conserved(account)

    asyncio.run(play())
    restarted(venue, journal, market)


def test_legs_stand_for_all_that_was_bought_also_before_the_entry_was_replaced(tmp_path: Path) -> None:
    venue, journal, market = scarce(tmp_path)

    async def play() -> None:
        account, entry, _ = await half_bought(venue, market)
        changed = await venue.replace(account, entry.terms.id, {"qty": 50})
        market.most = 40
        await venue.advance_to(venue.world.now + timedelta(seconds=2))
        assert (changed.filled, account.positions["KO"].quantity) == (10, 50)
        assert [leg.quantity for leg in legs_of(account, changed)] == [50, 50]
        assert_conserved(account)

    asyncio.run(play())
    restarted(venue, journal, market)


def test_the_orders_of_a_bracket_end_together_and_a_leg_keeps_its_size(tmp_path: Path) -> None:
    venue, journal, market = scarce(tmp_path)

    async def play() -> None:
        account, entry, _ = await half_bought(venue, market)
        profit, stop = legs_of(account, entry)
        for order in (entry, profit, stop):
            with pytest.raises(Refusal, match="its orders end together"):
                await venue.replace(account, order.terms.id, {"time_in_force": "gtc"})
        with pytest.raises(Refusal, match="stands for what its order bought"):
            await venue.replace(account, stop.terms.id, {"qty": 2})
        moved = await venue.replace(account, stop.terms.id, {"stop_price": "2.00"})
        assert moved.waits and moved.status == "held", "a leg that waits may be moved"
        await venue.advance_to(CLOSE)
        assert not account.open_orders
        assert_conserved(account)

    asyncio.run(play())
    restarted(venue, journal, market)


def test_events_that_cannot_be_applied_are_not_written(market: SimulatedPort, tmp_path: Path) -> None:
    venue, journal = open_venue(market, tmp_path)
    account = venue.world.accounts["one"]

    async def play() -> str:
        order = await venue.place(account, market_order("KO", "buy", 1))
        return order.terms.id

    order_id = asyncio.run(play())
    before, size = visible(venue), journal.path.stat().st_size
    canceled = OrderCanceled(account="one", order_id=order_id)
    sold = OrderFilled(account="one", order_id=order_id, execution_id="x", price=Decimal(1), quantity=2)
    for events in ([canceled, canceled], [canceled, sold], [sold]):
        with pytest.raises(ValueError):
            venue._write(venue.world.now, events)
    assert visible(venue) == before and journal.path.stat().st_size == size
    journal.close()


def test_a_stop_that_was_reached_stays_so_when_its_limit_is_replaced(market: SimulatedPort, tmp_path: Path) -> None:
    venue, journal = open_venue(market, tmp_path)

    async def play() -> None:
        account = venue.world.accounts["one"]
        await venue.place(account, market_order("KO", "buy", 3))
        await venue.advance_to(venue.world.now + timedelta(seconds=30))
        quote = market.quote("KO", venue.world.now)
        assert quote is not None and quote.ask is not None
        prices = {"stop_price": cents(quote.ask), "limit_price": cents(quote.ask * 2)}
        order = await venue.place(account, market_order("KO", "sell", 3) | {"type": "stop_limit", **prices})
        await venue.advance_to(venue.world.now + timedelta(seconds=3))
        assert order.triggered and order.filled == 0
        changed = await venue.replace(account, order.terms.id, {"limit_price": "1.00"})
        await venue.advance_to(venue.world.now + timedelta(seconds=30))
        assert changed.filled == 3 and "KO" not in account.positions

    asyncio.run(play())
    journal.close()


def test_a_buy_trail_reserves_what_it_may_have_to_pay(market: SimulatedPort, tmp_path: Path) -> None:
    venue, journal = open_venue(market, tmp_path)

    async def play() -> None:
        account = venue.world.accounts["one"]
        trail = market_order("KO", "buy", 100) | {"type": "trailing_stop", "trail_percent": "20"}
        order = await venue.place(account, trail)
        price = order.high_water
        assert price is not None and account.reserved >= price * 100 * Decimal("1.2")
        with pytest.raises(Refusal, match="trail_percent must be < 100"):
            await venue.replace(account, order.terms.id, {"trail": 150})

    asyncio.run(play())
    journal.close()


def test_a_position_without_any_price_is_worth_what_it_cost(tmp_path: Path) -> None:
    market = Silent(
        SimulatedMarket(config().seed, config().session, config().scenario, history_sessions=HISTORY_SESSIONS)
    )
    venue, journal = open_venue(market, tmp_path)
    account = venue.world.accounts["one"]

    async def play() -> None:
        await venue.place(account, market_order("KO", "buy", 10))
        await venue.advance_to(START + MINUTE)

    asyncio.run(play())
    position = account.positions["KO"]
    assert worth(market, position, venue.world.now) != position.cost
    market.lost = frozenset({"KO"})
    market.quote.cache_clear()
    assert last_price(market, position, venue.world.now) is None
    assert worth(market, position, venue.world.now) == position.cost > 0
    journal.close()
