"""News: when a feed is asked next and how it answered, article texts, why a ticker, listed companies, the universe."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010_news"
down_revision = "0009_splits"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_IMMUTABLE = ("article_texts", "universe_runs", "universe_members")


def upgrade() -> None:
    op.add_column(
        "feed_state",
        sa.Column("next_attempt_at", _INSTANT, comment="not asked before; null: asked in the next round"),
    )
    op.add_column(
        "feed_state",
        sa.Column("last_status", sa.Integer(), comment="HTTP status of the last attempt; null without an answer"),
    )
    op.add_column(
        "inbound_events_raw",
        sa.Column(
            "symbols",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            server_default=sa.text("'{}'"),
            comment="companies that the source itself says the article is about",
        ),
    )
    op.create_index("ix_inbound_events_raw_link", "inbound_events_raw", ["link"], postgresql_using="hash")
    op.add_column(
        "inbound_events_classified",
        sa.Column(
            "mentions",
            postgresql.JSONB(),
            nullable=False,
            server_default=sa.text("'[]'"),
            comment="one object per ticker, in the order of tickers: symbol, how and by which words it was found, and "
            "its own score where its clause was scored by itself",
        ),
    )
    op.create_table(
        "feed_attempts",
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stories", sa.Integer(), nullable=False, comment="in the answer"),
        sa.Column("new", sa.Integer(), nullable=False, comment="stored for the first time"),
        sa.Column("elapsed_ms", sa.Integer(), comment="wall time of the whole answer; null if none was waited for"),
        sa.Column("bytes", sa.Integer(), comment="size of the body, unpacked; null without one"),
        sa.Column("error", sa.Text()),
        sa.CheckConstraint("status IN ('fetched', 'not_modified', 'failed')", name="status_known"),
        sa.CheckConstraint("(error IS NOT NULL) = (status = 'failed')", name="error_says_why"),
        sa.CheckConstraint("stories >= 0 AND new >= 0", name="counts_not_negative"),
        sa.PrimaryKeyConstraint("feed", "at", name="pk_feed_attempts"),
    )
    op.create_index("ix_feed_attempts_at", "feed_attempts", ["at"])
    op.create_table(
        "article_texts",
        sa.Column("event_uid", sa.Text(), nullable=False),
        sa.Column("attempted_at", _INSTANT, nullable=False),
        sa.Column("text", sa.Text(), comment="the article's own words; null if they could not be had"),
        sa.Column("error", sa.Text(), comment="why there is no text"),
        sa.CheckConstraint("(text IS NULL) <> (error IS NULL)", name="text_or_reason"),
        sa.ForeignKeyConstraint(["event_uid"], ["inbound_events_raw.event_uid"], name="fk_article_texts_event_uid"),
        sa.PrimaryKeyConstraint("event_uid", name="pk_article_texts"),
    )
    op.create_table(
        "listed_companies",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), comment="as the broker writes it; null if it names none"),
        sa.Column("exchange", sa.Text()),
        sa.Column("tradable", sa.Boolean(), nullable=False),
        sa.Column("optionable", sa.Boolean(), nullable=False),
        sa.Column("seen_at", _INSTANT, nullable=False, comment="of the list of assets in which it stood last"),
        sa.PrimaryKeyConstraint("symbol", name="pk_listed_companies"),
    )
    op.create_index("ix_listed_companies_seen_at", "listed_companies", ["seen_at"])
    op.create_table(
        "universe_runs",
        sa.Column("universe_id", sa.Text(), nullable=False),
        sa.Column("as_of", _INSTANT, nullable=False, comment="the context was read as it was known then"),
        sa.Column("known_at", _INSTANT, nullable=False, comment="a decision before it knows the universe before it"),
        sa.Column("method", sa.Text(), nullable=False, comment="ranker, or bedrock"),
        sa.Column("model", sa.Text(), nullable=False, comment="the model's id, or the ranker's name"),
        sa.Column("revision", sa.Text(), nullable=False, comment="of the prompt and rules that were used"),
        sa.Column(
            "context",
            postgresql.JSONB(),
            nullable=False,
            comment="stories, surges and tracked tickers that were shown",
        ),
        sa.Column("answer", postgresql.JSONB(), comment="as it came, before validation; null if none came"),
        sa.Column("error", sa.Text(), comment="why the universe before stays; null for one that counts"),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("cost", sa.Numeric(20, 6), comment="dollars, by the configured prices"),
        sa.Column("elapsed_ms", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.CheckConstraint("as_of <= known_at", name="known_after"),
        sa.PrimaryKeyConstraint("universe_id", name="pk_universe_runs"),
    )
    op.create_index("ix_universe_runs_known_at", "universe_runs", ["known_at"])
    op.create_table(
        "universe_members",
        sa.Column("universe_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="in the answer, from 1"),
        sa.Column("symbol", sa.Text(), nullable=False, comment="as it was named, also if it is none"),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), comment="why it was refused or kept"),
        sa.Column("sector", sa.Text()),
        sa.Column("catalyst", sa.Text()),
        sa.Column("confidence", sa.Float()),
        sa.Column("expected_volume", sa.Float(), comment="as a multiple of its usual volume"),
        sa.Column(
            "sources",
            postgresql.JSONB(),
            nullable=False,
            comment="stories and surges of the context that speak for it",
        ),
        sa.CheckConstraint("status IN ('active', 'reserve', 'kept', 'rejected')", name="status_known"),
        sa.CheckConstraint("position > 0", name="position_positive"),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence_in_range"),
        sa.ForeignKeyConstraint(["universe_id"], ["universe_runs.universe_id"], name="fk_universe_members_universe_id"),
        sa.PrimaryKeyConstraint("universe_id", "position", name="pk_universe_members"),
    )
    for table in _IMMUTABLE:
        op.execute(
            f"CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in ("universe_members", "universe_runs", "listed_companies", "article_texts", "feed_attempts"):
        op.drop_table(table)
    op.drop_index("ix_inbound_events_raw_link", "inbound_events_raw")
    op.drop_column("inbound_events_classified", "mentions")
    op.drop_column("inbound_events_raw", "symbols")
    op.drop_column("feed_state", "last_status")
    op.drop_column("feed_state", "next_attempt_at")
