"""A request that the exchange refuses, with the status and body that the wire protocol prescribes."""

from __future__ import annotations

from typing import Any

MALFORMED = 40010000
INVALID = 40010001
UNAUTHORIZED = 40110000
FORBIDDEN = 40310000
NOT_FOUND = 40410000
UNPROCESSABLE = 42210000
RATE_LIMITED = 42910000
INTERNAL = 50010000


class Refusal(Exception):
    """``status`` is the HTTP status, ``code`` and ``message`` the body's, ``extras`` further keys of the body."""

    def __init__(self, status: int, code: int, message: str, **extras: Any) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.extras = extras
        super().__init__(f"{status} {code} {message}")

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return {"code": self.code, "message": self.message, **self.extras}


def invalid(message: str, **extras: Any) -> Refusal:
    """422 for a field that cannot be understood."""
    return Refusal(422, INVALID, message, **extras)


def unprocessable(message: str, **extras: Any) -> Refusal:
    """422 for a request that is understood and not possible."""
    return Refusal(422, UNPROCESSABLE, message, **extras)


def forbidden(message: str, **extras: Any) -> Refusal:
    """403: the account may not do this now."""
    return Refusal(403, FORBIDDEN, message, **extras)


def not_found(message: str, **extras: Any) -> Refusal:
    """404."""
    return Refusal(404, NOT_FOUND, message, **extras)
