"""The one way in which a data product becomes a Dagster asset.

A product says how to compute the rows of a live minute (``observe``) and of a past partition (``rebuild``); this
module turns it into a partitioned asset with schema, metadata, checks, logs and the protection of the current session.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetDep,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    BackfillPolicy,
    BetaWarning,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    TimeWindowPartitionsDefinition,
    asset,
)

from trading_assets.assets.columns import frame_columns
from trading_assets.assets.preview import as_text
from trading_assets.assets.scope import Kind, Scope, scopes
from trading_assets.automation.names import NEWS_TICK
from trading_assets.automation.tags import RECOMPUTABLE_TAG
from trading_assets.resources.desk import Desk

Log = logging.Logger | Any
OWNER = "team:trading"


@dataclass(frozen=True, slots=True)
class Finding:
    """Outcome of one data check. ``level`` None means passed; ERROR blocks everything downstream in the run."""

    check: str
    passed: bool
    description: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """What a run found: its rows (perhaps none), the instant as of which they are known, how many rows it had to leave
    out for which reason, and what it looked at, in words. ``unread``: the source gave no answer, so that nothing is
    known, not even that there is nothing. ``looked``: the look is recorded even if it found nothing new."""

    rows: pl.DataFrame
    as_of: datetime
    left_out: Mapping[str, int] = field(default_factory=dict)
    came_in: str = ""
    unread: bool = False
    looked: bool = False


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of one partition: the rows to look at, a note for a person, and how many rows were written."""

    rows: pl.DataFrame
    note: str
    written: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Product:
    """A data product: its name and place in the lineage, how to compute it, and what to check.

    ``observe(desk, scope)`` returns what a live minute found; ``rebuild(desk, scope, as_ofs)`` all rows of a past
    partition, decided at the given instants (the stored ones of a live day, else every minute), or None if nothing can
    be rebuilt. ``complete(desk, scope, stored)`` returns what a backfill adds to the rows of a past partition that was
    observed live, known from then on; without it nothing is ever added. ``check(desk, scope, rows)`` returns one
    finding per name in ``checks``. ``numbers(desk, scope, rows)`` is what the UI shows and plots: a number that is not
    known is left out, never zero. ``missing`` says what an absent row or a null means. ``recorded(rows, at)`` makes the
    rows of a live minute known from the instant at which they are written, for runs of others that read them beside it.
    """

    name: str
    group: str
    description: str
    kinds: frozenset[str]
    code_version: str
    partitions: TimeWindowPartitionsDefinition
    job: str
    tick: str
    observe: Callable[[Desk, Scope], Observed]
    rebuild: Callable[[Desk, Scope, Sequence[datetime] | None], Observed | None]
    complete: Callable[[Desk, Scope, pl.DataFrame], Observed] | None = None
    deps: Sequence[AssetDep | AssetKey | str] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Desk, Scope, pl.DataFrame], Iterable[Finding]] | None = None
    numbers: Callable[[Desk, Scope, pl.DataFrame], Mapping[str, Any]] = lambda desk, scope, rows: {}
    as_of_column: str | None = None
    missing: str = ""
    recorded: Callable[[pl.DataFrame, datetime], pl.DataFrame] | None = None
    recomputable: bool = True


def frame_asset(product: Product) -> AssetsDefinition:
    """The Dagster asset of a product."""
    with warnings.catch_warnings():
        # Single-run backfills are marked beta in Dagster; the exact version is pinned.
        warnings.simplefilter("ignore", BetaWarning)
        return _build(product)


