"""The one way in which a data product becomes a Dagster asset.

A product says how to compute the rows of a live minute (``observe``) and of a past partition (``rebuild``); this
module turns it into a partitioned asset with schema, metadata, checks, logs and the protection of the current session.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
    TableColumn,
    TableSchema,
    TimeWindowPartitionsDefinition,
    asset,
)

from trading_assets.assets.scope import Kind, Scope, scopes
from trading_assets.market.frames import SCHEMAS, empty
from trading_assets.resources.desk import Desk

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
    """What a run found: its rows (perhaps none), the instant as of which they are known, and how many rows it had to
    leave out for which reason."""

    rows: pl.DataFrame
    as_of: datetime
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Product:
    """A data product: its name and place in the lineage, how to compute it, and what to check.

    ``observe(desk, scope)`` returns what a live minute found; ``rebuild(desk, scope, as_ofs)`` all rows of a past
    partition, decided at the given instants (the stored ones of a live day, else every minute), or None if nothing can
    be rebuilt. ``check(desk, scope, rows)`` returns one finding per name in ``checks``.
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
    deps: Sequence[AssetDep | AssetKey | str] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Desk, Scope, pl.DataFrame], Iterable[Finding]] | None = None
    numbers: Callable[[pl.DataFrame], Mapping[str, Any]] = lambda frame: {}
    as_of_column: str | None = None
    column_notes: Mapping[str, str] = field(default_factory=dict)


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
        description=product.description,
        kinds=set(product.kinds),
        owners=[OWNER],
        code_version=product.code_version,
        partitions_def=product.partitions,
        backfill_policy=BackfillPolicy.single_run(),
        deps=list(product.deps),
        check_specs=[
            AssetCheckSpec(name, asset=product.name, description=text, blocking=True)
            for name, text in product.checks.items()
        ],
        metadata={"dagster/column_schema": _table_schema(product)},
    )
    def materialize(context: AssetExecutionContext, desk: ResourceParam[Desk]) -> MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the annotation and knows the plain class only
        rows = 0
        written = 0
        size = 0
        findings: dict[str, Finding] = {}
        notes: list[str] = []
        last = empty(SCHEMAS[product.name])
        for scope in scopes(context, desk, job=product.job, tick=product.tick):
            frame, note, wrote = _run(product, desk, scope)
            context.log.info(f"{product.name} {scope.key}: {note}")
            notes.append(f"{scope.key}: {note}")
            rows += frame.height
            written += wrote
            size += desk.frames.size_bytes(product.name, scope.key)
            last = frame
            if product.check is not None:
                for finding in product.check(desk, scope, frame):
                    if finding.check not in findings or not finding.passed:
                        findings[finding.check] = finding
        keys = list(context.partition_keys)
        return MaterializeResult(
            metadata={
                "dagster/row_count": rows,
                "dagster/uri": str(desk.frames.folder(product.name, keys[-1])),
                "rows_written": written,
                "bytes": size,
                "partitions": len(keys),
                "note": MetadataValue.text("\n".join(notes[-5:])),
                **product.numbers(last),
            },
            check_results=[_result(product, name, findings) for name in product.checks],
        )

    return materialize


def _run(product: Product, desk: Desk, scope: Scope) -> tuple[pl.DataFrame, str, int]:
    store = desk.frames
    if scope.kind is Kind.LIVE:
        found = product.observe(desk, scope)
        # A decision product records its instant even when it decided nothing: those after it ask for it.
        if found.rows.height or product.as_of_column or not store.exists(product.name, scope.key):
            store.append(product.name, scope.key, found.rows, found.as_of)
        return (
            found.rows,
            f"{found.rows.height} new rows as of {found.as_of:%H:%M:%S} UTC{_omitted(found)}",
            found.rows.height,
        )
    stored = store.read(product.name, [scope.key])
    if scope.kind is Kind.CURRENT:
        return stored, f"{stored.height} rows stored; the current session is written by its minute runs only", 0
    live = store.is_live(product.name, scope.key)
    if live and product.as_of_column is None:
        return stored, f"{stored.height} rows observed live are kept as they were", 0
    as_ofs = stored[product.as_of_column].unique().sort().to_list() if live and product.as_of_column else None
    rebuilt = product.rebuild(desk, scope, as_ofs)
    if rebuilt is None:
        return stored, f"{stored.height} rows stored; nothing older can be rebuilt", 0
    if live:
        same = _equal(stored, rebuilt.rows)
        verdict = "equal to" if same else "DIFFERENT from"
        return stored, f"{stored.height} live rows kept; recomputed they are {verdict} what was decided", 0
    store.replace(product.name, scope.key, rebuilt.rows, scope.now)
    return rebuilt.rows, f"{rebuilt.rows.height} rows rebuilt{_omitted(rebuilt)}", rebuilt.rows.height


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
        description=finding.description,
        metadata=dict(finding.metadata),
    )


def _table_schema(product: Product) -> TableSchema:
    return TableSchema(
        columns=[
            TableColumn(column, str(dtype), description=product.column_notes.get(column))
            for column, dtype in SCHEMAS[product.name].items()
        ]
    )
