"""WHAT is materialized: one file per data product, in pipeline order.

news -> sentiment -> universe; daily_bars, splits, bars, option_chains -> iv_history, market_context, features ->
watchlist -> signals; and the results of the jobs that act (orders, executions, positions) as external assets: lineage
leads from news to fill.
Everything here is safe to backfill: no asset publishes a signal or talks to a broker's order path.
"""
