"""Signals received from outside, kept as they came: what a decision heard can be read again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_external_signals"
down_revision = "0004_presets"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "external_signals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False, comment="as configured in signals.webhook.sources"),
        sa.Column("external_id", sa.Text(), comment="the source's own id of this signal"),
        sa.Column("ticker", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), comment="asked for by the source; null: confidence and volume choose it"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text()),
        sa.CheckConstraint("direction IN ('BULLISH', 'BEARISH')", name="direction_known"),
        sa.CheckConstraint("strategy IN ('day_trade', 'swing_trade', 'stock')", name="strategy_known"),
        sa.CheckConstraint("ticker ~ '^[A-Z][A-Z0-9.]{0,9}$'", name="ticker_well_formed"),
        sa.CheckConstraint("char_length(source) BETWEEN 1 AND 64", name="source_bounded"),
        sa.CheckConstraint("char_length(external_id) BETWEEN 1 AND 128", name="external_id_bounded"),
        sa.CheckConstraint("char_length(note) BETWEEN 1 AND 500", name="note_bounded"),
        sa.PrimaryKeyConstraint("id", name="pk_external_signals"),
        sa.UniqueConstraint("source", "external_id", name="uq_external_signals_source_external_id"),
    )
    op.create_index("ix_external_signals_received_at", "external_signals", ["received_at"])
    op.execute(
        "CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON external_signals "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.drop_table("external_signals")
