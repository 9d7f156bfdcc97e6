"""Whether a discovery was made to be followed, and changes of the configured tickers beside the discoveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_followed"
down_revision = "0010_news"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Those that are stored already counted until now, and go on to: a rebuilt day follows what it followed.
    op.add_column(
        "universe_runs",
        sa.Column(
            "followed",
            sa.Boolean(),
            nullable=False,
            server_default=sa.true(),
            comment="false for a discovery that was made while the configured tickers were followed: it never counts",
        ),
    )
    op.alter_column("universe_runs", "followed", server_default=None)
    op.alter_column("universe_runs", "method", comment="ranker, bedrock, or configured")


def downgrade() -> None:
    op.alter_column("universe_runs", "method", comment="ranker, or bedrock")
    op.drop_column("universe_runs", "followed")
