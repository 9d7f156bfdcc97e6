"""Weighing one roll: fetch what the decision needs, judge it, and say into what to roll or why not.

A roll is judged as the purchase it is, by fresh quotes and through the gates of an entry, in an account that does not
hold any more what it sells. It has no signal of its own: what the entry's signal said (its confidence, its rule set)
still stands, and the minute's features are taken anew. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from trading_assets.broker.climbing import Rung
from trading_assets.broker.rolling import Roll
from trading_assets.broker.snapshot import account_snapshot
from trading_assets.domain.money import option_tick, round_to_tick
from trading_assets.domain.values import (
    AccountSnapshot,
    ContractSnapshot,
    GateReport,
    OpenPosition,
    PositionState,
    Quote,
    Signal,
)
from trading_assets.jobs.drawdown import watch_drawdown
from trading_assets.jobs.facts import latest_features, regime_at
from trading_assets.jobs.iv_facts import archived_iv
from trading_assets.jobs.lately import Lately
from trading_assets.jobs.risk_facts import gather_facts
from trading_assets.jobs.weighing import denial_reason
from trading_assets.ledger import dispatch, positions
from trading_assets.ledger.outcomes import closed_returns
from trading_assets.market.sessions import MINUTE, Session
from trading_assets.resources.desk import Desk
from trading_assets.risk.gates import ROLL_GATES, GateContext, evaluate
from trading_assets.risk.kelly import outcomes_of
from trading_assets.risk.sizing import Book, SizingDecision, size_option
from trading_assets.strategy.contracts import ContractSelection
from trading_assets.strategy.exit_values import RollDecision
from trading_assets.strategy.quoting import age_seconds, executable_bid
from trading_assets.strategy.roll_contract import RollTarget, choose_roll, roll_ladder, roll_query
from trading_assets.strategy.volatility_rank import VolatilityRank, rank_size_factor, volatility_rank

Features = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WeighedRoll:
    """The judgement. ``order`` is None where nothing is rolled; ``reason`` then names what denied."""

    order: Roll | None
    rungs: tuple[Rung, ...]
    reason: str
    gates: GateReport | None = None
    selection: ContractSelection | None = None
    sizing: SizingDecision | None = None
    inputs: Mapping[str, Any] | None = None


def weigh_roll(desk: Desk, account: str, position: OpenPosition, roll: RollDecision, session: Session) -> WeighedRoll:
    """Judge ``roll`` now. Raises ``BrokerUnavailable`` if quotes or chain cannot be read."""
    with desk.ledger.connect() as connection:
        signal_id = positions.root_signal(connection, position.position_id)
        signal = None if signal_id is None else dispatch.published_signal(connection, signal_id)
        before = [p for p in positions.rolled_to(connection, position.position_id) if p.state is PositionState.OPEN]
    if signal is None:
        return WeighedRoll(None, (), "no signal of ours opened the position: how sure it was is not known")
    config, broker = desk.strategy(account), desk.broker(account)
    features = latest_features(desk, session).get(position.underlying)
    spot = _fresh(desk, account, broker.quotes([position.underlying]).get(position.underlying))
    held = _fresh(desk, account, broker.option_quotes([position.symbol]).get(position.symbol))
    price = None if spot is None else spot.mid
    if price is None or price <= 0:
        return WeighedRoll(None, (), "the price of the underlying is unknown or old")
    if executable_bid(held) is None:
        return WeighedRoll(None, (), f"{position.symbol} has no fresh price to sell at")
    target = RollTarget(
        roll.target_expiry,
        roll.target_delta,
        config.exits.roll_delta_tolerance,
        only=before[0].symbol if before else None,
    )
    chain = _chain(desk, account, position, target, session, price)
    as_of = desk.clock.now()
    signal = _as_of(signal, position, features, as_of)
    rank = _rank(desk, account, position, session, signal.features, as_of)
    selection = choose_roll(
        chain,
        target,
        spot=price,
        direction=position.direction,
        session=session,
        as_of=as_of,
        iv_rank=rank,
        config=config.contracts,
    )
    lately = Lately(desk, account)
    snapshot = _snapshot(desk, account, lately)
    case = _Case(desk, account, position, signal, session, spot, held, selection, rank, lately)
    quantity, sizing, report = case.judged(snapshot, roll.quantity)
    inputs = {"account": snapshot, "chain": chain, "quote": spot, "held": held}
    chosen = selection.chosen
    quote = None if chosen is None else chosen.quote
    rungs = tuple(Rung(rung.limit, rung.seconds) for rung in roll_ladder(held, quote, config.orders))
    bid, ask = executable_bid(held), None if quote is None else quote.ask
    if not report.passed or chosen is None or not rungs or bid is None or ask is None:
        return WeighedRoll(None, (), denial_reason(report), report, selection, sizing, inputs)
    order = Roll(position.position_id, chosen.contract, quantity, bid, ask, price, chosen.delta)
    said = f"{selection.reason}; {quantity} of {position.quantity}: {sizing.reason}"
    return WeighedRoll(order, rungs, said, report, selection, sizing, inputs)


@dataclass(frozen=True, slots=True)
class _Case:
    """All that one roll is judged by but its quantity."""

    desk: Desk
    account: str
    position: OpenPosition
    signal: Signal
    session: Session
    spot: Quote | None
    held: Quote | None
    selection: ContractSelection
    rank: VolatilityRank
    lately: Lately

    def judged(self, snapshot: AccountSnapshot, most: int) -> tuple[int, SizingDecision, GateReport]:
        """How many of at most ``most`` may be rolled, and the gates with just so many; 0 is denied by the size."""
        quantity = min(most, self.position.quantity)
        while True:
            after = without(snapshot, self.position, quantity, self.held)
            sizing = self._sized(after)
            if sizing.quantity >= quantity or sizing.quantity < 1:
                return min(quantity, sizing.quantity), sizing, self._gates(after, sizing)
            # What is not rolled stays held and takes room: the smaller roll is sized anew.
            quantity = sizing.quantity

    def _book(self, after: AccountSnapshot) -> Book:
        config = self.desk.strategy(self.account)
        facts = gather_facts(self.desk, self.account, self.signal, self.session, after, self.spot, self.lately)
        return Book(self.signal.ticker, facts, config.gates, config.exits)

    def _sized(self, after: AccountSnapshot) -> SizingDecision:
        desk, config, features = self.desk, self.desk.strategy(self.account), self.signal.features
        chosen = self.selection.chosen
        with desk.ledger.connect() as connection:
            outcomes = outcomes_of(closed_returns(connection, self.account, self.signal.strategy))
        return size_option(
            account=after,
            strategy=self.signal.strategy,
            price=_highest(self.position.underlying, chosen),
            regime=regime_at(desk, self.session),
            daily_atr_pct=features.get("daily_atr_pct"),
            daily_atr_pct_median60=features.get("daily_atr_pct_median60"),
            rank_factor=rank_size_factor(self.rank, config.contracts),
            config=config.sizing,
            limits=desk.account(self.account).limits,
            book=self._book(after),
            contract=chosen,
            outcomes=outcomes,
        )

    def _gates(self, after: AccountSnapshot, sizing: SizingDecision) -> GateReport:
        desk, config, chosen = self.desk, self.desk.strategy(self.account), self.selection.chosen
        quoted = [
            None if quote is None else quote.at for quote in (self.held, None if chosen is None else chosen.quote)
        ]
        known = [at for at in quoted if at is not None]
        return evaluate(
            GateContext(
                signal=self.signal,
                account=after,
                session=self.session,
                as_of=desk.clock.now(),
                regime=regime_at(desk, self.session),
                bar_end=self.signal.bar_start + MINUTE,
                feature_at=self.signal.bar_start + timedelta(minutes=1),
                quote_at=min(known) if len(known) == len(quoted) else None,
                signal_known_at=self.signal.known_at,
                selection=self.selection,
                sizing=sizing,
                gates=config.gates,
                sizing_config=config.sizing,
                limits=desk.account(self.account).limits,
                facts=self._book(after).facts,
                exits=config.exits,
            ),
            ROLL_GATES,
        )


def without(snapshot: AccountSnapshot, position: OpenPosition, quantity: int, quote: Quote | None) -> AccountSnapshot:
    """The account once ``quantity`` of ``position`` is sold at the bid: what that frees a roll may use."""
    rest = position.quantity - quantity
    others = [one for one in snapshot.positions if one.position_id != position.position_id]
    left = [replace(one, quantity=rest) for one in snapshot.positions if one.position_id == position.position_id]
    bid, power = executable_bid(quote), snapshot.options_buying_power
    if power is not None and bid is not None:
        power += bid * quantity * position.multiplier
    return replace(snapshot, positions=tuple(others + (left if rest > 0 else [])), options_buying_power=power)


def _as_of(signal: Signal, position: OpenPosition, features: Features | None, as_of: datetime) -> Signal:
    """The entry's signal with what is known now: where the minute has no features its bar stays as old as it is."""
    known = features or {}
    return replace(
        signal,
        ticker=position.underlying,
        strategy=position.strategy,
        direction=position.direction,
        bar_start=known.get("ts", signal.bar_start),
        known_at=as_of,
        features=known,
    )


