"""The page as values: what was seen, decided and done, each part from stored rows and nothing else.

What belongs here: the frozen values of a page. What does not: reading (``explain.reading``), making them of rows
(``explain.moments``, ``explain.accounts``), and how they are shown (``explain.render``). ``None`` and an empty tuple
mean 'not stored'; what is missing is named in words in ``not_stored``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """A story about the ticker that was known at the deciding instant.

    ``counts`` is None where it cannot be told, because the decision was made under other rules than those in force.
    ``fetched_at``, ``source`` and ``feed`` are None where the article itself is not stored any more. ``named_by`` says
    by which words it was taken for the ticker, None where that is not stored; ``clause`` holds the words whose score it
    is, None where the whole story was scored.
    """

    title: str
    source: str | None
    feed: str | None
    link: str | None
    published_at: datetime | None
    fetched_at: datetime | None
    known_at: datetime
    score: float | None
    label: str | None
    confidence: float | None
    model: str
    revision: str
    cluster_id: str
    event_uid: str
    counts: bool | None
    why: str
    named_by: str | None = None
    clause: str | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number of the rules beside what was observed. ``met`` None: what it is compared with is unknown."""

    name: str
    observed: float | None
    relation: str
    needed: float
    met: bool | None


@dataclass(frozen=True, slots=True)
class Weighted:
    """One factor of a sum. ``weight`` None: the rules in force are not those of the decision."""

    name: str
    value: float | None
    weight: float | None


@dataclass(frozen=True, slots=True)
class Watched:
    """The ticker in the newest watchlist at the deciding instant; ``score`` is the sum of weight times factor."""

    listed_at: datetime
    rank: int | None
    score: float | None
    direction: str | None
    member: bool
    entered_at: datetime | None
    reason: str | None
    factors: tuple[Weighted, ...]


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One row of the decisions' frame, HOLD included.

    ``factors`` multiply to ``product``, of which ``confidence`` is what was stored (cut to 0 and 1, nine decimals);
    ``agrees`` says whether that holds, None where a factor is unknown. ``parts`` add up to the first factor. A rule set
    with a confidence of another form stores ``own_factors`` instead of these.
    """

    ticker: str
    as_of: datetime
    bar_start: datetime | None
    action: str
    strategy: str | None
    direction: str | None
    signal_id: str | None
    reason: str
    confidence: float | None
    factors: Mapping[str, float | None]
    product: float | None
    agrees: bool | None
    parts: tuple[Weighted, ...]
    own_factors: Mapping[str, Any]
    observed: Values
    thresholds: tuple[Threshold, ...]
    urgent: bool | None
    live: bool
    rule_set: str
    config_hash: str


@dataclass(frozen=True, slots=True)
class Moment:
    """What was seen of a ticker at one deciding instant.

    ``rules_in_force`` says whether the decisions of that instant were made under the rules that are in force now; None:
    no decision of that instant is stored. ``undecided`` says why there is no decision about this ticker, None if there
    is one. ``sentiment`` is what the decision stored; ``sentiment_again`` the mean over
    the stories that count.
    """

    ticker: str
    session: date
    as_of: datetime
    rules_in_force: bool | None
    bar: Values | None
    features: Values | None
    context: Values | None
    sentiment: Values | None
    sentiment_again: Values | None
    stories: tuple[Story, ...]
    watched: Watched | None
    decisions: tuple[DecisionView, ...]
    undecided: str | None
    not_stored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GateView:
    """One gate's stored answer."""

    gate: str
    passed: bool
    observed: Any
    threshold: Any
    reason: str


@dataclass(frozen=True, slots=True)
class CandidateView:
    """One contract as it was judged. ``bid`` and ``ask`` come from the stored chain, None if it has none."""

    symbol: str
    quality: float | None
    parts: Mapping[str, float | None]
    refusals: tuple[str, ...]
    chosen: bool
    bid: str | None
    ask: str | None


@dataclass(frozen=True, slots=True)
class SelectionView:
    """The choice of a contract: all candidates by quality, the best first, and how often each reason refused."""

    chosen: Values | None
    quality: float | None
    reason: str
    iv_rank: Values | None
    fallback: bool | None
    day_trade_exits: bool | None
    candidates: tuple[CandidateView, ...]
    refused_by: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ConstraintView:
    """One limit on the quantity; ``limit`` None allows nothing."""

    name: str
    limit: int | None
    reason: str
    binding: bool