def _build(product: Product) -> AssetsDefinition:
    @asset(
        name=product.name,
        group_name=product.group,
        description=_description(product),
        kinds=set(product.kinds),
        owners=[OWNER],
        tags={RECOMPUTABLE_TAG: "yes" if product.recomputable else "no"},
        code_version=product.code_version,
        partitions_def=product.partitions,
        backfill_policy=BackfillPolicy.single_run(),
        deps=list(product.deps),
        check_specs=[
            AssetCheckSpec(name, asset=product.name, description=text, blocking=True)
            for name, text in product.checks.items()
        ],
        metadata={"dagster/column_schema": frame_columns(product.name)},
    )
    def materialize(context: AssetExecutionContext, desk: ResourceParam[Desk]) -> MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the annotation and knows the plain class only
        findings: dict[str, Finding] = {}
        told: dict[str, dict[str, Any]] = {}
        for scope in scopes(context, desk, job=product.job, tick=product.tick):
            done = _run(product, desk, scope, context.log)
            told[scope.key] = {
                "dagster/row_count": desk.frames.count(product.name, scope.key),
                "dagster/uri": str(desk.frames.folder(product.name, scope.key)),
                "rows_written": done.written,
                "rows_left_out": done.left_out,
                "bytes": desk.frames.size_bytes(product.name, scope.key),
                "note": MetadataValue.text(done.note),
                **product.numbers(desk, scope, done.rows),
            }
            if product.check is not None:
                for finding in product.check(desk, scope, done.rows):
                    if finding.check not in findings or not finding.passed:
                        findings[finding.check] = finding
        for finding in findings.values():
            if not finding.passed:
                context.log.warning(f"{product.name}: the check {finding.check} found that {finding.description}")
        for key, metadata in told.items() if len(told) > 1 else ():
            # Each partition of a range has its own event, and on it its own numbers.
            context.add_asset_metadata(metadata, partition_key=key)
        return MaterializeResult(
            metadata=next(iter(told.values())) if len(told) == 1 else {"partitions": len(told)},
            check_results=[_result(product, name, findings) for name in product.checks],
        )

    return materialize


def _run(product: Product, desk: Desk, scope: Scope, log: Log) -> _Done:
    """One partition, told to the run's log: what came in, what was left out and why, what came out."""
    name, told = product.name, f"{product.name} {scope.key}"
    store = desk.frames
    if scope.kind is Kind.LIVE:
        found = product.observe(desk, scope)
        if found.came_in:
            log.info(f"{told}: looked at {found.came_in}")
        instant = f"{found.as_of:%H:%M:%S} UTC"
        if store.holds(name, scope.key, found.as_of):
            note = f"nothing new: the rows as of {instant} are stored already"
            log.info(f"{told}: {note}")
            return _Done(found.rows, note, 0, sum(found.left_out.values()))
        # A decision product records its instant even when it decided nothing: those after it ask for it.
        first = not store.exists(name, scope.key) and not found.unread
        if found.rows.height or product.as_of_column or first or found.looked:
            found = _record(product, desk, scope, found)
        note = f"{found.rows.height} new rows as of {instant}{_omitted(found)}"
        log.info(f"{told}: {note}")
        return _Done(found.rows, note, found.rows.height, sum(found.left_out.values()))
    done = _past(product, desk, scope)
    log.info(f"{told}: {done.note}")
    return done


def _record(product: Product, desk: Desk, scope: Scope, found: Observed) -> Observed:
    """Append what was found; as it is known then."""
    recorded = product.recorded
    if recorded is None:
        desk.frames.append(product.name, scope.key, found.rows, found.as_of)
        return found
    as_of = desk.frames.append_settled(product.name, scope.key, desk.clock, lambda at: recorded(found.rows, at))
    return replace(found, rows=recorded(found.rows, as_of), as_of=as_of)


def _past(product: Product, desk: Desk, scope: Scope) -> _Done:
    """A partition that is not written as its minutes go by."""
    store = desk.frames
    stored = store.read(product.name, [scope.key])
    if scope.kind is Kind.CURRENT:
        return _Done(stored, f"{stored.height} rows stored; the current session is written by its minute runs only")
    if scope.requested:
        # A minute that was asked for before midnight and came to this after it: it is no backfill.
        return _Done(
            stored, f"{stored.height} rows stored; the day ended before this minute, those after it complete it"
        )
    live = store.is_live(product.name, scope.key)
    if live and product.as_of_column is None:
        return _completed(product, desk, scope, stored)
    as_ofs = stored[product.as_of_column].unique().sort().to_list() if live and product.as_of_column else None
    rebuilt = product.rebuild(desk, scope, as_ofs)
    if rebuilt is None:
        return _Done(stored, f"{stored.height} rows stored; nothing older can be rebuilt")
    if live:
        same = _equal(stored, rebuilt.rows)
        verdict = "equal to" if same else "DIFFERENT from"
        return _Done(stored, f"{stored.height} live rows kept; recomputed they are {verdict} what was decided")
    store.replace(product.name, scope.key, rebuilt.rows, scope.now)
    looked = f" from {rebuilt.came_in}" if rebuilt.came_in else ""
    note = f"{rebuilt.rows.height} rows rebuilt{looked}{_omitted(rebuilt)}"
    return _Done(rebuilt.rows, note, rebuilt.rows.height, sum(rebuilt.left_out.values()))


