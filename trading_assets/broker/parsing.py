"""From the broker's JSON to frozen values, tolerant of what is unknown and strict about what carries identity.

An unknown word in one order costs that field, never the list. A row without the fields that say *which* order or
position it is makes the whole answer untrustworthy: ``BrokerUnavailable``, because a shortened list would read as
"nothing there". A fill that cannot be read stands beside those that can (``UnreadFill``). Sentinels, NaN and infinities
become None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from trading_assets.broker.values import (
    BrokerAccount,
    BrokerActivity,
    BrokerAsset,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    BrokerSplit,
    ListedContract,
    UnreadFill,
)
from trading_assets.domain.errors import BrokerUnavailable
from trading_assets.domain.values import ContractSnapshot, OptionContract, Quote, Right, Side
from trading_assets.ledger import bounds

Json = Mapping[str, Any]
_SENTINEL = -900.0
_MAX_IV = 20.0
#: Whole numbers up to this are floats without rounding.
_EXACT = 2**53
_OPTIONABLE = frozenset({"has_options", "options_enabled"})


def decimal_or_none(value: object) -> Decimal | None:
    """A finite Decimal from a JSON number or string, else None."""
    if value is None or isinstance(value, bool) or value == "":
        return None
    try:
        result = Decimal(str(value))
    except InvalidOperation:
        return None
    return result if result.is_finite() else None


def float_or_none(value: object) -> float | None:
    """A finite float that is no sentinel (such as -999), else None."""
    result: float
    if type(value) is float or (type(value) is int and abs(value) <= _EXACT):
        # What JSON has as a number is one: a history of bars has a million of them.
        result = float(value)
    else:
        number = decimal_or_none(value)
        if number is None:
            return None
        result = float(number)
    return None if result <= _SENTINEL or not math.isfinite(result) else result


def int_or_none(value: object) -> int | None:
    """A whole number not below zero, else None."""
    number = decimal_or_none(value)
    if number is None or number < 0 or number != number.to_integral_value():
        return None
    return int(number)


def instant_or_none(value: object) -> datetime | None:
    """A UTC instant from an RFC 3339 string (nanoseconds are cut to microseconds), else None."""
    if not isinstance(value, str):
        return None
    try:
        result = datetime.fromisoformat(value)
        return None if result.tzinfo is None else result.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def date_or_none(value: object) -> date | None:
    """A date from ``YYYY-MM-DD``, else None."""
    if not isinstance(value, str):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def name_or_none(value: object) -> str | None:
    """A text that may be an identity: nothing in it that no database and no log takes, else None."""
    text = _text(value)
    return text if text is not None and text.isprintable() else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _side(value: object) -> Side | None:
    return Side(value) if value in ("buy", "sell") else None


def _required(what: str, **fields: object) -> None:
    missing = sorted(name for name, value in fields.items() if value is None)
    if missing:
        raise BrokerUnavailable(f"the broker sent a {what} without {', '.join(missing)}", where="broker answer")


def rows(answer: object, what: str) -> Sequence[Json]:
    """``answer`` as a list of JSON objects. Anything else (None, an error object, text) is no answer."""
    if not isinstance(answer, list) or not all(isinstance(row, Mapping) for row in answer):
        raise BrokerUnavailable(f"expected a list of {what}, saw {type(answer).__name__}", where="broker answer")
    return answer


def record(answer: object, what: str) -> Json:
    """``answer`` as one JSON object."""
    if not isinstance(answer, Mapping):
        raise BrokerUnavailable(f"expected one {what}, saw {type(answer).__name__}", where="broker answer")
    return answer


def account(raw: Json) -> BrokerAccount:
    """An account; the money fields may be missing, the id may not."""
    account_id = _text(raw.get("id"))
    _required("account", id=account_id)
    blocked = [
        _flag(raw.get("trading_blocked")),
        _flag(raw.get("account_blocked")),
        _flag(raw.get("trade_suspended_by_user")),
    ]
    level = raw.get("options_trading_level", raw.get("options_approved_level"))
    return BrokerAccount(
        account_id=str(account_id),
        status=_text(raw.get("status")),
        trading_blocked=None if blocked[0] is None else any(flag is True for flag in blocked),
        options_level=int_or_none(level),
        equity=decimal_or_none(raw.get("equity")),
        last_equity=decimal_or_none(raw.get("last_equity")),
        cash=decimal_or_none(raw.get("cash")),
        options_buying_power=decimal_or_none(raw.get("options_buying_power")),
        buying_power=decimal_or_none(raw.get("buying_power")),
    )


def order(raw: Json) -> BrokerOrder:
    """An order; unknown words in type, side or status are kept as None or as they are."""
    order_id, status = _text(raw.get("id")), _text(raw.get("status"))
    _required("order", id=order_id, status=status)
    return BrokerOrder(
        order_id=str(order_id),
        client_order_id=_text(raw.get("client_order_id")) or "",
        symbol=_text(raw.get("symbol")) or "",
        side=_side(raw.get("side")),
        order_type=_text(raw.get("type")) or _text(raw.get("order_type")),
        quantity=decimal_or_none(raw.get("qty")),
        filled_quantity=decimal_or_none(raw.get("filled_qty")),
        filled_avg_price=decimal_or_none(raw.get("filled_avg_price")),
        limit_price=decimal_or_none(raw.get("limit_price")),
        status=str(status),
        submitted_at=instant_or_none(raw.get("submitted_at")),
        stop_price=decimal_or_none(raw.get("stop_price")),
        legs=tuple(order(leg) for leg in rows(raw.get("legs") or [], "legs")),
    )


def position(raw: Json) -> BrokerPosition:
    """A holding; the sign of the quantity follows the side."""
    symbol, quantity, side = _text(raw.get("symbol")), decimal_or_none(raw.get("qty")), _text(raw.get("side"))
    _required("position", symbol=symbol, qty=quantity)
    assert quantity is not None
    return BrokerPosition(
        symbol=str(symbol),
        quantity=-abs(quantity) if side == "short" else quantity,
        avg_entry_price=decimal_or_none(raw.get("avg_entry_price")),
        market_value=decimal_or_none(raw.get("market_value")),
        unrealized_pnl=decimal_or_none(raw.get("unrealized_pl")),
        current_price=decimal_or_none(raw.get("current_price")),
    )


def fill(raw: Json) -> BrokerFill:
    """A FILL activity; every field of it is needed to book it. ``BrokerUnavailable`` if one makes no sense."""
    activity_id, order_id = name_or_none(raw.get("id")), name_or_none(raw.get("order_id"))
    symbol = name_or_none(raw.get("symbol"))
    word = raw.get("side")
    side = Side.SELL if word == "sell_short" else _side(word)
    quantity, price = decimal_or_none(raw.get("qty")), decimal_or_none(raw.get("price"))
    cumulative, at = decimal_or_none(raw.get("cum_qty")), instant_or_none(raw.get("transaction_time"))
    _required(
        "fill",
        id=activity_id,
        order_id=order_id,
        symbol=symbol,
        side=side,
        qty=quantity,
        price=price,
        cum_qty=cumulative,
        transaction_time=at,
    )
    assert side is not None and quantity is not None and price is not None
    assert cumulative is not None and at is not None
    if not 0 < quantity <= cumulative or price < 0 or not bounds.holds_trade(cumulative, price):
        raise BrokerUnavailable(
            f"the broker sent a fill of {quantity} of {cumulative} at {price}", where="broker answer"
        )
    return BrokerFill(str(activity_id), str(order_id), str(symbol), side, quantity, price, cumulative, at)


def unread_fill(raw: Json, why: str) -> UnreadFill:
    """What is known of a FILL activity that ``fill`` cannot read."""
    return UnreadFill(
        activity_id=name_or_none(raw.get("id")),
        order_id=name_or_none(raw.get("order_id")),
        symbol=name_or_none(raw.get("symbol")),
        at=instant_or_none(raw.get("transaction_time")),
        why=why,
    )


def activity(raw: Json) -> BrokerActivity:
    """An activity that is not a fill."""
    activity_id, kind = _text(raw.get("id")), _text(raw.get("activity_type"))
    _required("activity", id=activity_id, activity_type=kind)
    return BrokerActivity(
        activity_id=str(activity_id),
        activity_type=str(kind),
        symbol=_text(raw.get("symbol")),
        quantity=decimal_or_none(raw.get("qty")),
        net_amount=decimal_or_none(raw.get("net_amount")),
        on=date_or_none(raw.get("date")),
        price=decimal_or_none(raw.get("price")),
        group=_text(raw.get("group_id")),
    )


def split(raw: Json) -> BrokerSplit:
    """A split of shares. A ratio that is no positive number is no answer: what it does to prices is not known."""
    action_id, symbol, ex_date = _text(raw.get("id")), _text(raw.get("symbol")), date_or_none(raw.get("ex_date"))
    new, old = decimal_or_none(raw.get("new_rate")), decimal_or_none(raw.get("old_rate"))
    _required("split", id=action_id, symbol=symbol, ex_date=ex_date, new_rate=new, old_rate=old)
    assert ex_date is not None and new is not None and old is not None
    if new <= 0 or old <= 0:
        raise BrokerUnavailable(f"a split of {symbol} has the ratio {new} to {old}", where="split")
    return BrokerSplit(str(action_id), str(symbol), ex_date, new, old)


def asset(raw: Json) -> BrokerAsset:
    """A listed stock; a flag that is missing reads as no."""
    symbol = _text(raw.get("symbol"))
    _required("asset", symbol=symbol)
    attributes = raw.get("attributes")
    return BrokerAsset(
        symbol=str(symbol),
        name=_text(raw.get("name")),
        exchange=_text(raw.get("exchange")),
        tradable=raw.get("tradable") is True and raw.get("status") == "active",
        optionable=isinstance(attributes, list) and not _OPTIONABLE.isdisjoint(map(str, attributes)),
    )


def contract(raw: Json) -> ListedContract:
    """A listed option. A missing root reads as the underlying's own; ``tradable`` must be said."""
    symbol, underlying = _text(raw.get("symbol")), _text(raw.get("underlying_symbol"))
    word, strike, expiry = raw.get("type"), decimal_or_none(raw.get("strike_price")), None
    right = Right(word) if word in ("call", "put") else None
    expiry = date_or_none(raw.get("expiration_date"))
    multiplier = int_or_none(raw.get("multiplier") or raw.get("size"))
    _required(
        "contract",
        symbol=symbol,
        underlying_symbol=underlying,
        type=right,
        strike_price=strike,
        expiration_date=expiry,
        size=multiplier,
    )
    assert right is not None and strike is not None and expiry is not None and multiplier is not None
    return ListedContract(
        contract=OptionContract(
            symbol=str(symbol),
            underlying=str(underlying),
            right=right,
            strike=strike,
            expiry=expiry,
            root=_text(raw.get("root_symbol")) or str(underlying),
            multiplier=multiplier,
            tradable=raw.get("tradable") is True and raw.get("status") == "active",
        ),
        open_interest=int_or_none(raw.get("open_interest")),
        open_interest_date=date_or_none(raw.get("open_interest_date")),
    )


