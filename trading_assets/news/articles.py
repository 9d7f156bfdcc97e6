"""The articles behind the links of new stories: fetched within narrow bounds, their text found, and stored once.

A link is external text. It is followed only to public addresses (or to one of this machine's own network that the
configuration names as such), only to HTML, and exactly once: whatever comes of it is stored, and never tried again.
Finding the text happens in a process of its own, which is ended when a page takes too long.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from urllib.parse import urlsplit

import httpx
from sqlalchemy import Engine

from trading_assets.domain.clock import Clock
from trading_assets.ledger import article_texts as store
from trading_assets.ledger.article_texts import ArticleText
from trading_assets.news import extract_text
from trading_assets.news.articles_config import ArticlesConfig
from trading_assets.news.config import NewsConfig
from trading_assets.news.guard import is_inside
from trading_assets.news.manners import Manners, RoundOver
from trading_assets.news.reader_process import NotStarted, ReaderProcess, Unread
from trading_assets.news.text import storable
from trading_assets.news.web import Reader, Refused

_ACCEPT = "text/html, application/xhtml+xml"
_ERROR_LIMIT = 500
#: What finding a text needs; the second is not declared by the library that imports it.
_NEEDED = ("trafilatura", "lxml_html_clean")


@dataclass(frozen=True, slots=True)
class ArticlesReport:
    """One round. ``waiting`` articles were not asked for this time; ``reasons`` counts why others have no text;
    ``problem`` says why no article can be read at all."""

    read: int = 0
    waiting: int = 0
    reasons: Counter[str] | None = None
    problem: str | None = None

    def sentence(self) -> str:
        """What became of the articles, for a log."""
        if self.problem is not None:
            return f"articles: {self.problem}"
        failed = ", ".join(f"{reason} ({count})" for reason, count in (self.reasons or Counter()).most_common(5))
        without = f"; without text: {failed}" if failed else ""
        return f"articles: {self.read} read, {self.waiting} waiting{without}"


def read_articles(engine: Engine, config: NewsConfig, clock: Clock) -> ArticlesReport:
    """Fetch the articles of the newest stories and store their texts. Raises only for the database."""
    limits = config.articles
    if not limits.enabled:
        return ArticlesReport()
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        # Nothing is stored: what is tried once is never tried again.
        return ArticlesReport(problem=f"none is read without the extra 'articles' ({', '.join(missing)} is missing)")
    with engine.connect() as connection:
        links = store.links_without_attempt(connection, clock.now() - timedelta(minutes=limits.max_age_minutes))
    allowed = [(uid, link) for uid, link in links if _is_allowed(link, limits)]
    chosen = allowed[: limits.per_round]
    if not chosen:
        return ArticlesReport()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="articles") as runner:
        results = runner.submit(lambda: asyncio.run(_read_all([link for _, link in chosen], config))).result()
    at = clock.now()
    found = [
        ArticleText(uid, at, result.text, result.error)
        for (uid, _), result in zip(chosen, results, strict=True)
        if result is not None
    ]
    with engine.begin() as connection:
        store.add_article_texts(connection, found)
    reasons = Counter(each.error for each in found if each.error is not None)
    return ArticlesReport(sum(each.text is not None for each in found), len(allowed) - len(found), reasons)


@dataclass(frozen=True, slots=True)
class _Result:
    text: str | None
    error: str | None


def _is_allowed(link: str, limits: ArticlesConfig) -> bool:
    host = _host(link)
    return bool(host) and (not limits.hosts or any(host == each or host.endswith(f".{each}") for each in limits.hosts))


def _host(link: str) -> str:
    try:
        return (urlsplit(link).hostname or "").rstrip(".")
    except ValueError:
        return ""


async def _read_all(links: Sequence[str], config: NewsConfig) -> list[_Result | None]:
    limits = config.articles
    fetch = config.fetch.model_copy(
        update={"deadline_s": limits.deadline_s, "round_s": limits.round_s, "max_bytes": limits.max_bytes}
    )
    # One page is searched at a time: it takes a whole core.
    turn = asyncio.Semaphore(1)
    memory_mib = config.reading.memory_mib
    with ReaderProcess(extract_text.__name__, seconds=limits.extract_s, memory_mib=memory_mib) as apart:
        async with Reader(fetch, _ACCEPT, Manners(fetch)) as reader:
            return list(await asyncio.gather(*(_read(reader, apart, link, limits, turn) for link in links)))


async def _read(
    reader: Reader, apart: ReaderProcess, link: str, limits: ArticlesConfig, turn: asyncio.Semaphore
) -> _Result | None:
    host = _host(link)
    # Only an address that the configuration itself writes out may lie inside; a name must resolve to the outside.
    trusted = host in limits.hosts and is_inside(host)
    try:
        answer = await reader.get(link, {}, trusted=trusted, check=_require_html)
    except RoundOver:
        return None
    except Refused as refusal:
        return _Result(None, refusal.reason[:_ERROR_LIMIT])
    if answer.status != 200:
        return _Result(None, f"HTTP {answer.status} {answer.reason}".rstrip())
    async with turn:
        return await _extracted(apart, answer.body, answer.headers.get("content-type", ""), limits)


def _require_html(response: httpx.Response) -> None:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("text/html", "application/xhtml+xml"):
        raise Refused(f"the page is {kind or 'of no stated type'} and not HTML", response.status_code)


async def _extracted(apart: ReaderProcess, body: bytes, content_type: str, limits: ArticlesConfig) -> _Result | None:
    try:
        found = await asyncio.to_thread(apart.read, {"content_type": content_type[:200]}, body)
    except NotStarted:
        # What is stored is never tried again: it waits until the machine has room.
        return None
    except Unread as problem:
        return _Result(None, f"the page {problem}")
    text = storable(found.decode("utf-8", "replace"), limits.max_characters)
    return _Result(text, None) if text else _Result(None, "the page holds no article")