def _completed(product: Product, desk: Desk, scope: Scope, stored: pl.DataFrame) -> _Done:
    """A past partition that was observed live: its rows stay, what became known since may follow them."""
    kept = f"{stored.height} rows observed live are kept as they were"
    if product.complete is None:
        return _Done(stored, kept)
    added = product.complete(desk, scope, stored)
    left_out = sum(added.left_out.values())
    if not added.rows.height:
        return _Done(stored, f"{kept}; nothing is missing{_omitted(added)}", 0, left_out)
    desk.frames.append(product.name, scope.key, added.rows, added.as_of)
    note = f"{kept}; {added.rows.height} added, known as of {added.as_of:%Y-%m-%d %H:%M:%S} UTC{_omitted(added)}"
    return _Done(pl.concat([stored, added.rows]), note, added.rows.height, left_out)


def _omitted(found: Observed) -> str:
    said = ", ".join(f"{count} {reason}" for reason, count in found.left_out.items() if count)
    return f"; left out: {said}" if said else ""


def _equal(stored: pl.DataFrame, rebuilt: pl.DataFrame) -> bool:
    ignored = {"live"} & set(stored.columns)
    left, right = stored.drop(ignored), rebuilt.drop(ignored)
    order = [column for column in ("as_of", "ticker", "ts") if column in left.columns]
    return left.sort(order).equals(right.sort(order))


def _result(product: Product, name: str, findings: Mapping[str, Finding]) -> AssetCheckResult:
    finding = findings[name]
    return AssetCheckResult(
        asset_key=AssetKey(product.name),
        check_name=name,
        passed=finding.passed,
        severity=AssetCheckSeverity.WARN if finding.warning else AssetCheckSeverity.ERROR,
        description=as_text(finding.description),
        metadata=dict(finding.metadata),
    )


def _description(product: Product) -> str:
    """What it is, when it is written, what a partition is, what is missing, and what a backfill does."""
    news = product.tick == NEWS_TICK
    written = "every minute, day and night" if news else "every minute of a session"
    partition = "one New York calendar day, by when this system fetched" if news else "one session of the exchange"
    if not product.recomputable:
        backfill = "what was not recorded as it happened cannot be rebuilt: a backfill keeps what is there"
    elif product.as_of_column is not None:
        backfill = (
            "rebuilt by a backfill; what was decided live is never replaced but compared, and the note says whether "
            "both are equal"
        )
    else:
        backfill = "rebuilt by a backfill; what was observed live is kept as it was"
        if product.complete is not None:
            backfill += ", and what is missing is added with the time at which it became known"
    return "\n\n".join(
        [
            product.description,
            f"- **Written** {written}, by the job `{product.job}`; the current partition by nothing else\n"
            f"- **Partition**: {partition}\n"
            f"- **Missing**: {product.missing}\n"
            f"- **Past partitions**: {backfill}",
        ]
    )


def lag(scope: Scope, newest: datetime | None) -> dict[str, float]:
    """``lag_s``: seconds from ``newest``, the end of the newest datum, to the run's look at it. Only of a live minute:
    of a past partition the number would say nothing."""
    if scope.kind is not Kind.LIVE or newest is None:
        return {}
    return {"lag_s": round((scope.now - newest).total_seconds(), 3)}


def followed(desk: Desk, scope: Scope) -> tuple[str, ...]:
    """Who is followed in the scope's session: now, or in a past one at any time of it."""
    return desk.universe_in(scope.day) if scope.kind is Kind.PAST else desk.universe


def coverage(desk: Desk, scope: Scope, rows: pl.DataFrame, column: str = "ticker") -> dict[str, int]:
    """``tickers`` that the rows cover, and ``tickers_missing`` of the followed ones; nothing without a row."""
    if not rows.height:
        return {}
    covered = set(rows[column].drop_nulls().unique().to_list())
    return {"tickers": len(covered), "tickers_missing": len(set(followed(desk, scope)) - covered)}
