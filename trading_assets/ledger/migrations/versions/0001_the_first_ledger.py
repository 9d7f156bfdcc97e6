"""The first ledger: every table, and triggers that keep written decisions and fills as they were written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

IMMUTABLE = (
    "dispatch_recommendations",
    "decision_inputs",
    "decisions",
    "dispatch_executions",
    "position_events",
    "inbound_events_raw",
    "inbound_events_classified",
)

REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% refused: rows of % are immutable', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False, comment="PRACTICE, PAPER or LIVE"),
        sa.Column("broker_account_id", sa.Text(), nullable=True, comment="verified at the first successful connection"),
        sa.Column(
            "opening_cash",
            sa.Numeric(precision=20, scale=6),
            nullable=True,
            comment="cash at the broker before this ledger's first order",
        ),
        sa.Column("reconciled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "reconciled_start", sa.Text(), nullable=True, comment="world start id under which reconciled_at was written"
        ),
        sa.Column(
            "reconciliation",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="last reconciliation report",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("mode IN ('PRACTICE', 'PAPER', 'LIVE')", name=op.f("ck_accounts_mode_known")),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_accounts")),
    )
    op.create_table(
        "decision_inputs",
        sa.Column("input_hash", sa.Text(), nullable=False, comment="SHA-256 of the canonical JSON payload"),
        sa.Column("kind", sa.Text(), nullable=False, comment="chain, quote, account, config"),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("input_hash", name=op.f("pk_decision_inputs")),
    )
    op.create_table(
        "dispatch_recommendations",
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("ticker", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("bar_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("watchlist_score", sa.Float(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("rule_set", sa.Text(), nullable=False),
        sa.Column("config_hash", sa.Text(), nullable=False),
        sa.Column("factors", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("features", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sentiment", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_by", sa.Text(), nullable=False, comment="Dagster run id"),
        sa.CheckConstraint("action <> 'HOLD'", name=op.f("ck_dispatch_recommendations_actionable")),
        sa.CheckConstraint(
            "action IN ('BUY_CALL', 'BUY_PUT', 'BUY_STOCK', 'SELL', 'HOLD')",
            name=op.f("ck_dispatch_recommendations_action_known"),
        ),
        sa.CheckConstraint(
            "direction IN ('BULLISH', 'BEARISH')", name=op.f("ck_dispatch_recommendations_direction_known")
        ),
        sa.CheckConstraint(
            "strategy IN ('day_trade', 'swing_trade', 'stock')", name=op.f("ck_dispatch_recommendations_strategy_known")
        ),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("ck_dispatch_recommendations_confidence_in_range")),
        sa.PrimaryKeyConstraint("signal_id", name=op.f("pk_dispatch_recommendations")),
    )
    op.create_index("ix_dispatch_recommendations_session", "dispatch_recommendations", ["session"], unique=False)
    op.create_table(
        "dispatcher_runs",
        sa.Column("run_id", sa.Text(), nullable=False, comment="Dagster run id"),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True, comment="null for the minute run, which serves all accounts"),
        sa.Column("ticket", sa.Text(), nullable=False, comment="single-use permission issued by a sensor tick"),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_dispatcher_runs")),
        sa.UniqueConstraint("ticket", name=op.f("uq_dispatcher_runs_ticket")),
    )
    op.create_table(
        "feed_state",
        sa.Column("feed", sa.Text(), nullable=False, comment="configured name of the feed"),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("last_modified", sa.Text(), nullable=True),
        sa.Column("last_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_success_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_count", sa.Integer(), nullable=False, comment="consecutive failures; 0 after a success"),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("error_count >= 0", name=op.f("ck_feed_state_error_count_not_negative")),
        sa.PrimaryKeyConstraint("feed", name=op.f("pk_feed_state")),
    )
    op.create_table(
        "inbound_events_raw",
        sa.Column("event_uid", sa.Text(), nullable=False, comment="SHA-256 of guid, else link, else title + published"),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column(
            "published_at", sa.DateTime(timezone=True), nullable=True, comment="null when the feed gives no usable date"
        ),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False, comment="event_uid of the first story of the same event"),
        sa.CheckConstraint("event_uid ~ '^[0-9a-f]{64}$'", name=op.f("ck_inbound_events_raw_event_uid_is_sha256")),
        sa.PrimaryKeyConstraint("event_uid", name=op.f("pk_inbound_events_raw")),
    )
    op.create_index("ix_inbound_events_raw_fetched_at", "inbound_events_raw", ["fetched_at"], unique=False)
    op.create_table(
        "kill_switches",
        sa.Column("scope", sa.Text(), nullable=False, comment="'*' for all accounts, else an account name"),
        sa.Column("kill_mode", sa.Text(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kill_mode IN ('off', 'entries', 'all', 'flatten')", name=op.f("ck_kill_switches_kill_mode_known")
        ),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_kill_switches")),
    )
    op.create_table(
        "watchlist_state",
        sa.Column("ticker", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False, comment="BULLISH, BEARISH or NONE"),
        sa.Column("factors", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("rank >= 1", name=op.f("ck_watchlist_state_rank_positive")),
        sa.CheckConstraint("score BETWEEN 0 AND 1", name=op.f("ck_watchlist_state_score_in_range")),
        sa.PrimaryKeyConstraint("ticker", name=op.f("pk_watchlist_state")),
    )
    op.create_table(
        "active_positions",
        sa.Column("position_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False, comment="OCC symbol or ticker"),
        sa.Column("underlying", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("contract_right", sa.Text(), nullable=True),
        sa.Column("strike", sa.Numeric(precision=20, scale=6), nullable=True),
        sa.Column("expiry", sa.Date(), nullable=True),
        sa.Column("multiplier", sa.Integer(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False, comment="signal, or adopted from the broker"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("quantity_opened", sa.Integer(), nullable=False, comment="contracts or shares bought so far"),
        sa.Column("quantity", sa.Integer(), nullable=False, comment="contracts or shares still held"),
        sa.Column(
            "entry_price", sa.Numeric(precision=20, scale=6), nullable=True, comment="average entry fill per share"
        ),
        sa.Column(
            "entry_underlying",
            sa.Numeric(precision=20, scale=6),
            nullable=True,
            comment="underlying's price when the entry was decided",
        ),
        sa.Column("entry_delta", sa.Float(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stage", sa.Integer(), nullable=False, comment="0, or 1 once half was sold at the target"),
        sa.Column(
            "high_water", sa.Numeric(precision=20, scale=6), nullable=True, comment="best executable price since entry"
        ),
        sa.Column("exit_reason", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "realized_pnl",
            sa.Numeric(precision=20, scale=6),
            nullable=False,
            comment="from exit fills so far, per the multiplier",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("contract_right IN ('call', 'put')", name=op.f("ck_active_positions_right_known")),
        sa.CheckConstraint("direction IN ('BULLISH', 'BEARISH')", name=op.f("ck_active_positions_direction_known")),
        sa.CheckConstraint(
            "origin <> 'signal' OR signal_id IS NOT NULL", name=op.f("ck_active_positions_signal_named")
        ),
        sa.CheckConstraint("origin IN ('signal', 'adopted')", name=op.f("ck_active_positions_origin_known")),
        sa.CheckConstraint(
            "state <> 'CLOSED' OR (quantity = 0 AND closed_at IS NOT NULL)",
            name=op.f("ck_active_positions_closed_is_flat"),
        ),
        sa.CheckConstraint(
            "state IN ('OPENING', 'OPEN', 'CLOSING', 'CLOSED', 'VOID')", name=op.f("ck_active_positions_state_known")
        ),
        sa.CheckConstraint(
            "strategy IN ('day_trade', 'swing_trade', 'stock')", name=op.f("ck_active_positions_strategy_known")
        ),
        sa.CheckConstraint("multiplier > 0", name=op.f("ck_active_positions_multiplier_positive")),
        sa.CheckConstraint(
            "quantity >= 0 AND quantity <= quantity_opened", name=op.f("ck_active_positions_quantity_in_range")
        ),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("fk_active_positions_account")),
        sa.ForeignKeyConstraint(
            ["signal_id"], ["dispatch_recommendations.signal_id"], name=op.f("fk_active_positions_signal_id")
        ),
        sa.PrimaryKeyConstraint("position_id", name=op.f("pk_active_positions")),
        sa.UniqueConstraint("account", "signal_id", name=op.f("uq_active_positions_account_signal_id")),
    )
    op.create_index(
        "uq_active_positions_live_symbol",
        "active_positions",
        ["account", "symbol"],
        unique=True,
        postgresql_where=sa.text("state IN ('OPENING', 'OPEN', 'CLOSING')"),
    )
    op.create_index(
        "uq_active_positions_live_underlying",
        "active_positions",
        ["account", "underlying"],
        unique=True,
        postgresql_where=sa.text("state IN ('OPENING', 'OPEN', 'CLOSING') AND origin = 'signal'"),
    )
    op.create_table(
        "dispatch_status",
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True, comment="run that holds or held the claim"),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(status = 'PROCESSING') = (lease_until IS NOT NULL)",
            name=op.f("ck_dispatch_status_lease_while_processing"),
        ),
        sa.CheckConstraint(
            "status IN ('PENDING', 'PROCESSING', 'EXECUTED', 'SKIPPED', 'FAILED', 'EXPIRED')",
            name=op.f("ck_dispatch_status_status_known"),
        ),
        sa.CheckConstraint(
            "status NOT IN ('SKIPPED', 'FAILED') OR reason IS NOT NULL", name=op.f("ck_dispatch_status_reason_given")
        ),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("fk_dispatch_status_account")),
        sa.ForeignKeyConstraint(
            ["signal_id"], ["dispatch_recommendations.signal_id"], name=op.f("fk_dispatch_status_signal_id")
        ),
        sa.PrimaryKeyConstraint("signal_id", "account", name=op.f("pk_dispatch_status")),
    )
    op.create_index(
        "ix_dispatch_status_open",
        "dispatch_status",
        ["account"],
        unique=False,
        postgresql_where=sa.text("status IN ('PENDING', 'PROCESSING')"),
    )
    op.create_table(
        "inbound_events_classified",
        sa.Column("event_uid", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("tickers", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("sentiment_label", sa.Text(), nullable=False),
        sa.Column("sentiment_score", sa.Float(), nullable=False, comment="P(positive) - P(negative), in [-1, 1]"),
        sa.Column("confidence", sa.Float(), nullable=False, comment="largest class probability, in [0, 1]"),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "sentiment_label IN ('positive', 'neutral', 'negative')",
            name=op.f("ck_inbound_events_classified_label_known"),
        ),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("ck_inbound_events_classified_confidence_in_range")),
        sa.CheckConstraint(
            "sentiment_score BETWEEN -1 AND 1", name=op.f("ck_inbound_events_classified_score_in_range")
        ),
        sa.ForeignKeyConstraint(
            ["event_uid"], ["inbound_events_raw.event_uid"], name=op.f("fk_inbound_events_classified_event_uid")
        ),
        sa.UniqueConstraint(
            "event_uid", "model", "revision", name=op.f("uq_inbound_events_classified_event_uid_model_revision")
        ),
    )
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False, comment="ENTER, SKIP or EXPIRE"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "gates",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="all gate results in rulebook order",
        ),
        sa.Column(
            "selection",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="contract candidates with their scores and refusals",
        ),
        sa.Column(
            "sizing",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="budget, constraints and which one binds",
        ),
        sa.Column("inputs", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="kind -> input_hash"),
        sa.CheckConstraint("outcome IN ('ENTER', 'SKIP', 'EXPIRE')", name=op.f("ck_decisions_outcome_known")),
        sa.ForeignKeyConstraint(
            ["signal_id", "account"],
            ["dispatch_status.signal_id", "dispatch_status.account"],
            name=op.f("fk_decisions_signal_id_account"),
        ),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_decisions")),
    )
    op.create_index("ix_decisions_signal_id_account", "decisions", ["signal_id", "account"], unique=False)
    op.create_table(
        "order_intents",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("position_id", sa.Text(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=True, comment="of an entry"),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("underlying", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("multiplier", sa.Integer(), nullable=False),
        sa.Column("order_type", sa.Text(), nullable=False),
        sa.Column("limit_price", sa.Numeric(precision=20, scale=6), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="'entry', or the exit rule that asked for it"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("broker_order_id", sa.Text(), nullable=True),
        sa.Column("filled_quantity", sa.Integer(), nullable=False),
        sa.Column("filled_avg_price", sa.Numeric(precision=20, scale=6), nullable=True),
        sa.Column(
            "error",
            sa.Text(),
            nullable=True,
            comment="the broker's own words for a rejection, or why the state is UNKNOWN",
        ),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(order_type = 'limit') = (limit_price IS NOT NULL)", name=op.f("ck_order_intents_limit_has_price")
        ),
        sa.CheckConstraint(
            "(purpose = 'ENTRY') = (side = 'buy')", name=op.f("ck_order_intents_entries_buy_exits_sell")
        ),
        sa.CheckConstraint("order_type IN ('limit', 'market')", name=op.f("ck_order_intents_order_type_known")),
        sa.CheckConstraint(
            "purpose <> 'ENTRY' OR signal_id IS NOT NULL", name=op.f("ck_order_intents_entry_names_signal")
        ),
        sa.CheckConstraint("purpose IN ('ENTRY', 'EXIT')", name=op.f("ck_order_intents_purpose_known")),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_order_intents_side_known")),
        sa.CheckConstraint(
            "state IN ('INTENT', 'UNKNOWN', 'ACCEPTED', 'PARTIALLY_FILLED', 'FILLED', "
            "'CANCELED', 'REJECTED', 'EXPIRED', 'ABANDONED')",
            name=op.f("ck_order_intents_state_known"),
        ),
        sa.CheckConstraint("length(client_order_id) <= 128", name=op.f("ck_order_intents_client_order_id_short")),
        sa.CheckConstraint(
            "quantity > 0 AND filled_quantity BETWEEN 0 AND quantity", name=op.f("ck_order_intents_quantity_in_range")
        ),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("fk_order_intents_account")),
        sa.ForeignKeyConstraint(
            ["position_id"], ["active_positions.position_id"], name=op.f("fk_order_intents_position_id")
        ),
        sa.PrimaryKeyConstraint("client_order_id", name=op.f("pk_order_intents")),
        sa.UniqueConstraint("broker_order_id", name=op.f("uq_order_intents_broker_order_id")),
        sa.UniqueConstraint(
            "position_id", "purpose", "attempt", "step", name=op.f("uq_order_intents_position_id_purpose_attempt_step")
        ),
    )
    op.create_index(
        "uq_order_intents_one_live_entry",
        "order_intents",
        ["account", "signal_id"],
        unique=True,
        postgresql_where=sa.text(
            "purpose = 'ENTRY' AND state IN ('ACCEPTED', 'INTENT', 'PARTIALLY_FILLED', 'UNKNOWN')"
        ),
    )
    op.create_index(
        "uq_order_intents_one_live_exit",
        "order_intents",
        ["position_id"],
        unique=True,
        postgresql_where=sa.text("purpose = 'EXIT' AND state IN ('ACCEPTED', 'INTENT', 'PARTIALLY_FILLED', 'UNKNOWN')"),
    )
    op.create_table(
        "position_events",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("position_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="opened, fill, exit_decided, exit_ordered, half_taken, closed, ...",
        ),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["position_id"], ["active_positions.position_id"], name=op.f("fk_position_events_position_id")
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_position_events")),
    )
    op.create_index("ix_position_events_position_id", "position_events", ["position_id"], unique=False)
    op.create_table(
        "dispatch_executions",
        sa.Column("execution_id", sa.Text(), nullable=False, comment="the broker's fill activity id"),
        sa.Column("client_order_id", sa.Text(), nullable=True),
        sa.Column("position_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("broker_order_id", sa.Text(), nullable=False),
        sa.Column("cumulative_quantity", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price", sa.Numeric(precision=20, scale=6), nullable=False),
        sa.Column("multiplier", sa.Integer(), nullable=False),
        sa.Column("executed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_dispatch_executions_side_known")),
        sa.CheckConstraint("price >= 0", name=op.f("ck_dispatch_executions_price_not_negative")),
        sa.CheckConstraint(
            "quantity > 0 AND cumulative_quantity >= quantity", name=op.f("ck_dispatch_executions_quantity_in_range")
        ),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("fk_dispatch_executions_account")),
        sa.ForeignKeyConstraint(
            ["client_order_id"], ["order_intents.client_order_id"], name=op.f("fk_dispatch_executions_client_order_id")
        ),
        sa.ForeignKeyConstraint(
            ["position_id"], ["active_positions.position_id"], name=op.f("fk_dispatch_executions_position_id")
        ),
        sa.PrimaryKeyConstraint("execution_id", name=op.f("pk_dispatch_executions")),
        sa.UniqueConstraint(
            "broker_order_id",
            "cumulative_quantity",
            name=op.f("uq_dispatch_executions_broker_order_id_cumulative_quantity"),
        ),
    )
    op.execute(REFUSE)
    for table in IMMUTABLE:
        op.execute(
            f"CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    op.drop_table("dispatch_executions")
    op.drop_table("position_events")
    op.drop_table("order_intents")
    op.drop_table("decisions")
    op.drop_table("inbound_events_classified")
    op.drop_table("dispatch_status")
    op.drop_table("active_positions")
    op.drop_table("watchlist_state")
    op.drop_table("kill_switches")
    op.drop_table("inbound_events_raw")
    op.drop_table("feed_state")
    op.drop_table("dispatcher_runs")
    op.drop_table("dispatch_recommendations")
    op.drop_table("decision_inputs")
    op.drop_table("accounts")
    op.execute("DROP FUNCTION refuse_change()")
