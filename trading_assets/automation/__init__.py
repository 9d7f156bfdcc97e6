"""WHEN things happen: partitions, schedules, sensors, and the tickets that sensors issue.

Schedules and sensors only read and decide; jobs act. Previewing a tick in the Dagster UI executes its body, so a body
has no side effects.
"""
