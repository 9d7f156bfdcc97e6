"""The seeded market behind the practice exchange, and the rules by which it fills orders.

What belongs here: price paths, news events, headlines, option chains on an implied-volatility surface, and fill
decisions, all as pure functions of a seed and an instant. What does not: a clock, a socket, a file, accounts and order
books (``exchange``), or anything that judges the market (``strategy``, ``risk``). The broker room never imports this.

Modules: ``universe`` (who is listed), ``profile`` (how lively the market is), ``randomness`` (named seeds), ``events``
(news and its effect), ``paths`` (daily and minute bars), ``contracts`` (expiries and strikes), ``surface`` (option
prices), ``headlines`` (the words), ``market`` (the whole, ``SimulatedMarket``), ``fills`` (who trades, and at what).
"""
