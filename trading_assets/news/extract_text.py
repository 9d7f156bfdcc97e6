"""The text of one HTML page. It is found in a process that can be ended (``news.reader_process``)."""

from __future__ import annotations

from trading_assets.news.charset import decode
from trading_assets.news.reader_process import About


def extract(page: bytes, content_type: str) -> str:
    """The words of the article in ``page``; empty if there is none. Comments, menus and tables are left out."""
    import trafilatura

    # What is not UTF-8 and has no label is left to the page's own declaration.
    told = "charset" in content_type.lower() or decode(page).charset == "utf-8"
    found: str | None = trafilatura.extract(
        decode(page, content_type).text if told else page,
        include_comments=False,
        include_tables=False,
        favor_precision=True,
    )
    return found or ""


def answer(about: About, body: bytes) -> bytes:
    """What ``extract`` finds, for the process that reads pages."""
    return extract(body, about["content_type"] or "").encode("utf-8", "replace")
