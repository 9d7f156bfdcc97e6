"""Every asset explains itself: what it is, when it is written, what a partition and a null mean, and every column."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest
from dagster import AssetKey, AssetSpec, TableSchema

from trading_assets.assets.columns import COLUMNS
from trading_assets.assets.groups import GROUPS, group_title
from trading_assets.automation.tags import RECOMPUTABLE_TAG
from trading_assets.definitions import build_definitions
from trading_assets.ledger.news_tables import universe_members
from trading_assets.ledger.tables import accounts, active_positions, dispatch_executions, order_intents
from trading_assets.market.frames import SCHEMAS
from trading_assets.resources.desk import Desk
from trading_assets.strategy_config import StrategyConfig


def _never() -> object:
    raise AssertionError("describing opens nothing")


SETTINGS = SimpleNamespace(strategy=StrategyConfig())
DEFINITIONS = build_definitions(Desk(lambda: SETTINGS, _never))  # type: ignore[arg-type,return-value]
GRAPH = DEFINITIONS.resolve_asset_graph()
SPECS: dict[str, AssetSpec] = {spec.key.to_user_string(): spec for spec in DEFINITIONS.resolve_all_asset_specs()}
RECORDED = {
    "orders": order_intents,
    "executions": dispatch_executions,
    "reconciliation": accounts,
    "positions": active_positions,
    "universe": universe_members,
}
#: Drawn for people: no rows, and nothing comes after them.
DRAWN = {"news_report"}


def test_the_assets_are_the_frames_what_the_acting_jobs_record_and_pictures() -> None:
    assert set(SCHEMAS) | set(RECORDED) == set(COLUMNS)
    assert set(SPECS) == set(COLUMNS) | DRAWN


@pytest.mark.parametrize("name", sorted(SPECS))
def test_an_asset_says_what_it_is_when_it_is_written_and_what_is_missing(name: str) -> None:
    spec = SPECS[name]
    assert spec.description is not None
    for said in ("**Written**", "**Partition**", "**Missing**", "**Past partitions**"):
        [line] = [line for line in spec.description.splitlines() if said in line]
        assert len(line) > len(said) + 20, f"{said} says nothing"
    assert len(spec.description.split("\n\n")[0]) > 60
    assert spec.owners
    assert spec.kinds
    assert spec.tags[RECOMPUTABLE_TAG] in ("yes", "no")
    assert spec.group_name in GROUPS


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_every_column_of_an_asset_has_its_meaning(name: str) -> None:
    schema = SPECS[name].metadata["dagster/column_schema"]
    assert isinstance(schema, TableSchema)
    expected = list(SCHEMAS[name]) if name in SCHEMAS else [column.name for column in RECORDED[name].columns]
    assert [column.name for column in schema.columns] == expected
    assert set(COLUMNS[name]) == set(expected), "no meaning is left over from a column that is gone"
    assert all(column.description and column.type for column in schema.columns)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_a_column_that_may_be_null_in_the_ledger_says_when(name: str) -> None:
    silent = [
        column.name for column in RECORDED[name].columns if column.nullable and "null" not in COLUMNS[name][column.name]
    ]
    assert silent == []


def test_groups_sorted_by_name_stand_in_the_order_of_the_pipeline() -> None:
    assert sorted(GROUPS) == list(GROUPS)
    for key in GRAPH.get_all_asset_keys():
        node = GRAPH.get(key)
        for parent in node.parent_keys:
            group = GRAPH.get(parent).group_name
            assert group is not None and node.group_name is not None
            assert group <= node.group_name, f"{parent} comes after {key}"
    assert [group_title(group) for group in GROUPS] == ["news", "market data", "analysis", "decisions", "trading"]


def test_one_lineage_leads_from_the_headline_to_the_position() -> None:
    upstream = {AssetKey("positions")}
    while more := {parent for key in upstream for parent in GRAPH.get(key).parent_keys} - upstream:
        upstream |= more
    assert {key.to_user_string() for key in upstream} == set(COLUMNS), "no asset stands beside the graph"
    for name in DRAWN:
        assert not GRAPH.get(AssetKey(name)).child_keys and GRAPH.get(AssetKey(name)).parent_keys
    order = ["news", "sentiment", "signals", "orders", "executions", "positions"]
    for before, after in pairwise(order):
        assert AssetKey(before) in GRAPH.get(AssetKey(after)).parent_keys


def test_jobs_schedules_and_sensors_say_what_they_are_for() -> None:
    repository = DEFINITIONS.get_repository_def()
    said = {each.name: each.description for each in repository.get_all_jobs() if not each.name.startswith("__")}
    said |= {each.name: each.description for each in repository.schedule_defs}
    said |= {each.name: each.description for each in repository.sensor_defs}
    assert len(said) >= 11
    assert [name for name, description in said.items() if not description] == []
