"""The ledger: PostgreSQL as the truth about why.

What belongs here: SQLAlchemy tables, the queries over them, Alembic migrations. What does not: talking to a broker,
deciding anything, knowing Dagster. Imports ``domain`` only.
"""
