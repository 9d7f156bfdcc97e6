"""The fault switchboard of the practice exchange: what goes wrong at a broker, armed on purpose and recorded.

What belongs here: faults and nothing that an exchange without faults needs. It is put in the way of requests, frames
and fills only where the configuration says ``faults: true``; otherwise nothing of it is built.

``plan`` says what can be armed, ``switchboard`` decides and records, ``http_faults`` stands in front of every route
(``order_answers`` and ``market_faults`` change what routes answered), ``stream_faults`` behind the stream of trade
updates, ``fill_faults`` between the engine and its market, and ``broker_faults`` acts as the broker. Whatever changes
the world goes through the venue's journal; an armed fault itself does not survive a restart, its record does.
"""
