"""``universe``: which tickers are followed, found every six hours in the news and in traded volumes, by calendar day.

Its volumes come from bars of the tickers that were followed until then, looked up as they were known; bars of the
tickers that it names are fetched afterwards, and the watchlist scores them. Only that is a dependency, so that a person
can make the bars of a past session whatever was discovered. Nothing here acts: a run that a person starts discovers,
too; a past day is told as it was and never made again.
"""

import logging
import warnings
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    BackfillPolicy,
    BetaWarning,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from trading_assets.assets.broker_list import broker_list
from trading_assets.assets.columns import table_columns
from trading_assets.assets.entrants import load_minutes
from trading_assets.assets.frame_asset import OWNER
from trading_assets.assets.groups import NEWS
from trading_assets.assets.history import window
from trading_assets.assets.preview import as_text, table
from trading_assets.automation.names import DISCOVERY_JOB
from trading_assets.automation.partitions import DAYS
from trading_assets.automation.tags import RECOMPUTABLE_TAG, tag_session
from trading_assets.automation.tickets import FOREIGN_TAGS
from trading_assets.broker.values import BrokerAsset
from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.ledger import universe as store
from trading_assets.ledger.news_tables import universe_members
from trading_assets.ledger.universe import Member, Status
from trading_assets.market.sessions import session_of, shift
from trading_assets.news.discovery.context import Article, Volume, gather, volumes_of
from trading_assets.news.discovery.run import Found, Frame, differences, discover
from trading_assets.news.discovery.validation import Listed
from trading_assets.resources.desk import Desk

_log = logging.getLogger(__name__)
CHECK = "universe_found"
_DESCRIPTION = (
    "The tickers that are followed, unless tickers of one's own are configured or `universe.mode` is `fixed`: 35 named "
    "from the events of the last 24 hours, volume surges and what is tracked already, by a built-in ranking or a "
    "language model on Amazon Bedrock. "
    "Each must be an active, tradable asset with options; the most confident 28 are active. A ticker in which "
    "something is open is kept whatever the answer says. If it fails, the last universe stays. The volumes are those "
    "of bars as they were known; the bars of the tickers that it names are fetched afterwards.\n\n"
    f"- **Written** every six hours by the job `{DISCOVERY_JOB}`, or when a person runs it; nothing of it acts\n"
    "- **Partition**: one New York calendar day; what is written is the current one\n"
    "- **Missing**: before a first discovery succeeded the configured tickers are followed; a confidence or volume "
    "that is not known is null\n"
    "- **Past partitions**: cannot be made again; they are told as they were"
)


def discovered(desk: Desk, run_id: str) -> Found:
    """Discover now: read what is known, ask, and store what came of it. Raises what the ledger raises."""
    as_of = desk.clock.now()
    strategy = desk.settings.strategy
    config = strategy.universe.discovery
    assets = _listed(desk)
    frame = Frame(
        listed={asset.symbol: Listed(asset.tradable, asset.optionable) for asset in assets},
        sectors=strategy.universe.sectors,
        index=strategy.context.index,
    )
    context = gather(as_of, _articles(desk, as_of, assets), _volumes(desk, as_of), _tracked(desk, as_of), config)
    return discover(
        desk.ledger,
        desk.clock,
        context,
        frame,
        config,
        run_id=run_id,
        make_ready=partial(_make_ready, desk),
        followed=desk.discovers,
    )


def _make_ready(desk: Desk, tickers: frozenset[str]) -> None:
    if desk.discovers:
        load_minutes(desk, tickers - set(desk.universe))


def _listed(desk: Desk) -> Sequence[BrokerAsset]:
    """The broker's active assets; none if no account tells them: then nobody is asked and the last universe stays."""
    try:
        return broker_list(desk)
    except TradingAssetsError as error:
        _log.error("no name can be checked: %s", error)
        return ()


