"""Whether and how much: the gates before an entry, its size, and what an account already has at stake.

What belongs here: pure functions from frozen values to typed decisions. What does not: clocks, files, the database, the
broker, Dagster. Imports ``market`` and ``domain``, and of ``strategy`` its value types only.
"""
