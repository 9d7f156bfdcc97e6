"""Weighing one signal for one account: fetch what the decision needs, judge it, and say what to buy or why not.

Everything the judgement looked at comes back with it, to be stored by hash with the decision. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from trading_assets.broker.climbing import LadderPlan, Rung
from trading_assets.broker.ladder import Entry
from trading_assets.broker.snapshot import account_snapshot
from trading_assets.domain.money import CENT, option_tick, told
from trading_assets.domain.values import AccountSnapshot, ContractSnapshot, GateReport, Quote, Right, Signal, Strategy
from trading_assets.jobs.drawdown import watch_drawdown
from trading_assets.jobs.facts import regime_at
from trading_assets.jobs.gate_context import gate_context
from trading_assets.jobs.growing import Growing, find_growing
from trading_assets.jobs.iv_facts import archived_iv
from trading_assets.jobs.lately import Lately
from trading_assets.jobs.risk_facts import gather_facts
from trading_assets.ledger import accounts
from trading_assets.ledger.outcomes import closed_returns
from trading_assets.market.sessions import Session
from trading_assets.resources.desk import Desk
from trading_assets.risk.facts import RiskFacts
from trading_assets.risk.gates import evaluate
from trading_assets.risk.kelly import outcomes_of
from trading_assets.risk.sizing import Book, SizingDecision, size_option, size_stock
from trading_assets.strategy.contracts import ContractSelection, chain_query, select_contract
from trading_assets.strategy.orders import entry_bracket, entry_ladder, highest_permitted_price
from trading_assets.strategy.quoting import age_seconds
from trading_assets.strategy.volatility_rank import rank_size_factor, volatility_rank


@dataclass(frozen=True, slots=True)
class Weighed:
    """The judgement. ``entry`` and ``plan`` are None where nothing is bought; ``reason`` then names what denied."""

    gates: GateReport
    selection: ContractSelection | None
    sizing: SizingDecision | None
    entry: Entry | None
    plan: LadderPlan | None
    reason: str
    inputs: Mapping[str, Any]


def weigh(desk: Desk, account: str, signal: Signal, session: Session, lately: Lately | None = None) -> Weighed:
    """Judge ``signal`` for ``account`` now, by what the dispatch saw ``lately`` of the account and by fresh quotes.

    ``lately`` None: nothing was seen yet.

    Raises ``BrokerUnavailable`` if quotes or chain cannot be read: then there is nothing to judge.
    """
    lately = lately or Lately(desk, account)
    snapshot = look_at_account(desk, account, lately)
    spot = _fresh(desk, account, desk.broker(account).quotes([signal.ticker]).get(signal.ticker))
    facts = gather_facts(desk, account, signal, session, snapshot, spot, lately)
    config = desk.strategy(account)
    book = Book(signal.ticker, facts, config.gates, config.exits)
    if signal.strategy is Strategy.STOCK:
        return _weigh_stock(desk, account, signal, session, snapshot, spot, book)
    return _weigh_option(desk, account, signal, session, snapshot, spot, book)


def _fresh(desk: Desk, account: str, quote: Quote | None) -> Quote | None:
    """The underlying's quote, unless it is too old to choose a contract by."""
    config = desk.strategy(account).contracts
    age = None if quote is None else age_seconds(quote.at, desk.clock.now(), config.clock_skew_s)
    return quote if age is not None and age <= config.max_quote_age_s else None


def look_at_account(desk: Desk, account: str, lately: Lately) -> AccountSnapshot:
    """The account now, by what was seen of it ``lately``; a drawdown that is seen may pause it."""
    with desk.ledger.connect() as connection:
        kill_mode = accounts.kill_mode(connection, account)
    snapshot = account_snapshot(
        desk.ledger,
        desk.broker(account),
        desk.clock,
        account,
        kill_mode=kill_mode,
        start_id=desk.start_id,
        reading=lately.reading(),
    )
    return watch_drawdown(desk, snapshot)