def _highest(underlying: str, chosen: ContractSnapshot | None) -> Decimal | None:
    """The most that a share of the new contract may cost: the sale may bring no less than its bid."""
    ask = None if chosen is None else chosen.quote.ask
    return None if ask is None else round_to_tick(ask, option_tick(underlying, ask), direction="up")


def _fresh(desk: Desk, account: str, quote: Quote | None) -> Quote | None:
    config = desk.strategy(account).contracts
    age = None if quote is None else age_seconds(quote.at, desk.clock.now(), config.clock_skew_s)
    return quote if age is not None and age <= config.max_quote_age_s else None


def _chain(
    desk: Desk, account: str, position: OpenPosition, target: RollTarget, session: Session, price: Decimal
) -> list[ContractSnapshot]:
    query = roll_query(target, position.direction, price, session, desk.strategy(account).contracts)
    return desk.broker(account).option_chain(
        position.underlying,
        query.min_expiry,
        query.max_expiry,
        low_strike=query.min_strike,
        high_strike=query.max_strike,
        right=query.right,
    )


def _rank(
    desk: Desk, account: str, position: OpenPosition, session: Session, features: Features, as_of: datetime
) -> VolatilityRank:
    config = desk.strategy(account).contracts
    return volatility_rank(
        *archived_iv(desk.frames, position.underlying, session, known_by=as_of, sessions=config.iv_rank_sessions),
        realised_rank=features.get("rv_rank"),
        realised_sessions=features.get("rv_rank_sessions"),
        config=config,
    )


def _snapshot(desk: Desk, account: str, lately: Lately) -> AccountSnapshot:
    reading = lately.reading()
    found = account_snapshot(
        desk.ledger, desk.broker(account), desk.clock, account, start_id=desk.start_id, reading=reading
    )
    return watch_drawdown(desk, found)
