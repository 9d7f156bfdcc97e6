"""Multi-leg orders: what is taken, what they tie up, and how their legs trade together at one net price.

The whole is an order without a symbol; its legs are orders of the same group that never trade by themselves. A unit is
``ratio`` contracts of every leg. Prices of the whole are net: paid positive, received negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_UP, Decimal

from trading_assets.domain.money import CENT
from trading_assets.domain.values import Quote
from trading_assets.exchange.account_checks import UNCOVERED, freed_by
from trading_assets.exchange.combo_tickets import ComboTicket, LegTicket
from trading_assets.exchange.events import ComboFilled, LegFill, OrderAccepted
from trading_assets.exchange.identities import ZERO_UUID, Identities
from trading_assets.exchange.listing import Listed
from trading_assets.exchange.margin import Line, covered_within, requirement
from trading_assets.exchange.market_port import MarketPort, Resting
from trading_assets.exchange.refusal import forbidden, unprocessable
from trading_assets.exchange.state import MULTI_LEG, ZERO, Account, Order
from trading_assets.exchange.wire import activity_id

SPREADS_LEVEL = 3
_HOLD = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Leg:
    """A leg whose contract and intent are known."""

    ticket: LegTicket
    listed: Listed
    intent: str

    @property
    def signed(self) -> int:
        """Contracts a unit brings in, negative for what it gives away."""
        return self.ticket.ratio if self.ticket.side == "buy" else -self.ticket.ratio


# --- acceptance -------------------------------------------------------------------------------------------------------


def check_legs(account: Account, legs: Sequence[Leg]) -> None:
    """The account may trade spreads, and the legs are one covered strategy on one underlying; raises ``Refusal``."""
    if account.trading_level < SPREADS_LEVEL:
        raise forbidden(
            "account not eligible to trade multi-leg option orders", options_trading_level=account.trading_level
        )
    if len({leg.listed.asset.symbol for leg in legs}) != 1:
        raise unprocessable("all legs of a mleg order must have the same underlying")
    opening = []
    for leg in legs:
        contract = leg.listed.contract
        if contract is not None and leg.intent.endswith("_to_open"):
            opening.append(Line(contract.right, contract.strike, contract.expiry, leg.signed))
    if not covered_within(opening):
        raise forbidden(UNCOVERED)


def hold_price(account: Account, legs: Sequence[Leg], net: Decimal, units: int, instead_of: Order | None) -> Decimal:
    """What each unit ties up per share: the debit (less the credit) and the most that the opening legs can lose, less
    what the closing legs set free. Raises ``Refusal`` where these would leave a short option uncovered."""
    opening = {leg.listed.symbol: leg.signed * units for leg in legs if leg.intent.endswith("_to_open")}
    closing = {leg.listed.symbol: leg.signed * units for leg in legs if leg.intent.endswith("_to_close")}
    freed = freed_by(account, closing, instead_of) if closing else ZERO
    shares = Decimal(units * legs[0].listed.multiplier)
    tied = net * shares + requirement(opening, {}).loss - freed
    return max(ZERO, (tied / shares).quantize(_HOLD, ROUND_UP))


def accepted(
    identities: Identities, account: Account, ticket: ComboTicket, legs: Sequence[Leg], number: int, **common: object
) -> tuple[OrderAccepted, ...]:
    """The events of the whole and its legs; ``common`` are fields of the whole. ``number`` is the whole's."""
    name = ticket.client_order_id or identities.client_order(account.name, number)
    whole = OrderAccepted.model_validate(
        {
            "account": account.name,
            "id": identities.order(account.name, name),
            "client_order_id": name,
            "symbol": "",
            "asset_class": "",
            "asset_id": ZERO_UUID,
            "side": "",
            "type": "market" if ticket.limit_price is None else "limit",
            "time_in_force": "day",
            "quantity": ticket.quantity,
            "multiplier": legs[0].listed.multiplier,
            "limit_price": ticket.limit_price,
            "position_intent": None,
            "source": "client",
            "order_class": MULTI_LEG,
            "group": identities.order(account.name, name),
            **common,
        }
    )
    parts = []
    for place, leg in enumerate(legs, start=1):
        leg_name = identities.client_order(account.name, number + place)
        parts.append(
            whole.model_copy(
                update={
                    "id": identities.order(account.name, leg_name),
                    "client_order_id": leg_name,
                    "symbol": leg.listed.symbol,
                    "asset_class": leg.listed.asset_class,
                    "asset_id": leg.listed.asset_id,
                    "side": leg.ticket.side,
                    "type": "market",
                    "quantity": ticket.quantity * leg.ticket.ratio,
                    "limit_price": None,
                    "hold_price": ZERO,
                    "position_intent": leg.intent,
                    "ratio": leg.ticket.ratio,
                    "replaces": None,
                }
            )
        )
    return (whole, *parts)


