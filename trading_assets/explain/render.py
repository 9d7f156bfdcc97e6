"""A page as headings, lines and tables, for a person. Instants are New York's unless they say otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from trading_assets.explain.page import DecisionView, Moment, Page, SignalView, Story, Watched, Weighted
from trading_assets.explain.paper import Block, Grid, Heading, Line
from trading_assets.explain.render_accounts import account_blocks, position_blocks
from trading_assets.explain.showing import clock, number, value, word

#: Stories that did not count are listed up to this many.
_OTHERS = 5
_HASH = 12
_FEATURES_PER_LINE = 6


def blocks(page: Page) -> tuple[Block, ...]:
    """The whole page in order: what was asked, seen, decided, and done in each account."""
    return tuple(_blocks(page))


def _blocks(page: Page) -> Iterator[Block]:
    yield Heading(_title(page), 1)
    if page.note:
        yield Line(page.note, "weak")
    if page.moment is not None:
        yield from _moment(page.moment)
    for signal in page.signals:
        yield from _signal(signal)
    for position in page.adopted:
        yield Heading(f"Position in account {position.account}")
        yield from position_blocks(position)
    if page.not_done:
        yield Heading("Not done")
        for sentence in page.not_done:
            yield Line(sentence)


def _title(page: Page) -> str:
    moment = page.moment
    if moment is None:
        return f"{page.kind} {page.target}, session {page.session}"
    asked = "" if page.kind == "ticker" else f"{page.kind} {page.target}: "
    return f"{asked}{moment.ticker} at {clock(moment.as_of)} New York, session {moment.session}"


# --- what was seen ----------------------------------------------------------------------------------------------------


def _moment(moment: Moment) -> Iterator[Block]:
    for decision in moment.decisions:
        yield from _verdict(decision)
    if moment.undecided is not None:
        yield Line(moment.undecided, "bad")
    if moment.not_stored:
        yield Heading("Not stored")
        for sentence in moment.not_stored:
            yield Line(sentence, "weak")
    yield from _bar(moment)
    yield from _news(moment)
    if moment.watched is not None:
        yield from _watched(moment.watched)
    for decision in moment.decisions:
        yield from _confidence(decision)


def _verdict(decision: DecisionView) -> Iterator[Block]:
    acting = decision.action != "HOLD"
    what = " ".join(word(part) for part in (decision.action, decision.strategy, decision.direction) if part)
    yield Line(f"{what}: {decision.reason}", "good" if acting else "bad")
    how = "decided live" if decision.live else "recomputed later, not decided live"
    yield Line(f"{how} by rule set {decision.rule_set}, configuration {decision.config_hash[:_HASH]}", "weak")


def _bar(moment: Moment) -> Iterator[Block]:
    yield Heading("The deciding bar")
    bar = moment.bar
    if bar is None:
        yield Line("not stored", "weak")
    else:
        prices = "  ".join(f"{name} {number(bar[name])}" for name in ("open", "high", "low", "close", "vwap"))
        yield Line(f"{clock(bar['ts'])}  {prices}  volume {value(bar['volume'])}")
        yield Line(f"known at {clock(bar['known_at'])} ({bar['known_how']}), feed {bar['feed']}", "weak")
    if moment.features is not None:
        shown = [
            f"{name} {number(found)}"
            for name, found in moment.features.items()
            if name not in ("ticker", "ts", "as_of", "close", "volume")
        ]
        for first in range(0, len(shown), _FEATURES_PER_LINE):
            yield Line(", ".join(shown[first : first + _FEATURES_PER_LINE]), indent=1)
    if moment.context is not None:
        context = moment.context
        yield Line(
            f"market: {context['index']} {number(context['index_close'])}, one-day trend "
            f"{value(context['index_trend_1d'])}; regime {value(context['regime'])} ({context['regime_reason']})"
        )


def _news(moment: Moment) -> Iterator[Block]:
    yield Heading("The news behind the sentiment")
    stored = moment.sentiment
    if stored is None:
        yield Line("no decision, so no sentiment of it is stored", "weak")
    elif stored["sentiment"] is None:
        yield Line("no news counted: the sentiment was unknown, which neither helps nor harms")
    else:
        yield Line(
            f"sentiment {stored['sentiment']:+.4f}, stories that counted: {stored['news_count']}, the newest known "
            f"{stored['news_age_s']:.0f} s before"
        )
        again = moment.sentiment_again
        if again is not None and abs(again["sentiment"] - stored["sentiment"]) > 1e-9:
            yield Line(f"the stored stories that count give {again['sentiment']:+.4f}: they DIFFER", "bad")
    counted = [story for story in moment.stories if story.counts is not False]
    others = [story for story in moment.stories if story.counts is False]
    if counted:
        yield _stories(counted, moment.session)
    if others:
        yield Line(f"known and not counted: {len(others)}", "weak")
        yield _stories(others[:_OTHERS], moment.session)
        if len(others) > _OTHERS:
            yield Line(f"and {len(others) - _OTHERS} more", "weak", 1)


def _stories(stories: Iterable[Story], day: date) -> Grid:
    return Grid(
        (
            "score",
            "conf.",
            "headline",
            "source",
            "published",
            "fetched",
            "known",
            "why",
            "named by",
            "cluster",
            "model",
        ),
        tuple(
            (
                number(story.score, "+.3f"),
                number(story.confidence, ".2f"),
                story.title,
                story.source or "not stored",
                clock(story.published_at, day),
                clock(story.fetched_at, day),
                clock(story.known_at, day),
                story.why,
                _named_by(story),
                story.cluster_id[:8],
                f"{story.model} {story.revision}",
            )
            for story in stories
        ),
    )


def _named_by(story: Story) -> str:
    """By which words the story was taken for the ticker, and which of its words were scored."""
    named = story.named_by or "not stored"
    return named if story.clause is None else f"{named}; scored: {story.clause}"


def _watched(watched: Watched) -> Iterator[Block]:
    yield Heading("The watchlist")
    member = "member" if watched.member else "no member"
    yield Line(
        f"{member}, rank {value(watched.rank)}, score {number(watched.score, '.4f')}, {word(watched.direction or '-')}"
        f", as of {clock(watched.listed_at)}: {watched.reason or 'no reason is stored'}",
        "" if watched.member else "bad",
    )
    yield Line(f"score = {_sum(watched.factors)}", indent=1)


def _sum(factors: Iterable[Weighted]) -> str:
    found = tuple(factors)
    if all(factor.weight is not None for factor in found):
        return " + ".join(f"{factor.weight:g} x {_name(factor.name)} {number(factor.value, '.4f')}" for factor in found)
    said = ", ".join(f"{_name(factor.name)} {number(factor.value, '.4f')}" for factor in found)
    return f"a weighted sum of {said} (the weights are not stored)"


def _name(factor: str) -> str:
    return factor.removesuffix("_factor").removesuffix("_multiplier").replace("_", " ")


def _confidence(decision: DecisionView) -> Iterator[Block]:
    yield Heading("The confidence")
    if decision.own_factors:
        yield Line(", ".join(f"{_name(name)} {value(found)}" for name, found in decision.own_factors.items()))
        yield Line(f"stored: {number(decision.confidence, '.6f')}, by the formula of {decision.rule_set}")
        return
    factors = " x ".join(f"{_name(name)} {number(found, '.4f')}" for name, found in decision.factors.items())
    if decision.product is None:
        unknown = ", ".join(_name(name) for name, found in decision.factors.items() if found is None)
        yield Line(f"{factors} = unknown ({unknown} is unknown)")
    else:
        yield Line(f"{factors} = {decision.product:.6f}")
        yield Line(f"stored: {number(decision.confidence, '.6f')}")
        if decision.agrees is False:
            yield Line("the stored confidence is NOT the product of the stored factors", "bad")
    yield Line(f"base = {_sum(decision.parts)}", indent=1)
    seen = ", ".join(f"{_name(name)} {number(found, '.4g')}" for name, found in decision.observed.items())
    yield Line(f"seen: {seen}", "weak", 1)
    if decision.thresholds:
        met = {True: "met", False: "MISSED", None: "unknown"}
        yield Grid(
            ("threshold", "observed", "needed", ""),
            tuple(
                (row.name, number(row.observed, ".4f"), f"{row.relation} {row.needed:g}", met[row.met])
                for row in decision.thresholds
            ),
            tuple("" if row.met else "bad" for row in decision.thresholds),
        )
    else:
        yield Line("the thresholds of that configuration are not stored", "weak", 1)


# --- what was done ----------------------------------------------------------------------------------------------------


def _signal(signal: SignalView) -> Iterator[Block]:
    yield Heading(f"Signal {signal.signal_id}")
    yield Line(
        f"{word(signal.action)} {word(signal.strategy)} {signal.ticker}, {word(signal.direction)}, confidence "
        f"{signal.confidence:.4f}, rule set {signal.rule_set}, configuration {signal.config_hash[:_HASH]}"
    )
    if signal.published_at is None:
        yield Line("not published", "bad")
    else:
        yield Line(f"published at {clock(signal.published_at)} by run {signal.published_by}", "weak")
    for account in signal.accounts:
        yield from account_blocks(account)
