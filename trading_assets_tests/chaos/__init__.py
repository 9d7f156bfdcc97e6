"""Random sequences of signals, faults, kills and hand-made trades against the acting jobs, judged by the invariants.

What belongs here: making, running, judging and shrinking sequences. What does not: single named failures, which have
tests of their own. ``python -m trading_assets_tests.chaos --help`` (``make chaos``) runs it for as long as it is told.
"""
