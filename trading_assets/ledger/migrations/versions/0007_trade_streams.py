"""The trade stream: one identity for a fill however it was heard of, fills that are taken back, and its own health."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_trade_streams"
down_revision = "0006_stock_brackets"
branch_labels = None
depends_on = None

_COLUMNS = (
    "execution_id", "client_order_id", "position_id", "account", "broker_order_id", "cumulative_quantity", "symbol",
    "side", "quantity", "price", "multiplier", "executed_at", "reason", "booked_at", "run_id", "fill_id",
)  # fmt: skip
_CHANGED = {"quantity": "COALESCE(c.quantity, e.quantity) AS quantity", "price": "COALESCE(c.price, e.price) AS price"}
VIEW = f"""
CREATE VIEW booked_executions AS
SELECT {", ".join(_CHANGED.get(name, "e." + name) for name in _COLUMNS)}
FROM dispatch_executions e
LEFT JOIN LATERAL (
    SELECT kind, quantity, price FROM execution_changes
    WHERE account = e.account AND fill_id = e.fill_id ORDER BY change_number DESC LIMIT 1
) c ON true
WHERE c.kind IS DISTINCT FROM 'trade_bust'
"""


def upgrade() -> None:
    # A fill that the stream told carries the execution id alone.
    op.alter_column(
        "dispatch_executions",
        "execution_id",
        comment="the broker's fill activity id, or its execution id alone",
        existing_comment="the broker's fill activity id",
        existing_type=sa.Text(),
        existing_nullable=False,
    )
    op.add_column(
        "dispatch_executions",
        sa.Column("fill_id", sa.Text(), sa.Computed("regexp_replace(execution_id, '^.*::', '')", persisted=True)),
    )
    op.create_unique_constraint("uq_dispatch_executions_account_fill_id", "dispatch_executions", ["account", "fill_id"])
    op.create_table(
        "execution_changes",
        sa.Column("change_number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("change_id", sa.Text(), nullable=False, comment="identity of the broker's message"),
        sa.Column(
            "fill_id", sa.Text(), nullable=False, comment="the fill that is changed; it may become known only later"
        ),
        sa.Column(
            "new_fill_id", sa.Text(), comment="the fill's identity from now on, where a correction gives it another"
        ),
        sa.Column("broker_order_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), comment="the right quantity; null: as it was"),
        sa.Column("price", sa.Numeric(20, 6), comment="the right price per share; null: as it was"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('trade_bust', 'trade_correct')", name="kind_known"),
        sa.CheckConstraint("quantity > 0", name="quantity_positive"),
        sa.CheckConstraint("price >= 0", name="price_not_negative"),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name="fk_execution_changes_account"),
        sa.PrimaryKeyConstraint("change_number", name="pk_execution_changes"),
        sa.UniqueConstraint("account", "change_id", name="uq_execution_changes_account_change_id"),
    )
    op.create_index("ix_execution_changes_account_fill_id", "execution_changes", ["account", "fill_id"])
    op.execute(
        "CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON execution_changes "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(VIEW)
    op.create_table(
        "trade_streams",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="connecting, listening, refused or stopped"),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="since when, as all instants here by the machine's clock",
        ),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), nullable=False, comment="last sign of life of the service itself"
        ),
        sa.Column("connected_at", sa.DateTime(timezone=True), comment="since when it listens; null while it does not"),
        sa.Column("frame_at", sa.DateTime(timezone=True), comment="last frame"),
        sa.Column("pong_at", sa.DateTime(timezone=True), comment="last answer to a ping"),
        sa.Column(
            "compared_at", sa.DateTime(timezone=True), comment="when frames and the broker's lists last told the same"
        ),
        sa.Column("unhealthy_since", sa.DateTime(timezone=True), comment="null while it is well"),
        sa.Column("trouble", sa.Text(), comment="what is wrong, or was last"),
        sa.Column("connections", sa.Integer(), nullable=False, comment="times it began to listen"),
        sa.Column("frames", sa.BigInteger(), nullable=False),
        sa.Column("odd_frames", sa.Integer(), nullable=False, comment="frames that made no sense"),
        sa.Column(
            "suspicions",
            sa.Integer(),
            nullable=False,
            comment="times the broker's lists showed what no frame had told",
        ),
        sa.Column("backfills", sa.Integer(), nullable=False),
        sa.Column("backfilled_fills", sa.Integer(), nullable=False, comment="fills booked from the broker's lists"),
        sa.CheckConstraint("state IN ('connecting', 'listening', 'refused', 'stopped')", name="state_known"),
        sa.CheckConstraint("(state = 'listening') = (connected_at IS NOT NULL)", name="connected_while_listening"),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name="fk_trade_streams_account"),
        sa.PrimaryKeyConstraint("account", name="pk_trade_streams"),
    )
    op.create_table(
        "trade_stream_oddities",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the frame"),
        sa.Column("frame", sa.Text(), nullable=False, comment="as it came, at most its first 20,000 characters"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it could not be used"),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, comment="first time, by the market's clock"),
        sa.Column("times", sa.Integer(), nullable=False, comment="how often it came"),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name="fk_trade_stream_oddities_account"),
        sa.PrimaryKeyConstraint("account", "digest", name="pk_trade_stream_oddities"),
    )
    op.create_index("ix_trade_stream_oddities_seen_at", "trade_stream_oddities", ["seen_at"])


def downgrade() -> None:
    op.drop_table("trade_stream_oddities")
    op.drop_table("trade_streams")
    op.execute("DROP VIEW booked_executions")
    op.drop_table("execution_changes")
    op.drop_constraint("uq_dispatch_executions_account_fill_id", "dispatch_executions")
    op.drop_column("dispatch_executions", "fill_id")
    op.alter_column(
        "dispatch_executions",
        "execution_id",
        comment="the broker's fill activity id",
        existing_type=sa.Text(),
        existing_nullable=False,
    )
