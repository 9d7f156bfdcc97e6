"""High-water marks of equity with the pause that a drawdown brings, and the cash flows they are adjusted for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_equity_marks"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "equity_marks",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("high_water", sa.Numeric(20, 6), comment="highest equity since the start of the mark"),
        sa.Column("equity", sa.Numeric(20, 6), nullable=False, comment="equity last seen"),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("low_since", sa.DateTime(timezone=True), comment="since when a drawdown that would pause is seen"),
        sa.Column("paused_at", sa.DateTime(timezone=True)),
        sa.Column("pause_reason", sa.Text()),
        sa.Column("resumed_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("(paused_at IS NULL) = (pause_reason IS NULL)", name="pause_has_reason"),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name="fk_equity_marks_account"),
        sa.PrimaryKeyConstraint("account", name="pk_equity_marks"),
    )
    op.create_table(
        "cash_flows",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("activity_id", sa.Text(), nullable=False, comment="the broker's id"),
        sa.Column("kind", sa.Text(), nullable=False, comment="the broker's word: CSD, CSW, JNLC, ACATC"),
        sa.Column("amount", sa.Numeric(20, 6), nullable=False, comment="dollars, negative if paid out"),
        sa.Column("paid_on", sa.Date(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name="fk_cash_flows_account"),
        sa.PrimaryKeyConstraint("account", "activity_id", name="pk_cash_flows"),
    )


def downgrade() -> None:
    op.drop_table("cash_flows")
    op.drop_table("equity_marks")
