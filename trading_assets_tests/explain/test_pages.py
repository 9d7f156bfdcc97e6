"""Rows become a page and a page becomes text: nothing invented, nothing hidden, and no text taken for markup."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from trading_assets.explain.accounts import make_position, make_signal
from trading_assets.explain.moments import Rules, make_decision, make_moment
from trading_assets.explain.page import Page
from trading_assets.explain.paper import Grid, Heading, Line, plain, show
from trading_assets.explain.reading import MomentRows, PositionRows, SignalRows
from trading_assets.explain.render import blocks
from trading_assets.explain.showing import amount, clock, value
from trading_assets.explain.wording import clean, clean_all
from trading_assets.market.frames import DECISIONS, NEWS, SENTIMENT, WATCHLIST
from trading_assets.strategy.config_signals import NewsViewConfig, SignalConfig, WatchlistConfig

AS_OF = datetime(2026, 3, 11, 14, 40, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = date(2026, 3, 11)
HASH = "a" * 64
SIGNAL = "0123456789abcdef" * 2
RULES = Rules(HASH, frozenset({"momentum-1"}), SignalConfig(), WatchlistConfig(), NewsViewConfig())


def decision(**more: Any) -> dict[str, Any]:
    row = dict.fromkeys(DECISIONS) | {
        "as_of": AS_OF,
        "ticker": "INTC",
        "ts": AS_OF - MINUTE,
        "action": "BUY_CALL",
        "strategy": "day_trade",
        "direction": "BULLISH",
        "signal_id": SIGNAL,
        "confidence": 0.8,
        "base": 1.0,
        "trend_factor": 1.0,
        "setup_factor": 1.0,
        "volatility_factor": 1.0,
        "mtf_factor": 1.0,
        "sentiment_multiplier": 1.0,
        "volume_multiplier": 1.0,
        "breakout_multiplier": 1.0,
        "index_multiplier": 0.8,
        "volume_ratio": 3.0,
        "vol_ratio": 1.0,
        "distance_sma20": 0.001,
        "reason": "confidence 0.800, volume ratio 3.00",
        "rule_set": "momentum-1",
        "config_hash": HASH,
        "live": True,
    }
    return row | more


def story(**more: Any) -> dict[str, Any]:
    row = {
        "event_uid": "e" * 64,
        "cluster_id": "c" * 64,
        "ticker": "INTC",
        "published_at": AS_OF - 5 * MINUTE,
        "fetched_at": AS_OF - 4 * MINUTE,
        "scored_at": AS_OF - 4 * MINUTE,
        "known_at": AS_OF - 4 * MINUTE,
        "score": 0.5,
        "label": "positive",
        "confidence": 0.9,
        "model": "model",
        "revision": "1",
        "title": "Intel rises",
    }
    return row | more


def moment_rows(*stories: dict[str, Any], decided: tuple[dict[str, Any], ...] = (), **more: Any) -> MomentRows:
    rows = MomentRows(
        session=DAY,
        ticker="INTC",
        as_of=AS_OF,
        bar=None,
        features=None,
        context=None,
        watched=None,
        decisions=decided,
        config_hashes=frozenset(row["config_hash"] for row in decided),
        sentiment=pl.DataFrame(list(stories), schema=SENTIMENT),
        news={},
    )
    return replace(rows, **more)


def page_of(rows: MomentRows, **more: Any) -> Page:
    made = Page("INTC", "ticker", DAY, None, None, make_moment(rows, RULES), (), (), ())
    return replace(made, **more)


def text_of(rows: MomentRows) -> str:
    return plain(blocks(page_of(rows)))


# --- what is missing --------------------------------------------------------------------------------------------------


def test_what_is_not_stored_is_named_and_nothing_stands_in_for_it() -> None:
    moment = make_moment(moment_rows(decided=(decision(),)), RULES)
    assert moment.not_stored == (
        "no minute bar of INTC that was known then is stored",
        "no features of INTC at this instant are stored",
        "no market context of this instant is stored",
        "no watchlist row of INTC is stored by then",
    )
    text = text_of(moment_rows(decided=(decision(),)))
    for sentence in moment.not_stored:
        assert sentence in text
    assert "no news counted" in text


def test_an_article_that_is_gone_leaves_its_score_and_says_that_its_source_is_not_stored() -> None:
    assert "not stored" in text_of(moment_rows(story(), decided=(decision(),)))
    article = dict.fromkeys(NEWS) | {"source": "a desk", "feed": "desk", "link": "https://desk.example/1"}
    rows = moment_rows(story(), decided=(decision(),), news={"e" * 64: article})
    (told,) = make_moment(rows, RULES).stories
    assert (told.source, told.link, told.counts) == ("a desk", "https://desk.example/1", True)


def test_an_unknown_factor_makes_the_product_unknown_and_is_named() -> None:
    rows = moment_rows(decided=(decision(breakout_multiplier=None, confidence=None, action="HOLD"),))
    (made,) = make_moment(rows, RULES).decisions
    assert (made.product, made.agrees) == (None, None)
    assert {row.name: row.met for row in made.thresholds}["confidence of a swing trade"] is None
    assert "= unknown (breakout is unknown)" in text_of(rows)


def test_a_confidence_that_is_not_the_product_of_its_factors_is_called_out() -> None:
    assert "is NOT the product" in text_of(moment_rows(decided=(decision(confidence=0.7),)))
    assert "is NOT the product" not in text_of(moment_rows(decided=(decision(),)))


def test_a_sentiment_that_the_stored_stories_do_not_give_is_called_out() -> None:
    told = decision(sentiment=-0.5, news_count=1, news_age_s=240.0)
    assert "they DIFFER" in text_of(moment_rows(story(), decided=(told,)))
    assert "they DIFFER" not in text_of(moment_rows(story(), decided=(told | {"sentiment": 0.5},)))


@pytest.mark.parametrize(
    "change", [{"config_hash": "b" * 64}, {"rule_set": "momentum-0"}], ids=["configuration", "rules"]
)
def test_thresholds_and_weights_are_those_of_the_decision_or_none(change: dict[str, str]) -> None:
    (own,) = make_moment(moment_rows(decided=(decision(),)), RULES).decisions
    assert own.thresholds and [part.weight for part in own.parts] == [0.3, 0.15, 0.15, 0.4]
    (other,) = make_moment(moment_rows(decided=(decision(**change),)), RULES).decisions
    assert other.thresholds == () and [part.weight for part in other.parts] == [None] * 4


def test_a_threshold_that_was_met_exactly_is_met() -> None:
    (made,) = make_moment(
        moment_rows(decided=(decision(confidence=0.75, volume_ratio=2.0, vol_ratio=2.0),)), RULES
    ).decisions
    assert [row.name for row in made.thresholds if row.met is not True] == []
    (made,) = make_moment(moment_rows(decided=(decision(distance_sma20=-0.02),)), RULES).decisions
    assert [row.name for row in made.thresholds if not row.met] == ["|distance to the 20-bar mean|"]


def test_a_watchlist_score_is_shown_as_the_sum_that_it_is() -> None:
    watched = dict.fromkeys(WATCHLIST) | {
        "as_of": AS_OF,
        "ticker": "INTC",
        "rank": 31,
        "score": 0.45,
        "direction": "NONE",
        "technical": 0.5,
        "volume_factor": 0.25,
        "sentiment_factor": 0.5,
        "performance_factor": 0.75,
        "member": False,
        "reason": "rank 31: 30 better ones are there",
    }
    rows = moment_rows(decided=(), watched=watched)
    page = make_moment(rows, RULES)
    assert page.undecided == (
        "no decision was made: INTC was no member of the watchlist (rank 31: 30 better ones are there)"
    )
    assert "(the weights are not stored)" in text_of(rows), "without a decision nobody knows under which rules"
    known = replace(rows, config_hashes=frozenset({HASH}))
    assert "0.4 x technical 0.5000 + 0.3 x volume 0.2500" in text_of(known)


# --- signals and positions --------------------------------------------------------------------------------------------


def position_rows(**more: Any) -> PositionRows:
    row: dict[str, Any] = {
        "position_id": "f" * 32,
        "account": "large",
        "symbol": "INTC260313C00050500",
        "strategy": "day_trade",
        "direction": "BULLISH",
        "origin": "adopted",
        "state": "OPEN",
        "quantity_opened": 2,
        "quantity": 2,
        "multiplier": 100,
        "entry_price": None,
        "entry_underlying": None,
        "stop_price": None,
        "target_price": None,
        "opened_at": None,
        "closed_at": None,
        "high_water": None,
        "exit_reason": None,
        "realized_pnl": Decimal("0.000000"),
        "rolled_from": None,
    }
    return PositionRows(row | more, (), (), ())


def test_a_signal_that_was_never_published_is_told_from_its_frame() -> None:
    made = make_signal(SignalRows(None, (), (), {}, ()), decision())
    assert made is not None and made.published_at is None and made.accounts == ()
    assert "not published" in plain(blocks(page_of(moment_rows(decided=(decision(),)), signals=(made,))))
    assert make_signal(SignalRows(None, (), (), {}, ()), None) is None


def test_an_adopted_position_has_a_page_without_a_moment() -> None:
    position = make_position(position_rows(), "f" * 32)
    page = Page("f" * 32, "position", DAY, None, "found at the broker", None, (), (position,), ())
    text = plain(blocks(page))
    assert "found at the broker" in text and "> Position ffff" in text
    assert "2 bought at - x 100" in text, "an unknown entry price is not zero"


# --- paper ------------------------------------------------------------------------------------------------------------

EVIL = "[bold red]Buy[/bold red] \x1b[31mnow\x1b[0m\r\n\u202egnp\u2066 :smile: [link=https://x]click[/link]"


def test_a_headline_is_text_in_plain_and_in_colour() -> None:
    rows = moment_rows(story(title=EVIL), decided=(decision(),))
    text = text_of(rows)
    assert "[bold red]Buy[/bold red] [31mnow[0m gnp :smile: [link=https://x]click[/link]" in text
    assert not set("\x1b\r\u202e\u2066") & set(text)
    out = io.StringIO()
    show(blocks(page_of(rows)), Console(file=out, force_terminal=True, width=400, highlight=False))
    coloured = out.getvalue()
    assert "[bold red]Buy[/bold red]" in coloured and ":smile:" in coloured and "[link=https://x]" in coloured
    assert "\x1b[31mnow" not in coloured and "\u202e" not in coloured and "\r" not in coloured


@given(st.text())
def test_cleaned_text_is_one_line_that_a_terminal_shows_as_it_is(text: str) -> None:
    cleaned = clean(text)
    assert "\n" not in cleaned and "\x1b" not in cleaned and cleaned == clean(cleaned) == cleaned.strip()
    assert clean_all({text: [text, 1, None]}) == {cleaned: [cleaned, 1, None]}


def test_a_table_is_padded_and_marks_the_row_that_was_asked_for() -> None:
    grid = Grid(("a", "long heading"), (("1", "x"), ("22", "yy")), marked=frozenset({1}))
    assert plain([Heading("T", 1), grid, Line("end", indent=1)]) == "\n".join(
        ["T", "=", "    a   long heading", "    1   x", "  > 22  yy", "  end"]
    )


def test_what_is_missing_is_a_dash_and_a_price_keeps_its_cents() -> None:
    assert (clock(None), amount(None), value(None), value([]), value({})) == ("-", "-", "-", "none", "-")
    assert [amount(text) for text in ("0.5", "410.00", "0.145", "1210", "0.500000")] == [
        "0.50",
        "410.00",
        "0.145",
        "1210.00",
        "0.50",
    ]
    assert value({"at": "2026-03-11T14:40:00+00:00", "ok": True, "x": None}) == "at 10:40:00, ok yes, x -"
    assert clock(AS_OF, date(2026, 3, 12)) == "2026-03-11 10:40:00"


def test_a_decision_of_another_preset_is_told_by_its_own_numbers() -> None:
    seeds = SignalConfig(swing_confidence=0.45, day_confidence=0.45)
    rules = replace(RULES, presets={"b" * 64: seeds})
    found = make_decision(decision(config_hash="b" * 64, confidence=0.5), rules)
    (day,) = [row for row in found.thresholds if row.name == "confidence of a day trade"]
    assert (day.needed, day.met) == (0.45, True)


def test_a_rule_set_with_a_formula_of_its_own_shows_its_own_factors() -> None:
    row = decision(rule_set="gap_fade-1", own_factors='{"gap": 0.014, "size_factor": 0.5}', base=None)
    found = make_decision(row, RULES)
    assert found.own_factors == {"gap": 0.014, "size_factor": 0.5}
    assert (found.factors, found.parts, found.product, found.agrees) == ({}, (), None, None)


def test_a_story_says_by_which_words_it_was_taken_for_the_ticker() -> None:
    named = story(how="name", matched="Intel", clause="Intel rises")
    assert "name 'Intel'; scored: Intel rises" in text_of(moment_rows(named))
    assert "the source says so" in text_of(moment_rows(story(how="source")))
    (old,) = make_moment(moment_rows(story()), RULES).stories
    assert old.named_by is None
