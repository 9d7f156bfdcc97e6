"""Alembic migrations of the ledger, shipped inside the package.

A revision is frozen history: it never imports ``ledger.tables``, so that a database built years ago and one built today
went through the same statements. A test compares the result with ``ledger.tables``.
"""
