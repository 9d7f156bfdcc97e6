"""Asset groups (a Dagster concept) in the order of the pipeline. The UI sorts groups by name, hence the numbers."""

NEWS = "1_news"
MARKET_DATA = "2_market_data"
ANALYSIS = "3_analysis"
DECISIONS = "4_decisions"
TRADING = "5_trading"

#: From the first to the last.
GROUPS = (NEWS, MARKET_DATA, ANALYSIS, DECISIONS, TRADING)


def group_title(group: str) -> str:
    """How a person says it: ``2_market_data`` is ``market data``."""
    return group.partition("_")[2].replace("_", " ")
