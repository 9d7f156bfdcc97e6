"""Every table of the ledger, with the constraints that make loss and doubling impossible rather than unlikely.

Money and prices are NUMERIC, instants ``timestamptz``, enumerations text with a CHECK. A table exists only if running
code writes it. Rows that record what was decided (recommendations, decisions, executions, events) are immutable: the
migration installs triggers that refuse UPDATE and DELETE on them. The tables of the news are in ``news_tables``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from trading_assets.domain.values import (
    LIVE_STATES,
    Action,
    Direction,
    KillMode,
    OrderState,
    PositionState,
    Purpose,
    Right,
    Side,
    SignalStatus,
    Strategy,
)
from trading_assets.ledger.news_tables import IMMUTABLE_NEWS
from trading_assets.ledger.table_basis import Amount, Instant, one_of
from trading_assets.ledger.table_basis import metadata as metadata


def _in(column: str, values: frozenset[OrderState]) -> str:
    return f"{column} IN (" + ", ".join(f"'{value.value}'" for value in sorted(values)) + ")"


# --- what others tell -----------------------------------------------------------------------------------------------

external_signals = Table(
    "external_signals",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source", Text, nullable=False, comment="as configured in signals.webhook.sources"),
    Column("external_id", Text, comment="the source's own id of this signal"),
    Column("ticker", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("strategy", Text, comment="asked for by the source; null: confidence and volume choose it"),
    Column("received_at", Instant, nullable=False),
    Column("note", Text),
    one_of("direction", Direction),
    one_of("strategy", Strategy),
    CheckConstraint("ticker ~ '^[A-Z][A-Z0-9.]{0,9}$'", name="ticker_well_formed"),
    CheckConstraint("char_length(source) BETWEEN 1 AND 64", name="source_bounded"),
    CheckConstraint("char_length(external_id) BETWEEN 1 AND 128", name="external_id_bounded"),
    CheckConstraint("char_length(note) BETWEEN 1 AND 500", name="note_bounded"),
    UniqueConstraint("source", "external_id"),
    Index("ix_external_signals_received_at", "received_at"),
)

# --- decisions ------------------------------------------------------------------------------------------------------

watchlist_state = Table(
    "watchlist_state",
    metadata,
    Column("ticker", Text, primary_key=True),
    Column("session", Date, nullable=False),
    Column("as_of", Instant, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("score", Float, nullable=False),
    Column("direction", Text, nullable=False, comment="BULLISH, BEARISH or NONE"),
    Column("factors", JSONB, nullable=False),
    Column("entered_at", Instant, nullable=False),
    CheckConstraint("score BETWEEN 0 AND 1", name="score_in_range"),
    CheckConstraint("rank >= 1", name="rank_positive"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("account", Text, primary_key=True),
    Column("mode", Text, nullable=False, comment="PRACTICE, PAPER or LIVE"),
    Column("broker_account_id", Text, unique=True, comment="verified at the first successful connection"),
    Column("opening_cash", Amount, comment="cash at the broker before this ledger's first order"),
    Column("reconciled_at", Instant),
    Column("reconciled_start", Text, comment="world start id under which reconciled_at was written"),
    Column("reconciliation", JSONB, comment="last reconciliation report"),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("mode IN ('PRACTICE', 'PAPER', 'LIVE')", name="mode_known"),
)

kill_switches = Table(
    "kill_switches",
    metadata,
    Column("scope", Text, primary_key=True, comment="'*' for all accounts, else an account name"),
    Column("kill_mode", Text, nullable=False),
    Column("set_at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    one_of("kill_mode", KillMode),
)

dispatcher_runs = Table(
    "dispatcher_runs",
    metadata,
    Column("run_id", Text, primary_key=True, comment="Dagster run id"),
    Column("job", Text, nullable=False),
    Column("account", Text, comment="null for the minute run, which serves all accounts"),
    Column("ticket", Text, nullable=False, unique=True, comment="single-use permission issued by a sensor tick"),
    Column("as_of", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("outcome", JSONB),
)

dispatch_recommendations = Table(
    "dispatch_recommendations",
    metadata,
    Column("signal_id", Text, primary_key=True),
    Column("session", Date, nullable=False),
    Column("ticker", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("bar_start", Instant, nullable=False),
    Column("known_at", Instant, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("watchlist_score", Float, nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("rule_set", Text, nullable=False),
    Column("config_hash", Text, nullable=False),
    Column("factors", JSONB, nullable=False),
    Column("features", JSONB, nullable=False),
    Column("sentiment", JSONB, nullable=False),
    Column("published_at", Instant, nullable=False),
    Column("published_by", Text, nullable=False, comment="Dagster run id"),
    Column("preset", Text, nullable=False, server_default="default"),
    one_of("action", Action),
    one_of("strategy", Strategy),
    one_of("direction", Direction),
    CheckConstraint("action <> 'HOLD'", name="actionable"),
    CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence_in_range"),
    Index("ix_dispatch_recommendations_session", "session"),
)

dispatch_status = Table(
    "dispatch_status",
    metadata,
    Column("signal_id", Text, ForeignKey("dispatch_recommendations.signal_id"), primary_key=True),
    Column("account", Text, ForeignKey("accounts.account"), primary_key=True),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("run_id", Text, comment="run that holds or held the claim"),
    Column("lease_until", Instant),
    Column("updated_at", Instant, nullable=False),
    one_of("status", SignalStatus),
    CheckConstraint("(status = 'PROCESSING') = (lease_until IS NOT NULL)", name="lease_while_processing"),
    CheckConstraint("status NOT IN ('SKIPPED', 'FAILED') OR reason IS NOT NULL", name="reason_given"),
    Index("ix_dispatch_status_open", "account", postgresql_where=text("status IN ('PENDING', 'PROCESSING')")),
)

decision_inputs = Table(
    "decision_inputs",
    metadata,
    Column("input_hash", Text, primary_key=True, comment="SHA-256 of the canonical JSON payload"),
    Column("kind", Text, nullable=False, comment="chain, quote, account, config"),
    Column("payload", JSONB, nullable=False),
    Column("stored_at", Instant, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", BigInteger, Identity(always=True), primary_key=True),
    Column("signal_id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("outcome", Text, nullable=False, comment="ENTER, SKIP or EXPIRE"),
    Column("reason", Text, nullable=False),
    Column("gates", JSONB, nullable=False, comment="all gate results in rulebook order"),
    Column("selection", JSONB, comment="contract candidates with their scores and refusals"),
    Column("sizing", JSONB, comment="budget, constraints and which one binds"),
    Column("inputs", JSONB, nullable=False, comment="kind -> input_hash"),
    ForeignKeyConstraint(["signal_id", "account"], ["dispatch_status.signal_id", "dispatch_status.account"]),
    CheckConstraint("outcome IN ('ENTER', 'SKIP', 'EXPIRE')", name="outcome_known"),
    Index("ix_decisions_signal_id_account", "signal_id", "account"),
)

# --- positions, orders, fills ---------------------------------------------------------------------------------------

active_positions = Table(
    "active_positions",
    metadata,
    Column("position_id", Text, primary_key=True),
    Column("account", Text, ForeignKey("accounts.account"), nullable=False),
    Column("symbol", Text, nullable=False, comment="OCC symbol or ticker"),
    Column("underlying", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("contract_right", Text),
    Column("strike", Amount),
    Column("expiry", Date),
    Column("multiplier", Integer, nullable=False),
    Column("signal_id", Text, ForeignKey("dispatch_recommendations.signal_id")),
    Column("origin", Text, nullable=False, comment="signal, adopted from the broker, or roll"),
    Column(
        "rolled_from",
        Text,
        ForeignKey("active_positions.position_id"),
        comment="the position in whose place a roll opened this one",
    ),
    Column("state", Text, nullable=False),
    Column("quantity_opened", Integer, nullable=False, comment="contracts or shares bought so far"),
    Column("quantity", Integer, nullable=False, comment="contracts or shares still held"),
    Column("entry_price", Amount, comment="average entry fill per share"),
    Column("entry_underlying", Amount, comment="underlying's price when the entry was decided"),
    Column("entry_delta", Float),
    Column("stop_price", Amount, comment="of the bracket by which a stock was bought; null for options"),
    Column("target_price", Amount, comment="take profit of the same bracket"),
    Column("opened_at", Instant),
    Column("stage", Integer, nullable=False, comment="0, or 1 once half was sold at the target"),
    Column("high_water", Amount, comment="best executable price since entry"),
    Column("exit_reason", Text),
    Column("closed_at", Instant),
    Column("realized_pnl", Amount, nullable=False, comment="from exit fills so far, per the multiplier"),
    Column("created_at", Instant, nullable=False),
    one_of("strategy", Strategy),
    one_of("direction", Direction),
    one_of("state", PositionState),
    CheckConstraint("contract_right IN (" + ", ".join(f"'{r.value}'" for r in Right) + ")", name="right_known"),
    CheckConstraint("origin IN ('signal', 'adopted', 'roll')", name="origin_known"),
    CheckConstraint("(origin = 'roll') = (rolled_from IS NOT NULL)", name="roll_names_position"),
    CheckConstraint("origin <> 'signal' OR signal_id IS NOT NULL", name="signal_named"),
    CheckConstraint("quantity >= 0 AND quantity <= quantity_opened", name="quantity_in_range"),
    CheckConstraint("state <> 'CLOSED' OR (quantity = 0 AND closed_at IS NOT NULL)", name="closed_is_flat"),
    CheckConstraint("multiplier > 0", name="multiplier_positive"),
    UniqueConstraint("account", "signal_id"),
    Index("ix_active_positions_rolled_from", "rolled_from"),
    Index(
        "uq_active_positions_live_symbol",
        "account",
        "symbol",
        unique=True,
        postgresql_where=text("state IN ('OPENING', 'OPEN', 'CLOSING')"),
    ),
    Index(
        "uq_active_positions_live_underlying",
        "account",
        "underlying",
        unique=True,
        postgresql_where=text("state IN ('OPENING', 'OPEN', 'CLOSING') AND origin = 'signal'"),
    ),
)

position_events = Table(
    "position_events",
    metadata,
    Column("event_id", BigInteger, Identity(always=True), primary_key=True),
    Column("position_id", Text, ForeignKey("active_positions.position_id"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False, comment="opened, fill, exit_decided, exit_ordered, half_taken, closed, ..."),
    Column("run_id", Text, nullable=False),
    Column("details", JSONB, nullable=False),
    Index("ix_position_events_position_id", "position_id"),
)

order_intents = Table(
    "order_intents",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("account", Text, ForeignKey("accounts.account"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("position_id", Text, ForeignKey("active_positions.position_id"), nullable=False),
    Column("signal_id", Text, comment="of an entry"),
    Column("symbol", Text, nullable=False),
    Column("underlying", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("multiplier", Integer, nullable=False),
    Column("order_type", Text, nullable=False),
    Column("order_class", Text, nullable=False, server_default="simple"),
    Column("limit_price", Amount, comment="per share; of a multi-leg order net, negative if received"),
    Column("stop_price", Amount),
    Column("leg_of", Text, ForeignKey("order_intents.client_order_id"), comment="the order that this is a leg of"),
    Column("attempt", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column(
        "reason", Text, nullable=False, comment="'entry', 'add', the exit rule, 'take_profit', 'stop_loss' or 'roll'"
    ),
    Column("state", Text, nullable=False),
    Column("broker_order_id", Text, unique=True),
    Column("filled_quantity", Integer, nullable=False),
    Column("filled_avg_price", Amount),
    Column("error", Text, comment="the broker's own words for a rejection, or why the state is UNKNOWN"),
    Column("run_id", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("submitted_at", Instant),
    Column("updated_at", Instant, nullable=False),
    one_of("purpose", Purpose),
    one_of("side", Side),
    one_of("state", OrderState),
    CheckConstraint("order_type IN ('limit', 'market', 'stop')", name="order_type_known"),
    CheckConstraint("order_class IN ('simple', 'bracket', 'oco', 'leg', 'mleg', 'mleg_leg')", name="order_class_known"),
    CheckConstraint("(order_type = 'stop') = (stop_price IS NOT NULL)", name="stop_has_price"),
    CheckConstraint("(order_class IN ('leg', 'mleg_leg')) = (leg_of IS NOT NULL)", name="leg_names_order"),
    CheckConstraint("order_type <> 'stop' OR purpose = 'PROTECT'", name="stops_protect"),
    CheckConstraint("(order_type = 'limit') = (limit_price IS NOT NULL)", name="limit_has_price"),
    CheckConstraint("quantity > 0 AND filled_quantity BETWEEN 0 AND quantity", name="quantity_in_range"),
    CheckConstraint("length(client_order_id) <= 128", name="client_order_id_short"),
    CheckConstraint("(purpose = 'ENTRY') = (side = 'buy')", name="entries_buy_exits_sell"),
    CheckConstraint(
        "purpose <> 'ENTRY' OR signal_id IS NOT NULL OR order_class = 'mleg_leg'", name="entry_names_signal"
    ),
    CheckConstraint("(purpose = 'ROLL') = (order_class = 'mleg')", name="rolls_have_legs"),
    UniqueConstraint("position_id", "purpose", "attempt", "step"),
    Index(
        "uq_order_intents_one_live_entry",
        "account",
        "signal_id",
        unique=True,
        postgresql_where=text("purpose = 'ENTRY' AND " + _in("state", LIVE_STATES)),
    ),
    # One exit at work, or one resting pair: a take profit takes the place of the exit, and a stop stands beside it. A
    # roll is an exit, too; its legs go with it.
    Index(
        "uq_order_intents_one_live_exit",
        "position_id",
        text("(order_type = 'stop')"),
        unique=True,
        postgresql_where=text("purpose <> 'ENTRY' AND order_class <> 'mleg_leg' AND " + _in("state", LIVE_STATES)),
    ),
)

dispatch_executions = Table(
    "dispatch_executions",
    metadata,
    Column("execution_id", Text, primary_key=True, comment="the broker's fill activity id, or its execution id alone"),
    Column("client_order_id", Text, ForeignKey("order_intents.client_order_id")),
    Column("position_id", Text, ForeignKey("active_positions.position_id"), nullable=False),
    Column("account", Text, ForeignKey("accounts.account"), nullable=False),
    Column("broker_order_id", Text, nullable=False),
    Column("cumulative_quantity", Integer, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("price", Amount, nullable=False),
    Column("multiplier", Integer, nullable=False),
    Column("executed_at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    Column("booked_at", Instant, nullable=False),
    Column("run_id", Text, nullable=False),
    # Activities name a fill as "instant::uuid", the trade stream as "uuid": one fill, one identity.
    Column("fill_id", Text, Computed("regexp_replace(execution_id, '^.*::', '')", persisted=True)),
    one_of("side", Side),
    UniqueConstraint("broker_order_id", "cumulative_quantity"),
    UniqueConstraint("account", "fill_id"),
    CheckConstraint("quantity > 0 AND cumulative_quantity >= quantity", name="quantity_in_range"),
    CheckConstraint("price >= 0", name="price_not_negative"),
)

execution_changes = Table(
    "execution_changes",
    metadata,
    Column("change_number", BigInteger, Identity(always=True), primary_key=True),
    Column("account", Text, ForeignKey("accounts.account"), nullable=False),
    Column("change_id", Text, nullable=False, comment="identity of the broker's message"),
    Column("fill_id", Text, nullable=False, comment="the fill that is changed; it may become known only later"),
    Column("new_fill_id", Text, comment="the fill's identity from now on, where a correction gives it another"),
    Column("broker_order_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("quantity", Integer, comment="the right quantity; null: as it was"),
    Column("price", Amount, comment="the right price per share; null: as it was"),
    Column("changed_at", Instant, nullable=False),
    Column("booked_at", Instant, nullable=False),
    Column("run_id", Text, nullable=False),
    CheckConstraint("kind IN ('trade_bust', 'trade_correct')", name="kind_known"),
    CheckConstraint("quantity > 0", name="quantity_positive"),
    CheckConstraint("price >= 0", name="price_not_negative"),
    UniqueConstraint("account", "change_id"),
    Index("ix_execution_changes_account_fill_id", "account", "fill_id"),
)

# --- splits ---------------------------------------------------------------------------------------------------------

share_splits = Table(
    "share_splits",
    metadata,
    Column("action_id", Text, primary_key=True, comment="the broker's id of the corporate action"),
    Column("ticker", Text, nullable=False),
    Column("ex_session", Date, nullable=False, comment="first session in which prices are of the new shares"),
    Column("numerator", Amount, nullable=False, comment="new shares ..."),
    Column("denominator", Amount, nullable=False, comment="... for so many old ones"),
    Column("known_at", Instant, nullable=False, comment="when it was first seen here"),
    CheckConstraint("numerator > 0 AND denominator > 0", name="ratio_positive"),
    Index("ix_share_splits_ticker", "ticker"),
)

position_splits = Table(
    "position_splits",
    metadata,
    Column("position_id", Text, ForeignKey("active_positions.position_id"), primary_key=True),
    Column("action_id", Text, ForeignKey("share_splits.action_id"), primary_key=True),
    Column("effective_at", Instant, nullable=False, comment="fills before it are of the old shares"),
    Column(
        "numerator",
        Amount,
        nullable=False,
        comment="held units for so many old ones; 1 to 1 for a contract whose deliverable changed instead",
    ),
    Column("denominator", Amount, nullable=False),
    Column("symbol_before", Text, nullable=False),
    Column("symbol_after", Text, nullable=False),
    Column("quantity_before", Integer, nullable=False),
    Column("quantity_after", Integer, nullable=False),
    Column("applied_at", Instant, nullable=False),
    Column("run_id", Text, nullable=False),
    CheckConstraint("numerator > 0 AND denominator > 0", name="ratio_positive"),
    CheckConstraint("quantity_before >= 0 AND quantity_after >= 0", name="quantities_not_negative"),
)

#: Views: what is read, and never written.
views = MetaData()

#: Fills as they stand: without those that the broker took back, and with what it corrected.
booked_executions = Table(
    "booked_executions",
    views,
    *(Column(column.name, column.type, nullable=column.nullable) for column in dispatch_executions.columns),
)

# --- the trade stream -----------------------------------------------------------------------------------------------

trade_streams = Table(
    "trade_streams",
    metadata,
    Column("account", Text, ForeignKey("accounts.account"), primary_key=True),
    Column("state", Text, nullable=False, comment="connecting, listening, refused or stopped"),
    Column("changed_at", Instant, nullable=False, comment="since when, as all instants here by the machine's clock"),
    Column("seen_at", Instant, nullable=False, comment="last sign of life of the service itself"),
    Column("connected_at", Instant, comment="since when it listens; null while it does not"),
    Column("frame_at", Instant, comment="last frame"),
    Column("pong_at", Instant, comment="last answer to a ping"),
    Column("compared_at", Instant, comment="when frames and the broker's lists last told the same"),
    Column("unhealthy_since", Instant, comment="null while it is well"),
    Column("trouble", Text, comment="what is wrong, or was last"),
    Column("connections", Integer, nullable=False, comment="times it began to listen"),
    Column("frames", BigInteger, nullable=False),
    Column("odd_frames", Integer, nullable=False, comment="frames that made no sense"),
    Column("suspicions", Integer, nullable=False, comment="times the broker's lists showed what no frame had told"),
    Column("backfills", Integer, nullable=False),
    Column("backfilled_fills", Integer, nullable=False, comment="fills booked from the broker's lists"),
    CheckConstraint("state IN ('connecting', 'listening', 'refused', 'stopped')", name="state_known"),
    CheckConstraint("(state = 'listening') = (connected_at IS NOT NULL)", name="connected_while_listening"),
)

trade_stream_oddities = Table(
    "trade_stream_oddities",
    metadata,
    Column("account", Text, ForeignKey("accounts.account"), primary_key=True),
    Column("digest", Text, primary_key=True, comment="SHA-256 of the frame"),
    Column("frame", Text, nullable=False, comment="as it came, at most its first 20,000 characters"),
    Column("reason", Text, nullable=False, comment="why it could not be used"),
    Column("seen_at", Instant, nullable=False, comment="first time, by the market's clock"),
    Column("times", Integer, nullable=False, comment="how often it came"),
    Index("ix_trade_stream_oddities_seen_at", "seen_at"),
)

# --- drawdown -------------------------------------------------------------------------------------------------------

equity_marks = Table(
    "equity_marks",
    metadata,
    Column("account", Text, ForeignKey("accounts.account"), primary_key=True),
    Column("high_water", Amount, comment="highest equity since the start of the mark"),
    Column("equity", Amount, nullable=False, comment="equity last seen"),
    Column("observed_at", Instant, nullable=False),
    Column("low_since", Instant, comment="since when a drawdown that would pause is seen"),
    Column("paused_at", Instant),
    Column("pause_reason", Text),
    Column("resumed_at", Instant),
    CheckConstraint("(paused_at IS NULL) = (pause_reason IS NULL)", name="pause_has_reason"),
)

cash_flows = Table(
    "cash_flows",
    metadata,
    Column("account", Text, ForeignKey("accounts.account"), primary_key=True),
    Column("activity_id", Text, primary_key=True, comment="the broker's id"),
    Column("kind", Text, nullable=False, comment="the broker's word: CSD, CSW, JNLC, ACATC"),
    Column("amount", Amount, nullable=False, comment="dollars, negative if paid out"),
    Column("paid_on", Date, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

#: Tables whose rows never change once written.
IMMUTABLE = (
    dispatch_recommendations,
    decision_inputs,
    decisions,
    dispatch_executions,
    execution_changes,
    position_events,
    *IMMUTABLE_NEWS,
    external_signals,
    position_splits,
)
