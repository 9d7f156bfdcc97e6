"""Scoring a story by the words of its article, too, where they were read before.

The option is part of the model's revision, so that scores of the two ways are never mixed. Which text a score has seen
is told by the ledger: the one that was stored no later than the score was made. Tickers, and the clauses of a story of
several companies, are those of title and summary.
"""

from __future__ import annotations

from trading_assets.news.readable import require_readable
from trading_assets.news.sentiment import RuledModel, ScoringError, SentimentModel

#: Counted up when other words of an article are scored.
RULES = "texts-1"


class WholeArticleModel(RuledModel):
    """A model that is shown a story with its text. It scores a text as the model within it does."""

    rule = RULES


def reads_texts(model: SentimentModel) -> bool:
    """Whether ``model`` is to be shown the texts of articles."""
    if isinstance(model, WholeArticleModel):
        return True
    return isinstance(model, RuledModel) and reads_texts(model.inner)


def article_text(title: str, summary: str | None, text: str | None = None) -> str:
    """What is scored: the title, then the summary unless one repeats the other, then the article's text.

    A summary that stands in the text is not read twice. A text that no model here reads (another language, a page
    without words) is left out.
    """
    if text is None or not _readable(text):
        return _joined(title, summary)
    repeated = summary is not None and _folded(summary) in _folded(text)
    return _joined(_joined(title, None if repeated else summary), text)


def _joined(first: str, second: str | None) -> str:
    head, body = first.strip(), (second or "").strip()
    if not head or body.casefold().startswith(head.casefold()):
        return body or head
    if not body or head.casefold().startswith(body.casefold()):
        return head
    return f"{head} {body}" if head.endswith((".", "!", "?", ":")) else f"{head}. {body}"


def _readable(text: str) -> bool:
    try:
        require_readable(text)
    except ScoringError:
        return False
    return True


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