def _articles(desk: Desk, as_of: datetime, assets: Sequence[BrokerAsset]) -> list[Article]:
    """Scored stories of the last hours, each with its newest score, whichever model version made it. They name more
    companies than the followed ones: any that the broker lists."""
    from trading_assets.ledger.news import scored_between
    from trading_assets.news.tickers import How, TickerExtractor, universe_of

    since = as_of - timedelta(hours=desk.settings.strategy.universe.discovery.story_hours)
    with desk.ledger.connect() as connection:
        stories = scored_between(connection, since, as_of + timedelta(seconds=1), None, None, as_of)
    names = {asset.symbol: asset.name for asset in assets if asset.optionable and asset.name}
    extractor = TickerExtractor(universe_of(names, names))
    found = []
    # The first known stands first: a story that was scored anew speaks with the score that was made last.
    for each in {each.story.event_uid: each for each in stories}.values():
        story, score = each.story, each.score
        # A bare word in capitals is a company only among the followed ones, where the scoring looked for it.
        mentions = [one.symbol for one in extractor.extract(story.title) if one.how is not How.SYMBOL]
        found.append(
            Article(
                event_uid=story.event_uid,
                cluster_id=story.cluster_id,
                source=story.source,
                title=story.title,
                tickers=tuple(dict.fromkeys([*score.tickers, *story.symbols, *mentions])),
                published_at=story.published_at,
                known_at=max(story.fetched_at, score.scored_at),
                score=score.score,
                confidence=score.confidence,
            )
        )
    return found


def _volumes(desk: Desk, as_of: datetime) -> list[Volume]:
    """Volumes of the session that has begun last, as known now."""
    session = session_of(as_of)
    day = as_of.astimezone(NEW_YORK).date()
    newest = session if session is not None and session.open <= as_of else shift(day, -1)
    sessions = window(desk, newest.day)
    splits = desk.frames.read("splits", [shift(newest.day, -1).key, newest.key])
    config = desk.settings.strategy.universe.discovery
    return volumes_of(lambda session: desk.frames.read("bars", [session.key]), splits, sessions, as_of, config)


def _tracked(desk: Desk, as_of: datetime) -> dict[str, tuple[str, ...]]:
    """Why a ticker is tracked already: it is followed, watched or held, or one of the configured ones."""
    from trading_assets.ledger.watchlist import members_of

    day = as_of.astimezone(NEW_YORK).date()
    session = session_of(as_of) or shift(day, -1)
    with desk.ledger.connect() as connection:
        watched = members_of(connection, session.day)
        open_in = store.at_stake(connection)
    found = {ticker: ["followed"] for ticker in desk.universe}
    for ticker in sorted(watched):
        found.setdefault(ticker, []).append("on the watchlist")
    for ticker, accounts in open_in.items():
        found.setdefault(ticker, []).append(f"open in {', '.join(accounts)}")
    # The start of all universes: without this a ticker that left would come back only by news, and none grows again.
    for ticker in desk.configured_universe:
        found.setdefault(ticker, ["configured"])
    found.pop(desk.settings.strategy.context.index, None)
    return {ticker: tuple(why) for ticker, why in found.items()}


def _told(found: Found, before: frozenset[str], *, followed: bool) -> dict[str, Any]:
    """What the UI shows of one discovery. Words of others are text in a table's cell, never markup."""
    run, members = found.run, found.members
    count = {status: sum(member.status is status for member in members) for status in Status}
    note = f"failed, and the last universe stays: {run.error}" if run.error is not None else "found"
    if not followed:
        note += "; nobody ever follows it, because the configured tickers or a recording's are followed"
    told: dict[str, Any] = {
        "note": MetadataValue.text(note),
        "method": run.method,
        "model": run.model,
        "revision": run.revision,
        "known_at": run.known_at.isoformat(),
        "elapsed_ms": run.elapsed_ms,
        "events_shown": len(run.context["events"]),
        "surges_shown": len(run.context["surges"]),
        **{status.value: count[status] for status in Status},
        **{
            name: value
            for name, value in (("input_tokens", run.input_tokens), ("output_tokens", run.output_tokens))
            if value is not None
        },
    }
    if run.cost is not None:
        told["cost_usd"] = float(run.cost)
    if run.error is None:
        changes = differences(before, members)
        told |= {f"tickers_{what}": sum(row["what"] == what for row in changes) for what in ("entered", "left", "kept")}
        told["changes"] = table(changes, {"what": "what", "ticker": "ticker", "why": "why"}, limit=100)
    refused = [member for member in members if member.status is Status.REJECTED]
    shown = [member for member in members if member.status is not Status.REJECTED]
    told["members"] = table([_row(member) for member in shown], _HEADINGS, limit=100)
    if refused:
        told["refused"] = table([_row(member) for member in refused], {"symbol": "named", "reason": "why"}, limit=60)
    return told


