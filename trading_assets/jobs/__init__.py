"""WHAT acts: Dagster jobs that publish signals, send orders and close positions.

Every op that acts first proves that its run may act (``authority``). Deciding is left to ``strategy`` and ``risk``,
sending to ``broker``, remembering to ``ledger``; a job here puts them together for one account.
"""
