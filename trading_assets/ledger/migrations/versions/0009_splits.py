"""Share splits: which the broker told of, and which positions went through them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_splits"
down_revision = "0008_rolls"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "share_splits",
        sa.Column("action_id", sa.Text(), nullable=False, comment="the broker's id of the corporate action"),
        sa.Column("ticker", sa.Text(), nullable=False),
        sa.Column(
            "ex_session", sa.Date(), nullable=False, comment="first session in which prices are of the new shares"
        ),
        sa.Column("numerator", sa.Numeric(20, 6), nullable=False, comment="new shares ..."),
        sa.Column("denominator", sa.Numeric(20, 6), nullable=False, comment="... for so many old ones"),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False, comment="when it was first seen here"),
        sa.CheckConstraint("numerator > 0 AND denominator > 0", name="ratio_positive"),
        sa.PrimaryKeyConstraint("action_id", name="pk_share_splits"),
    )
    op.create_index("ix_share_splits_ticker", "share_splits", ["ticker"])
    op.create_table(
        "position_splits",
        sa.Column("position_id", sa.Text(), nullable=False),
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column(
            "effective_at", sa.DateTime(timezone=True), nullable=False, comment="fills before it are of the old shares"
        ),
        sa.Column(
            "numerator",
            sa.Numeric(20, 6),
            nullable=False,
            comment="held units for so many old ones; 1 to 1 for a contract whose deliverable changed instead",
        ),
        sa.Column("denominator", sa.Numeric(20, 6), nullable=False),
        sa.Column("symbol_before", sa.Text(), nullable=False),
        sa.Column("symbol_after", sa.Text(), nullable=False),
        sa.Column("quantity_before", sa.Integer(), nullable=False),
        sa.Column("quantity_after", sa.Integer(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.CheckConstraint("numerator > 0 AND denominator > 0", name="ratio_positive"),
        sa.CheckConstraint("quantity_before >= 0 AND quantity_after >= 0", name="quantities_not_negative"),
        sa.ForeignKeyConstraint(
            ["position_id"], ["active_positions.position_id"], name="fk_position_splits_position_id"
        ),
        sa.ForeignKeyConstraint(["action_id"], ["share_splits.action_id"], name="fk_position_splits_action_id"),
        sa.PrimaryKeyConstraint("position_id", "action_id", name="pk_position_splits"),
    )
    op.execute(
        "CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON position_splits "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.drop_table("position_splits")
    op.drop_table("share_splits")