def quote(symbol: str, raw: object) -> Quote:
    """A quote; a side that is missing or negative is None, a side of 0 stays 0."""
    fields = raw if isinstance(raw, Mapping) else {}
    bid, ask = decimal_or_none(fields.get("bp")), decimal_or_none(fields.get("ap"))
    return Quote(
        symbol=symbol,
        bid=bid if bid is None or bid >= 0 else None,
        ask=ask if ask is None or ask >= 0 else None,
        at=instant_or_none(fields.get("t")),
        bid_size=int_or_none(fields.get("bs")),
        ask_size=int_or_none(fields.get("as")),
    )


def snapshot(listed: ListedContract, raw: object) -> ContractSnapshot:
    """A contract with its market. Greeks outside their possible range are None, and so is a volatility."""
    fields = raw if isinstance(raw, Mapping) else {}
    greeks = fields.get("greeks")
    greeks = greeks if isinstance(greeks, Mapping) else {}
    daily = fields.get("dailyBar")
    iv, delta = float_or_none(fields.get("impliedVolatility")), float_or_none(greeks.get("delta"))
    gamma, vega = float_or_none(greeks.get("gamma")), float_or_none(greeks.get("vega"))
    delta = delta if delta is not None and -1 <= delta <= 1 else None
    return ContractSnapshot(
        contract=listed.contract,
        quote=quote(listed.contract.symbol, fields.get("latestQuote")),
        volume=int_or_none(daily.get("v")) if isinstance(daily, Mapping) else None,
        open_interest=listed.open_interest,
        iv=iv if iv is not None and 0 < iv <= _MAX_IV else None,
        delta=delta,
        gamma=gamma if gamma is not None and gamma >= 0 else None,
        theta=float_or_none(greeks.get("theta")),
        vega=vega if vega is not None and vega >= 0 else None,
        greeks_source="feed" if delta is not None else None,
    )
