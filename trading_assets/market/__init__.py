"""Pure market knowledge: sessions, frames, bars and timeframes, indicators, features, option symbols and Greeks.

What belongs here: functions from values and polars frames to values and polars frames. What does not: clocks, files,
environment, database, network, Dagster. Imports ``domain`` only.
"""
