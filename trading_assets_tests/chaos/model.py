"""The invariants as a model states them, over a book: what must hold at every instant, and what once all has settled.

I1 no order is lost, I2 none is doubled, I3 ledger and exchange agree, I4 nothing beyond what was asked is ever at
stake, I5 every fault is visible (judged by ``judge.unseen``, from what the processes said).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from trading_assets_tests.chaos.book import Book, Booking, Intent, Order

#: Ids of this system's orders at a broker begin with this.
OURS = "ta-"
ENDED = frozenset({"filled", "canceled", "expired", "rejected", "replaced", "done_for_day"})
_LIVE = frozenset({"INTENT", "ACCEPTED", "PARTIALLY_FILLED", "UNKNOWN"})
_NEVER_SENT = frozenset({"REJECTED", "ABANDONED"})

Broken = dict[str, list[str]]


class Model:
    """Remembers what was booked: it must never be forgotten again."""

    def __init__(self) -> None:
        self._booked: dict[str, set[str]] = defaultdict(set)

    def at_once(self, book: Book) -> Broken:
        """What is broken now, whatever process is dead and whatever fault is armed."""
        booked = {booking.fill.name for booking in book.bookings}
        forgotten = [f"fill {name} was booked and is no longer" for name in sorted(self._booked[book.account] - booked)]
        self._booked[book.account] |= booked
        return _collected(
            I1=[*_strangers(book), *forgotten],
            I2=[*_doubled(book), *_oversold(book)],
            I3=[*_invented(book), *_miscounted(book)],
            I4=_beyond_what_was_asked(book),
        )

    def settled(self, book: Book) -> Broken:
        """What is broken once every fault is taken back and every run had time."""
        found = self.at_once(book)
        more = _collected(I1=[*_left(book), *_missing(book)], I3=[*_unbooked(book), *_differing(book)])
        return {name: found.get(name, []) + more.get(name, []) for name in sorted({*found, *more})}


# --- at every instant -------------------------------------------------------------------------------------------------


def _strangers(book: Book) -> Iterator[str]:
    """The intent is committed before anything is sent: no order of ours is ever unknown here."""
    known = {intent.client_order_id for intent in book.intents}
    for order in _ours(book):
        if order.client_order_id not in known:
            yield f"the exchange has order {order.client_order_id}, of which the ledger knows nothing"


def _doubled(book: Book) -> Iterator[str]:
    ids = Counter(order.client_order_id for order in book.orders)
    yield from (f"id {name} stands for {count} orders" for name, count in ids.items() if count > 1)
    live = [intent for intent in book.intents if intent.state in _LIVE]
    entries = Counter(intent.signal_id for intent in live if intent.purpose == "ENTRY" and intent.signal_id)
    yield from (f"signal {name} has {count} live entries" for name, count in entries.items() if count > 1)
    exits = Counter(intent.position_id for intent in live if intent.purpose == "EXIT")
    yield from (f"position {name} has {count} live exits" for name, count in exits.items() if count > 1)


def _oversold(book: Book) -> Iterator[str]:
    yield from (f"{symbol} was sold beyond what was held: {count}" for symbol, count in book.held.items() if count < 0)
    resting: dict[str, int] = defaultdict(int)
    for order in _ours(book):
        # Of a take profit and its stop one cancels the other.
        if order.side == "sell" and order.status not in ENDED and order.order_class == "simple":
            resting[order.symbol] += order.quantity - order.filled
    for symbol, count in resting.items():
        if count > book.held.get(symbol, 0):
            yield f"{symbol}: {count} are offered, {book.held.get(symbol, 0)} are held"


def _invented(book: Book) -> Iterator[str]:
    """Nothing is booked that the exchange did not fill, and nothing otherwise than it did."""
    theirs = {fill.name: fill for fill in book.fills}
    names = Counter(booking.fill.name for booking in _filled(book))
    yield from (f"fill {name} is booked {count} times" for name, count in names.items() if count > 1)
    for booking in _filled(book):
        fill = theirs.get(booking.fill.name)
        if fill is None:
            yield f"fill {booking.fill.name} is booked, the exchange has none"
        elif fill != booking.fill:
            yield f"fill {fill.name} is booked as {booking.fill}, it was {fill}"


def _miscounted(book: Book) -> Iterator[str]:
    """An order's and a position's quantity are those of their fills, in one transaction with them."""
    filled: dict[str, int] = defaultdict(int)
    held: dict[str, int] = defaultdict(int)
    for booking in book.bookings:
        filled[booking.client_order_id or ""] += booking.fill.quantity
        held[booking.position_id] += booking.fill.quantity * (1 if booking.fill.side == "buy" else -1)
    for intent in book.intents:
        if intent.is_combo:
            continue
        booked = filled[intent.client_order_id]
        if intent.filled != booked:
            yield f"order {intent.client_order_id} says {intent.filled} filled, booked are {booked}"
    for position in book.positions:
        expected = 0 if position.exit_reason == "phantom" else max(0, held[position.position_id])
        if position.quantity != expected:
            yield f"{position.symbol} is held {position.quantity} times in the ledger, its fills make {expected}"


def _beyond_what_was_asked(book: Book) -> Iterator[str]:
    """No signal buys more than it was to, counting what is under way."""
    at_exchange = {order.client_order_id: order for order in book.orders}
    for signal, intents in _by_signal(book).items():
        bought = sum(_at_stake(intent, at_exchange.get(intent.client_order_id)) for intent in intents)
        if bought > book.asked.get(signal, 0):
            yield f"signal {signal} was to buy {book.asked.get(signal, 0)}, at stake are {bought}"


def _at_stake(intent: Intent, order: Order | None) -> int:
    """What an order has bought or may still buy, as the exchange sees it; one that is not there may still come."""
    if order is not None:
        return order.filled if order.status in ENDED else order.quantity
    return intent.quantity if intent.state in ("ACCEPTED", "PARTIALLY_FILLED") else 0


# --- once all has settled ---------------------------------------------------------------------------------------------


def _left(book: Book) -> Iterator[str]:
    for intent in book.intents:
        if intent.state in ("INTENT", "UNKNOWN") or (intent.state in _LIVE and intent.purpose != "PROTECT"):
            yield f"order {intent.client_order_id} was left {intent.state}"
    for order in _ours(book):
        if order.status not in ENDED and order.order_class == "simple":
            yield f"order {order.client_order_id} still lives at the exchange"


def _missing(book: Book) -> Iterator[str]:
    theirs = {order.order_id: order for order in book.orders}
    for intent in book.intents:
        if intent.state in _NEVER_SENT or (intent.is_leg and intent.order_id is None and not intent.filled):
            # A leg of an order that ended without a fill may never have been read by itself: the whole was.
            continue
        order = theirs.get(intent.order_id or "")
        if order is None:
            yield f"order {intent.client_order_id} is {intent.state}, the exchange never had it"
        elif order.filled != intent.filled:
            yield f"order {intent.client_order_id} has {intent.filled} filled here, {order.filled} there"


def _unbooked(book: Book) -> Iterator[str]:
    booked = {booking.fill.name for booking in book.bookings}
    for fill in book.fills:
        if fill.name not in booked:
            yield f"fill {fill.name} ({fill.side} {fill.quantity} {fill.symbol}) was never booked"


def _differing(book: Book) -> Iterator[str]:
    ours: dict[str, int] = defaultdict(int)
    for position in book.positions:
        ours[position.symbol] += position.quantity
    for symbol in sorted({*ours, *book.held}):
        if ours[symbol] != book.held.get(symbol, 0):
            yield f"{symbol}: the ledger holds {ours[symbol]}, the exchange {book.held.get(symbol, 0)}"


# --- both -------------------------------------------------------------------------------------------------------------


def _ours(book: Book) -> list[Order]:
    return [order for order in book.orders if order.client_order_id.startswith(OURS)]


def _filled(book: Book) -> list[Booking]:
    return [booking for booking in book.bookings if not booking.adopted]


def _by_signal(book: Book) -> dict[str, list[Intent]]:
    found: dict[str, list[Intent]] = defaultdict(list)
    for intent in book.intents:
        if intent.purpose == "ENTRY" and intent.signal_id is not None:
            found[intent.signal_id].append(intent)
    return found


def _collected(**found: Iterator[str] | list[str]) -> Broken:
    sentences = {name: list(said) for name, said in found.items()}
    return {name: said for name, said in sentences.items() if said}
