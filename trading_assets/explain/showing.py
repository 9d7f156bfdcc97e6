"""Single values as a person reads them. What is missing is shown as ``-``, never as zero."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from trading_assets.domain.clock import NEW_YORK

MISSING = "-"
#: An instant as JSON holds it, always with its zone.
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+\d\d:\d\d|Z)$")


def clock(instant: datetime | None, day: date | None = None) -> str:
    """New York time of day to the second; with ``day``, the date too where it is another one."""
    if instant is None:
        return MISSING
    local = instant.astimezone(NEW_YORK)
    return f"{local:%H:%M:%S}" if day in (None, local.date()) else f"{local:%Y-%m-%d %H:%M:%S}"


def number(found: Any, form: str = ".6g") -> str:
    """A number in the given form; whole numbers and everything that is no number as they are."""
    if isinstance(found, float):
        return format(found, form)
    return value(found)


def amount(found: Decimal | str | None) -> str:
    """A price or an amount of dollars without needless zeros, at least two decimals."""
    if found is None:
        return MISSING
    exact = Decimal(found)
    return f"{exact:.2f}" if exact == exact.quantize(Decimal("0.01")) else format(exact.normalize(), ".6g")


def value(found: Any) -> str:
    """Anything that was stored as JSON, in a few words."""
    if found is None:
        return MISSING
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, float):
        return f"{found:.6g}"
    if isinstance(found, datetime):
        return clock(found)
    if isinstance(found, str) and _INSTANT.match(found):
        return clock(datetime.fromisoformat(found))
    if isinstance(found, Mapping):
        return ", ".join(f"{key} {value(item)}" for key, item in found.items()) or MISSING
    if isinstance(found, list | tuple):
        return ", ".join(value(item) for item in found) or "none"
    return str(found)


def word(name: str) -> str:
    """An identifier as words: ``BUY_CALL`` is ``BUY CALL``."""
    return name.replace("_", " ")


def short(text: str, longest: int = 36) -> str:
    """``text``, cut with an ellipsis where it is too long for a column of a table."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
