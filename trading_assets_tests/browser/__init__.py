"""The Dagster UI of a finished day, read and used through a real browser."""
