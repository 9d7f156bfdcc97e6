"""What became of a signal in each account, as values of the page: gates, contracts, size, orders, fills, exits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from trading_assets.explain.page import (
    AccountView,
    CandidateView,
    ConstraintView,
    EventView,
    ExitView,
    FillView,
    GateView,
    Judgement,
    OrderView,
    PositionView,
    RollView,
    SelectionView,
    SignalView,
    SizingView,
)
from trading_assets.explain.reading import PositionRows, Row, SignalRows
from trading_assets.explain.wording import clean, clean_all, clean_or_none

_EXIT_DECIDED, _ROLL_DECIDED = "exit_decided", "roll_decided"
#: What of the stored account is shown beside a judgement.
_ACCOUNT = (
    "asof",
    "status",
    "equity",
    "last_equity",
    "cash",
    "options_buying_power",
    "options_level",
    "realized_pnl_today",
    "unrealized_pnl",
    "reconciled_at",
    "kill_mode",
)


def make_signal(
    rows: SignalRows, decided: Row | None, account: str | None = None, marked: str | None = None
) -> SignalView | None:
    """The signal of ``rows``, else of its row in the decisions' frame (``decided``), else None.

    ``account`` leaves only that one; ``marked`` is the client order id or position id that was asked for.
    """
    published = rows.published
    if published is None and decided is None:
        return None
    source: Mapping[str, Any] = published if published is not None else decided  # type: ignore[assignment]
    names = {row["account"] for row in rows.statuses} | {row.position["account"] for row in rows.positions}
    return SignalView(
        signal_id=source["signal_id"],
        ticker=source["ticker"],
        action=source["action"],
        strategy=source["strategy"],
        direction=source["direction"],
        bar_start=source["bar_start"] if published is not None else source["ts"],
        known_at=source["known_at"] if published is not None else source["as_of"],
        confidence=source["confidence"],
        rule_set=source["rule_set"],
        config_hash=source["config_hash"],
        published_at=None if published is None else published["published_at"],
        published_by=None if published is None else published["published_by"],
        accounts=tuple(_account(rows, name, marked) for name in sorted(names) if account in (None, name)),
    )


def _account(rows: SignalRows, name: str, marked: str | None) -> AccountView:
    status = next((row for row in rows.statuses if row["account"] == name), None)
    return AccountView(
        account=name,
        status=None if status is None else status["status"],
        reason=None if status is None else clean_or_none(status["reason"]),
        updated_at=None if status is None else status["updated_at"],
        judgements=tuple(_judgement(row, rows.payloads) for row in rows.decisions if row["account"] == name),
        positions=tuple(make_position(row, marked) for row in rows.positions if row.position["account"] == name),
    )


def _judgement(row: Row, payloads: Mapping[str, Any]) -> Judgement:
    inputs: dict[str, str] = row["inputs"]
    seen = {kind: payloads.get(identity) for kind, identity in inputs.items()}
    account, quote, add = seen.get("account"), seen.get("quote"), seen.get("add")
    missing = [f"what it saw of '{kind}' is not stored" for kind in inputs if inputs[kind] not in payloads]
    if row["selection"] is None:
        missing.append("no choice of a contract is stored")
    if row["sizing"] is None:
        missing.append("no size is stored")
    return Judgement(
        decision_id=row["decision_id"],
        decided_at=row["decided_at"],
        run_id=row["run_id"],
        outcome=row["outcome"],
        reason=clean(row["reason"]),
        gates=_gates(row["gates"]),
        selection=None if row["selection"] is None else _selection(row["selection"], seen.get("chain") or []),
        sizing=None if row["sizing"] is None else _sizing(row["sizing"]),
        inputs=inputs,
        account={name: account[name] for name in _ACCOUNT if name in account} if isinstance(account, dict) else None,
        quote=clean_all(quote) if isinstance(quote, dict) else None,
        add=clean_all(add) if isinstance(add, dict) else None,
        not_stored=tuple(missing),
    )


def _selection(stored: Row, chain: list[Row]) -> SelectionView:
    quotes = {row["contract"]["symbol"]: row["quote"] for row in chain}
    chosen = stored["chosen"]
    symbol = None if chosen is None else chosen["contract"]["symbol"]
    candidates = [
        CandidateView(
            symbol=row["symbol"],
            quality=row["quality"],
            parts=row["parts"],
            refusals=tuple(clean(refusal) for refusal in row["refusals"]),
            chosen=row["symbol"] == symbol,
            bid=quotes[row["symbol"]]["bid"] if row["symbol"] in quotes else None,
            ask=quotes[row["symbol"]]["ask"] if row["symbol"] in quotes else None,
        )
        for row in stored["candidates"]
    ]
    candidates.sort(
        key=lambda row: (not row.chosen, -1 if row.quality is None else -row.quality, len(row.refusals), row.symbol)
    )
    refused = Counter(refusal.split(":", 1)[0] for row in candidates for refusal in row.refusals)
    return SelectionView(
        chosen=clean_all(chosen),
        quality=stored["quality"],
        reason=clean(stored["reason"]),
        iv_rank=clean_all(stored.get("iv_rank")),
        fallback=stored.get("fallback"),
        day_trade_exits=stored.get("day_trade_exits"),
        candidates=tuple(candidates),
        refused_by=dict(sorted(refused.items(), key=lambda item: (-item[1], item[0]))),
    )


def _sizing(stored: Row) -> SizingView:
    return SizingView(
        quantity=stored["quantity"],
        budget=stored["budget"],
        unit_cost=stored["unit_cost"],
        factors=stored["factors"],
        constraints=tuple(
            ConstraintView(row["name"], row["limit"], clean(row["reason"]), row["name"] == stored["binding"])
            for row in stored["constraints"]
        ),
        binding=stored["binding"],
        reason=clean(stored["reason"]),
    )


def make_position(rows: PositionRows, marked: str | None = None) -> PositionView:
    """A position of the ledger with what hangs on it; ``marked`` is its id or a client order id."""
    row = rows.position
    return PositionView(
        position_id=row["position_id"],
        account=row["account"],
        symbol=row["symbol"],
        strategy=row["strategy"],
        direction=row["direction"],
        origin=row["origin"],
        state=row["state"],
        quantity_opened=row["quantity_opened"],
        quantity=row["quantity"],
        multiplier=row["multiplier"],
        entry_price=row["entry_price"],
        entry_underlying=row["entry_underlying"],
        stop_price=row["stop_price"],
        target_price=row["target_price"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        high_water=row["high_water"],
        exit_reason=clean_or_none(row["exit_reason"]),
        realized_pnl=row["realized_pnl"],
        orders=tuple(_order(order, marked) for order in rows.orders),
        fills=tuple(_fill(fill) for fill in rows.fills),
        exits=tuple(_exit(event) for event in rows.events if event["kind"] == _EXIT_DECIDED),
        events=tuple(
            EventView(event["at"], event["kind"], event["run_id"], clean_all(event["details"])) for event in rows.events
        ),
        marked=row["position_id"] == marked,
        rolled_from=row["rolled_from"],
        rolls=tuple(_roll(event) for event in rows.events if event["kind"] == _ROLL_DECIDED),
    )


def _roll(event: Row) -> RollView:
    details = event["details"]
    return RollView(
        at=event["at"],
        outcome=details["outcome"],
        said=clean(details["said"]),
        gates=_gates(details["gates"]),
        selection=None if details["selection"] is None else _selection(details["selection"], []),
        sizing=None if details["sizing"] is None else _sizing(details["sizing"]),
        into=clean_or_none(details["into"]),
        net_limits=tuple(clean(price) for price in details["net_limits"]),
        run_id=event["run_id"],
    )


def _gates(stored: list[Row]) -> tuple[GateView, ...]:
    return tuple(
        GateView(
            gate["gate"],
            gate["passed"],
            clean_all(gate["observed"]),
            clean_all(gate["threshold"]),
            clean(gate["reason"]),
        )
        for gate in stored
    )


def _order(row: Row, marked: str | None) -> OrderView:
    return OrderView(
        client_order_id=row["client_order_id"],
        signal_id=row["signal_id"],
        broker_order_id=row["broker_order_id"],
        purpose=row["purpose"],
        attempt=row["attempt"],
        step=row["step"],
        side=row["side"],
        quantity=row["quantity"],
        order_type=row["order_type"],
        order_class=row["order_class"],
        limit_price=row["limit_price"],
        stop_price=row["stop_price"],
        leg_of=row["leg_of"],
        state=row["state"],
        filled_quantity=row["filled_quantity"],
        filled_avg_price=row["filled_avg_price"],
        reason=clean(row["reason"]),
        error=clean_or_none(row["error"]),
        created_at=row["created_at"],
        submitted_at=row["submitted_at"],
        run_id=row["run_id"],
        marked=row["client_order_id"] == marked,
    )


def _fill(row: Row) -> FillView:
    return FillView(
        execution_id=row["execution_id"],
        client_order_id=row["client_order_id"],
        executed_at=row["executed_at"],
        side=row["side"],
        quantity=row["quantity"],
        price=row["price"],
        reason=clean(row["reason"]),
    )


def _exit(event: Row) -> ExitView:
    details = clean_all(event["details"])
    return ExitView(
        at=event["at"],
        rule=details.get("rule"),
        priority=details.get("priority"),
        quantity=details.get("quantity"),
        reason=details.get("reason"),
        numbers=details.get("numbers") or {},
        run_id=event["run_id"],
    )
