"""A recommendation says by which preset it was decided; those of before were decided by the default one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_presets"
down_revision = "0003_equity_marks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dispatch_recommendations", sa.Column("preset", sa.Text(), nullable=False, server_default="default"))


def downgrade() -> None:
    op.drop_column("dispatch_recommendations", "preset")
