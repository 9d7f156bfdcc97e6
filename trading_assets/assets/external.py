"""``orders``, ``executions``, ``reconciliation`` and ``positions``: what the acting jobs did, as external assets.

They have no code to run: the acting jobs record a materialization when something happened, and the end of the session
adds its summary. So a person clicks from a position back to the fill, the order, the signal, the headline and the bar,
and no backfill can produce one.
"""

from __future__ import annotations

from dagster import AssetSpec
from sqlalchemy import Table

from trading_assets.assets.columns import table_columns
from trading_assets.assets.frame_asset import OWNER
from trading_assets.assets.groups import TRADING
from trading_assets.automation.partitions import SESSIONS
from trading_assets.automation.tags import RECOMPUTABLE_TAG
from trading_assets.ledger.tables import accounts, active_positions, dispatch_executions, order_intents

_NUMBERS = (
    "Numbers carry the account's name (`large/equity_usd`), so that each account has a plot of its own; one that is "
    "not known is absent."
)

_AS_A_TABLE = ", with the whole day as a table"


def _recorded(
    name: str,
    table: Table,
    after: tuple[str, ...],
    what: str,
    written: str,
    listed: str,
    missing: str,
    *,
    last: str = _AS_A_TABLE,
) -> AssetSpec:
    return AssetSpec(
        name,
        deps=list(after),
        group_name=TRADING,
        description="\n\n".join(
            [
                f"{what} {_NUMBERS}",
                f"- **Written** {written}; a last time by `end_of_session`{last}\n"
                f"- **Rows**: table `{table.name}` of the ledger; {listed}\n"
                "- **Partition**: one session of the exchange\n"
                f"- **Missing**: {missing}\n"
                "- **Past partitions**: cannot be made again; nothing a person starts in this UI sends an order",
            ]
        ),
        kinds={"alpaca", "postgres"},
        owners=[OWNER],
        tags={RECOMPUTABLE_TAG: "no"},
        metadata={"dagster/column_schema": table_columns(name, table), "dagster/table_name": table.name},
        partitions_def=SESSIONS,
    )


orders = _recorded(
    "orders",
    order_intents,
    ("signals", "iv_history"),
    "Orders of the accounts: the intent is committed before the broker is asked, and an order whose fate is not known "
    "is UNKNOWN until the broker was asked about it.",
    "by `dispatcher` and `position_manager` whenever they sent an order",
    "`trading-assets why` shows those of a decision",
    "an order without a fill has no average price; one that the broker has not answered has no id of its own",
)

executions = _recorded(
    "executions",
    dispatch_executions,
    ("orders",),
    "Fills, each booked exactly once. The end of the session adds a picture: the price of the most traded name with "
    "its signals and fills.",
    "by `dispatcher` and `position_manager` whenever they booked a fill",
    "`trading-assets data executions` lists them",
    "a fill of an order that is not ours names no order of ours",
)

reconciliation = _recorded(
    "reconciliation",
    accounts,
    ("executions",),
    "The last comparison of each account with its broker: what it booked, adopted, ended, could not explain and "
    "therefore blocks.",
    "by `position_manager` at every look at an account",
    "`trading-assets alerts` lists what differs",
    "an account that was never compared has no instant, and its gates deny",
    last=", after one more comparison",
)

positions = _recorded(
    "positions",
    active_positions,
    ("executions", "reconciliation"),
    "What the accounts hold and what became of it, with equity and result.",
    "by `position_manager` at every look at an account in the session",
    "`trading-assets data positions` lists them",
    "a position that was adopted from the broker names no signal",
)
