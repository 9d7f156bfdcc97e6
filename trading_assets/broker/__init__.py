"""Whatever is said to a broker and heard from it, so that no order is ever lost or doubled.

What belongs here: the one wrapper around the SDK, requests and what their answers mean, orders from intent to booked
fill, streams, and the comparison of ledger and broker. What does not: whether and how much is bought (``risk``,
``strategy``), and the jobs that ask for it. Imports ``ledger``, ``market`` and ``domain``.

- **speaking**: ``alpaca`` is the only module that sends; ``transport``, ``rate_budget``, ``errors`` and ``parsing``
  stand between it and the network, ``values`` is what it hands out; ``market_data``, ``shared_data`` and
  ``news_wire`` read
- **ordering**: ``submission`` and ``sending`` write the intent before the request; ``ladder``, ``climbing``,
  ``legs``, ``protection``, ``combos`` and ``rolling`` say which orders make an entry, an exit, a bracket or a roll;
  ``working`` follows one, ``booking`` and ``combo_booking`` are the only ones through which money changes a position
- **hearing**: ``trade_stream`` and ``news_stream``
- **comparing**: ``reconciling`` and ``reconciliation``, with ``unread``, ``adoption``, ``changes``,
  ``action_history``, ``corporate_actions`` and ``split_outcomes`` for what was not done here; ``consistency`` after
  the day
"""