# --- price ------------------------------------------------------------------------------------------------------------


def net_quote(legs: Sequence[tuple[str, int, Quote]]) -> Quote | None:
    """The quote of a unit (side, ratio and quote of each leg): asked is what trading all legs now costs, net dollars
    per share; sizes in units. None where a leg has no price on the side that it needs."""
    asked, bid = ZERO, ZERO
    far_sizes, near_sizes, times = [], [], []
    for side, ratio, quote in legs:
        far, near = (quote.ask, quote.bid) if side == "buy" else (quote.bid, quote.ask)
        far_size, near_size = (quote.ask_size, quote.bid_size) if side == "buy" else (quote.bid_size, quote.ask_size)
        if far is None or far <= 0:
            return None
        sign = 1 if side == "buy" else -1
        asked += sign * ratio * far
        bid += sign * ratio * (near if near is not None else far)
        far_sizes.append((far_size or 0) // ratio)
        near_sizes.append((near_size or 0) // ratio if near is not None else 0)
        times.append(quote.at)
    known = [at for at in times if at is not None]
    return Quote("", bid, asked, min(known) if len(known) == len(times) else None, min(near_sizes), min(far_sizes))


def fill(
    market: MarketPort,
    identities: Identities,
    account: Account,
    order: Order,
    quote_of: Callable[[Order], Quote | None],
    instant: datetime,
) -> ComboFilled | None:
    """The execution that the whole gets at ``instant``, or None. ``quote_of`` gives a leg what is left of its quote.

    The market's own rule decides over the net quote, lifted so far that every price is positive.
    """
    legs = account.legs(order)
    quotes = [quote_of(leg) for leg in legs]
    found = [
        (leg.terms.side, leg.terms.ratio or 1, quote)
        for leg, quote in zip(legs, quotes, strict=True)
        if quote is not None
    ]
    net = net_quote(found) if len(found) == len(legs) else None
    if net is None or net.bid is None or net.ask is None:
        return None
    limit = order.terms.limit_price
    lift = 1 + abs(net.bid) + abs(net.ask) + abs(limit or ZERO)
    resting = Resting(
        order_id=order.terms.id,
        symbol="",
        side="buy",
        limit_price=None if limit is None else limit + lift,
        quantity=order.remaining,
        submitted_at=order.submitted_at,
    )
    got = market.execute(resting, replace(net, bid=net.bid + lift, ask=net.ask + lift), instant)
    prices = None if got is None else leg_prices(found, net.ask - (got.price - lift))
    if got is None or prices is None:
        return None
    parts = []
    for leg, price in zip(legs, prices, strict=True):
        count = got.quantity * (leg.terms.ratio or 1)
        identity = identities.execution(leg.terms.id, leg.filled + count)
        parts.append(
            LegFill(order_id=leg.terms.id, execution_id=activity_id(instant, identity), price=price, quantity=count)
        )
    paid = ZERO
    for part, (side, ratio, _) in zip(parts, found, strict=True):
        paid += part.price * (ratio if side == "buy" else -ratio)
    identity = identities.execution(order.terms.id, order.filled + got.quantity)
    return ComboFilled(
        account=account.name,
        order_id=order.terms.id,
        execution_id=activity_id(instant, identity),
        price=paid,
        quantity=got.quantity,
        legs=tuple(parts),
    )


def leg_prices(legs: Sequence[tuple[str, int, Quote]], better: Decimal) -> list[Decimal] | None:
    """A price for each leg within its spread, so that the unit costs at least ``better`` less than the quotes ask.

    The improvement is given leg by leg in whole cents, widest spread first. None where the spreads do not hold it.
    """
    prices = [(quote.ask if side == "buy" else quote.bid) or ZERO for side, _, quote in legs]
    rooms = [_room(side, quote) for side, _, quote in legs]
    for place in sorted(range(len(legs)), key=lambda place: (-rooms[place], place)):
        if better <= 0:
            break
        side, ratio, _ = legs[place]
        cents = min(rooms[place] // CENT, (better / (CENT * ratio)).to_integral_value(ROUND_CEILING))
        prices[place] += cents * CENT * (-1 if side == "buy" else 1)
        better -= cents * CENT * ratio
    return None if better > 0 else prices


def _room(side: str, quote: Quote) -> Decimal:
    """How much better than the far side a leg may trade: up to the near side, and a cent at least."""
    if quote.bid is None or quote.ask is None:
        return ZERO
    least = max(quote.bid, CENT)
    return max(ZERO, quote.ask - least if side == "buy" else quote.ask - quote.bid)
