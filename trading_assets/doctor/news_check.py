"""Check of what brings news: configured feeds, the broker's interface and its socket, as the ledger remembers them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.wires import STREAM
from trading_assets.news.feed_health import FeedHealth, failing_sentence, feed_health
from trading_assets.news.wire_health import wire_health, wire_troubles
from trading_assets.settings import Settings
from trading_assets.world.doctor import Finding, State, failed, ok, up
from trading_assets.world.paths import WorldKind
from trading_assets.world.processes import Children

ITEM = "news sources"
_SERVICE = "news-stream"
#: So often the socket's service may be late in saying how it does.
_PATIENCE = 3


def check_news(settings: Settings, url: str) -> Finding:
    """Every source answered when it was last asked, and the socket's service says how it does."""
    news = settings.strategy.news
    engine = open_ledger(url, application_name="trading-assets doctor", pool_size=1)
    try:
        feeds = feed_health(engine, news, settings.strategy.universe.tickers)
        wires, unwell = wire_health(engine, news), wire_troubles(engine, news)
    except SQLAlchemyError as error:
        return failed(ITEM, error, up(settings.world))
    finally:
        engine.dispose()
    if not feeds and not wires:
        practice = settings.mode is WorldKind.PRACTICE
        read = "those of the practice exchange are read" if practice else "nothing is read"
        return ok(ITEM, f"no feed is configured, and the broker's news are off: {read}")
    troubles = [said for said in (failing_sentence(feeds), *unwell, _silent(settings, wires)) if said is not None]
    if not troubles:
        return ok(ITEM, _counted([*wires, *feeds]))
    mend = "Decisions go on without them. The check feeds_answer of the asset news says more; remove what is gone."
    return Finding(ITEM, State.WARNING, f"{_counted([*wires, *feeds])}; {'; '.join(troubles)}", mend)


def _counted(sources: Sequence[FeedHealth]) -> str:
    new = sum(each.condition == "new" for each in sources)
    bad = sum(each.failing for each in sources)
    asked = f"{len(sources) - new - bad} of {len(sources)} answered when they were last asked"
    return asked + (f", {new} were never asked" if new else "")


def _silent(settings: Settings, wires: Sequence[FeedHealth]) -> str | None:
    """A service that runs and says nothing. By the clock of a practice world, which may stand, nobody can tell."""
    found = next((each for each in wires if each.feed == STREAM and not each.failing), None)
    if found is None or settings.mode is WorldKind.PRACTICE:
        return None
    running = Children(settings.world).adopt(_SERVICE)
    if running is None:
        return None
    alpaca = settings.strategy.news.alpaca
    began = datetime.fromtimestamp(running.started, UTC)
    last = max(began, found.last_attempt_at or began)
    longest = timedelta(seconds=_PATIENCE * (alpaca.compare_seconds + alpaca.deadline_seconds))
    if datetime.now(UTC) - last <= longest:
        return None
    return f"the news socket gave no sign of life since {last:%Y-%m-%d %H:%M:%S} UTC"
