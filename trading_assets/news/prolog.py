"""What stands before the root element of a document: nothing of it is needed, and much of it can hurt.

Declarations of entities and of attributes expand without bound, and they can be hidden from whoever looks for the root
by its first letters. So comments, instructions and white space are cut off here, as a parser would skip them, and what
is left must begin with the root or with a DOCTYPE that declares nothing.
"""

from __future__ import annotations

import re

_SPACE = re.compile(r"[ \t\r\n]*+")
_ROOT = re.compile(r"<[A-Za-z_]")
_DOCTYPE = re.compile(r"<!DOCTYPE[^<>\[]*+>")
_SUBSET = re.compile(r"<!DOCTYPE[^<>\[]*+\[")
_DECLARES = re.compile(r"<!\s*+(?:ENTITY|ATTLIST)", re.IGNORECASE)
#: Where feedparser takes the root to begin, and what it searches before it in the square of its length.
_FIRST_TAG, _RUN = re.compile(r"<\w", re.ASCII), re.compile(r"\s+")
_SKIPPED = (("<!--", "-->"), ("<?", "?>"))


class DeclaresItsOwn(ValueError):
    """The document declares entities or attributes."""


def without_prolog(text: str) -> str:
    """``text`` from its root on, with its DOCTYPE before it. One that does not begin as XML is returned from where it
    does not; it may declare nothing at all. Raises ``DeclaresItsOwn``."""
    at, doctype = _skipped(text, 0), ""
    if found := _DOCTYPE.match(text, at):
        doctype, at = f"\n{found.group()}\n", _skipped(text, found.end())
    if _ROOT.match(text, at):
        return doctype + text[at:]
    if _SUBSET.match(text, at) or _DECLARES.search(text, at):
        raise DeclaresItsOwn
    first = _FIRST_TAG.search(text, at)
    end = first.start() if first else len(text)
    return doctype + _RUN.sub("\n", text[at:end]) + text[end:]


def _skipped(text: str, at: int) -> int:
    """Where something begins that is no white space, comment or instruction."""
    while True:
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]  # matches the empty text
        mark = next((mark for mark in _SKIPPED if text.startswith(mark[0], at)), None)
        stop = text.find(mark[1], at + len(mark[0])) if mark is not None else -1
        if mark is None or stop < 0:
            return at
        at = stop + len(mark[1])
