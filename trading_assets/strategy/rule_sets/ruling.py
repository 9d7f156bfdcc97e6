"""What a rule set is, and how an ordered list of cases becomes action, strategy and a reason per row.

What belongs here: the interface and the machinery that all rule sets share. What does not: any rule. Everything is
polars expressions over whole frames; no row is looked at in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    which, direction = pl.col("_code") // _VARIANTS, direction_of(pl.col("sign"))
    strategy = _lookup(which, strategies)
    option = (
        pl.when(pl.col("sign") == 1)
        .then(pl.lit(Action.BUY_CALL.value))
        .otherwise(pl.lit(Action.BUY_PUT.value))
    )
    action = (
        pl.when(strategy.is_null())
        .then(pl.lit(Action.HOLD.value))
        .when(strategy == Strategy.STOCK.value)
        .then(pl.lit(Action.BUY_STOCK.value))
        .otherwise(option)
    )
    return rows.with_columns(direction=direction, strategy=strategy, action=action, reason=_reason(cases)).drop("_code")


def _code(position: int, case: Case) -> pl.Expr:
    return pl.lit(position * _VARIANTS) + (pl.lit(0) if case.variant is None else case.variant)


def _lookup(key: pl.Expr, values: dict[int, Any], dtype: Any = pl.String) -> pl.Expr:
    if not values:
        return pl.lit(None, dtype=dtype)
    return key.replace_strict(list(values), list(values.values()), default=None, return_dtype=dtype)


def _reason(cases: Sequence[Case]) -> pl.Expr:
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
    parts = [_lookup(code, heads)]
    for place in range(2):
        told = {n: case.numbers[place] for n, case in enumerate(cases) if len(case.numbers) > place}
        if told:
            parts += [_fixed(told), _lookup(code, tails[place])]
    return pl.concat_str(parts, ignore_nulls=True)


def _fixed(told: dict[int, Number]) -> pl.Expr:
    """The number of the row's case as text, rounded as ``f"{x:.2f}"`` rounds: by its exact value, ties to even.

    The product with 100 or 1000 is itself rounded and may fall on a tie that the number is not; its error, known
    exactly (Dekker), then decides.
    """
    which = pl.col("_code") // _VARIANTS
    value: Any = None
    for position, number in told.items():
        value = (pl if value is None else value).when(which == position).then(number.value)
    size = value.abs()
    places = {number.places for number in told.values()}
    scale: pl.Expr = pl.lit(float(10 ** max(places)))
    if len(places) > 1:
        scale = _lookup(which, {n: float(10**number.places) for n, number in told.items()}, pl.Float64)
    product, spread = size * scale, size * _SPLIT
    high = spread - (spread - size)
    error = (high * scale - product) + (size - high) * scale
    whole = product.floor()
    rest = product - whole
    odd = (whole / 2).floor() * 2 != whole
    up = (rest > 0.5) | ((rest == 0.5) & ((error > 0) | ((error == 0) & odd)))
    units = (whole + up.cast(pl.Float64)).cast(pl.Int64, strict=False)
    digits = scale.cast(pl.Int64)
    sign = pl.when(value < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    if any(number.signed for number in told.values()):
        signed = _lookup(which, {n: "+" if number.signed else "" for n, number in told.items()})
        sign = pl.when(value < 0).then(pl.lit("-")).otherwise(signed)
    text = pl.concat_str(
        sign,
        (units // digits).cast(pl.String),
        pl.lit("."),
        (units % digits + digits).cast(pl.String).str.slice(1),
    )
    return pl.when(value.is_finite()).then(text).otherwise(value.cast(pl.String))
