"""trading-assets: a self-hosted, news-driven stock and options trading system built on Dagster.

The rooms, from the inside out: ``domain`` (identities and frozen values), ``market``, ``strategy``, ``risk`` and
``simulation`` (pure functions), ``ledger`` (PostgreSQL), ``news`` and ``broker`` (the outside world), ``exchange``
(a practice exchange that speaks Alpaca's protocol), ``world`` (one directory with everything a run needs),
``assets``, ``jobs``, ``automation`` and ``resources`` (Dagster), ``demo`` (one accelerated session) and ``cli``.
"""

__version__ = "0.1.0"
