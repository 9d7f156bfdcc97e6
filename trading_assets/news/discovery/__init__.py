"""HOW the universe is found: what is known (``context``), who answers (``ranker``, ``asking``), and what of the answer
counts (``validation``). Storing and following it is the asset's and the desk's part.
"""
