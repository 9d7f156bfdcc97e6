"""Single fields of a request: numbers, words, quantities. What they mean together is the business of the readers.

Numbers may come as JSON numbers or as strings.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from trading_assets.domain.identities import MAX_CLIENT_ORDER_ID
from trading_assets.exchange.refusal import Refusal, invalid, unprocessable

_MAX_QUANTITY = 1_000_000


def choice(body: dict[str, Any], field: str, known: tuple[str, ...]) -> str:
    """One of ``known`` words; raises ``Refusal`` where it is missing or another."""
    value = body.get(field)
    if value is None or value == "":
        raise invalid(f"{field} is required")
    if not isinstance(value, str) or value not in known:
        raise invalid(f"invalid {field}: {value!r}")
    return value


def number(body: dict[str, Any], field: str) -> Decimal | None:
    """A number or a string with one, None where it is missing; raises ``Refusal``."""
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise invalid(f"invalid {field}: {value!r}")
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise invalid(f"invalid {field}: {value!r}") from None
    if not found.is_finite() or abs(found.adjusted()) > 12:
        raise invalid(f"invalid {field}: {value!r}")
    return found


def price(body: dict[str, Any], field: str) -> Decimal | None:
    """A positive number, None where it is missing; raises ``Refusal``."""
    given = number(body, field)
    if given is not None and given <= 0:
        raise invalid(f"{field.replace('_', ' ')} must be > 0")
    return given


def plain_text(body: dict[str, Any], field: str) -> str | None:
    """A text, None where it is missing or empty; raises ``Refusal``."""
    value = body.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise invalid(f"invalid {field}: {value!r}")
    return value


def an_object(body: object) -> dict[str, Any]:
    """The body itself, if it is a JSON object; raises ``Refusal``."""
    if not isinstance(body, dict):
        raise Refusal(400, 40010000, "request body format is invalid")
    return body


def read_client_order_id(body: dict[str, Any]) -> str | None:
    """The client order id of a request; None if it has none."""
    value = plain_text(body, "client_order_id")
    if value is not None and len(value) > MAX_CLIENT_ORDER_ID:
        raise invalid(f"client_order_id must be no more than {MAX_CLIENT_ORDER_ID} characters")
    return value


def whole_quantity(body: dict[str, Any]) -> int:
    """``qty`` as a whole number from 1 on; raises ``Refusal``."""
    quantity = number(body, "qty")
    if quantity is None:
        raise invalid("qty is required")
    if quantity <= 0:
        raise invalid("qty must be > 0")
    if quantity != quantity.to_integral_value():
        raise unprocessable("fractional quantities are not offered by this exchange")
    if quantity > _MAX_QUANTITY:
        raise unprocessable(f"qty must be <= {_MAX_QUANTITY}")
    return int(quantity)
