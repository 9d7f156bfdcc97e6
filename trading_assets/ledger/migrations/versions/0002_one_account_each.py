"""A broker account belongs to one account of the ledger: crossed credentials cannot be bound twice."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_unique_constraint("uq_accounts_broker_account_id", "accounts", ["broker_account_id"])


def downgrade() -> None:
    op.drop_constraint("uq_accounts_broker_account_id", "accounts", type_="unique")
