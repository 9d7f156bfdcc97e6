"""What the owner of an account may set on this exchange, read from a request."""

from __future__ import annotations

from typing import Any

from trading_assets.exchange.events import AccountConfigured
from trading_assets.exchange.refusal import Refusal, invalid, unprocessable
from trading_assets.exchange.state import Account

#: What may be named, and the only value that this exchange can offer of it.
_FIXED: dict[str, Any] = {
    "fractional_trading": False,
    "max_margin_multiplier": "1",
    "dtbp_check": "entry",
    "pdt_check": "entry",
    "ptp_no_exception_entry": False,
}
_MOST_OPTIONS_LEVEL = 3


def read_configuration(account: Account, body: object) -> AccountConfigured:
    """The event of a change. What is missing or null stays as it is; raises ``Refusal``."""
    if not isinstance(body, dict):
        raise Refusal(400, 40010000, "request body format is invalid")
    known = {*_FIXED, "suspend_trade", "no_shorting", "trade_confirm_email", "max_options_trading_level"}
    unknown = sorted(set(body) - known)
    if unknown:
        raise invalid(f"unknown field in the configuration: {', '.join(unknown)}")
    given = {name: value for name, value in body.items() if value is not None}
    for name, only in _FIXED.items():
        if given.get(name, only) != only:
            raise unprocessable(f"{name} {given[name]!r} is not offered by this exchange")
    suspended = given.get("suspend_trade", account.suspended)
    email = given.get("trade_confirm_email", account.confirm_email)
    level = given.get("max_options_trading_level", account.options_limit)
    alone = given.get("no_shorting", account.no_shorting)
    if alone is not None and not isinstance(alone, bool):
        raise invalid(f"invalid no_shorting: {alone!r}")
    if alone is False and not account.shorting:
        raise unprocessable("no_shorting False is not offered by this exchange to this account")
    if not isinstance(suspended, bool):
        raise invalid(f"invalid suspend_trade: {suspended!r}")
    if email not in ("all", "none"):
        raise invalid(f"invalid trade_confirm_email: {email!r}")
    if level is not None and (
        isinstance(level, bool) or not isinstance(level, int) or not 0 <= level <= _MOST_OPTIONS_LEVEL
    ):
        raise invalid(f"invalid max_options_trading_level: {level!r}")
    return AccountConfigured(
        account=account.name, suspended=suspended, confirm_email=email, options_limit=level, no_shorting=alone
    )
