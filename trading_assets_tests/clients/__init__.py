"""Unmodified clients of the broker, each in an environment of its own, live a scripted day on a practice exchange.

Run by ``make test-clients``, which makes the environments. ``plan`` writes the day, ``days`` and ``node`` hold the
scripts that live it, the tests judge what the scripts report.
"""
