"""The built-in scorer: VADER, extended by words and phrases of finance. No weights, no download, microseconds a text.

VADER (Hutto and Gilbert, 2014) adds up word valences, with rules for negation and intensity, to a compound score in
[-1, 1]. Three things are added before it reads a text (``data/finance_lexicon.json``, a list of our own):

* words of finance ("downgrade", "soars"), and words of daily speech that carry no mood here ("share", "gross");
* phrases, read as one word ("raises guidance", "net loss");
* movements, judged by what moves: a profit that rises is good, a cost that rises is bad.

**Probabilities.** A lexicon has none. The compound c becomes three pseudo-probabilities by a softmax over
(k·c, b, -k·c) for positive, neutral, negative. The label leaves neutral where k·|c| > b; a text without any known
word gets b's share, 0.58 neutral, so that ignorance weighs less than a finding. They order texts; they are no
frequencies.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from trading_assets.news.readable import require_readable
from trading_assets.news.sentiment import Score, ScoringError
from trading_assets.news.wordlists import document

#: Steepness k and neutral weight b of the softmax: labels leave neutral at |c| > 0.25.
STEEPNESS, NEUTRAL_WEIGHT = 4.0, 1.0
#: Words read of one text. VADER's time grows with the square of the length, and news says it first.
MAX_WORDS = 400

_TOKEN = re.compile(r"\d[\d.,]*%?|[^\W\d_][\w'’&-]*|[^\w\s]")
_CLAUSE_END = frozenset(',;:.!?()"')
#: How far a movement may stand from what moves, in words.
_REACH_BEFORE, _REACH_AFTER = 7, 4
_MOVED = {
    (True, True): ("movedgoodup", 2.0),
    (True, False): ("movedgooddown", -2.0),
    (False, True): ("movedbadup", -2.0),
    (False, False): ("movedbaddown", 1.6),
}
_ALONE = {
    "rise": 1.5,
    "rises": 1.5,
    "rose": 1.5,
    "rising": 1.3,
    "risen": 1.3,
    "higher": 1.2,
    "increase": 1.0,
    "increases": 1.0,
    "increased": 1.0,
    "increasing": 1.0,
}
_NUMERIC_MOVE = {"up": ("movedup", 1.6), "down": ("moveddown", -1.8)}
_MOVED_NOUN = "movedthing"


def lexicon_revision() -> str:
    """The version of VADER's word list and of the own one, told without reading VADER's."""
    return f"vader-3.3+{document('finance_lexicon.json')['version']}"


class LexiconModel:
    """The built-in ``SentimentModel``. Deterministic; texts do not influence each other."""

    name = "vader-finance"

    def __init__(self) -> None:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        lists: Mapping[str, Any] = document("finance_lexicon.json")
        self.revision = lexicon_revision()
        self._analyzer = SentimentIntensityAnalyzer()
        lexicon: dict[str, float] = self._analyzer.lexicon
        for word in lists["neutral"]:
            lexicon.pop(word, None)
        lexicon.update(_ALONE)
        lexicon.update(lists["words"])
        lexicon.update(_MOVED.values())
        lexicon.update(_NUMERIC_MOVE.values())
        self._phrases = {phrase: f"phrase{_letters(number)}" for number, phrase in enumerate(sorted(lists["phrases"]))}
        lexicon.update({self._phrases[phrase]: valence for phrase, valence in lists["phrases"].items() if valence})
        longest_first = sorted(self._phrases, key=lambda phrase: (-len(phrase), phrase))
        self._phrase = re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, longest_first)) + r")(?![\w-])")
        self._rises, self._falls = frozenset(lists["rises"]), frozenset(lists["falls"])
        self._good, self._bad = frozenset(lists["good_high"]), frozenset(lists["bad_high"])

    def score(self, texts: Sequence[str]) -> list[Score]:
        """See ``SentimentModel.score``. A text in another script or language than English raises ``ScoringError``."""
        return [self._score(text) for text in texts]

    def _score(self, text: object) -> Score:
        prepared = self._prepare(require_readable(text))
        readable = any("a" <= letter <= "z" or letter in self._analyzer.emojis for letter in prepared)
        if not readable:
            raise ScoringError("there is no word the lexicon could know", mend="It reads English only.")
        return probabilities(float(self._analyzer.polarity_scores(prepared)["compound"]))

    def _prepare(self, text: str) -> str:
        """The text as VADER reads it: lower-case (capitals are tickers, not shouting), phrases and movements joined."""
        tokens = _TOKEN.findall(text.replace("’", "'").lower())[:MAX_WORDS]
        joined = self._phrase.sub(lambda match: self._phrases[match.group()], " ".join(tokens))
        return " ".join(self._judge_movements(joined.split(" ")))

    def _judge_movements(self, tokens: list[str]) -> list[str]:
        result = list(tokens)
        for position, token in enumerate(tokens):
            rising = token in self._rises
            if not rising and token not in self._falls:
                continue
            thing = self._what_moves(tokens, result, position)
            if thing is not None:
                result[position] = _MOVED[tokens[thing] in self._good, rising][0]
                result[thing] = _MOVED_NOUN
            elif token in _NUMERIC_MOVE and position + 1 < len(tokens) and tokens[position + 1][0].isdigit():
                result[position] = _NUMERIC_MOVE[token][0]
        return result

    def _what_moves(self, tokens: list[str], result: list[str], position: int) -> int | None:
        """The position of the measure that the movement at ``position`` is about: after it ("cuts costs", "rise in
        sales") or before it ("profit rose"), within the clause; the nearer one, and never one already taken."""
        found: list[tuple[int, int]] = []
        for step, reach in ((1, _REACH_AFTER), (-1, _REACH_BEFORE)):
            for distance in range(1, reach + 1):
                other = position + step * distance
                if not 0 <= other < len(tokens) or tokens[other] in _CLAUSE_END:
                    break
                if result[other] == _MOVED_NOUN:
                    continue
                if tokens[other] in self._good or tokens[other] in self._bad:
                    found.append((distance, other))
                    break
        return min(found)[1] if found else None


def probabilities(compound: float) -> Score:
    """Pseudo-probabilities of a VADER compound score in [-1, 1]; see the module's text for the formula."""
    weights = [math.exp(STEEPNESS * compound), math.exp(NEUTRAL_WEIGHT), math.exp(-STEEPNESS * compound)]
    total = sum(weights)
    return Score(weights[0] / total, weights[1] / total, weights[2] / total)


def _letters(number: int) -> str:
    """A number in letters, so that the tokeniser of VADER takes a made-up word for a word."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))
