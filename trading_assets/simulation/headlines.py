"""The words of the news: headlines of events, their repetition on a second feed, and everyday items that move nothing.

Every item carries the name of its company, an exchange tag or a cashtag, as real wires do. Phrases are written for
this project; companies are real names and the stories are invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from trading_assets.domain.identities import digest
from trading_assets.market.sessions import Session
from trading_assets.simulation.events import Event
from trading_assets.simulation.profile import MarketProfile
from trading_assets.simulation.randomness import generator
from trading_assets.simulation.universe import INDEX, LISTINGS, Listing

#: Names of the feeds, as path segments. The first two carry company news, the third repeats and comments.
FEEDS = ("market-wire", "street-desk", "ticker-talk")
_REPEAT_DELAY = (40.0, 240.0)


@dataclass(frozen=True, slots=True)
class Headline:
    """One item of one feed. ``symbols`` are the companies it is about (empty for the general market); ``event`` is the
    number of the event behind it, None for an everyday item."""

    id: str
    published_at: datetime
    feed: str
    title: str
    summary: str
    link: str
    symbols: tuple[str, ...]
    event: int | None = None


@dataclass(frozen=True, slots=True)
class _Story:
    """Two tellings of one story, and a summary. ``{name}`` is the company, ``{tag}`` its symbol in one of the usual
    forms, ``{number}`` a percentage."""

    first: str
    second: str
    summary: str


_GOOD = (
    _Story(
        "{name} {tag} beats quarterly estimates and raises full-year guidance",
        "{name} tops profit estimates, raises guidance {tag}",
        "Strong demand lifted revenue {number}% above forecasts, and management raised its outlook for the year.",
    ),
    _Story(
        "{name} {tag} upgraded to buy as analysts see strong growth ahead",
        "Analysts upgrade {name} {tag} on strong growth outlook",
        "The upgrade cites improving margins and a price target {number}% above the last close.",
    ),
    _Story(
        "{name} {tag} wins record multi-year contract, shares surge",
        "Shares of {name} surge on record contract win {tag}",
        "The agreement is the largest in the company's history and adds {number}% to its order book.",
    ),
    _Story(
        "{name} {tag} announces record share buyback and boosts dividend",
        "{name} boosts dividend, launches record buyback {tag}",
        "The board approved the increase after strong cash flow rose {number}% from a year ago.",
    ),
    _Story(
        "Regulators approve key product of {name} {tag}, stock jumps",
        "{name} {tag} jumps after winning regulatory approval",
        "The approval opens a market that analysts expect to add {number}% to profitable growth.",
    ),
    _Story(
        "{name} {tag} rallies on breakthrough partnership and upbeat outlook",
        "Upbeat outlook and partnership send {name} {tag} higher",
        "Executives described exceptional demand and expect gains of {number}% in the coming quarter.",
    ),
)
_BAD = (
    _Story(
        "{name} {tag} misses estimates and cuts full-year guidance",
        "{name} cuts guidance after profit miss {tag}",
        "Weak demand left revenue {number}% below forecasts, and management lowered its outlook for the year.",
    ),
    _Story(
        "{name} {tag} downgraded to sell as analysts warn of weak demand",
        "Analysts downgrade {name} {tag}, warn of slowing demand",
        "The downgrade cites falling margins and a price target {number}% below the last close.",
    ),
    _Story(
        "{name} {tag} plunges as regulators open fraud probe",
        "Fraud probe hits {name}, shares plunge {tag}",
        "Investigators are examining accounting losses; the company denied wrongdoing. Shares fell {number}%.",
    ),
    _Story(
        "{name} {tag} recalls flagship product over safety failure",
        "Safety failure forces recall at {name} {tag}",
        "The recall will hurt results, with costs put at {number}% of annual profit, and lawsuits are likely.",
    ),
    _Story(
        "{name} {tag} warns of losses and cuts jobs, stock tumbles",
        "{name} tumbles on loss warning and job cuts {tag}",
        "The company blamed weak orders and a costly dispute, and cut its forecast by {number}%.",
    ),
    _Story(
        "Lawsuit and outage hit {name} {tag}, shares sink",
        "{name} {tag} sinks after outage and damaging lawsuit",
        "Customers reported severe disruption; analysts fear a decline of {number}% in the quarter.",
    ),
)
_NEUTRAL = (
    "{name} {tag} to present at investor conference next week",
    "What to know about {name} {tag} before the next quarterly report",
    "{name} {tag} names new board member",
    "{name} schedules annual shareholder meeting {tag}",
    "Options activity in {name} {tag} in line with the monthly average",
    "{name} {tag} opens office in Austin",
    "How {name} {tag} compares with its sector this month",
    "{name} {tag} publishes annual sustainability report",
    "{name} updates its privacy terms {tag}",
    "Five questions for the next call with {name} {tag}",
    "{name} {tag} trades near its 50-day average",
    "{name} {tag} reorganises its regional sales teams",
)
_GENERAL = (
    "Stocks little changed as traders await inflation data",
    "Treasury yields hold in a narrow range",
    "Oil steady while dollar drifts",
    "Fed official repeats stance on policy",
    "Weekly mortgage applications published",
    "Market notes: volume near its average",
    "European shares mixed",
    "What to watch this week",
    "Survey of fund managers shows cash levels unchanged",
    "Little movement in index futures",
    "Sector rotation in focus as the quarter nears its end",
    "Calendar of the week: auctions, speeches and housing data",
)
_FORMS = ("({exchange}: {symbol})", "${symbol}", "({symbol})")


def _exchange_tag(listing: Listing) -> str:
    return "NYSEARCA" if listing.symbol == INDEX else listing.exchange


def _tag(rng: np.random.Generator, listing: Listing) -> str:
    form = _FORMS[int(rng.choice(len(_FORMS), p=(0.5, 0.35, 0.15)))]
    return form.format(exchange=_exchange_tag(listing), symbol=listing.symbol)


def _item(
    seed: int, at: datetime, feed: str, title: str, summary: str, symbols: tuple[str, ...], event: int | None
) -> Headline:
    name = digest("headline", str(seed), at.isoformat(), feed, title)[:20]
    link = f"https://news.practice.example/{feed}/{name}"
    return Headline(name, at, feed, title, summary, link, symbols, event)


def write_headlines(
    seed: int, session: Session, events: tuple[Event, ...], profile: MarketProfile
) -> tuple[Headline, ...]:
    """All items of one session in order of publication, between two hours before the open and the close."""
    rng = generator(seed, "headlines", session.day)
    items: list[Headline] = []
    for event in events:
        if not event.news:
            continue
        items.extend(_event_items(seed, rng, session, event, profile))
    span = (session.close - session.open).total_seconds() + 7200.0
    count = int(rng.integers(profile.neutral_least, profile.neutral_most + 1))
    general = rng.permutation(len(_GENERAL))
    for number in range(count):
        at = session.open - timedelta(hours=2) + timedelta(seconds=int(rng.uniform(0.0, span - 1.0)))
        feed = FEEDS[int(rng.integers(len(FEEDS)))]
        if number < len(_GENERAL) and rng.random() < 0.8:
            title = _GENERAL[int(general[number])]
            items.append(_item(seed, at, feed, title, f"{title}. No further details.", (), None))
            continue
        listing = LISTINGS[int(rng.integers(len(LISTINGS)))]
        title = _NEUTRAL[int(rng.integers(len(_NEUTRAL)))].format(name=listing.name, tag=_tag(rng, listing))
        summary = f"A note on {listing.name}, part of the {listing.sector.lower()} group."
        items.append(_item(seed, at, feed, title, summary, (listing.symbol,), None))
    return tuple(sorted(items, key=lambda item: (item.published_at, item.feed, item.id)))


def _event_items(
    seed: int, rng: np.random.Generator, session: Session, event: Event, profile: MarketProfile
) -> list[Headline]:
    listing = LISTINGS[event.row]
    stories = _GOOD if event.direction > 0 else _BAD
    story = stories[int(rng.integers(len(stories)))]
    number = round(float(100.0 * event.jump * rng.uniform(1.0, 3.0)), 1)
    summary = story.summary.format(number=number)
    at = session.open + timedelta(seconds=event.second)
    home = int(rng.integers(2))
    title = story.first.format(name=listing.name, tag=_tag(rng, listing))
    items = [_item(seed, at, FEEDS[home], title, summary, (listing.symbol,), event.number)]
    if rng.random() < profile.repeat_share:
        later = at + timedelta(seconds=int(rng.uniform(*_REPEAT_DELAY)))
        telling = story.first if rng.random() < 0.6 else story.second
        repeated = telling.format(name=listing.name, tag=_tag(rng, listing))
        items.append(_item(seed, later, FEEDS[2], repeated, summary, (listing.symbol,), event.number))
    if rng.random() < 0.35:
        later = at + timedelta(seconds=int(rng.uniform(300.0, 1200.0)))
        told = story.second.format(name=listing.name, tag=_tag(rng, listing))
        items.append(_item(seed, later, FEEDS[1 - home], told, summary, (listing.symbol,), event.number))
    return items
