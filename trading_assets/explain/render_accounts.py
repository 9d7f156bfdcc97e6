"""One account's part of a page: status, gates, contracts, size, orders, fills, exit and result."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from trading_assets.explain.page import (
    AccountView,
    CandidateView,
    GateView,
    Judgement,
    OrderView,
    PositionView,
    SelectionView,
    SizingView,
)
from trading_assets.explain.paper import Block, Grid, Heading, Line
from trading_assets.explain.showing import MISSING, amount, clock, number, short, value, word

#: Contracts that are shown; the rest is counted by reason.
BEST = 10
#: What the class of an order adds to its reason.
_CLASSES = {
    "bracket": ", as a bracket",
    "oco": ", as a pair of which one ends the other",
    "mleg": ", as one order of two legs at a net price",
}
#: Rules of alerts about what was done to a position without a decision of ours.
_NOT_DECIDED_HERE = frozenset({"adopted", "foreign_fill", "orphaned_protection", "phantom"})
#: What the broker did afterwards to a fill that was booked, by the kind of event.
_FILL_CHANGES = {"trade_bust": "fill taken back by the broker", "trade_correct": "fill corrected by the broker"}


def account_blocks(account: AccountView) -> Iterator[Block]:
    """Status and reason, then each judgement and each position."""
    yield Heading(f"Account {account.account}: {account.status or 'the signal was not offered to it'}")
    if account.status is not None:
        tone = "good" if account.status == "EXECUTED" else "" if account.status in ("PENDING", "PROCESSING") else "bad"
        yield Line(f"{account.reason or 'no reason is stored'} ({clock(account.updated_at)})", tone)
    for judgement in account.judgements:
        yield from _judgement(judgement)
    if not account.judgements:
        yield Line("no decision of this account is stored: no gate was asked", "weak")
    for position in account.positions:
        yield from position_blocks(position)
    if not account.positions:
        yield Line("no order and no position came of it", "weak")


def _judgement(judgement: Judgement) -> Iterator[Block]:
    yield Line(f"judged at {clock(judgement.decided_at)} by run {judgement.run_id}: {judgement.outcome}", "strong")
    if judgement.quote is not None:
        quote = judgement.quote
        yield Line(f"underlying {amount(quote.get('bid'))} x {amount(quote.get('ask'))} at {value(quote.get('at'))}")
    if judgement.account is not None:
        yield Line(value(judgement.account), "weak")
    if judgement.add is not None:
        add = judgement.add
        after = add.get("entry_price_after_at_most")
        said = f"adds to {value(add.get('position_id'))}" if add.get("allowed") else "adds nothing to what is held"
        then = "" if after is None else f"; the average entry is then {amount(after)} at most"
        yield Line(f"{said} (bid {amount(add.get('bid'))}): {add.get('reason')}{then}")
    yield from _judged(judgement.gates, judgement.selection, judgement.sizing)
    for sentence in judgement.not_stored:
        yield Line(sentence, "weak")


def _judged(gates: tuple[GateView, ...], selection: SelectionView | None, sizing: SizingView | None) -> Iterator[Block]:
    denied = [gate.gate for gate in gates if not gate.passed]
    said = f"denied by {', '.join(denied)}" if denied else "all passed"
    yield Heading(f"{len(gates)} gates, {said}", 3)
    yield Grid(
        ("gate", "", "reason", "observed", "threshold"),
        tuple(
            (
                gate.gate,
                "passed" if gate.passed else "DENIED",
                gate.reason,
                short(value(gate.observed)),
                short(value(gate.threshold)),
            )
            for gate in gates
        ),
        tuple("" if gate.passed else "bad" for gate in gates),
    )
    if selection is not None:
        yield from _selection(selection)
    if sizing is not None:
        yield from _sizing(sizing)


def _selection(selection: SelectionView) -> Iterator[Block]:
    yield Heading(f"{len(selection.candidates)} contracts: {selection.reason}", 3)
    if selection.iv_rank is not None:
        yield Line(f"volatility rank: {value(selection.iv_rank)}", "weak")
    parts = sorted({part for row in selection.candidates for part in row.parts})
    best = selection.candidates[:BEST]
    if best:
        yield Grid(
            ("contract", "quality", *parts, "bid x ask", "refused for"),
            tuple(
                (
                    row.symbol,
                    number(row.quality, ".2f"),
                    *(number(row.parts.get(part), ".2f") for part in parts),
                    f"{row.bid or MISSING} x {row.ask or MISSING}",
                    "chosen" if row.chosen else "; ".join(row.refusals) or _not_needed(selection, row),
                )
                for row in best
            ),
            tuple("good" if row.chosen else "" for row in best),
        )
    more = len(selection.candidates) - len(best)
    counts = ", ".join(f"{reason} {count}" for reason, count in selection.refused_by.items())
    if counts:
        yield Line(f"refused by reason, over all {len(selection.candidates)}: {counts}", indent=1)
    if more > 0:
        yield Line(f"{more} more are stored and not shown here; --json has them all", "weak", 1)


def _not_needed(selection: SelectionView, row: CandidateView) -> str:
    if selection.chosen is None:
        return "nothing of its own"
    if row.quality is not None and selection.quality is not None and row.quality > selection.quality:
        return "nothing, but another one was asked for"
    return "nothing, a better one was there"


def _sizing(sizing: SizingView) -> Iterator[Block]:
    yield Heading(f"Size: {sizing.reason}", 3)
    factors = " x ".join(f"{word(name)} {_short(found)}" for name, found in sizing.factors.items())
    yield Line(f"budget {amount(_cents(sizing.budget))} = equity x {factors}; one costs {amount(sizing.unit_cost)}")
    yield Grid(
        ("constraint", "allows", "", "reason"),
        tuple((row.name, value(row.limit), "BINDS" if row.binding else "", row.reason) for row in sizing.constraints),
        tuple("strong" if row.binding else "" for row in sizing.constraints),
    )


def _cents(found: str | None) -> str | None:
    return None if found is None else f"{Decimal(found):.2f}"


def _short(found: str | None) -> str:
    return MISSING if found is None else f"{Decimal(found):.4g}"


def position_blocks(position: PositionView) -> Iterator[Block]:
    """The position, its orders by rung, its fills, its exits and what it made."""
    mark = "> " if position.marked else ""
    yield Heading(f"{mark}Position {position.position_id} in {position.symbol}: {position.state}", 3)
    yield Line(
        f"{position.quantity_opened} bought at {amount(position.entry_price)} x {position.multiplier}, "
        f"{position.quantity} still held; underlying at entry {amount(position.entry_underlying)}, best price since "
        f"{amount(position.high_water)}"
    )
    if position.stop_price is not None:
        yield Line(
            f"bought as a bracket: stop at {amount(position.stop_price)}, take profit at "
            f"{amount(position.target_price)}"
        )
    if position.rolled_from is not None:
        yield Line(f"a roll opened it in place of position {position.rolled_from}")
    yield Line(f"opened {clock(position.opened_at)}, closed {clock(position.closed_at)}", "weak")
    if position.orders:
        yield _orders(position.orders)
    fills = position.fills
    if fills:
        yield Grid(
            ("fill", "side", "quantity", "price", "reason", "order"),
            tuple(
                (
                    clock(fill.executed_at),
                    fill.side,
                    str(fill.quantity),
                    amount(fill.price),
                    fill.reason,
                    fill.client_order_id or "of no order of ours",
                )
                for fill in fills
            ),
        )
    else:
        yield Line("no fill", "weak", 1)
    for event in position.events:
        if event.kind in _FILL_CHANGES:
            yield Line(f"{_FILL_CHANGES[event.kind]} at {clock(event.at)}", "strong")
            yield Line(value(event.details), indent=1)
        elif event.details.get("rule") in _NOT_DECIDED_HERE:
            yield Line(f"told at {clock(event.at)}: {event.details.get('reason')}", "strong")
    for exit_ in position.exits:
        yield Line(
            f"exit decided at {clock(exit_.at)}: {exit_.rule or 'no rule is stored'} ({exit_.priority or MISSING}), "
            f"sell {value(exit_.quantity)}: {exit_.reason or 'no reason is stored'}",
            "strong",
        )
        if exit_.numbers:
            yield Line(value(exit_.numbers), indent=1)
    for roll in position.rolls:
        yield Line(f"roll judged at {clock(roll.at)}: {roll.said}", "strong")
        if roll.into is not None:
            yield Line(f"into {roll.into}, net limits {', '.join(roll.net_limits)} a share", indent=1)
        if roll.gates:
            yield from _judged(roll.gates, roll.selection, roll.sizing)
    result = f"realised P&L {amount(position.realized_pnl)} dollars"
    ended = f", ended by {position.exit_reason}" if position.exit_reason else ""
    yield Line(result + ended, "good" if position.realized_pnl > 0 else "bad" if position.realized_pnl < 0 else "")


def _orders(orders: tuple[OrderView, ...]) -> Grid:
    return Grid(
        ("order", "rung", "made", "side", "quantity", "limit", "state", "filled", "at", "reason"),
        tuple(
            (
                order.client_order_id,
                f"{order.attempt}/{order.step}",
                clock(order.created_at),
                order.side,
                str(order.quantity),
                _at(order),
                order.state,
                str(order.filled_quantity),
                amount(order.filled_avg_price),
                _why_ordered(order),
            )
            for order in orders
        ),
        marked=frozenset(number for number, order in enumerate(orders) if order.marked),
    )


def _at(order: OrderView) -> str:
    if order.order_type == "market":
        return "market"
    return f"stop {amount(order.stop_price)}" if order.order_type == "stop" else amount(order.limit_price)


def _why_ordered(order: OrderView) -> str:
    said = order.reason if order.signal_id is None else f"{order.reason} of signal {short(order.signal_id, 12)}"
    if order.leg_of is not None:
        said += f", a leg of {order.leg_of}"
    else:
        said += _CLASSES.get(order.order_class, "")
    return said + (f"; {order.error}" if order.error else "")