_HEADINGS = {
    "symbol": "ticker",
    "status": "status",
    "confidence": "confidence",
    "expected_volume": "volume",
    "sector": "sector",
    "catalyst": "catalyst",
    "reason": "why",
}


def _row(member: Member) -> dict[str, Any]:
    return {name: getattr(member, name) for name in _HEADINGS} | {"status": member.status.value}


def _past(desk: Desk, key: str) -> dict[str, Any]:
    """How many discoveries a day had, told from the ledger."""
    day = datetime.combine(datetime.fromisoformat(key).date(), time(), tzinfo=NEW_YORK)
    with desk.ledger.connect() as connection:
        runs = store.runs_known_between(connection, day, day + timedelta(days=1))
    return {"discoveries": len(runs), "note": MetadataValue.text("told as it was; a past day is not discovered again")}


def _materialize(context: AssetExecutionContext, desk: ResourceParam[Desk]) -> MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the annotation and knows the plain class only
    """One discovery for today; every other day is told from the ledger."""
    tag_session(context.instance, context.run, context.partition_keys)
    today = desk.clock.now().astimezone(NEW_YORK).date().isoformat()
    again = [tag for tag in FOREIGN_TAGS if tag in context.run.tags]
    passed, said = True, "no discovery in this run"
    told: dict[str, dict[str, Any]] = {}
    for key in sorted(context.partition_keys):
        if key != today or again:
            told[key] = _past(desk, key)
            continue
        before = frozenset(desk.universe) - {desk.settings.strategy.context.index}
        found = discovered(desk, context.run.run_id)
        passed = found.run.error is None
        said = found.run.error or f"{sum(each.status is Status.ACTIVE for each in found.members)} tickers are active"
        told[key] = _told(found, before, followed=desk.discovers)
        (context.log.info if passed else context.log.error)(f"universe {key}: {said}")
    for key, metadata in told.items() if len(told) > 1 else ():
        context.add_asset_metadata(metadata, partition_key=key)
    return MaterializeResult(
        metadata=next(iter(told.values())) if len(told) == 1 else {"partitions": len(told)},
        check_results=[
            AssetCheckResult(
                check_name=CHECK,
                passed=passed,
                severity=AssetCheckSeverity.WARN,
                description=as_text(said),
            )
        ],
    )


with warnings.catch_warnings():
    # Single-run backfills are marked beta in Dagster; the exact version is pinned.
    warnings.simplefilter("ignore", BetaWarning)
    universe = asset(
        name="universe",
        group_name=NEWS,
        description=_DESCRIPTION,
        kinds={"bedrock", "postgres"},
        owners=[OWNER],
        tags={RECOMPUTABLE_TAG: "no"},
        code_version="1",
        partitions_def=DAYS,
        backfill_policy=BackfillPolicy.single_run(),
        deps=["sentiment"],
        check_specs=[
            AssetCheckSpec(
                CHECK,
                asset="universe",
                description="The last discovery gave a universe. Otherwise the one before it stays (never a block).",
            )
        ],
        metadata={
            "dagster/column_schema": table_columns("universe", universe_members),
            "dagster/table_name": universe_members.name,
        },
    )(_materialize)
