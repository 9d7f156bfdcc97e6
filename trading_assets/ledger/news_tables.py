"""Tables of the news: feeds, articles, their scores, the companies they may name, and the discovered universe.

What was observed is written once and never changed (``IMMUTABLE_NEWS``): a past decision must find the article, the
score and the universe that it saw. Only what is remembered of a feed and the cached list of assets are replaced.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from trading_assets.ledger.table_basis import Instant, metadata

feed_state = Table(
    "feed_state",
    metadata,
    Column("feed", Text, primary_key=True, comment="configured name of the feed"),
    Column("url", Text, nullable=False),
    Column("etag", Text),
    Column("last_modified", Text),
    Column("last_attempt_at", Instant, nullable=False),
    Column("last_success_at", Instant),
    Column("error_count", Integer, nullable=False, comment="consecutive failures; 0 after a success"),
    Column("last_error", Text),
    Column("next_attempt_at", Instant, comment="not asked before; null: asked in the next round"),
    Column("last_status", Integer, comment="HTTP status of the last attempt; null without an answer"),
    Column(
        "waiting",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="new stories of the last answer for which there was no room yet",
    ),
    CheckConstraint("error_count >= 0", name="error_count_not_negative"),
)

feed_attempts = Table(
    "feed_attempts",
    metadata,
    Column("feed", Text, primary_key=True),
    Column("at", Instant, primary_key=True),
    Column("status", Text, nullable=False),
    Column("stories", Integer, nullable=False, comment="in the answer"),
    Column("new", Integer, nullable=False, comment="stored for the first time"),
    Column("elapsed_ms", Integer, comment="wall time of the whole answer; null if none was waited for"),
    Column("bytes", Integer, comment="size of the body, unpacked; null without one"),
    Column("error", Text),
    CheckConstraint("status IN ('fetched', 'not_modified', 'failed')", name="status_known"),
    CheckConstraint("(error IS NOT NULL) = (status = 'failed')", name="error_says_why"),
    CheckConstraint("stories >= 0 AND new >= 0", name="counts_not_negative"),
    Index("ix_feed_attempts_at", "at"),
)

inbound_events_raw = Table(
    "inbound_events_raw",
    metadata,
    Column("event_uid", Text, primary_key=True, comment="SHA-256 of guid, else link, else title + published"),
    Column("feed", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("link", Text),
    Column("summary", Text),
    Column("published_at", Instant, comment="null when the feed gives no usable date"),
    Column("fetched_at", Instant, nullable=False),
    Column("cluster_id", Text, nullable=False, comment="event_uid of the first story of the same event"),
    Column(
        "symbols",
        ARRAY(Text),
        nullable=False,
        server_default=text("'{}'"),
        comment="companies that the source itself says the article is about",
    ),
    CheckConstraint("event_uid ~ '^[0-9a-f]{64}$'", name="event_uid_is_sha256"),
    Index("ix_inbound_events_raw_fetched_at", "fetched_at"),
    # An address may be longer than what a sorted index takes.
    Index("ix_inbound_events_raw_link", "link", postgresql_using="hash"),
)

article_texts = Table(
    "article_texts",
    metadata,
    Column("event_uid", Text, ForeignKey("inbound_events_raw.event_uid"), primary_key=True),
    Column("attempted_at", Instant, nullable=False),
    Column("text", Text, comment="the article's own words; null if they could not be had"),
    Column("error", Text, comment="why there is no text"),
    CheckConstraint("(text IS NULL) <> (error IS NULL)", name="text_or_reason"),
)

inbound_events_classified = Table(
    "inbound_events_classified",
    metadata,
    Column("event_uid", Text, ForeignKey("inbound_events_raw.event_uid"), nullable=False),
    Column("model", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("tickers", ARRAY(Text), nullable=False),
    Column("sentiment_label", Text, nullable=False),
    Column("sentiment_score", Float, nullable=False, comment="P(positive) - P(negative), in [-1, 1]"),
    Column("confidence", Float, nullable=False, comment="largest class probability, in [0, 1]"),
    Column("scored_at", Instant, nullable=False),
    Column(
        "mentions",
        JSONB,
        nullable=False,
        server_default=text("'[]'"),
        comment="one object per ticker, in the order of tickers: symbol, how and by which words it was found, and its "
        "own score where its clause was scored by itself",
    ),
    UniqueConstraint("event_uid", "model", "revision"),
    CheckConstraint("sentiment_label IN ('positive', 'neutral', 'negative')", name="label_known"),
    CheckConstraint("sentiment_score BETWEEN -1 AND 1", name="score_in_range"),
    CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence_in_range"),
)

listed_companies = Table(
    "listed_companies",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("name", Text, comment="as the broker writes it; null if it names none"),
    Column("exchange", Text),
    Column("tradable", Boolean, nullable=False),
    Column("optionable", Boolean, nullable=False),
    Column("seen_at", Instant, nullable=False, comment="of the list of assets in which it stood last"),
    Index("ix_listed_companies_seen_at", "seen_at"),
)

universe_runs = Table(
    "universe_runs",
    metadata,
    Column("universe_id", Text, primary_key=True),
    Column("as_of", Instant, nullable=False, comment="the context was read as it was known then"),
    Column("known_at", Instant, nullable=False, comment="a decision before it knows the universe before it"),
    Column("method", Text, nullable=False, comment="ranker, bedrock, or configured"),
    Column("model", Text, nullable=False, comment="the model's id, or the ranker's name"),
    Column("revision", Text, nullable=False, comment="of the prompt and rules that were used"),
    Column("context", JSONB, nullable=False, comment="stories, surges and tracked tickers that were shown"),
    Column("answer", JSONB, comment="as it came, before validation; null if none came"),
    Column("error", Text, comment="why the universe before stays; null for one that counts"),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cost", Numeric(20, 6), comment="dollars, by the configured prices"),
    Column("elapsed_ms", Integer, nullable=False),
    Column("run_id", Text, nullable=False),
    Column(
        "followed",
        Boolean,
        nullable=False,
        comment="false for a discovery that was made while the configured tickers were followed: it never counts",
    ),
    CheckConstraint("as_of <= known_at", name="known_after"),
    Index("ix_universe_runs_known_at", "known_at"),
)

universe_members = Table(
    "universe_members",
    metadata,
    Column("universe_id", Text, ForeignKey("universe_runs.universe_id"), primary_key=True),
    Column("position", Integer, primary_key=True, comment="in the answer, from 1"),
    Column("symbol", Text, nullable=False, comment="as it was named, also if it is none"),
    Column("status", Text, nullable=False),
    Column("reason", Text, comment="why it was refused or kept"),
    Column("sector", Text),
    Column("catalyst", Text),
    Column("confidence", Float),
    Column("expected_volume", Float, comment="as a multiple of its usual volume"),
    Column("sources", JSONB, nullable=False, comment="stories and surges of the context that speak for it"),
    CheckConstraint("status IN ('active', 'reserve', 'kept', 'rejected')", name="status_known"),
    CheckConstraint("position > 0", name="position_positive"),
    CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence_in_range"),
)

#: Rows of these refuse UPDATE and DELETE.
IMMUTABLE_NEWS = (
    inbound_events_raw,
    inbound_events_classified,
    article_texts,
    universe_runs,
    universe_members,
)
