"""The words of a text as a reader sees them: letters composed, what is invisible left out, addresses blanked.

"$NV" with an invisible sign and "DA" behind it is read as "$NVDA" and must not be the symbol NV; what a link or a mail
address is made of is nobody's mention.
"""

from __future__ import annotations

import re
import unicodedata

#: Format characters and variation selectors: they join, direct or decorate, and are not seen.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff9-\ufffb\U000e0000-\U000e01ef]"
)
_ADDRESS = re.compile(
    r"(?:https?|ftp)://\S+|\bwww\.\S+"
    r"|(?<![^\s(<\[\"',;:])(?:[^\s@]{1,64}@[^\s@]{1,253}\.[A-Za-z]{2,24}\b\S*|[\w-]{1,63}(?:\.[\w-]{1,63}){0,4}\.[a-z]{2,10}/\S+)"
)
#: Marks that change the letter before them and are no letter themselves.
MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"


def visible(text: str) -> str:
    """``text`` without what nobody sees, a letter and its accent as one character."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text))


def without_addresses(text: str) -> str:
    """``text`` with spaces for links and mail addresses, so that every position stays."""
    if "/" not in text and "@" not in text and "www." not in text:
        return text
    return _ADDRESS.sub(lambda found: " " * len(found.group()), text)


def combines(sign: str) -> bool:
    """Whether ``sign`` changes the letter before it."""
    return not sign.isascii() and unicodedata.combining(sign) != 0
