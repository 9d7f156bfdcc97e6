"""What the scripts share: reading the plan, walking its steps, plain values for the report. Standard library only.

``python -m trading_assets_tests.clients.days.<client> PLAN REPORT`` lives the day of the file PLAN and writes to REPORT
what the client answered, by the label of the step. Values are those of the client's own models, made comparable:
money stays the text that the client hands out, prices of market data are numbers, instants are milliseconds since 1970.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

#: How long the script waits for what a stream has to tell.
PATIENCE_SECONDS = 120.0
_PATHS = {
    "trade_updates": "/stream",
    "stocks": "/v2/iex",
    "news": "/v1beta1/news",
    "options": "/v1beta1/indicative",
}
_NAMES_OF_INSTANTS = ("_at", "_time", "timestamp", "next_open", "next_close")


def plain(value: Any, name: str = "") -> Any:
    """A value of a client's model as JSON.

    Text of a field that is an instant by its ``name`` counts as one; empty text, which one client hands out and another
    takes for nothing, is nothing.
    """
    if isinstance(value, Enum):
        value = value.value
    if value == "":
        return None
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, str) and name.endswith(_NAMES_OF_INSTANTS):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return milliseconds(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def milliseconds(at: datetime) -> int:
    """Milliseconds since 1970 of an instant with a zone."""
    assert at.tzinfo is not None, at
    return round(at.astimezone(UTC).timestamp() * 1000)


def picked(source: Any, names: Iterable[str]) -> dict[str, Any]:
    """The attributes ``names`` of a client's model (or keys of its raw answer); one that it lacks is an error."""
    if isinstance(source, dict):
        return {name: plain(source.get(name), name) for name in names}
    return {name: plain(getattr(source, name), name) for name in names}


def order_of(source: Any, names: Iterable[str]) -> dict[str, Any]:
    """An order with its legs, as a client's model or as its raw answer."""
    legs = source["legs"] if isinstance(source, dict) else source.legs
    # A multi-leg order is sent without an intent: its legs have theirs. A client without models has no attribute then.
    bare = not isinstance(source, dict) and not hasattr(source, "position_intent") and source.order_class == "mleg"
    told = picked(source, [name for name in names if not bare or name != "position_intent"])
    if bare:
        told["position_intent"] = None
    return {**told, "legs": None if legs is None else [order_of(leg, names) for leg in legs]}


def number(value: Any) -> float | None:
    """A number that one client hands out as text and another as a float."""
    return None if value is None else float(value)


def until(done: Callable[[], bool], what: str) -> None:
    """Wait for ``done``; raises ``TimeoutError`` that names ``what`` was waited for."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE_SECONDS:.0f} s for {what}")
        time.sleep(0.02)


class Day:
    """The plan of the day and where its exchange is."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.url: str = plan["url"]
        self.stream_url: str = plan["stream_url"]
        self.key: str = plan["key"]
        self.secret: str = plan["secret"]
        self.fields: dict[str, list[str]] = plan["fields"]
        self._token: str = plan["token"]
        self._steps: list[dict[str, Any]] = plan["steps"]
        self._ids: dict[str, str] = {}

    def url_of(self, stream: str) -> str:
        """Where a stream is: ``trade_updates``, or one of market data."""
        return self.stream_url + _PATHS[stream]

    def advance(self, to: str) -> str:
        """Move the exchange's clock: the one thing that no client of the broker can do."""
        request = urllib.request.Request(
            f"{self.url}/practice/v1/clock",
            json.dumps({"advance_to": to}).encode(),
            {"X-Practice-Token": self._token, "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as answer:
            reached: str = json.load(answer)["now"]
        return reached

    def live(self, client: Any) -> dict[str, Any]:
        """Every step in turn; what the client answered to each."""
        answers: dict[str, Any] = {}
        for step in self._steps:
            label, arguments = step["label"], self._known(step["with"])
            answers[label] = self._answer(client, step, arguments)
            self._remember(label, answers[label])
        return answers

    def _answer(self, client: Any, step: dict[str, Any], arguments: dict[str, Any]) -> Any:
        if step["do"] == "advance":
            return self.advance(**arguments)
        do = getattr(client, step["do"])
        if not step["refused"]:
            try:
                return do(**arguments)
            except Exception as error:
                error.add_note(f"in the step {step['label']}: {step['do']} {arguments}")
                raise
        try:
            given = do(**arguments)
        except client.Error as error:
            return client.refusal(error)
        raise AssertionError(f"{step['label']}: expected a refusal, saw {given}")

    def _known(self, value: Any) -> Any:
        """``@label`` is the id of the order that step made, ``@label/1`` that of its second leg."""
        if isinstance(value, dict):
            return {name: self._known(item) for name, item in value.items()}
        return self._ids[value[1:]] if isinstance(value, str) and value.startswith("@") else value

    def _remember(self, label: str, answer: Any) -> None:
        if isinstance(answer, dict) and "client_order_id" in answer:
            self._ids[label] = answer["id"]
            for place, leg in enumerate(answer["legs"] or []):
                self._ids[f"{label}/{place}"] = leg["id"]


def main(name: str, version: str, client_of: Callable[[Day], Any]) -> None:
    """Live the day of the plan given on the command line with the client that ``client_of`` makes."""
    day = Day(json.loads(Path(sys.argv[1]).read_text()))
    answers = day.live(client_of(day))
    Path(sys.argv[2]).write_text(json.dumps({"client": name, "version": version, "answers": answers}))
