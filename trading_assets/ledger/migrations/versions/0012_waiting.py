"""How many new stories of a feed wait for room."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_waiting"
down_revision = "0011_followed"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "feed_state",
        sa.Column(
            "waiting",
            sa.Integer(),
            nullable=False,
            server_default=sa.text("0"),
            comment="new stories of the last answer for which there was no room yet",
        ),
    )


def downgrade() -> None:
    op.drop_column("feed_state", "waiting")
