"""Made-up news as many publishers tell them: 50,000 articles of a few days, known to the last one by a seed.

An event is told by one to six publishers, each in the words of its house: with a wire's prefix or its own name behind,
with another verb, in another order, shortened, in capitals. Other events share the template but not the company, the
number or the direction. Nothing of it was ever published.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_assets.news.storing import Arrival
from trading_assets.news.tickers import curated_companies

PUBLISHERS = (
    "Apex Wire",
    "Daily Ledger",
    "Market Post",
    "Harbor News",
    "Street Brief",
    "Capital Times",
    "Quote",
    "Tape",
)

_UP = ("rises", "jumps", "climbs", "gains", "surges", "soars", "advances", "rallies")
_DOWN = ("falls", "drops", "slides", "tumbles", "sinks", "slips", "declines", "plunges")
_WHY = (
    "after strong quarterly results", "after a broker upgrade", "as demand for chips grows", "on takeover talk",
    "after guidance disappoints", "as investors weigh rate path", "on supply worries", "after a product recall",
    "amid a broad market rally", "after an insider sale", "as a key patent expires", "on a record buyback",
    "after regulators open a probe", "as margins shrink in Europe", "on hopes for a trade truce",
    "after a data breach", "as costs of memory climb", "on a contract with the Navy",
)  # fmt: skip
_THINGS = (
    "chip startup", "cloud unit", "battery plant", "payments business", "logistics arm", "drug maker", "data center",
    "streaming service", "retail chain", "robot maker", "satellite operator", "software house", "clinic network",
    "copper mine", "gas pipeline", "trading platform", "insurance arm", "food brand", "airline stake", "solar park",
)  # fmt: skip
_SYLLABLES = ("bar", "cor", "den", "fal", "gro", "hel", "ister", "kam", "lun", "mor", "nev", "oster", "pra", "quin",
              "ros", "sel", "tav", "ulm", "ver", "wim", "yar", "zel", "an", "el", "in", "on")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """An article and the number of the event that it tells."""

    event: int
    arrival: Arrival


def articles(count: int, start: datetime, span: timedelta, seed: int = 7) -> list[Told]:
    """``count`` articles of events spread over ``span``, in the order of publication."""
    made: list[Told] = []
    for event, told in enumerate(_events(seed, start, span, count)):
        made.extend(Told(event, arrival) for arrival in told)
        if len(made) >= count:
            break
    made = made[:count]
    made.sort(key=lambda each: (each.arrival.published_at or start, each.arrival.link or ""))
    return made


def _events(seed: int, start: datetime, span: timedelta, count: int) -> Iterator[list[Arrival]]:
    chance = random.Random(seed)
    companies = [company.aliases[0] for company in curated_companies().values() if company.aliases]
    # Most companies in the news are none of the curated ones.
    others = [
        _name(chance) + chance.choice((" Corp", " Bio", " Energy", " Holdings", "")) for _ in range(4 * len(companies))
    ]
    number = 0
    while True:
        headline, rewrites = _headline(chance, chance.choice(companies if chance.random() < 0.5 else others))
        at = start + span * chance.random()
        tellers = chance.sample(PUBLISHERS, k=chance.choices((1, 2, 3, 4, 6), (40, 25, 20, 10, 5))[0])
        told = []
        for nth, publisher in enumerate(tellers):
            number += 1
            title = headline if nth == 0 else _rewritten(chance, chance.choice(rewrites), publisher)
            feed = publisher.lower().replace(" ", "-")
            link = f"https://{feed}.example/{at:%Y/%m/%d}/{number:06d}.html"
            when = at + timedelta(seconds=chance.randrange(0, 5_400) if nth else 0)
            summary = f"{title}. {chance.choice(_WHY).capitalize()}, people familiar with the matter said. " * 3
            guid = None if publisher == "Quote" else f"{feed}-{number:06d}"
            told.append(Arrival(feed, publisher, guid, link, title, summary, when.replace(microsecond=0)))
        yield told


def _name(chance: random.Random) -> str:
    return "".join(chance.choice(_SYLLABLES) for _ in range(chance.choice((2, 3)))).capitalize()


def _headline(chance: random.Random, company: str) -> tuple[str, tuple[str, ...]]:
    """One event as the first tells it, and as the others may."""
    amount, percent = chance.randrange(2, 990), chance.randrange(1, 40)
    why, thing, place, person = chance.choice(_WHY), chance.choice(_THINGS), _name(chance), _name(chance)
    verbs = chance.choice((_UP, _DOWN))
    quarter = chance.choice(("first", "second", "third", "fourth"))
    kind = chance.randrange(7)
    if kind == 0:
        forms = (f"{company} shares {{v}} {percent}% {why}", f"{company} stock {{v}} {percent}% {why}",
                 f"Shares of {company} {{v}} {percent}% {why}")  # fmt: skip
        return forms[0].format(v=verbs[0]), tuple(form.format(v=verb) for form in forms for verb in verbs)
    if kind == 1:
        forms = (f"{company} to buy {place} {thing} for ${amount} million",
                 f"{company} buys {place} {thing} for ${amount}m",
                 f"{company} to acquire {place} {thing} in ${amount} million deal")  # fmt: skip
    elif kind == 2:
        beats = "beats" if verbs is _UP else "misses"
        forms = (f"{company} {beats} {quarter}-quarter profit estimates {why}",
                 f"{company} {quarter}-quarter profit {beats} estimates {why}",
                 f"{company}'s {quarter}-quarter earnings {beats} expectations {why}")  # fmt: skip
    elif kind == 3:
        forms = (f"{company} names {person} {place} as chief financial officer",
                 f"{company} appoints {person} {place} CFO",
                 f"{company} names {person} {place} chief financial officer {why}")  # fmt: skip
    elif kind == 4:
        forms = (f"{company} recalls {amount},000 units over {thing} fault in {place}",
                 f"{company} recalling {amount},000 units over a {thing} fault in {place}",
                 f"{company} to recall {amount},000 units in {place} over {thing} fault")  # fmt: skip
    elif kind == 5:
        forms = (f"{person} raises {company} price target to ${amount} from ${amount - 1}",
                 f"{company} price target raised to ${amount} from ${amount - 1} at {person}",
                 f"{company} target lifted to ${amount} from ${amount - 1} by {person}")  # fmt: skip
    else:
        forms = (f"{company} to cut {amount} jobs in {place} as {thing} slows",
                 f"{company} cuts {amount} jobs in {place} as its {thing} slows",
                 f"{company} to slash {amount} jobs in {place}, {thing} slows")  # fmt: skip
    return forms[0], forms


def _rewritten(chance: random.Random, title: str, publisher: str) -> str:
    form = chance.randrange(6)
    if form == 0:
        return f"{title} - {publisher}"
    if form == 1:
        return f"UPDATE {chance.randrange(1, 4)}-{title}"
    if form == 2:
        return f"{title} | {publisher}"
    if form == 3:
        return " ".join(word if word[:1].isupper() else word.capitalize() for word in title.split())
    return title
