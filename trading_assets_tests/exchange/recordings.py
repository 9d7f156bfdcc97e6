"""Answers of the real broker, recorded by others: what was asked, what came back, and which kind of answer it is.

Two sets lie in the folder of recorded data. The first are interactions of 2019 to 2022, headers and all; identifiers
were scrubbed from some, which are given a neutral one here. The second are the answers that the SDK's own tests hold,
taken from the broker's documentation and from life. Neither holds a frame of a stream.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_SCRUBBED, _NEUTRAL = "<ID>", "00000000-0000-4000-8000-000000000000"

#: Method and path by kind of what is answered. The first that fits counts.
KINDS: dict[str, str] = {
    "account": r"get /v2/account",
    "configurations": r"get /v2/account/configurations",
    "activities": r"get /v2/account/activities/\w+",
    "clock": r"get /v2/clock",
    "calendar": r"get /v2/calendar",
    "assets": r"get /v2/assets",
    "asset": r"get /v2/assets/[^/]+",
    "place": r"post /v2/orders",
    "orders": r"get /v2/orders",
    "order": r"get /v2/orders(/[^/]+|:by_client_order_id)",
    "replace": r"patch /v2/orders/[^/]+",
    "cancel": r"delete /v2/orders/[^/]+",
    "cancel all": r"delete /v2/orders",
    "positions": r"get /v2/positions",
    "position": r"get /v2/positions/[^/]+",
    "close": r"delete /v2/positions/[^/]+",
    "close all": r"delete /v2/positions",
    "exercise": r"post /v2/positions/[^/]+/exercise",
    "contracts": r"get /v2/options/contracts",
    "contract": r"get /v2/options/contracts/[^/]+",
    "announcements": r"get /v2/corporate_actions/announcements",
    "stock bars": r"get /v2/stocks/bars",
    "stock quotes": r"get /v2/stocks/quotes",
    "stock trades": r"get /v2/stocks/trades",
    "latest stock bars": r"get /v2/stocks/bars/latest",
    "latest stock quotes": r"get /v2/stocks/quotes/latest",
    "latest stock trades": r"get /v2/stocks/trades/latest",
    "stock snapshots": r"get /v2/stocks/snapshots",
    "option bars": r"get /v1beta1/options/bars",
    "option trades": r"get /v1beta1/options/trades",
    "latest option quotes": r"get /v1beta1/options/quotes/latest",
    "latest option trades": r"get /v1beta1/options/trades/latest",
    "option snapshots": r"get /v1beta1/options/snapshots",
    "chain": r"get /v1beta1/options/snapshots/[^/]+",
    "news": r"get /v1beta1/news",
    "corporate actions": r"get /v1/corporate-actions",
    "first data interface": r"get /v1/(bars|last)/.*",
    "crypto": r"get /v1beta[13]/crypto/.*",
    "screener": r"get /v1beta1/screener/.*",
}


@dataclass(frozen=True)
class Recording:
    """One answer of the broker. ``path`` and ``params`` hold placeholders where the SDK's tests fill them in."""

    name: str
    kind: str
    path: str
    params: dict[str, str]
    sent: dict[str, Any]
    status: int
    answer: Any

    @property
    def is_refusal(self) -> bool:
        """Whether the broker said no."""
        return self.status >= 400


def recordings(folder: Path) -> list[Recording]:
    """Everything recorded under ``folder``, in the order of the files."""
    return [*_interactions(folder / "A1_ccjr_vcr_2019_2022"), *_payloads(folder / "A2_alpaca_py_tests")]


def _interactions(folder: Path) -> Iterator[Recording]:
    for path in sorted(folder.glob("*.json")):
        for item in json.loads(path.read_text().replace(_SCRUBBED, _NEUTRAL)):
            request, response = item["request"], item["response"]
            sent = json.loads(request["body"]) if request.get("body") else {}
            status = response["status"]["code"]
            whole = folder / "_big" / path.name
            answer = response.get("body")
            if answer is None and whole.exists():
                # A long list lies beside it, cut after its first rows.
                answer = json.loads(whole.read_text())
            name = path.stem.removeprefix("Alpaca_Trade_Api_Client___")
            yield _recording(name, request["method"], request["uri"], sent, status, answer)


def _payloads(folder: Path) -> Iterator[Recording]:
    for path in sorted(folder.glob("*.json")):
        for place, item in enumerate(json.loads(path.read_text())):
            if item.get("verb") is None:
                continue
            address = re.sub(r"^f?'|'$|\{BaseURL\.\w+\.value\}", "", item["url"])
            status = 207 if item["status"] == "status_code" else int(item["status"])
            name = f"{path.stem.rpartition('__')[2]} {item['test']} {place}"
            yield _recording(name, item["verb"], address, {}, status, item["body"])


def _recording(name: str, method: str, address: str, sent: Any, status: int, answer: Any) -> Recording:
    parts = urlsplit(address)
    asked = f"{method} {parts.path}"
    kind = next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, asked)), None)
    assert kind is not None, f"{name}: no kind for {asked}"
    return Recording(name, kind, parts.path, dict(parse_qsl(parts.query)), sent, status, answer)
