"""Worlds of recorded bars: how far they reach, when they are continued, and when refused."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from trading_assets.domain.errors import ConfigurationError
from trading_assets.market.sessions import require_session, shift
from trading_assets.recorded_world import NOTHING, Played, bring_in, last_session, opening, parse_played
from trading_assets.settings import Settings, load_settings
from trading_assets.world import recorded_feeds, recording
from trading_assets.world.paths import World, WorldKind
from trading_assets.world.runtime import DEFAULT_PRACTICE
from trading_assets_tests.world.feed_captures import capture, rss

DAY = date(2026, 3, 11)
MINUTE = timedelta(minutes=1)


def bars_of(path: Path, *days: date, price: float = 100.0) -> Path:
    """A minute of SPY in each of ``days``."""
    opens = [require_session(day).open for day in days]
    prices = {name: [price] * len(days) for name in ("open", "high", "low", "close")}
    frame = pl.DataFrame({"ticker": ["SPY"] * len(days), "ts": opens, **prices, "volume": [100] * len(days)})
    frame.write_parquet(path)
    return path


def played(bars: Path, feeds: Path | None = None) -> Played:
    return parse_played(bars, None, None, None, None, feeds, None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    world = World(tmp_path / "home")
    world.create()
    return load_settings(world=world, kind=WorldKind.PRACTICE, env={})


def made(settings: Settings, wanted: Played, session: date = DAY) -> tuple[object, list[str]]:
    found = opening(wanted, session, None)
    assert found is not None
    return found(settings, settings.world.record(), DEFAULT_PRACTICE)


def test_a_world_goes_through_the_sessions_in_a_row_that_its_bars_cover(settings: Settings, tmp_path: Path) -> None:
    friday, tuesday = shift(DAY, 2).day, shift(DAY, 4).day
    bars = bars_of(tmp_path / "bars.parquet", shift(DAY, -1).day, DAY, shift(DAY, 1).day, friday, tuesday)
    arguments, lines = made(settings, played(bars))
    assert isinstance(arguments, dict)
    assert arguments["sessions"] == 3, "from Wednesday to Friday: there is no bar of Monday"
    last = last_session(arguments)
    assert last is not None
    assert last.day == friday
    assert lines == ["the recording bars.parquet is played until 2026-03-13; it has no bar of 2026-03-16"]
    assert last_session(DEFAULT_PRACTICE) is None


def test_an_existing_world_is_continued_with_its_own_options_and_refused_with_others(
    settings: Settings, tmp_path: Path
) -> None:
    bars = bars_of(tmp_path / "bars.parquet", DAY)
    arguments, _ = made(settings, played(bars))
    assert isinstance(arguments, dict)
    settings.world.begin(WorldKind.PRACTICE, arguments)
    assert made(settings, played(bars.rename(tmp_path / "moved.parquet")))[0] is None, (
        "the content counts, not the place"
    )
    other = bars_of(tmp_path / "other.parquet", DAY, price=101.0)
    capture(tmp_path / "feeds", "wire", require_session(DAY).open, rss())
    for wanted, session, says in (
        (played(other), DAY, "another --bars"),
        (played(other), shift(DAY, 1).day, "another --session, --bars"),
        (played(tmp_path / "moved.parquet", tmp_path / "feeds"), DAY, "another --feeds"),
        (NOTHING, DAY, "another --bars"),
    ):
        with pytest.raises(ConfigurationError) as refusal:
            made(settings, wanted, session)
        assert says in refusal.value.what
        assert "without these options" in refusal.value.mend
    assert opening(NOTHING, None, None) is None, "no options continue whatever is there"


def test_a_seed_alone_makes_a_generated_world_from_the_usual_session_on(settings: Settings) -> None:
    found = opening(NOTHING, None, 8)
    assert found is not None
    arguments, lines = found(settings, None, DEFAULT_PRACTICE)
    assert arguments == {**DEFAULT_PRACTICE, "seed": 8}
    assert lines == []


def test_what_a_failed_attempt_brought_in_is_not_taken_for_the_next_ones(settings: Settings, tmp_path: Path) -> None:
    at = require_session(DAY).open + MINUTE
    capture(tmp_path / "broken", "wire", at, "<html>log in</html>")
    with pytest.raises(ConfigurationError, match="is a sound feed"):
        made(settings, played(bars_of(tmp_path / "one.parquet", DAY), tmp_path / "broken"))
    capture(tmp_path / "sound", "wire", at, rss(("Apple beats", at)))
    made(settings, played(bars_of(tmp_path / "two.parquet", DAY, price=7.0), tmp_path / "sound"))
    kept = pl.read_parquet(settings.world.exchange / recording.BARS_FILE)
    assert kept["close"].unique().to_list() == [7.0]
    assert (recorded_feeds.counts_of(settings.world.exchange) or {})["name"] == "sound"


def test_feeds_of_ones_own_and_recorded_ones_exclude_each_other(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.create()
    own = "news: {feeds: [{name: mine, url: 'https://example.com/rss', source: Mine}]}\n"
    (world.directory / "strategy.yaml").write_text(own)
    settings = load_settings(world=world, kind=WorldKind.PRACTICE, env={})
    session = require_session(DAY)
    capture(tmp_path / "feeds", "wire", session.open, rss(("Apple beats", session.open)))
    wanted = parse_played(None, None, None, None, None, tmp_path / "feeds", None)
    with pytest.raises(ConfigurationError, match="names 1 feeds of its own"):
        bring_in(world, settings, wanted, [session])


def test_a_session_must_be_named_and_be_one(tmp_path: Path) -> None:
    wanted = played(bars_of(tmp_path / "bars.parquet", DAY))
    with pytest.raises(ConfigurationError, match="session that you name"):
        opening(wanted, None, None)
    with pytest.raises(ConfigurationError, match="2026-03-14 is not a trading session"):
        opening(wanted, date(2026, 3, 14), None)
