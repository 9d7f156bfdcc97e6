"""The text of one HTML page, from standard input to standard output: a program of its own, so that it can be ended.

``python -m trading_assets.news.extract_text "text/html; charset=utf-8" < page.html``
"""

from __future__ import annotations

import sys

from trading_assets.news.charset import decode


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


if __name__ == "__main__":
    sys.stdout.buffer.write(extract(sys.stdin.buffer.read(), sys.argv[1]).encode("utf-8", "replace"))
