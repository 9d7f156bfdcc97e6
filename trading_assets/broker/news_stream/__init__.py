"""The news socket: articles as the broker tells them, between two questions to its news interface.

It speaks ``websockets`` directly and not through the SDK's ``NewsDataStream``, for the reasons given beside the trade
stream: no time-out of the SDK guards the welcome, nobody learns that a connection was lost and what was missed must be
read, and one frame that it cannot decode ends the loop it is read in.

What belongs here: one connection (``session``) and keeping it alive (``follower``). What does not: what an article
means and storing it, which the follower is handed as functions.
"""
