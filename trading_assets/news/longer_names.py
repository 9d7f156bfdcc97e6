"""When the words of a company's name are part of a longer name, of somebody or something else.

"Tony Hayward" is a person, "Gerdau Steel India" a company of another country, "Citi Field" a stadium, "Hayward, Calif."
a town, and "Blackstone Private Credit Fund" another security than Blackstone's share. What does not belong here: which
words say that a name is meant after all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from trading_assets.news.companies import Company
from trading_assets.news.name_context import next_word, previous_word, words_in
from trading_assets.news.wordlists import words_of

_REACH = 60
_COUNTRIES = (
    r"India|Pakistan|Bangladesh|Sri Lanka|Lanka|Nepal|Nigeria|Kenya|Ghana|Tanzania|Uganda|Zambia|Zimbabwe|Egypt|"
    r"Malaysia|Indonesia|Philippines|Thailand"
)
_KINDS = (
    r"Steel|Motors?|Foods?|Products|Laboratories|Labs|Pharma(?:ceuticals?)?|Healthcare|Chemicals?|Industries|Life|"
    r"Technologies|Engineering|Power|Energy|Consumer|Auto|Cement|Paints|Textiles?|Infrastructure|Realty"
)
#: After a company's name: another company, listed there, or a subsidiary by its legal form.
_AFFILIATE = re.compile(
    rf"\s+(?:(?:(?:{_KINDS})\s+){{0,2}}(?:\((?:{_COUNTRIES})\)|(?:{_COUNTRIES})\b)|Consumer\b|BPO\b|AMC\b|MF\b|"
    r"Mutual Fund\b|(?:Pvt|Private|Pty|Sdn)\.?\s+(?:Ltd|Limited|Bhd)\b|GmbH\b)"
)
#: What a company does, in its own name: "Oracle Financial Services", "Fortis Healthcare".
_TRADE = re.compile(
    r"\s+(Healthcare|Hospitals?|Ty(?:re|re)s|Steels?|Textiles?|Cements?|Housing|Infra(?:structure)?|Realty|Chemicals?|Paints|"
    r"Sugars?|Jewell?ers|Pharma(?:ceuticals?)?|Laboratories|Financial Services|Fertili[sz]ers|Petrochemicals?|Shipping|"
    r"Ports?|Logistics|Automation|Hygiene|Foods?|Beverages|Breweries|Spirits|Agro|Minerals|Mines|Metals|Power|"
    r"Life ?[Ss]ciences|Crop ?[Ss]cience|Electricals?|Engineering|Cables?|Plastics|Papers?|Hotels|Finance|Industries)\b"
)
_FUND = re.compile(
    r"\s+(?:(?:Private|Public|Credit|Real|Estate|Income|Equity|Growth|Value|Bond|Mutual|Index|Bitcoin|Ethereum|Ether|"
    r"Treasury|Municipal|Global|International|Emerging|Total|Return|Strategic|Opportunit(?:y|ies)|Infrastructure|Debt|"
    r"Floating|Rate|Dividend|High|Yield|Tax|Multi|Sector|Balanced|Investment|Series|Short|Long|Term|Duration|Select|"
    r"Enhanced|Core|Small|Mid|Large|Cap|Lending|Secured)[\s-]+){1,5}(?:Funds?|Trust|ETF)\b(?!\s+(?:Manager|Management))",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\s+(?:Foundation|University|Stadium|Arena|Field|Cup|Championships?|Prize|Museum|Award|Airport)\b")
_STATES = (
    r"Alabama|Arizona|Arkansas|California|Colorado|Connecticut|Florida|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|"
    r"Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New Hampshire|"
    r"New Jersey|New Mexico|New York|North Carolina|Ohio|Oklahoma|Oregon|Pennsylvania|South Carolina|Tennessee|Texas|"
    r"Utah|Vermont|Virginia|Wisconsin|Wyoming"
)
_STATES_IN_SHORT = (
    r"Ala|Ariz|Ark|Calif|Colo|Conn|Del|Fla|Ill|Ind|Kan|Ky|Mass|Md|Mich|Minn|Miss|Mo|Mont|Neb|Nev|Okla|Ore|Pa|Tenn|Tex|"
    r"Va|Vt|Wash|Wis|Wyo|N\.Y|N\.J|N\.C|S\.C|N\.H|N\.M"
)
_STATE = re.compile(rf"\s?,\s+(?:(?:{_STATES_IN_SHORT})\.|(?:{_STATES})\b)")
_BEFORE = re.compile(r"(?<![\w.'’-])([A-Z][\w'’-]*)(\.?)\s+$")
_TITLES = frozenset(
    {
        "Mr", "Mrs", "Ms", "Sir", "Dame", "Lord", "Lady", "Dr", "Prof", "Professor", "Judge", "Justice",
        "Sen", "Senator", "Rep", "Representative", "Congressman", "Congresswoman", "Gov", "Governor", "President",
        "Premier", "PM", "Minister", "Secretary", "Mayor", "Ambassador",
    }
)  # fmt: skip
_AFTER = re.compile(r"\s+([A-Z][\w&-]*)")
#: Capitals that may follow a company's name and are not part of it.
_NO_PART = re.compile(
    r"(?:Inc|Corp|Corporation|Co|Company|Ltd|Limited|Plc|PLC|LLC|LP|Group|Holdings?|Shares?|Stocks?|CEO|CFO|Q[1-4]|I|"
    r"Class|Series|Common|NYSE|NASDAQ|Nasdaq)\b"
)
_SENTENCE_START = re.compile(r"(?:[.!?:;|–—-]\s*[\"'“‘(]?|[\"“‘(])$")
#: Words with a capital that may stand before a company's name and are not part of it.
_NO_NAME = re.compile(
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|January|February|March|April|May|June|July|August|September|October|"
    r"November|December|US|Chinese|German|French|British|Dutch|Swiss|Swedish|Finnish|Danish|Norwegian|Japanese|Korean|"
    r"Indian|Israeli|Irish|Italian|Spanish|Canadian|American|European|Rival|Chipmaker|Drugmaker"
)
_FORMS = {
    form: spelt[0]
    for spelt in (
        ("inc", "incorporated"), ("corp", "corporation"), ("co", "company"), ("ltd", "limited"), ("oyj", "oy"),
        ("plc",),
        ("ag",), ("sa",), ("spa",), ("nv",), ("se",), ("ab",), ("asa",), ("gmbh",), ("pty",), ("pvt",), ("bhd",),
        ("tbk",), ("llc",),
    )
    for form in spelt
}  # fmt: skip
_AMERICAN = frozenset({"inc", "corp", "co", "llc"})
_FORM = re.compile(r",?\s+([A-Za-z][A-Za-z./]{1,11})")
_LETTERS = re.compile(r"[A-Za-z./]+")


def means_else(text: str, start: int, stop: int, company: Company) -> bool:
    """Whether the word before or behind says that this is none of the ``company``: "Merck KGaA"."""
    if company.unless_before and next_word(text, stop) in company.unless_before:
        return True
    return bool(company.unless_after) and previous_word(text, start) in company.unless_after


def speaks_of_else(text: str, company: Company) -> bool:
    """Whether the text speaks of what the ``company``'s short names mean, too: "AMD" is a disease of the retina."""
    return bool(company.unless_near) and not company.unless_near.isdisjoint(words_in(text))


