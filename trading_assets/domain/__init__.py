"""Identities, money, frozen values and protocols shared by every room.

What belongs here: small immutable values with no behaviour beyond their own consistency. What does not: anything that
reads a clock, a file, the environment, a database or the network. This package imports nothing of the project.
"""
