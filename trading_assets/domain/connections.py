"""Where and as whom one account meets its broker: the value that crosses from the world to the broker adapter."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BrokerConnection:
    """Address and credentials of one account. Key and secret never appear in ``repr``.

    ``mode`` is PRACTICE, PAPER or LIVE and must fit both addresses. ``expected_account_id`` is the broker's id of the
    account that must be behind the key, None where the first one seen counts. ``budget`` is the folder in which all
    processes that speak for the account share their count of requests; None: this one counts for nobody.
    """

    mode: str
    trading_url: str
    data_url: str
    key: str = field(repr=False)
    secret: str = field(repr=False)
    expected_account_id: str | None = None
    stock_feed: str = "iex"
    option_feed: str = "indicative"
    budget: Path | None = None
