"""What a rule set is, and how an ordered list of cases becomes action, strategy and a reason per row.

What belongs here: the interface and the machinery that all rule sets share. What does not: any rule. Everything is
polars expressions over whole frames; no row is looked at in Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from trading_assets.domain.values import Action, Direction, Strategy
from trading_assets.strategy.config_signals import SignalConfig

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
#: Factor that takes a double apart into two halves whose products are exact (Veltkamp).
_SPLIT = float(2**27 + 1)
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
class Number:
    """A number within a reason: with ``places`` decimals, ``signed`` also where it is not negative."""

    value: pl.Expr
    places: int = 2
    signed: bool = False


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
    """Text, number, text, number, text. Each number is formatted once for all the cases that have one."""
    heads: dict[int, str] = {}
    tails: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for position, case in enumerate(cases):
        first = position * _VARIANTS
        if case.variant is not None:
            heads |= {first + variant: text for variant, text in enumerate(case.texts)}
            continue
        heads[first] = case.texts[0]
        for place, text in enumerate(case.texts[1:]):
            tails[place][first] = text
    code = pl.col("_code")
    parts: list[pl.Expr | pl.Series] = [_lookup(code, heads)]
    for place in range(2):
        told = {n: case.numbers[place] for n, case in enumerate(cases) if len(case.numbers) > place}
        if told:
            parts += [fixed(rows, told), _lookup(code, tails[place])]
    return rows.select(reason=pl.concat_str(parts, ignore_nulls=True)).to_series()


def fixed(rows: pl.DataFrame, told: Mapping[int, Number]) -> pl.Series:
    """The number of the row's case (by ``_code``) as text, null for a case without one.

    It is rounded as ``f"{x:.2f}"`` rounds: by its exact value, ties to even. The product with 100 or 1000 is itself
    rounded and may fall on a tie that the number is not; its error, known exactly (Dekker), then decides. One step
    after the other: an expression that names a step twice would compute it twice.
    """
    which = pl.col("_code") // _VARIANTS
    value: Any = None
    for position, number in told.items():
        value = (pl if value is None else value).when(which == position).then(number.value)
    scale, plus = {n: 10.0**number.places for n, number in told.items()}, {n: "+" for n, x in told.items() if x.signed}
    steps = rows.select(value=value, scale=_lookup(which, scale, pl.Float64), plus=_lookup(which, plus))
    steps = steps.with_columns(size=pl.col("value").abs()).with_columns(
        product=pl.col("size") * pl.col("scale"), spread=pl.col("size") * _SPLIT
    )
    steps = steps.with_columns(
        high=pl.col("spread") - (pl.col("spread") - pl.col("size")), whole=pl.col("product").floor()
    )
    steps = steps.with_columns(
        rest=pl.col("product") - pl.col("whole"),
        error=(pl.col("high") * pl.col("scale") - pl.col("product"))
        + (pl.col("size") - pl.col("high")) * pl.col("scale"),
        whole=pl.col("whole").cast(pl.Int64, strict=False),
        scale=pl.col("scale").cast(pl.Int64),
    )
    odd = pl.col("whole") % 2 == 1
    above = (pl.col("error") > 0) | ((pl.col("error") == 0) & odd)
    up = (pl.col("rest") > 0.5) | ((pl.col("rest") == 0.5) & above)
    steps = steps.with_columns(units=pl.col("whole") + up.cast(pl.Int64))
    minus = pl.when(pl.col("value") < 0).then(pl.lit("-")).otherwise(pl.col("plus")).fill_null("")
    text = pl.concat_str(
        minus,
        (pl.col("units") // pl.col("scale")).cast(pl.String),
        pl.lit("."),
        (pl.col("units") % pl.col("scale") + pl.col("scale")).cast(pl.String).str.slice(1),
    )
    return steps.select(
        pl.when(pl.col("value").is_finite()).then(text).otherwise(pl.col("value").cast(pl.String))
    ).to_series()
