"""The guide to the Dagster UI names tags, groups, assets, jobs and numbers that there are."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from trading_assets.assets.groups import GROUPS
from trading_assets.automation import names
from trading_assets.automation.tags import FAILURE_TAG, RECOMPUTABLE_TAG
from trading_assets.automation.tickets import ACCOUNT_TAG, AS_OF_TAG, SESSION_TAG
from trading_assets.domain.values import SignalStatus
from trading_assets.jobs.recording import numbers
from trading_assets.ledger.account_day import AccountDay
from trading_assets.market.frames import SCHEMAS

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "dagster-ui.md").read_text()
VIEWS = re.findall(r"\| `(/[^`]+)` \|", GUIDE)
ASSETS = {*SCHEMAS, "orders", "executions", "positions"}


def test_the_tags_of_the_guide_are_the_tags_of_the_code() -> None:
    assert set(re.findall(r"trading-assets/\w+", GUIDE)) == {
        SESSION_TAG, ACCOUNT_TAG, AS_OF_TAG, FAILURE_TAG, RECOMPUTABLE_TAG,
    }  # fmt: skip


def test_saved_views_filter_by_what_there_is() -> None:
    assert len(VIEWS) >= 12
    jobs = {value for name, value in vars(names).items() if name.endswith("_JOB")}
    for view in VIEWS:
        split = urlsplit(view)
        for key, values in parse_qs(split.query, separator="&").items():
            for value in values:
                if key.startswith("q["):
                    kind, _, what = value.partition(":")
                    assert kind in ("tag", "status", "job"), view
                    assert kind != "job" or what in jobs, view
        assert set(re.findall(r'group:"(\w+)"', view)) <= set(GROUPS), view
        named = re.findall(r'key:"(\w+)"', view) + re.findall(r"^/assets/(\w+)", view)
        assert set(named) <= ASSETS, view


def test_the_numbers_of_accounts_are_in_the_guide() -> None:
    day = AccountDay("large", {status.value: 1 for status in SignalStatus}, 1, 1, 1, 1, 1, 1, 1, None)
    for found in numbers(day).values():
        for key in found:
            name = key.removeprefix("large")
            assert name in GUIDE or name.startswith("/signals_"), key
            assert not key.endswith("pnl_usd"), "a result that is not known is left out"


def test_the_read_me_leads_to_the_guide() -> None:
    assert "docs/dagster-ui.md" in (ROOT / "README.md").read_text()
