"""Whether a text can be scored at all: English, by its letters and by its small words.

Every model here reads English only. Of another language it would say "neutral", which is an answer and not the silence
that it should be; so such a text is refused and stays unscored. A short headline without any small word passes.
"""

from __future__ import annotations

import re

from trading_assets.news.sentiment import ScoringError, require_text
from trading_assets.news.wordlists import words_of

_WORD = re.compile(r"[^\W\d_]+")
#: Of the words of a text so many may be foreign before it is taken for another language.
_MOST_FOREIGN = 0.25
#: Some small words are those of two languages ("in", "an", "was"): a longer text is foreign if it has at least so many
#: foreign ones, and twice as many as English ones.
_MANY = 5


def require_readable(text: object) -> str:
    """``text`` if it reads as English; raises ``ScoringError`` saying why not."""
    said = require_text(text)
    letters = [letter for letter in said[:2000] if letter.isalpha()]
    if letters and 2 * sum(letter < "\u0250" for letter in letters) < len(letters):
        raise ScoringError("the text is written in other letters than Latin ones", mend="Only English is scored.")
    words = _WORD.findall(said[:2000])
    # Names carry their small words with a capital ("El Pollo Loco"), sentences do not.
    foreign = [word for word in words if word in words_of("foreign_small_words.txt")]
    english = sum(word.lower() in words_of("english_small_words.txt") for word in words)
    short = foreign and not english and len(foreign) >= _MOST_FOREIGN * len(words)
    if short or (len(foreign) >= _MANY and len(foreign) > 2 * english):
        raise ScoringError(
            f"the text reads as another language ({', '.join(foreign[:3])})", mend="Only English is scored."
        )
    return said
