"""Partitions (a Dagster concept): market data by XNYS session, news and sentiment by New York calendar day.

One partition is one trading day, never one minute and never one ticker. The horizon of holidays is fixed, so the
identity of the definition does not change from day to day. The *current* session comes from the clock, never from
the last partition key (on a Saturday the last key is the next Monday's).
"""

from __future__ import annotations

import warnings
from datetime import date, datetime

from dagster import (
    AssetDep,
    BetaWarning,
    DailyPartitionsDefinition,
    TimeWindowPartitionMapping,
    TimeWindowPartitionsDefinition,
)

from trading_assets.market.sessions import holidays

FIRST_DAY = date(2013, 1, 2)
_HORIZON = date(2030, 12, 31)
_ZONE = "America/New_York"

#: Keys are the XNYS sessions. ``end_offset=1`` makes today's session exist while it runs.
SESSIONS = TimeWindowPartitionsDefinition(
    cron_schedule="0 0 * * 1-5",
    start=FIRST_DAY.isoformat(),
    fmt="%Y-%m-%d",
    timezone=_ZONE,
    end_offset=1,
    exclusions=[datetime(day.year, day.month, day.day) for day in sorted(holidays()) if FIRST_DAY <= day <= _HORIZON],
)

#: Keys are New York calendar days: news does not stop at weekends.
DAYS = DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone=_ZONE, end_offset=1)


def same_day_news(asset: str) -> AssetDep:
    """A session's dependency on the news of its calendar day (and of the closed days until the next session)."""
    with warnings.catch_warnings():
        # The option is marked beta in Dagster; the exact version is pinned.
        warnings.simplefilter("ignore", BetaWarning)
        mapping = TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
    return AssetDep(asset, partition_mapping=mapping)
