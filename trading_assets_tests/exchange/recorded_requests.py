"""The requests of the recordings, asked of a practice exchange: the same methods and paths, with symbols and ids that
it has, in a state in which the broker's answer makes sense."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx

from trading_assets_tests.exchange.recordings import Recording
from trading_assets_tests.exchange.test_trading import ask as ask_of
from trading_assets_tests.exchange.test_trading import call_near_the_money, limit
from trading_assets_tests.exchange.venue_process import SESSION, Exchange

#: An account that has nothing and did nothing.
EMPTY = {"APCA-API-KEY-ID": "PKTWO", "APCA-API-SECRET-KEY": "secret-of-account-two"}
_UNKNOWN = str(uuid.UUID(int=1))
_METHODS = {
    "place": "POST",
    "exercise": "POST",
    "replace": "PATCH",
    "cancel": "DELETE",
    "cancel all": "DELETE",
    "close": "DELETE",
    "close all": "DELETE",
}
#: What sells is asked when everything else has been, and what cancels before that.
_LAST = ("cancel all", "close", "close all")


class Asker:
    """One exchange and what its account needs to be asked everything."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.call, _ = call_near_the_money(exchange, "AAPL")
        self.order = self._market("AAPL", 40)
        self._market(self.call, 2)
        exchange.step(60)
        exchange.post({**limit("AAPL", "sell", 1, 900), "time_in_force": "gtc"})
        legs = {"take_profit": {"limit_price": 900}, "stop_loss": {"stop_price": 1}}
        self._market("CRM", 3, order_class="bracket", **legs)
        self._market("KO", 40)
        exchange.step(60)

    def ask_all(self, found: list[Recording]) -> Iterator[tuple[Recording, int, Any]]:
        """Every recording with the exchange's status and body."""
        for recording in sorted(found, key=lambda item: _LAST.index(item.kind) if item.kind in _LAST else -1):
            yield (recording, *self.ask(recording))

    def ask(self, recording: Recording) -> tuple[int, Any]:
        """Status and body of the exchange's answer to the recorded request."""
        asked = getattr(self, "_" + recording.kind.replace(" ", "_"), None)
        path = asked(recording) if asked is not None else recording.path
        headers = EMPTY if _is_empty(recording.answer) and recording.path.startswith("/v2/") else self.exchange.headers
        if recording.status == 401:
            headers = {"APCA-API-KEY-ID": "nobody", "APCA-API-SECRET-KEY": "nothing"}
        answer = httpx.request(
            _METHODS.get(recording.kind, "GET"),
            self.exchange.url + path,
            headers=dict(headers),
            params=self._params(recording) or None,
            json=self._body(recording),
        )
        return answer.status_code, answer.json() if answer.content else None

    # --- what the request needs -------------------------------------------------------------------------------------

    def _params(self, recording: Recording) -> dict[str, str]:
        """The recorded parameters; placeholders get what this exchange has, or, for an empty answer, has not."""
        options = "options" in recording.path
        symbols = [self.call] if options else ["KO", "AAPL"]
        if recording.path.startswith(("/v2/stocks", "/v1beta1/options")) and _is_empty(recording.answer):
            symbols = ["NOSUCH"]
        known = {
            "symbols": ",".join(symbols),
            "start": f"{SESSION.replace(month=2)}",
            "end": f"{SESSION}",
            "timeframe": "1Day",
            "limit": "50",
        }
        found: dict[str, str] = {}
        for name, value in recording.params.items():
            if name == "client_order_id":
                found[name] = self.order["client_order_id"]
            elif name == "symbols":
                found[name] = known[name] if "{" in value else value
            elif "{" not in value and name != "page_token":
                found[name] = value
            elif name in known:
                found[name] = known[name]
        if recording.kind in ("contracts", "chain"):
            found["limit"] = "20" if recording.kind == "contracts" else "1000"
            found.pop("updated_since", None)
        return found

    def _body(self, recording: Recording) -> dict[str, Any] | None:
        if recording.kind == "place":
            return self._placed(recording)
        if recording.kind != "replace":
            return None
        sent = dict(recording.sent) or {"qty": 2}
        if "client_order_id" in sent:
            sent["client_order_id"] = f"{sent['client_order_id']} {uuid.uuid4()}"
        return sent

    def _placed(self, recording: Recording) -> dict[str, Any]:
        """What was sent, at prices of this market; where only the answer is known, what it says was sent."""
        given = dict(recording.sent)
        if not given:
            names = ("qty", "side", "type", "time_in_force", "limit_price", "stop_price")
            given = {name: recording.answer[name] for name in names if recording.answer.get(name) is not None}
            given["qty"] = 1
        # Its own orders must not meet those that rest in the recorded symbol.
        given |= {"symbol": "KO" if given["side"] == "sell" else "JPM"}
        given.pop("client_order_id", None)
        if "limit_price" in given and recording.status < 400:
            price = ask_of(self.exchange, given["symbol"])
            given["limit_price"] = round(price * 0.9, 2)
            if "take_profit" in given:
                given["take_profit"] = {"limit_price": round(price * 1.2, 2)}
                given["stop_loss"] = {"stop_price": round(price * 0.8, 2)}
        return given

    def _market(self, symbol: str, quantity: int, **more: Any) -> dict[str, Any]:
        body = {"symbol": symbol, "side": "buy", "qty": quantity, "type": "market", "time_in_force": "day"}
        answer = self.exchange.post({**body, **more})
        assert answer.status_code == 200, answer.text
        order: dict[str, Any] = answer.json()
        return order

    def _resting(self) -> str:
        order: dict[str, Any] = self.exchange.post(limit("MSFT", "buy", 1, 5)).json()
        return str(order["id"])

    # --- paths by kind ----------------------------------------------------------------------------------------------

    def _order(self, recording: Recording) -> str:
        if "by_client" in recording.path:
            return recording.path
        return f"/v2/orders/{_UNKNOWN if recording.is_refusal else self.order['id']}"

    def _replace(self, recording: Recording) -> str:
        if recording.status == 404:
            return f"/v2/orders/{_UNKNOWN}"
        return f"/v2/orders/{self.order['id'] if recording.status == 422 else self._resting()}"

    def _cancel(self, recording: Recording) -> str:
        return f"/v2/orders/{_UNKNOWN if recording.is_refusal else self._resting()}"

    def _cancel_all(self, recording: Recording) -> str:
        self._resting()
        return recording.path

    def _asset(self, recording: Recording) -> str:
        return "/v2/assets/CRM"

    def _position(self, recording: Recording) -> str:
        return f"/v2/positions/{'MU' if recording.is_refusal else 'AAPL'}"

    def _close(self, recording: Recording) -> str:
        return "/v2/positions/MU" if recording.is_refusal else "/v2/positions/KO?qty=1"

    def _close_all(self, recording: Recording) -> str:
        # One position is free, and one is held by an order.
        self.exchange.delete("/v2/orders")
        for symbol in ("KO", "AAPL"):
            self._market(symbol, 2)
        self.exchange.step(60)
        self.exchange.post(limit("KO", "sell", 1, 900))
        return recording.path

    def _exercise(self, recording: Recording) -> str:
        return f"/v2/positions/{self.call}/exercise"

    def _contract(self, recording: Recording) -> str:
        return f"/v2/options/contracts/{self.call}"

    def _chain(self, recording: Recording) -> str:
        return "/v1beta1/options/snapshots/AAPL"


def _is_empty(answer: Any) -> bool:
    """Whether the broker had nothing to tell."""
    if isinstance(answer, dict):
        return all(value in (None, {}, []) for value in answer.values())
    return answer == []
