"""Brackets of stocks: an order says its class and whose leg it is, a position the prices that its bracket was given.

At most one exit of a position may be live, or one resting pair: its take profit in the exit's place, its stop beside.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_stock_brackets"
down_revision = "0005_external_signals"
branch_labels = None
depends_on = None

_LIVE = "state IN ('ACCEPTED', 'INTENT', 'PARTIALLY_FILLED', 'UNKNOWN')"
_PREFIX = "ck_order_intents_"


def _recheck(name: str, condition: str) -> None:
    op.drop_constraint(op.f(_PREFIX + name), "order_intents", type_="check")
    op.create_check_constraint(op.f(_PREFIX + name), "order_intents", condition)


def upgrade() -> None:
    amount = sa.Numeric(precision=20, scale=6)
    op.add_column(
        "active_positions",
        sa.Column("stop_price", amount, comment="of the bracket by which a stock was bought; null for options"),
    )
    op.add_column("active_positions", sa.Column("target_price", amount, comment="take profit of the same bracket"))
    op.add_column("order_intents", sa.Column("order_class", sa.Text(), nullable=False, server_default="simple"))
    op.add_column("order_intents", sa.Column("stop_price", amount))
    op.add_column("order_intents", sa.Column("leg_of", sa.Text(), comment="the order that this is a leg of"))
    op.create_foreign_key(
        op.f("fk_order_intents_leg_of"), "order_intents", "order_intents", ["leg_of"], ["client_order_id"]
    )
    op.alter_column(
        "order_intents",
        "reason",
        existing_type=sa.Text(),
        existing_nullable=False,
        comment="'entry', 'add', the exit rule, 'take_profit' or 'stop_loss'",
    )
    _recheck("purpose_known", "purpose IN ('ENTRY', 'EXIT', 'PROTECT')")
    _recheck("order_type_known", "order_type IN ('limit', 'market', 'stop')")
    for name, condition in (
        ("order_class_known", "order_class IN ('simple', 'bracket', 'oco', 'leg')"),
        ("stop_has_price", "(order_type = 'stop') = (stop_price IS NOT NULL)"),
        ("leg_names_order", "(order_class = 'leg') = (leg_of IS NOT NULL)"),
        ("stops_protect", "order_type <> 'stop' OR purpose = 'PROTECT'"),
    ):
        op.create_check_constraint(op.f(_PREFIX + name), "order_intents", condition)
    op.drop_index("uq_order_intents_one_live_exit", "order_intents")
    op.create_index(
        "uq_order_intents_one_live_exit",
        "order_intents",
        ["position_id", sa.text("(order_type = 'stop')")],
        unique=True,
        postgresql_where=sa.text(f"purpose <> 'ENTRY' AND {_LIVE}"),
    )


def downgrade() -> None:
    """Only a ledger without a protective order can be read by what came before."""
    op.drop_index("uq_order_intents_one_live_exit", "order_intents")
    op.create_index(
        "uq_order_intents_one_live_exit",
        "order_intents",
        ["position_id"],
        unique=True,
        postgresql_where=sa.text(f"purpose = 'EXIT' AND {_LIVE}"),
    )
    for name in ("stops_protect", "leg_names_order", "stop_has_price", "order_class_known"):
        op.drop_constraint(op.f(_PREFIX + name), "order_intents", type_="check")
    _recheck("order_type_known", "order_type IN ('limit', 'market')")
    _recheck("purpose_known", "purpose IN ('ENTRY', 'EXIT')")
    op.alter_column(
        "order_intents",
        "reason",
        existing_type=sa.Text(),
        existing_nullable=False,
        comment="'entry', or the exit rule that asked for it",
    )
    for column in ("leg_of", "stop_price", "order_class"):
        op.drop_column("order_intents", column)
    for column in ("target_price", "stop_price"):
        op.drop_column("active_positions", column)
