"""The configured way of scoring: the model, and which words of a story it is asked about. Part of the model's revision.

Told without loading a model: definitions ask for it once a minute.
"""

from __future__ import annotations

from trading_assets.news.config import NewsConfig
from trading_assets.news.model_identity import version_text
from trading_assets.news.per_company import RULES as CLAUSES
from trading_assets.news.per_company import PerCompanyModel
from trading_assets.news.sentiment import SentimentModel
from trading_assets.news.whole_articles import RULES as TEXTS
from trading_assets.news.whole_articles import WholeArticleModel


def scoring_version(config: NewsConfig) -> str:
    """Name and revision of what ``scoring_model`` makes of the configured model, in one line."""
    texts = f"+{TEXTS}" if config.articles.scored else ""
    clauses = f"+{CLAUSES}" if config.tickers.per_company else ""
    return version_text(config.model) + texts + clauses


def scoring_model(model: SentimentModel, config: NewsConfig) -> SentimentModel:
    """``model``, asked about the configured words of a story."""
    if config.articles.scored:
        model = WholeArticleModel(model)
    return PerCompanyModel(model) if config.tickers.per_company else model
