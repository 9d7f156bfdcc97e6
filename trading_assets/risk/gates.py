"""All gates of an entry, in order, and their evaluation: every gate answers, none is skipped, nothing fails open."""

from __future__ import annotations

from collections.abc import Sequence

from trading_assets.domain.values import GateReport
from trading_assets.risk import account_gates, portfolio_gates, trade_gates
from trading_assets.risk.exposure import daily_loss_reached
from trading_assets.risk.gate import Gate, GateContext

__all__ = ["DEFAULT_GATES", "ROLL_GATES", "Gate", "GateContext", "daily_loss_reached", "describe_gates", "evaluate"]

#: The order in which the gates are recorded. The first denial names the reason of a skipped signal.
DEFAULT_GATES: tuple[Gate, ...] = (
    account_gates.KILL_SWITCH,
    account_gates.DAILY_LOSS_LIMIT,
    portfolio_gates.DRAWDOWN_PAUSE,
    account_gates.VOLATILITY_REGIME,
    account_gates.TRADING_HOURS,
    account_gates.ACCOUNT_READY,
    account_gates.DUPLICATE_POSITION,
    trade_gates.BAR_FRESHNESS,
    trade_gates.FEATURE_FRESHNESS,
    trade_gates.QUOTE_FRESHNESS,
    trade_gates.SIGNAL_FRESHNESS,
    account_gates.MAX_POSITIONS,
    account_gates.MAX_EXPOSURE,
    portfolio_gates.MAX_OPEN_RISK,
    account_gates.TRADES_PER_DAY,
    account_gates.TICKER_DAILY_LIMIT,
    account_gates.TICKER_COOLDOWN,
    account_gates.ENTRIES_PER_HOUR,
    portfolio_gates.SECTOR_EXPOSURE,
    portfolio_gates.CORRELATION,
    account_gates.CONFIDENCE,
    account_gates.ACTION_ALLOWED,
    portfolio_gates.SELL_HAS_POSITION,
    portfolio_gates.EARNINGS_WINDOW,
    trade_gates.CONTRACT,
    portfolio_gates.PORTFOLIO_GREEKS,
    trade_gates.SIZING,
)


#: What keeps a second position, or too quick a trade, out of a ticker: a roll puts one position in another's place.
_NOT_FOR_ROLLS = (
    account_gates.DUPLICATE_POSITION,
    account_gates.TICKER_DAILY_LIMIT,
    account_gates.TICKER_COOLDOWN,
)
#: The gates of a roll, in the same order.
ROLL_GATES: tuple[Gate, ...] = tuple(gate for gate in DEFAULT_GATES if gate not in _NOT_FOR_ROLLS)


def evaluate(context: GateContext, gates: Sequence[Gate] = DEFAULT_GATES) -> GateReport:
    """Every gate's answer in order. The report passes only if all passed, and there was at least one."""
    return GateReport(tuple(gate.check(context) for gate in gates))


def describe_gates(gates: Sequence[Gate] = DEFAULT_GATES) -> tuple[tuple[str, str], ...]:
    """Id and one-line description of each gate, in order."""
    return tuple((gate.id, gate.description) for gate in gates)
