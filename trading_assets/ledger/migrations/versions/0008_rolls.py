"""Rolls: one order of two legs that closes a position and opens another in its place.

The order is of class ``mleg``; its legs are written with it, before the broker is asked, and follow it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_rolls"
down_revision = "0007_trade_streams"
branch_labels = None
depends_on = None

_LIVE = "state IN ('ACCEPTED', 'INTENT', 'PARTIALLY_FILLED', 'UNKNOWN')"
_ORIGIN = "signal, or adopted from the broker"
_REASON = "'entry', 'add', the exit rule, 'take_profit' or 'stop_loss'"


def _recheck(table: str, name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)


def _comment(table: str, column: str, comment: str | None, before: str | None, *, nullable: bool = False) -> None:
    kind = sa.Numeric(20, 6) if column == "limit_price" else sa.Text()
    op.alter_column(
        table, column, existing_type=kind, existing_nullable=nullable, comment=comment, existing_comment=before
    )


def _one_live_exit(condition: str) -> None:
    op.drop_index("uq_order_intents_one_live_exit", "order_intents")
    op.create_index(
        "uq_order_intents_one_live_exit",
        "order_intents",
        ["position_id", sa.text("(order_type = 'stop')")],
        unique=True,
        postgresql_where=sa.text(f"{condition} AND {_LIVE}"),
    )


def upgrade() -> None:
    op.add_column(
        "active_positions",
        sa.Column("rolled_from", sa.Text(), comment="the position in whose place a roll opened this one"),
    )
    op.create_foreign_key(
        op.f("fk_active_positions_rolled_from"),
        "active_positions",
        "active_positions",
        ["rolled_from"],
        ["position_id"],
    )
    op.create_index("ix_active_positions_rolled_from", "active_positions", ["rolled_from"])
    _comment("active_positions", "origin", "signal, adopted from the broker, or roll", _ORIGIN)
    _recheck("active_positions", "origin_known", "origin IN ('signal', 'adopted', 'roll')")
    op.create_check_constraint(
        op.f("ck_active_positions_roll_names_position"),
        "active_positions",
        "(origin = 'roll') = (rolled_from IS NOT NULL)",
    )
    _comment("order_intents", "reason", "'entry', 'add', the exit rule, 'take_profit', 'stop_loss' or 'roll'", _REASON)
    net = "per share; of a multi-leg order net, negative if received"
    _comment("order_intents", "limit_price", net, None, nullable=True)
    _recheck("order_intents", "purpose_known", "purpose IN ('ENTRY', 'EXIT', 'PROTECT', 'ROLL')")
    _recheck(
        "order_intents",
        "order_class_known",
        "order_class IN ('simple', 'bracket', 'oco', 'leg', 'mleg', 'mleg_leg')",
    )
    _recheck("order_intents", "leg_names_order", "(order_class IN ('leg', 'mleg_leg')) = (leg_of IS NOT NULL)")
    _recheck(
        "order_intents",
        "entry_names_signal",
        "purpose <> 'ENTRY' OR signal_id IS NOT NULL OR order_class = 'mleg_leg'",
    )
    op.create_check_constraint(
        op.f("ck_order_intents_rolls_have_legs"), "order_intents", "(purpose = 'ROLL') = (order_class = 'mleg')"
    )
    _one_live_exit("purpose <> 'ENTRY' AND order_class <> 'mleg_leg'")


def downgrade() -> None:
    """Only a ledger without a roll can be read by what came before."""
    _one_live_exit("purpose <> 'ENTRY'")
    op.drop_constraint(op.f("ck_order_intents_rolls_have_legs"), "order_intents", type_="check")
    _recheck("order_intents", "entry_names_signal", "purpose <> 'ENTRY' OR signal_id IS NOT NULL")
    _recheck("order_intents", "leg_names_order", "(order_class = 'leg') = (leg_of IS NOT NULL)")
    _recheck("order_intents", "order_class_known", "order_class IN ('simple', 'bracket', 'oco', 'leg')")
    _recheck("order_intents", "purpose_known", "purpose IN ('ENTRY', 'EXIT', 'PROTECT')")
    net = "per share; of a multi-leg order net, negative if received"
    _comment("order_intents", "limit_price", None, net, nullable=True)
    _comment("order_intents", "reason", _REASON, "'entry', 'add', the exit rule, 'take_profit', 'stop_loss' or 'roll'")
    op.drop_constraint(op.f("ck_active_positions_roll_names_position"), "active_positions", type_="check")
    _recheck("active_positions", "origin_known", "origin IN ('signal', 'adopted')")
    _comment("active_positions", "origin", _ORIGIN, "signal, adopted from the broker, or roll")
    op.drop_index("ix_active_positions_rolled_from", "active_positions")
    op.drop_constraint(op.f("fk_active_positions_rolled_from"), "active_positions", type_="foreignkey")
    op.drop_column("active_positions", "rolled_from")
