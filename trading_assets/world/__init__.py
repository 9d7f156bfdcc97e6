"""One world, one directory: databases, frames, the practice exchange, Dagster's home, processes, lock and clock.

What belongs here: everything that makes a world run on this machine. What does not: rules, orders, Dagster itself.
Imports ``ledger``, ``market`` and ``domain``.
"""