@dataclass(frozen=True, slots=True)
class SizingView:
    """The size and what led to it; amounts in dollars as exact text."""

    quantity: int
    budget: str | None
    unit_cost: str | None
    factors: Mapping[str, str | None]
    constraints: tuple[ConstraintView, ...]
    binding: str
    reason: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """One decision about a signal in one account. ``inputs`` maps what it looked at to the hash it is stored under.

    ``add`` is what was found about adding to a position in the ticker, None if none was held.
    """

    decision_id: int
    decided_at: datetime
    run_id: str
    outcome: str
    reason: str
    gates: tuple[GateView, ...]
    selection: SelectionView | None
    sizing: SizingView | None
    inputs: Mapping[str, str]
    account: Values | None
    quote: Values | None
    add: Values | None
    not_stored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FillView:
    """One booked fill; price per share."""

    execution_id: str
    client_order_id: str | None
    executed_at: datetime
    side: str
    quantity: int
    price: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class OrderView:
    """One order: a rung of the ladder of one entry, add or exit, or what rests over a stock. ``marked``: the one that
    was asked for.

    ``signal_id`` is the signal that an entry or add came of, None for an exit; ``leg_of`` the bracket or pair that a
    protective order belongs to, None for any other.
    """

    client_order_id: str
    signal_id: str | None
    broker_order_id: str | None
    purpose: str
    attempt: int
    step: int
    side: str
    quantity: int
    order_type: str
    order_class: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    leg_of: str | None
    state: str
    filled_quantity: int
    filled_avg_price: Decimal | None
    reason: str
    error: str | None
    created_at: datetime
    submitted_at: datetime | None
    run_id: str
    marked: bool


@dataclass(frozen=True, slots=True)
class ExitView:
    """One stored decision to leave, with the rule and the numbers it judged by."""

    at: datetime
    rule: str | None
    priority: str | None
    quantity: int | None
    reason: str | None
    numbers: Values
    run_id: str


@dataclass(frozen=True, slots=True)
class EventView:
    """One line of a position's story."""

    at: datetime
    kind: str
    run_id: str
    details: Values


@dataclass(frozen=True, slots=True)
class RollView:
    """One judgement about a roll: what it said, its gates, the contract it chose (None: none) and the net limits."""

    at: datetime
    outcome: str
    said: str
    gates: tuple[GateView, ...]
    selection: SelectionView | None
    sizing: SizingView | None
    into: str | None
    net_limits: tuple[str, ...]
    run_id: str


@dataclass(frozen=True, slots=True)
class PositionView:
    """A position with its orders, fills, exit decisions and story. Prices per share, ``realized_pnl`` in dollars.

    ``stop_price`` and ``target_price`` are those of the bracket by which a stock was bought, else None. ``rolled_from``
    is the position in whose place a roll opened this one, else None; ``rolls`` are what rolls of it were judged by.
    """

    position_id: str
    account: str
    symbol: str
    strategy: str
    direction: str
    origin: str
    state: str
    quantity_opened: int
    quantity: int
    multiplier: int
    entry_price: Decimal | None
    entry_underlying: Decimal | None
    stop_price: Decimal | None
    target_price: Decimal | None
    opened_at: datetime | None
    closed_at: datetime | None
    high_water: Decimal | None
    exit_reason: str | None
    realized_pnl: Decimal
    orders: tuple[OrderView, ...]
    fills: tuple[FillView, ...]
    exits: tuple[ExitView, ...]
    events: tuple[EventView, ...]
    marked: bool
    rolled_from: str | None = None
    rolls: tuple[RollView, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountView:
    """What became of a signal in one account. ``status`` None: it was not offered there, a position exists all the
    same (adopted from the broker)."""

    account: str
    status: str | None
    reason: str | None
    updated_at: datetime | None
    judgements: tuple[Judgement, ...]
    positions: tuple[PositionView, ...]


@dataclass(frozen=True, slots=True)
class SignalView:
    """A signal: as it was published, with what became of it. ``published_at`` None: it never was."""

    signal_id: str
    ticker: str
    action: str
    strategy: str
    direction: str
    bar_start: datetime
    known_at: datetime
    confidence: float
    rule_set: str
    config_hash: str
    published_at: datetime | None
    published_by: str | None
    accounts: tuple[AccountView, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The whole answer. ``moment`` is None for a position that no signal of ours opened; ``adopted`` then holds it.
    ``not_done`` says which step after the decision did not happen."""

    target: str
    kind: str
    session: date
    asked_for: datetime | None
    note: str | None
    moment: Moment | None
    signals: tuple[SignalView, ...]
    adopted: tuple[PositionView, ...]
    not_done: tuple[str, ...]
