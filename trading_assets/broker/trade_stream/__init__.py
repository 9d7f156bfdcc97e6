"""The trade stream: fills and ends of orders as the broker tells them, between two looks of those who poll.

It speaks ``websockets`` directly and not through the SDK's ``TradingStream``. That class has no time-out for the answer
to its log-in and takes no notice whether its wish to listen was confirmed; it reconnects for ever inside a coroutine
without telling anybody, so that nobody can ask for what was missed meanwhile; it hands out no pongs, which health
needs; and an exception of a handler reaches only its log. Its ``raw_data`` would keep the fields that its model drops
(the legs of a combination); what would then be left of it are two messages, which are written here.

What belongs here: one connection (``session``), what a frame means (``frames``), what it does to the ledger
(``applying``), reading the broker's lists where frames may be missing (``back_fill``), keeping one account's stream
alive (``follower``), what is written down about it (``diary``), when it is well (``health``), and all accounts in one
process (``service``). What does not: booking itself, which polling and stream share (``broker.booking``,
``broker.changes``). Nothing here sends, cancels or changes an order, and everything works without it, only later.
"""
