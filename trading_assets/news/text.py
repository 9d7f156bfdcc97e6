"""Text as it arrives in feeds, made plain: markup removed, entities resolved, unstorable characters dropped."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

_SILENT = frozenset({"script", "style", "template", "noscript", "iframe"})
_BREAKS = re.compile(r"br|p|div|li|ul|ol|tr|td|th|table|h[1-6]|blockquote|hr|section|article|figure|figcaption")
#: A tag that is not closed before the next one begins is text. To the parser it would be one as long as the rest.
_OPEN = re.compile(r"<(?![^<>]*>)")
#: A marked section that is none of CDATA. To the parser an unknown one is an error, to a browser it is nothing.
_SECTION = re.compile(r"<!\[[^<>]*>")
#: A number that Python refuses to read, and that no character has.
_ENDLESS = re.compile(r"&#[0-9]{20,};?")
_SPACES = re.compile(r"\s+")
#: Control characters, lone surrogates and invisible direction marks: PostgreSQL refuses the first two, and the last
#: could make a stored headline read differently from what was scored.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif _BREAKS.fullmatch(tag):
            self.parts.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if _BREAKS.fullmatch(tag):
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif _BREAKS.fullmatch(tag):
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def _without(markup: str, begin: str, end: str) -> str:
    """``markup`` without what stands between two marks; a mark without its end is text.

    Searched from the front once: thousands of comments that never end must not cost their square.
    """
    kept, at = [], 0
    while (start := markup.find(begin, at)) >= 0 and (stop := markup.find(end, start + len(begin))) >= 0:
        kept.append(markup[at:start])
        at = stop + len(end)
    return ("".join(kept) + markup[at:]).replace(begin, f"&lt;{begin[1:]}")


def unescaped(text: str) -> str:
    """``text`` with its entities resolved, whatever number stands in one."""
    return html.unescape(_ENDLESS.sub("\ufffd", text))


def storable(text: str, limit: int) -> str:
    """``text`` on one line, without control characters, at most ``limit`` characters."""
    return _SPACES.sub(" ", _UNWANTED.sub("", text)).strip()[:limit].rstrip()


def plain(markup: str, limit: int) -> str:
    """The words of an HTML fragment on one line, at most ``limit`` characters. Text without markup passes through."""
    if "<" not in markup and "&" not in markup:
        return storable(markup, limit)
    reader = _Words()
    # What is cut out may leave a comment's beginning, or an endless number, where none was.
    markup = _without(_without(markup, "<!--", "-->"), "<![CDATA[", "]]>").replace("<!--", "&lt;!--")
    markup = _SECTION.sub("", _OPEN.sub("&lt;", markup))
    reader.feed(_ENDLESS.sub("\ufffd", markup))
    reader.close()
    return storable("".join(reader.parts), limit)
