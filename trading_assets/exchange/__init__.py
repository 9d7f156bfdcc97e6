"""The practice exchange: Alpaca's wire protocol, RSS and a control path on loopback, driven by a simulated market.

What belongs here: the server side only. Clients live elsewhere and share no code with this room, because they are
what it tests. It imports ``simulation``, ``market`` and ``domain`` and nothing else of the project.

The way of a request: ``rest_*`` parse and answer (shapes in ``wire``), ``venue`` serialises and journals, ``engine``,
``rules`` and ``complex_orders`` decide (commands to events), ``state`` applies events, ``trade_updates`` tells of them.
The way of market data: ``bars``, ``ticks`` and ``newsroom`` say what is known at an instant; the ``rest_*`` routes
answer with it, and ``stream_messages`` makes of it what ``data_streams`` tells in a ``codecs`` frame.
A restart replays the journal through ``state``.
"""
