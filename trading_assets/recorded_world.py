"""What a world is made of that plays recorded days: a person's bars and feeds, for ``demo`` and ``up`` alike.

What belongs here: from the command line's options to a recording and a folder of feeds, bringing both into a world, and
what a world's record says of them. How either is read is in ``world.recording`` and ``world.recorded_feeds``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_assets.domain.errors import ConfigurationError
from trading_assets.market.sessions import Session, require_session, session_on, shift
from trading_assets.world import recorded_feeds, recording
from trading_assets.world.feed_folder import FeedFolder
from trading_assets.world.paths import World, WorldRecord
from trading_assets.world.recording import Recording, parse_recording

if TYPE_CHECKING:
    from trading_assets.settings import Settings

#: What no recording of minute bars has.
MODELLED = (
    "option chains and quotes",
    "stock quotes",
    "prices within a minute",
    "fills in minutes without a trade (none after five)",
    "daily bars before the recording",
)
_NOTHING_KNOWN = "all prices: they are drawn from the seed and know nothing of the recorded headlines"


@dataclass(frozen=True, slots=True)
class Played:
    """What was recorded: minute bars, feeds, both or neither."""

    bars: Recording | None = None
    feeds: FeedFolder | None = None

    def as_json(self) -> dict[str, Any]:
        """As kept among a world's arguments. Worlds without feeds say nothing of them, as those made before."""
        bars = {"recording": None if self.bars is None else self.bars.as_json()}
        return bars if self.feeds is None else bars | {"feeds": self.feeds.as_json()}


#: A world that is drawn from its seed.
NOTHING = Played()


def parse_played(
    bars: Path | None,
    columns: str | None,
    zone: str | None,
    label: str | None,
    ticker: str | None,
    feeds: Path | None,
    feeds_shift_days: int | None,
) -> Played:
    """From the options of the command line; raises ``ConfigurationError`` for what makes no sense."""
    given = {"--bars-columns": columns, "--bars-tz": zone, "--bars-label": label, "--bars-ticker": ticker}
    unread = [option for option, value in given.items() if value is not None and bars is None]
    if feeds_shift_days is not None and feeds is None:
        raise ConfigurationError(
            "belongs to --feeds", where="--feeds-shift-days", mend="Name the folder of feeds, too."
        )
    if unread:
        raise ConfigurationError("belongs to --bars", where=unread[0], mend="Name the recording of bars, too.")
    return Played(
        None if bars is None else parse_recording(bars, columns, zone, label or "start", ticker),
        None if feeds is None else FeedFolder(feeds, feeds_shift_days or 0),
    )


def bring_in(world: World, settings: Settings, played: Played, sessions: Sequence[Session]) -> list[str]:
    """Bring what was recorded into the world, unless it is there; what a person should know of it, a line each."""
    if played.bars is not None:
        recording.keep(played.bars, world.exchange, [each.day for each in sessions], settings.strategy.context.index)
    if played.feeds is None:
        return []
    if settings.strategy.news.feeds:
        raise ConfigurationError(
            f"strategy.yaml names {len(settings.strategy.news.feeds)} feeds of its own, which would be read instead",
            where="news.feeds",
            mend="Leave them out for a world of recorded feeds.",
        )
    from trading_assets.news.captured import read_capture

    return recorded_feeds.described(recorded_feeds.keep(played.feeds, world.exchange, sessions, read_capture))


def forget(world: World) -> None:
    """Remove what an attempt brought in whose world then never began."""
    for name in (recording.BARS_FILE, recording.COUNTS_FILE, recorded_feeds.FEEDS_FILE):
        (world.exchange / name).unlink(missing_ok=True)
    shutil.rmtree(world.exchange / recorded_feeds.BODIES, ignore_errors=True)


def summary(world: World, played: Played, shown_until: datetime) -> dict[str, Any]:
    """The counts of bars and feeds, and what of this world is modelled because nothing that was recorded has it."""
    found: dict[str, Any] = {}
    modelled: list[str] = []
    if played.bars is not None:
        counts = recording.counts_of(world.exchange) or {}
        index = counts.get("composite_index")
        found["recording"] = counts
        modelled += MODELLED
        modelled += [f"the index {index}: the mean of the recorded names, without options"] if index else []
    if played.feeds is not None:
        found["feeds"] = {
            **(recorded_feeds.counts_of(world.exchange) or {}),
            "items_served": recorded_feeds.items_until(world.exchange, shown_until),
        }
        modelled += [_NOTHING_KNOWN] if played.bars is None else []
    return found | ({"modelled": modelled} if modelled else {})


def opening(
    played: Played, session: date | None, seed: int | None
) -> Callable[[Settings, WorldRecord | None, Mapping[str, Any]], tuple[Mapping[str, Any] | None, list[str]]] | None:
    """How ``up`` makes or continues a world of these options; None if there were none: then it continues as it is.

    The answer gets the settings, the world's record (None: a new world) and the arguments of a world that nobody gave
    any. It returns the arguments of a new world (None: those of the record) and what to say. An existing world of other
    options raises ``ConfigurationError``.
    """
    if played == NOTHING and session is None and seed is None:
        return None
    if session is None and played != NOTHING:
        raise ConfigurationError(
            "a recorded world begins with a session that you name", where="--session", mend="Add --session YYYY-MM-DD."
        )
    if session is not None and session_on(session) is None:
        raise ConfigurationError(
            f"{session} is not a trading session", where="--session", mend=f"The next one is {shift(session, 1).day}."
        )

    def arguments(
        settings: Settings, record: WorldRecord | None, defaults: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any] | None, list[str]]:
        wanted: dict[str, Any] = {} if session is None else {"session": session.isoformat()}
        wanted |= {"feeds": None, **played.as_json()}
        if seed is not None:
            wanted["seed"] = seed
        world = settings.world
        if record is not None:
            _require_same(world, record, wanted)
            return None, _covered(world, record.arguments)
        forget(world)
        first = require_session(session or date.fromisoformat(defaults["session"]))
        if played.bars is not None:
            recording.keep(played.bars, world.exchange, [first.day], settings.strategy.context.index)
            count = recording.sessions_from(world.exchange, first.day)
        else:
            count = int(defaults["sessions"])
        lines = bring_in(world, settings, played, [shift(first.day, number) for number in range(count)])
        made = {**defaults, **{key: value for key, value in wanted.items() if value is not None}, "sessions": count}
        return made, [*lines, *_covered(world, made)]

    return arguments


def _require_same(world: World, record: WorldRecord, wanted: Mapping[str, Any]) -> None:
    names = {"session": "--session", "recording": "--bars", "feeds": "--feeds", "seed": "--seed"}
    differing = [names[key] for key, value in wanted.items() if record.arguments.get(key) != value]
    if differing:
        raise ConfigurationError(
            f"the world {world.name!r} was made with another {', '.join(differing)}",
            where=str(world.directory),
            mend="Start it without these options to continue it, or make another one with --world.",
        )


def last_session(arguments: Mapping[str, Any]) -> Session | None:
    """The last session that a world's recorded bars cover; None for a world that plays none."""
    if arguments.get("recording") is None:
        return None
    return shift(date.fromisoformat(arguments["session"]), int(arguments.get("sessions", 1)) - 1)


def _covered(world: World, arguments: Mapping[str, Any]) -> list[str]:
    last = last_session(arguments)
    counts = recording.counts_of(world.exchange)
    if last is None or counts is None:
        return []
    hole = "" if counts["last_session"] == last.key else f"; it has no bar of {shift(last.day, 1).key}"
    return [f"the recording {counts['name']} is played until {last.key}{hole}"]
