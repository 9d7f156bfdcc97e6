"""A typed client of the fault switchboard, for any test that has a practice exchange with ``faults: true``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

PATH = "/practice/v1/faults"


class Refused(AssertionError):
    """The switchboard refused: status and body."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.body = response.json()
        super().__init__(f"{response.status_code} {response.text}")


@dataclass(frozen=True)
class FiredFault:
    """One fault that happened. What it hit and was not known is None."""

    sequence: int
    fault: int
    kind: str
    wall_at: datetime
    exchange_at: datetime
    method: str | None
    path: str | None
    account: str | None
    symbol: str | None
    side: str | None
    client_order_id: str | None
    order_id: str | None
    event: str | None
    detail: str | None


class SwitchboardClient:
    """Arms, lists and disarms the faults of the exchange at ``url``, and reads back what happened."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url + PATH
        self._client = httpx.Client(headers={"X-Practice-Token": token}, timeout=30, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def arm(
        self,
        kind: str,
        *,
        method: str | None = None,
        path: str | None = None,
        account: str | None = None,
        symbol: str | None = None,
        side: str | None = None,
        client_order_id: str | None = None,
        event: str | None = None,
        count: int | None = None,
        after: int = 0,
        probability: float = 1.0,
        seed: int = 0,
        duration_s: float | None = None,
        clock: str = "wall",
        **parameters: Any,
    ) -> int:
        """Arm a fault and return its number; ``parameters`` are those of its kind. Raises ``Refused``."""
        scope = {
            "method": method,
            "path": path,
            "account": account,
            "symbol": symbol,
            "side": side,
            "client_order_id": client_order_id,
            "event": event,
        }
        response = self._client.post(
            self._url,
            json={
                "kind": kind,
                "scope": scope,
                "count": count,
                "after": after,
                "probability": probability,
                "seed": seed,
                "duration_s": duration_s,
                "clock": clock,
                "parameters": parameters,
            },
        )
        if response.status_code != 201:
            raise Refused(response)
        return int(response.json()["id"])

    def armed(self) -> list[dict[str, Any]]:
        """What is in place, with ``seen`` matches and ``hits``."""
        found: list[dict[str, Any]] = self._get("")["armed"]
        return found

    def disarm(self, fault: int) -> None:
        """Take one away; raises ``Refused`` if it is not there (any more)."""
        response = self._client.delete(f"{self._url}/{fault}")
        if response.status_code != 204:
            raise Refused(response)

    def clear(self) -> int:
        """Take all away; how many there were."""
        response = self._client.delete(self._url)
        if response.status_code != 200:
            raise Refused(response)
        return int(response.json()["disarmed"])

    def fired(self, kind: str | None = None, *, after: int = 0) -> list[FiredFault]:
        """What happened, oldest first, behind the sequence number ``after``."""
        params: dict[str, Any] = {"after": after} if kind is None else {"after": after, "kind": kind}
        return [
            FiredFault(
                **{
                    **row,
                    "wall_at": datetime.fromisoformat(row["wall_at"]),
                    "exchange_at": datetime.fromisoformat(row["exchange_at"]),
                }
            )
            for row in self._get("/fired", **params)
        ]

    @contextmanager
    def during(self, kind: str, **how: Any) -> Iterator[int]:
        """A fault that is in place within the block, and nothing armed behind it."""
        fault = self.arm(kind, **how)
        try:
            yield fault
        finally:
            self.clear()

    def _get(self, path: str, **params: Any) -> Any:
        response = self._client.get(self._url + path, params=params)
        if response.status_code != 200:
            raise Refused(response)
        return response.json()
