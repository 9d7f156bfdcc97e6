"""What to do and why, as pure functions: who is watched, which signals, which contract at which limits, when to leave.

What belongs here: rules over values and frames that are handed in, and their configuration. What does not: clocks,
files, the database, the broker, Dagster, and the gates and sizes of ``risk``. Imports ``market`` and ``domain``.

- **deciding**: ``news_view`` (what the news says at an instant), ``watchlist`` with ``membership``, ``signals`` with
  ``confidence``, ``standing`` and the ``rule_sets``
- **buying**: ``contracts`` with ``refusals``, ``contract_quality``, ``chain_columns`` and ``volatility_rank``;
  ``quoting`` and ``orders`` (limits), ``option_model`` where the market gives no value
- **leaving**: ``exits`` with ``exit_rules`` and ``exit_values``, ``overnight``, ``scaling``, ``rolling``,
  ``roll_contract``
"""