def _weigh_option(
    desk: Desk,
    account: str,
    signal: Signal,
    session: Session,
    snapshot: AccountSnapshot,
    spot: Quote | None,
    book: Book,
) -> Weighed:
    config = desk.strategy(account)
    price = None if spot is None else spot.mid
    chain: list[ContractSnapshot] = []
    if price is not None and price > 0:
        query = chain_query(signal.direction, signal.strategy, price, session.day, config.contracts)
        chain = desk.broker(account).option_chain(
            signal.ticker,
            query.min_expiry,
            query.max_expiry,
            low_strike=query.min_strike,
            high_strike=query.max_strike,
            right=query.right,
        )
    as_of = desk.clock.now()
    growing = find_growing(desk, account, signal, session, snapshot, spot, chain, book.facts or RiskFacts(), as_of)
    grown = None if growing is None else growing.target
    rank = volatility_rank(
        *archived_iv(desk.frames, signal.ticker, session, known_by=as_of, sessions=config.contracts.iv_rank_sessions),
        realised_rank=signal.features.get("rv_rank"),
        realised_sessions=signal.features.get("rv_rank_sessions"),
        config=config.contracts,
    )
    selection = select_contract(
        chain,
        spot=price if price is not None else Decimal(0),
        direction=signal.direction,
        strategy=signal.strategy,
        session=session,
        as_of=as_of,
        iv_rank=rank,
        config=config.contracts,
        only=None if grown is None else grown.symbol,
    )
    chosen = selection.chosen

    def tick(amount: Decimal) -> Decimal:
        return option_tick(signal.ticker, amount)

    quote = None if chosen is None else chosen.quote
    with desk.ledger.connect() as connection:
        outcomes = outcomes_of(closed_returns(connection, account, signal.strategy))
    highest = highest_permitted_price(quote, tick, config.orders)
    sizing = size_option(
        account=snapshot,
        strategy=signal.strategy,
        price=highest,
        regime=regime_at(desk, session),
        daily_atr_pct=signal.features.get("daily_atr_pct"),
        daily_atr_pct_median60=signal.features.get("daily_atr_pct_median60"),
        rank_factor=rank_size_factor(rank, config.contracts),
        config=config.sizing,
        limits=desk.account(account).limits,
        book=book,
        contract=chosen,
        outcomes=outcomes,
        held=0 if grown is None else grown.quantity,
    )
    if growing is not None:
        growing = growing.sized(sizing.quantity, highest)
    report = _judge(desk, account, signal, session, snapshot, selection, sizing, quote, book.facts, growing)
    inputs = {"account": snapshot, "chain": chain, "quote": spot, "facts": book.facts, "outcomes": outcomes}
    if growing is not None:
        inputs["add"] = growing.remembered(sizing.quantity, highest)
    rungs = tuple(Rung(rung.limit, rung.seconds) for rung in entry_ladder(quote, tick, config.orders))
    if not report.passed or chosen is None or not rungs:
        return Weighed(report, selection, sizing, None, None, denial_reason(report), inputs)
    entry = Entry(
        account=account,
        signal_id=signal.signal_id,
        symbol=chosen.contract.symbol,
        underlying=signal.ticker,
        strategy=signal.strategy,
        direction=signal.direction,
        quantity=sizing.quantity,
        multiplier=chosen.contract.multiplier,
        right=Right(chosen.contract.right),
        strike=chosen.contract.strike,
        expiry=chosen.contract.expiry,
        entry_underlying=price,
        entry_delta=chosen.delta,
        adds_to=None if growing is None or growing.target is None else growing.target.position_id,
    )
    said = f"{selection.reason}; {sizing.reason}"
    if growing is not None and grown is not None:
        said = f"adds to {grown.position_id}: {growing.decision.reason}; {said}"
    return Weighed(report, selection, sizing, entry, LadderPlan(rungs), said, inputs)


def _weigh_stock(
    desk: Desk,
    account: str,
    signal: Signal,
    session: Session,
    snapshot: AccountSnapshot,
    spot: Quote | None,
    book: Book,
) -> Weighed:
    """Judge a stock signal: its entry is a bracket, which brings its stop and its take profit with it."""
    config = desk.strategy(account)
    atr = signal.features.get("atr14_5m")
    range_ = None if atr is None else Decimal(str(atr))
    ladder = entry_ladder(spot, lambda _: CENT, config.orders)
    sizing = size_stock(
        account=snapshot,
        price=highest_permitted_price(spot, lambda _: CENT, config.orders),
        atr=range_,
        regime=regime_at(desk, session),
        config=config.sizing,
        limits=desk.account(account).limits,
        book=book,
    )
    report = _judge(desk, account, signal, session, snapshot, None, sizing, spot, book.facts)
    inputs = {"account": snapshot, "quote": spot, "facts": book.facts}
    if not report.passed:
        return Weighed(report, None, sizing, None, None, denial_reason(report), inputs)
    distance = None if range_ is None else config.exits.stock_stop_atr * range_
    bracket = entry_bracket(ladder, spot, distance, lambda _: CENT, config.orders.stock_target)
    if bracket is None:
        said = f"no bracket: a stop {told(distance)} away does not lie below every price of the entry and the bid"
        return Weighed(report, None, sizing, None, None, said, inputs)
    entry = Entry(
        account=account,
        signal_id=signal.signal_id,
        symbol=signal.ticker,
        underlying=signal.ticker,
        strategy=signal.strategy,
        direction=signal.direction,
        quantity=sizing.quantity,
        multiplier=1,
        entry_underlying=None if spot is None else spot.mid,
    )
    plan = LadderPlan(
        tuple(Rung(rung.limit, rung.seconds) for rung in ladder),
        take_profit=bracket.take_profit,
        stop_loss=bracket.stop_loss,
    )
    said = f"bracket with a stop at {told(bracket.stop_loss)} and a take profit at {told(bracket.take_profit)}"
    return Weighed(report, None, sizing, entry, plan, f"{said}; {sizing.reason}", inputs)


def _judge(
    desk: Desk,
    account: str,
    signal: Signal,
    session: Session,
    snapshot: AccountSnapshot,
    selection: ContractSelection | None,
    sizing: SizingDecision,
    quote: Quote | None,
    facts: RiskFacts | None,
    growing: Growing | None = None,
) -> GateReport:
    return evaluate(
        gate_context(
            desk,
            account,
            signal,
            session,
            snapshot,
            regime_at(desk, session),
            facts,
            as_of=desk.clock.now(),
            selection=selection,
            sizing=sizing,
            quote=quote,
            growing=growing,
        )
    )


#: Gates that judge the contract or its price: without a contract they deny, and say nothing new by it.
_OF_THE_CONTRACT = ("quote_freshness", "max_exposure", "max_open_risk", "portfolio_greeks", "sizing")


def denial_reason(report: GateReport) -> str:
    """Every denial in order. A missing contract comes first; gates that it leaves nothing to judge are only named."""
    denied = {result.gate: result.reason for result in report.results if not result.passed}
    missing = denied.pop("contract", None)
    said = [f"contract: {missing}"] if missing is not None else []
    idle = [gate for gate in _OF_THE_CONTRACT if missing is not None and denied.pop(gate, None) is not None]
    said += [f"{gate}: {reason}" for gate, reason in denied.items()]
    if idle:
        said.append(f"without a contract also denied: {', '.join(idle)}")
    return "; ".join(said) or "no price to buy at"
