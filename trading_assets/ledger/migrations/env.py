"""Alembic's entry: migrations run on the connection that ``ledger.schema`` hands over, in one transaction."""

from __future__ import annotations

from alembic import context

from trading_assets.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