def another_security(text: str, stop: int) -> bool:
    """Whether the words after ``stop`` make an affiliate, a fund or a place of a company's name."""
    return (
        _AFFILIATE.match(text, stop, stop + _REACH) is not None
        or _fund(text, stop)
        or _PLACE.match(text, stop, stop + _REACH) is not None
    )


def _fund(text: str, stop: int) -> bool:
    """A fund by its name: "Blackstone's private credit fund" is the house's business."""
    match = _FUND.match(text, stop, stop + 2 * _REACH)
    return match is not None and all(word[0].isupper() for word in re.split(r"[\s-]+", match.group().strip()))


def another_trade(text: str, stop: int, names: Iterable[str]) -> bool:
    """Whether a sentence says a trade behind the name that is in none of the company's own ``names``."""
    match = _TRADE.match(text, stop, stop + _REACH)
    if match is None:
        return False
    trade = match.group(1).lower()[:5]
    return not any(trade in name.lower() for name in names)


def person_or_town(text: str, start: int, stop: int) -> bool:
    """Whether one word is a family name behind a given one or a title ("Gov. Abbott"), or a town before its state."""
    if _STATE.match(text, stop, stop + _REACH):
        return True
    before = _BEFORE.search(text[max(0, start - _REACH) : start])
    if before is None:
        return False
    word, dot = before.groups()
    return word in _TITLES or (not dot and word in words_of("given_names.txt")) or (bool(dot) and len(word) == 1)


def inside_capitals(text: str, start: int, stop: int, *, one_word: bool) -> bool:
    """Whether a sentence writes capitals around the words too, so that they are part of a longer name: "Geographic
    Information Services", "Olli Teva"."""
    if not one_word:
        after = _AFTER.match(text, stop, stop + _REACH)
        if after is not None and _NO_PART.match(after.group(1)) is None:
            return True
    before = _BEFORE.search(text[max(0, start - _REACH) : start])
    # "Cayman Islands-based Garmin", "Amazon's Ring"
    if before is None or _NO_NAME.fullmatch(before.group(1)) or not before.group(1).isalpha():
        return False
    begins = start - len(before.group())
    return begins > 0 and _SENTENCE_START.search(text[max(0, begins - 4) : begins]) is None


def another_form(text: str, stop: int, registered: str) -> bool:
    """Whether a legal form stands behind the name that is not the registered one: "Orion Corp" is not "Orion S.A."."""
    match = _FORM.match(text, stop, stop + _REACH)
    said = _form(match.group(1)) if match is not None else None
    if said is None:
        return False
    known = _registered_forms(registered)
    if not known or said in known:
        return said not in _AMERICAN and not known
    return not (said in _AMERICAN and known & _AMERICAN)


def _form(word: str) -> str | None:
    return _FORMS.get(word.lower().replace(".", "").replace("/", ""))


@lru_cache(maxsize=4096)
def _registered_forms(registered: str) -> frozenset[str]:
    return frozenset(form for word in _LETTERS.findall(registered) if (form := _form(word)) is not None)
