"""Gathers what gates and sizing need to know beside account and signal: sectors, correlations, Greeks, earnings.

Nothing here raises because something cannot be read: what is not known stays out, and the gates that need it deny.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

import polars as pl

from trading_assets.assets.history import known_splits
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import Rejected
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.values import AccountSnapshot, OpenPosition, Quote, Signal, Strategy
from trading_assets.jobs.facts import contract_row
from trading_assets.jobs.lately import Lately
from trading_assets.market.correlation import Correlation, beta, log_returns, shrunk_correlation
from trading_assets.market.portfolio_greeks import PositionGreeks, stock_position
from trading_assets.market.sessions import Session, shift
from trading_assets.market.splits import adjusted
from trading_assets.resources.desk import Desk
from trading_assets.risk.exposure import live_positions, tickers_at_stake
from trading_assets.risk.facts import CALENDAR_END, RiskFacts
from trading_assets.risk.greek_limits import overnight_quantities
from trading_assets.strategy.option_model import with_greeks

_log = logging.getLogger(__name__)
Returns = Mapping[str, Mapping[date, float]]


def gather_facts(
    desk: Desk,
    account: str,
    signal: Signal,
    session: Session,
    snapshot: AccountSnapshot,
    spot: Quote | None,
    lately: Lately,
) -> RiskFacts:
    """What is known now about ``signal`` and the account's other holdings, whose Greeks are kept in ``lately``."""
    others = sorted(tickers_at_stake(snapshot) - {signal.ticker})
    returns = _returns(desk, account, session, {signal.ticker, desk.settings.strategy.context.index, *others})
    greeks: Mapping[str, PositionGreeks] = {}
    if signal.strategy is not Strategy.DAY_TRADE:
        # A day trade is flat by the close: what stays overnight cannot deny it, so the broker is not asked.
        overnight = frozenset(overnight_quantities(snapshot))
        kept = lately.greeks(overnight)
        greeks = _greeks(desk, account, snapshot, returns or {}) if kept is None else kept
        lately.keep_greeks(dict(greeks))
    found = _without_market(desk, signal.ticker, others, returns)
    return replace(found, greeks=greeks, spot=None if spot is None else spot.mid)


def facts_without_market(
    desk: Desk, account: str, tickers: Iterable[str], session: Session, snapshot: AccountSnapshot
) -> dict[str, RiskFacts]:
    """What is known about each of ``tickers`` and the account's holdings without the broker: no price, no Greeks."""
    wanted, held = sorted(set(tickers)), tickers_at_stake(snapshot)
    returns = _returns(desk, account, session, {*wanted, *held})
    return {ticker: _without_market(desk, ticker, sorted(held - {ticker}), returns) for ticker in wanted}


def _without_market(desk: Desk, ticker: str, others: list[str], returns: Returns | None) -> RiskFacts:
    settings = desk.settings
    involved, sectors = {ticker, *others}, settings.strategy.universe.sectors
    return RiskFacts(
        sectors={each: sectors[each] for each in sorted(involved) if each in sectors},
        correlations=None if returns is None else _correlations(returns, ticker, others),
        earnings=_calendar(settings.earnings, ticker),
        earnings_trouble=None if settings.earnings_trouble is None else str(settings.earnings_trouble),
    )


def _calendar(earnings: Mapping[str, tuple[date, ...]] | None, ticker: str) -> Mapping[str, tuple[date, ...]] | None:
    """The ticker's days, and the newest day of all, by which the gate sees how far the calendar reaches."""
    if earnings is None:
        return None
    newest = max((day for days in earnings.values() for day in days), default=None)
    reach = {} if newest is None else {CALENDAR_END: (newest,)}
    return {ticker: earnings.get(ticker, ()), **reach}


def _returns(desk: Desk, account: str, session: Session, tickers: Iterable[str]) -> Returns | None:
    """Daily log returns of the sessions before this one; None if the daily bars or their splits cannot be read."""
    count = desk.strategy(account).gates.correlation_sessions
    days = [shift(session.day, -back).day for back in range(count + 1, 0, -1)]
    try:
        bars = desk.frames.read("daily_bars", [session.key])
        bars = adjusted(bars, known_splits(desk, session.day), session.day)
    except TradingAssetsError as error:
        _log.error("session %s: daily returns cannot be computed: %s", session.key, error)
        return None
    rows = bars.filter(pl.col("ticker").is_in(sorted(set(tickers))) & (pl.col("session") >= days[0]))
    closes: dict[str, dict[date, float | None]] = {}
    for ticker, day, close in rows.select("ticker", "session", "close").iter_rows():
        closes.setdefault(ticker, {})[day] = close
    return {ticker: log_returns(known, days) for ticker, known in closes.items()}


def _correlations(returns: Returns, ticker: str, others: Iterable[str]) -> dict[str, Correlation]:
    mine = returns.get(ticker, {})
    return {other: shrunk_correlation(mine, returns.get(other, {})) for other in others}


def _greeks(desk: Desk, account: str, snapshot: AccountSnapshot, returns: Returns) -> dict[str, PositionGreeks]:
    """Greeks per share of what may stay overnight. An order without a position yet is left out, and so unknown."""
    wanted = overnight_quantities(snapshot)
    held = [position for position in live_positions(snapshot) if position.symbol in wanted]
    if not held:
        return {}
    broker, found = desk.broker(account).impatient(), dict[str, PositionGreeks]()
    try:
        quotes = broker.quotes(sorted({position.underlying for position in held}))
    except TradingAssetsError as error:
        _log.error("account %s: underlyings of what is held have no quote: %s", account, error)
        return {}
    index = returns.get(desk.settings.strategy.context.index, {})
    least = desk.strategy(account).gates.min_correlation_sessions
    for position in held:
        quote = quotes.get(position.underlying)
        spot = None if quote is None else quote.mid
        slope = beta(returns.get(position.underlying, {}), index, least=least)
        try:
            known = _of_position(desk, account, broker, position, spot, slope)
        except Rejected as error:
            _log.error("%s: its Greeks cannot be read: %s", position.symbol, error)
            continue
        except TradingAssetsError as error:
            # The rest stays unknown, too, which denies: to wait for each would keep exits from the account.
            _log.error("%s: its Greeks cannot be read, nor those of the others: %s", position.symbol, error)
            break
        if known is not None:
            found[position.symbol] = known
    return found


def _of_position(
    desk: Desk,
    account: str,
    broker: AlpacaBroker,
    position: OpenPosition,
    spot: Decimal | None,
    slope: float | None,
) -> PositionGreeks | None:
    if position.right is None:
        return stock_position(position.symbol, quantity=1, spot=spot, beta=slope)
    if spot is None or spot <= 0:
        return None
    found = contract_row(broker, position)
    if found is None:
        return None
    config = desk.strategy(account).contracts
    (row,) = with_greeks([found], spot=spot, as_of=desk.clock.now(), config=config)
    return PositionGreeks(
        position.symbol,
        position.underlying,
        1,
        position.multiplier,
        spot,
        row.delta,
        row.gamma,
        row.theta,
        row.vega,
        slope,
    )
