"""From the bytes of a document to its text, whatever its labels say. Nothing is parsed here.

Labels are often wrong: servers add a default charset, and documents are re-encoded without their declaration. What the
bytes themselves prove comes first (a byte order mark, well-formed UTF-8), then the labels as browsers read them.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

_DECLARED = re.compile(rb"\A\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']")
_HTTP = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE)
_PROLOG = re.compile(r"\A(?:\s*<\?xml[^>]*\?>)?")
_EBCDIC_PROLOG = "<?xml".encode("cp037")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: Where the first four bytes are zero, in a document that begins with two ASCII letters.
_ZEROS = {
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
}
#: Labels that are read as the larger set which is really in use (https://encoding.spec.whatwg.org/#names-and-labels).
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "cp950",
}
#: What a server says that was never told; the document's own declaration is better.
_WEAK = frozenset({"ascii", "iso8859-1"})
#: Text codecs of Python that are no charset of any document, and of which some are slow beyond measure.
_NO_CHARSET = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "utf-7", "undefined"})
#: XML allows no other control characters; one of them would make the whole document "broken".
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
#: A character by its number, as lenient parsers take it.
_REFERENCE = re.compile(r"&#(?:[xX]([0-9a-fA-F]++)|([0-9]++));?")
_LONGEST_NUMBER = 7
#: So many of a hundred characters beyond ASCII may be damaged before a charset counts as the wrong one.
_DAMAGE = 10


@dataclass(frozen=True, slots=True)
class Decoded:
    """A document's text without byte order mark; ``remark`` says what was wrong with its label or its bytes."""

    text: str
    charset: str
    remark: str | None = None


def decode(body: bytes, content_type: str | None = None) -> Decoded:
    """The text of ``body``. Never fails: bytes that no charset explains become U+FFFD, and ``remark`` says so."""
    for mark, charset in _MARKS:
        if body.startswith(mark):
            return _lenient(body[len(mark) :], charset)
    zeros = tuple(byte == 0 for byte in body[:4])
    if zeros in _ZEROS:
        return _lenient(body, _ZEROS[zeros])
    labels = _labels(body, content_type)
    first = labels[0] if labels else "utf-8"
    if not body.isascii() and (text := _strict(body, "utf-8")) is not None:
        return Decoded(text, "utf-8", None if first == "utf-8" else f"labelled {first}, but is utf-8")
    for charset in labels:
        if (text := _strict(body, charset)) is not None:
            return Decoded(text, charset, None if charset == first else f"labelled {first}, but is {charset}")
    for charset in (*labels, "utf-8"):
        found = _lenient(body, charset)
        if _damaged(found.text) * 100 <= _DAMAGE * sum(not letter.isascii() for letter in found.text):
            return found
    text = body.decode("cp1252", "replace")
    return Decoded(text, "cp1252", f"labelled {first}, but can only be read as cp1252")


def xml_text(text: str) -> str:
    """The document as text that XML allows, without a declaration: it is no longer in the charset that it names."""
    bare = _NOT_IN_XML.sub("", text[_PROLOG.match(text).end() :])  # type: ignore[union-attr]  # matches the empty text
    return _REFERENCE.sub(_referred, bare)


def _referred(found: re.Match[str]) -> str:
    """The reference, or a space for one to what is no character in XML (half of a pair of UTF-16, a number too large):
    a parser would refuse the whole document for it."""
    digits = (found[1] or found[2]).lstrip("0")
    number = int(digits or "0", 16 if found[1] else 10) if len(digits) <= _LONGEST_NUMBER else -1
    refused = not 0 <= number <= 0x10FFFF or 0xD800 <= number <= 0xDFFF or _NOT_IN_XML.fullmatch(chr(number))
    return " " if refused else found[0]


def _labels(body: bytes, content_type: str | None) -> list[str]:
    """Usable charsets as they are labelled, the most credible first."""
    declared = _DECLARED.match(body[:1024])
    if declared is None and body.startswith(_EBCDIC_PROLOG):
        declared = _DECLARED.match(body[:1024].decode("cp037").encode("ascii", "replace"))
    said = _HTTP.search(content_type or "")
    http = _codec(said[1]) if said else None
    own = _codec(declared[1].decode("ascii")) if declared else None
    order = (own, http) if http in _WEAK else (http, own)
    found = [_WIDER.get(name, name) for name in order if name is not None]
    # A document whose first bytes are plain letters is not what these say.
    return [name for name in dict.fromkeys(found) if not name.startswith(("utf-16", "utf-32"))]


def _codec(label: str) -> str | None:
    """Python's name of a charset; None for one that is none."""
    try:
        name = codecs.lookup(label).name
    except LookupError:
        return None
    return None if name in _NO_CHARSET else name


def _strict(body: bytes, charset: str) -> str | None:
    try:
        return body.decode(charset)
    except (UnicodeError, LookupError):
        # LookupError: the label names a codec that is no text, such as base64.
        return None


def _lenient(body: bytes, charset: str) -> Decoded:
    try:
        text = body.decode(charset, "replace")
    except (UnicodeError, LookupError):
        text = body.decode("utf-8", "replace")
    damaged = _damaged(text)
    return Decoded(text, charset, f"{damaged} characters are no {charset}" if damaged else None)


def _damaged(text: str) -> int:
    return text.count("\ufffd")
