"""WITH WHAT the assets and jobs work: Dagster resources that hand out the adapters of the other rooms.

What belongs here: opening things lazily and once per process. What does not: deciding, computing or acting.
"""
