"""Which part of a text speaks of which company: sentences, and within a sentence its clauses.

"Apple slides as Microsoft rallies" holds two judgements. A sentence that names one company is about it; one that names
several is cut at semicolons, dashes, commas and conjunctions, and each piece belongs to the companies it names. A piece
that says nothing ("Apple" of "Apple, Microsoft and Google rise") goes with the piece after it, one that names nobody
with the piece before it. A sentence that names nobody is about all. No grammar is parsed, and where no cut separates
two companies they share the words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from trading_assets.news.mentions import NamedSpan

_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+(?=[\"'“‘(]?[A-Z0-9$])|\s*\n\s*")
_CLAUSE = re.compile(
    r"\s*[;|]\s*|\s+[-–—]+\s+|\s*[,:]\s+(?:(?:and|but|while|whereas|as|though|although|yet)\s+)?|"
    r"\s+(?:even\s+as|while|whereas|as|after|but|although|though|despite|amid|and|&|following|before|yet)\s+",
    re.IGNORECASE,
)
#: Between two names that follow each other it separates nothing: "Apple, Microsoft and Google rise".
_LIST = re.compile(r"\s*,\s*(?:and\s+)?|\s+(?:and|&)\s+", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{2,}")
_EMPTY = frozenset(
    {
        "the",
        "an",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "and",
        "or",
        "by",
        "its",
        "their",
        "his",
        "share",
        "shares",
        "stock",
        "stocks",
        "scrip",
        "scrips",
        "inc",
    }
)
#: Sentences and clauses of a text beyond this many characters are about all: what matters is said first.
_READ = 4000


@dataclass(slots=True)
class _Piece:
    start: int
    stop: int
    keys: frozenset[str]


def clauses_of(text: str, spans: Sequence[NamedSpan]) -> dict[str, list[tuple[int, int]]]:
    """The parts [start, stop) of ``text`` that speak of each named company, by its key; in order, not overlapping.

    Empty if fewer than two companies are named: the whole text speaks of the one. A company that is first named far
    down a long text has no part of its own, and is left out.
    """
    named = frozenset(span.key for span in spans)
    found: dict[str, list[tuple[int, int]]] = {key: [] for key in sorted(named)}
    own: set[str] = set()
    if len(named) < 2:
        return {}
    for sentence in _cut(text, 0, min(len(text), _READ), _SENTENCE, spans):
        pieces = [sentence] if len(sentence.keys) < 2 else _pieces(text, sentence, spans)
        for piece in pieces:
            own |= piece.keys
            for key in piece.keys or named:
                found[key].append((piece.start, piece.stop))
    return {key: _joined(parts) for key, parts in found.items() if key in own}


def words_of_clauses(text: str, parts: Iterable[tuple[int, int]]) -> str:
    """The words of the parts as one text."""
    return " ".join(text[start:stop].strip() for start, stop in parts)


def _cut(text: str, start: int, stop: int, at: re.Pattern[str], spans: Sequence[NamedSpan]) -> Iterator[_Piece]:
    """[start, stop) cut at matches that lie within no company's name."""
    inside = [span for span in spans if start <= span.start and span.stop <= stop]
    begin, starts, ends = start, {span.start for span in inside}, {span.stop for span in inside}
    for match in at.finditer(text, start, stop):
        if any(match.start() < span.stop and span.start < match.end() for span in inside):
            continue
        if _LIST.fullmatch(match.group()) and match.start() in ends and match.end() in starts:
            continue
        if match.start() > begin:
            yield _piece(begin, match.start(), inside)
        begin = match.end()
    if begin < stop:
        yield _piece(begin, stop, inside)


def _piece(start: int, stop: int, spans: Iterable[NamedSpan]) -> _Piece:
    return _Piece(start, stop, frozenset(span.key for span in spans if start <= span.start and span.stop <= stop))


def _pieces(text: str, sentence: _Piece, spans: Sequence[NamedSpan]) -> list[_Piece]:
    joined: list[_Piece] = []
    waiting: _Piece | None = None
    for piece in _cut(text, sentence.start, sentence.stop, _CLAUSE, spans):
        if waiting is not None:
            piece = _Piece(waiting.start, piece.stop, waiting.keys | piece.keys)
            waiting = None
        if joined and not piece.keys:
            joined[-1].stop = piece.stop
        elif not piece.keys or not _says_something(text, piece, spans):
            waiting = piece
        else:
            joined.append(piece)
    if waiting is not None:
        if not joined:
            return [sentence]
        joined[-1].stop = waiting.stop
        joined[-1].keys |= waiting.keys
    return joined


def _says_something(text: str, piece: _Piece, spans: Sequence[NamedSpan]) -> bool:
    rest, begin = "", piece.start
    for span in sorted(spans, key=lambda each: each.start):
        if piece.start <= span.start and span.stop <= piece.stop:
            rest += text[begin : span.start] + " "
            begin = max(begin, span.stop)
    rest += text[begin : piece.stop]
    return any(word.lower() not in _EMPTY for word in _WORD.findall(rest))


def _joined(parts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Parts without those that lie within another, in order."""
    result: list[tuple[int, int]] = []
    for start, stop in sorted(set(parts)):
        if result and start < result[-1][1]:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        else:
            result.append((start, stop))
    return result
