"""JSON shapes of the trading interface. Money and quantities are strings, instants RFC 3339, absent is null.

Only what a broker would send is sent: no key that the protocol does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.values import OptionContract
from trading_assets.exchange.identities import contract_id
from trading_assets.exchange.market_port import Asset
from trading_assets.exchange.state import ZERO, Account, Activity, Order, Position
from trading_assets.market.sessions import Session, open_session, session_of, shift

_PLACES = Decimal("0.000001")


def text(value: Decimal | int) -> str:
    """A number as the wire writes it: plain digits, at most six decimals, no trailing zeros."""
    number = Decimal(value).quantize(_PLACES).normalize()
    return format(number + 0 if number else ZERO, "f")


def _text_or_none(value: Decimal | None) -> str | None:
    return None if value is None else text(value)


def instant(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with microseconds, or null."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def activity_id(at: datetime, identity: str) -> str:
    """``YYYYMMDDHHMMSSmmm::uuid`` in UTC."""
    return f"{at.astimezone(UTC):%Y%m%d%H%M%S}{at.microsecond // 1000:03d}::{identity}"


def order_json(order: Order, now: datetime, legs: Sequence[Order] | None = None) -> dict[str, Any]:
    """An order. One that waits for an open that has not come is ``accepted``, else it is in the book: ``new``.

    ``legs`` are written inside it; None: the answer is flat.
    """
    terms = order.terms
    # A leg of a multi-leg order has no type of its own, and says how often it is in a unit.
    kind, more = (terms.type, {}) if terms.ratio is None else ("", {"ratio_qty": text(terms.ratio)})
    status = order.status
    if status == "new" and open_session(now) is None:
        status = "accepted"
    average = order.average_price
    return {
        "id": terms.id,
        "client_order_id": terms.client_order_id,
        "created_at": instant(order.submitted_at),
        "updated_at": instant(order.updated_at),
        "submitted_at": instant(order.submitted_at),
        "filled_at": instant(order.filled_at),
        "expired_at": instant(order.expired_at),
        "expires_at": instant(terms.expires_at),
        "canceled_at": instant(order.canceled_at),
        "failed_at": None,
        "replaced_at": instant(order.replaced_at),
        "replaced_by": order.replaced_by,
        "replaces": terms.replaces,
        "asset_id": terms.asset_id,
        "symbol": terms.symbol,
        "asset_class": terms.asset_class,
        "notional": None,
        "qty": text(order.quantity),
        "filled_qty": text(order.filled),
        "filled_avg_price": None if average is None else text(average),
        "order_class": terms.order_class,
        "order_type": kind,
        "type": kind,
        "side": terms.side,
        # The whole of a multi-leg order has no intent of its own.
        **({} if terms.position_intent is None else {"position_intent": terms.position_intent}),
        "time_in_force": terms.time_in_force,
        "limit_price": _text_or_none(terms.limit_price),
        "stop_price": _text_or_none(order.stop_price),
        "status": status,
        "extended_hours": False,
        "legs": [order_json(leg, now) for leg in legs] if legs else None,
        "trail_percent": _text_or_none(terms.trail_percent),
        "trail_price": _text_or_none(terms.trail_price),
        "hwm": _text_or_none(order.high_water),
        "subtag": None,
        "source": terms.source if terms.source != "client" else None,
        **more,
    }


def position_json(
    position: Position,
    exchange: str,
    price: Decimal | None,
    held: int,
    lastday: Decimal | None,
    todays_cost: Decimal | None,
) -> dict[str, Any]:
    """A position at ``price`` per share (no values if there is no price); ``lastday`` the previous close.

    What it gained today is measured from ``todays_cost``. Of a short position quantities, market value and cost are
    negative.
    """
    side = 1 if position.quantity > 0 else -1
    market = None if price is None else price * position.quantity * position.multiplier
    gain = None if market is None else market - position.cost
    share = None if gain is None or not position.cost else gain / abs(position.cost)
    today = None if market is None or todays_cost is None else market - todays_cost
    today_share = None if today is None or not todays_cost else today / abs(todays_cost)
    change = None if price is None or not lastday else price / lastday - 1
    optional = {
        "market_value": market,
        "unrealized_pl": gain,
        "unrealized_plpc": share,
        "unrealized_intraday_pl": today,
        "unrealized_intraday_plpc": today_share,
        "current_price": price,
        "lastday_price": lastday,
        "change_today": change,
    }
    return {
        "asset_id": position.asset_id,
        "symbol": position.symbol,
        "exchange": exchange,
        "asset_class": position.asset_class,
        "asset_marginable": False,
        "qty": text(position.quantity),
        "qty_available": text(position.quantity - side * held),
        "avg_entry_price": text(position.average_price),
        "side": "long" if side > 0 else "short",
        "cost_basis": text(position.cost),
        # What is not known is absent here: these fields have no null.
        **{name: text(value) for name, value in optional.items() if value is not None},
    }


def account_json(account: Account, number: str, long_value: Decimal, short_value: Decimal) -> dict[str, Any]:
    """The account; the market values of its positions are in dollars, ``short_value`` is negative or zero."""
    equity = account.cash + long_value + short_value
    margin = long_value + account.required
    power = text(account.buying_power)
    return {
        "id": account.id,
        "account_number": number,
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        "cash": text(account.cash),
        "portfolio_value": text(equity),
        "equity": text(equity),
        "last_equity": text(account.last_equity),
        "buying_power": power,
        "regt_buying_power": power,
        "non_marginable_buying_power": power,
        "options_buying_power": power,
        "long_market_value": text(long_value),
        "short_market_value": text(short_value),
        "position_market_value": text(long_value + short_value),
        "initial_margin": text(margin),
        "maintenance_margin": text(margin),
        "last_maintenance_margin": "0",
        "sma": "0",
        "multiplier": "1",
        "accrued_fees": "0",
        "shorting_enabled": account.may_short,
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": account.suspended,
        "created_at": instant(account.opened_at),
        "options_approved_level": account.options_level,
        "options_trading_level": account.trading_level,
    }


def configurations_json(account: Account) -> dict[str, Any]:
    """What the account may do; this exchange lets some of it be changed."""
    return {
        "fractional_trading": False,
        "max_margin_multiplier": "1",
        "no_shorting": not account.may_short,
        "suspend_trade": account.suspended,
        "trade_confirm_email": account.confirm_email,
        "ptp_no_exception_entry": False,
        "max_options_trading_level": account.trading_level,
    }


_DESCRIPTIONS = {
    "OPEXP": "Option Expiry",
    "OPEXC": "Option Exercise",
    "OPASN": "Option Assignment",
    "OPTRD": "Option Trade",
    "OPCA": "Option Corporate Action",
    "SPLIT": "Stock Split",
    "NC": "Symbol Change",
    "DIV": "Dividend",
}


def activity_json(activity: Activity, order: Order | None) -> dict[str, Any]:
    """A FILL with its order, or a line of what happened without a trade, under the day that it is about."""
    if order is None:
        day = activity.day or activity.at.astimezone(NEW_YORK).date()
        # An expiry has always carried what it paid: nothing.
        paid = text(ZERO) if activity.kind == "OPEXP" else None
        per_share = paid if activity.per_share is None else text(activity.per_share)
        optional = {
            "per_share_amount": per_share,
            "group_id": activity.group or None,
            "activity_sub_type": activity.kind_of or None,
        }
        return {
            "id": activity.id,
            "activity_type": activity.kind,
            "date": day.isoformat(),
            "created_at": instant(activity.at),
            "net_amount": text(activity.amount),
            "description": _DESCRIPTIONS.get(activity.kind, activity.kind),
            "symbol": activity.symbol,
            "qty": text(activity.quantity),
            "price": text(activity.price),
            "status": "executed",
            **{name: value for name, value in optional.items() if value is not None},
        }
    return {
        "id": activity.id,
        "activity_type": activity.kind,
        "transaction_time": instant(activity.at),
        "type": "fill" if activity.leaves == 0 else "partial_fill",
        "price": text(activity.price),
        "qty": text(activity.quantity),
        "side": activity.side,
        "symbol": activity.symbol,
        "leaves_qty": text(activity.leaves),
        "cum_qty": text(activity.cumulative),
        "order_id": activity.order_id,
        "order_status": "filled" if activity.leaves == 0 else "partially_filled",
    }


def asset_json(asset: Asset, *, shortable: bool) -> dict[str, Any]:
    """A listed stock in whole shares."""
    return {
        "id": asset.id,
        "class": "us_equity",
        "exchange": asset.exchange,
        "symbol": asset.symbol,
        "name": asset.name,
        "status": "active",
        "tradable": True,
        "marginable": False,
        "maintenance_margin_requirement": 100,
        "shortable": shortable,
        "easy_to_borrow": shortable,
        "fractionable": False,
        "attributes": ["has_options"] if asset.has_options else [],
    }


def deliverables_json(contract: OptionContract, underlying: Asset) -> list[dict[str, Any]]:
    """What a contract delivers: shares of its stock and nothing else."""
    return [
        {
            "type": "equity",
            "symbol": underlying.symbol,
            "asset_id": underlying.id,
            "amount": str(contract.multiplier),
            "allocation_percentage": "100",
            "settlement_type": "T+1",
            "settlement_method": "CCC",
            "delayed_settlement": False,
        }
    ]


def contract_json(
    contract: OptionContract, underlying: Asset, open_interest: int | None, previous: Session, active: bool
) -> dict[str, Any]:
    """A listed contract; ``open_interest`` is that of the ``previous`` session's close, absent if it is not known."""
    counted: dict[str, Any] = {}
    if open_interest is not None:
        counted = {"open_interest": str(open_interest), "open_interest_date": previous.key}
    return {
        "id": contract_id(contract.symbol),
        "symbol": contract.symbol,
        "name": f"{underlying.symbol} {contract.expiry:%b %d %Y} {text(contract.strike)} {contract.right.capitalize()}",
        "status": "active" if active else "inactive",
        "tradable": active and contract.tradable,
        "expiration_date": contract.expiry.isoformat(),
        "root_symbol": contract.root,
        "underlying_symbol": underlying.symbol,
        "underlying_asset_id": underlying.id,
        "type": contract.right.value,
        "style": "american",
        "strike_price": text(contract.strike),
        "multiplier": str(contract.multiplier),
        "size": str(contract.multiplier),
        **counted,
        "ppind": True,
    }


def clock_json(now: datetime) -> dict[str, Any]:
    """The market clock, in New York time."""
    current = open_session(now)
    today = session_of(now)
    day = now.astimezone(NEW_YORK).date()
    upcoming = today if today is not None and now < today.open else shift(day, 1)
    closing = current if current is not None else upcoming
    return {
        "timestamp": now.astimezone(NEW_YORK).isoformat(),
        "is_open": current is not None,
        "next_open": upcoming.open.astimezone(NEW_YORK).isoformat(),
        "next_close": closing.close.astimezone(NEW_YORK).isoformat(),
    }


def calendar_json(session: Session) -> dict[str, Any]:
    """One trading day."""
    return {
        "date": session.key,
        "open": f"{session.open.astimezone(NEW_YORK):%H:%M}",
        "close": f"{session.close.astimezone(NEW_YORK):%H:%M}",
        "session_open": "0400",
        "session_close": "2000" if not session.is_early_close else "1700",
        "settlement_date": shift(session.day, 1).key,
    }
