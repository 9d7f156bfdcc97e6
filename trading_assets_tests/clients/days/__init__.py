"""Scripts that live the day, one for each Python client, each a process in the environment of its client.

They import nothing of the project but each other: the environment of ``alpaca-trade-api`` holds that client alone.
"""
