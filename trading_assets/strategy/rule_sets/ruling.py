"""What a rule set is, and how an ordered list of cases becomes action, strategy and a reason per row.

What belongs here: the interface and the machinery that all rule sets share. What does not: any rule, and how numbers
are put into words (``wording``). Everything works on whole columns; no row is looked at in Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl

from trading_assets.domain.values import Action, Direction, Strategy
from trading_assets.strategy.config_signals import SignalConfig
from trading_assets.strategy.rule_sets.wording import Number, sentences

#: Factors of a decision that have a column of their own; a rule set that has no such factor leaves it null.
FACTORS = (
    "base",
    "trend_factor",
    "setup_factor",
    "volatility_factor",
    "mtf_factor",
    "sentiment_multiplier",
    "volume_multiplier",
    "breakout_multiplier",
    "index_multiplier",
)
#: Most distinct texts of one case.
_VARIANTS = 64


class RuleSet(Protocol):
    """Rules that judge rows of inputs. ``version`` changes with every change that could alter a decision."""

    @property
    def name(self) -> str:
        """The name under which an account follows the rules."""

    @property
    def version(self) -> str:
        """Name and version: part of the identity of every signal."""

    def judge(self, rows: pl.DataFrame, external: pl.DataFrame, config: SignalConfig) -> pl.DataFrame:
        """``rows`` (features, news, index trend and watchlist score per instant and member) judged.

        The answer has the columns of ``rows`` for the rows the rules speak about, with direction, action, strategy,
        confidence, urgent, reason, every one of :data:`FACTORS` and ``own_factors`` (JSON text, null without any).
        ``external`` holds signals received from outside; only the rule set ``webhook`` reads them.
        """


@dataclass(frozen=True, slots=True)
class Case:
    """Rows of which ``when`` is true and that no case before took: HOLD, or an entry by ``strategy``.

    The reason is ``texts[0]``, the first number, ``texts[1]``, the second number, ``texts[2]``. With ``variant`` (an
    integer below 64) the reason is one of ``texts`` alone.
    """

    when: pl.Expr
    texts: tuple[str, ...]
    numbers: tuple[Number, ...] = ()
    strategy: Strategy | None = None
    variant: pl.Expr | None = None


def direction_of(sign: pl.Expr) -> pl.Expr:
    """+1 as BULLISH, -1 as BEARISH, else null."""
    return (
        pl.when(sign == 1)
        .then(pl.lit(Direction.BULLISH.value))
        .when(sign == -1)
        .then(pl.lit(Direction.BEARISH.value))
        .otherwise(None)
    )


def settled(rows: pl.DataFrame, cases: Sequence[Case]) -> pl.DataFrame:
    """``rows`` (with ``sign``) with direction, action, strategy and reason by the first case that holds.

    The last case must hold for every row that gets there: it is taken without being asked.
    """
    code: Any = pl.when(cases[0].when).then(_code(0, cases[0]))
    for position, case in enumerate(cases[1:-1], start=1):
        code = code.when(case.when).then(_code(position, case))
    rows = rows.with_columns(_code=code.otherwise(_code(len(cases) - 1, cases[-1])).cast(pl.Int32))
    strategies = {n: case.strategy.value for n, case in enumerate(cases) if case.strategy is not None}
    which, sign = pl.col("_code") // _VARIANTS, pl.col("sign")
    option = pl.when(sign == 1).then(pl.lit(Action.BUY_CALL.value)).otherwise(pl.lit(Action.BUY_PUT.value))
    action = (
        pl.when(pl.col("strategy").is_null())
        .then(pl.lit(Action.HOLD.value))
        .when(pl.col("strategy") == Strategy.STOCK.value)
        .then(pl.lit(Action.BUY_STOCK.value))
        .otherwise(option)
    )
    return (
        rows.with_columns(_reasons(rows, cases), direction=direction_of(sign), strategy=_lookup(which, strategies))
        .with_columns(action=action)
        .drop("_code")
    )


def _code(position: int, case: Case) -> pl.Expr:
    return pl.lit(position * _VARIANTS) + (pl.lit(0) if case.variant is None else case.variant)


def _lookup(key: pl.Expr, values: Mapping[int, Any], dtype: Any = pl.String) -> pl.Expr:
    """The value of each key (0 or above); null for a key without one."""
    table = [values.get(n) for n in range(max(values, default=0) + 1)]
    return pl.lit(pl.Series(table, dtype=dtype)).gather(pl.when(key < len(table)).then(key))


def _reasons(rows: pl.DataFrame, cases: Sequence[Case]) -> pl.Series:
    """The reason of each row by its case (``_code``). A text that many rows share is put together once."""
    code = rows.get_column("_code").to_numpy()
    which, texts, at = code // _VARIANTS, list[str](), np.zeros(rows.height, dtype=np.int64)
    for position, case in enumerate(cases):
        chosen = np.flatnonzero(which == position)
        if not len(chosen):
            continue
        if case.numbers:
            columns = rows.select(number.value.alias(str(n)) for n, number in enumerate(case.numbers))
            values = [column.to_numpy()[chosen] for column in columns]
            words, spoken = sentences(case.texts, case.numbers, values)
        else:
            words, spoken = list(case.texts), code[chosen] % _VARIANTS
        at[chosen] = spoken + len(texts)
        texts += words
    return pl.Series("reason", texts, dtype=pl.String()).gather(at)
