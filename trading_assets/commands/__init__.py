"""Commands with more to them than a few lines of ``trading_assets.cli``: options in, text or JSON out."""
