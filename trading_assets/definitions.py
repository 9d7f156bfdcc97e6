"""The project on one page: which assets, jobs, schedules, sensors and resources make up the code location.

``build_definitions`` serves production, the command line, the demo and the tests alike. Loading this module opens
nothing and imports no heavy library.
"""

from __future__ import annotations

from dagster import (
    AssetSelection,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    Definitions,
    define_asset_job,
    definitions,
    in_process_executor,
)

from trading_assets.assets.bars import bars
from trading_assets.assets.daily_bars import daily_bars
from trading_assets.assets.external import executions, orders, positions, reconciliation
from trading_assets.assets.features import features
from trading_assets.assets.iv_history import iv_history
from trading_assets.assets.market_context import market_context
from trading_assets.assets.news import news
from trading_assets.assets.news_report import news_report
from trading_assets.assets.option_chains import option_chains
from trading_assets.assets.sentiment import sentiment, sentiment_by
from trading_assets.assets.signals import signals
from trading_assets.assets.splits import splits
from trading_assets.assets.standing_checks import standing_checks
from trading_assets.assets.stream_check import trade_stream_flows
from trading_assets.assets.universe import universe
from trading_assets.assets.watchlist import watchlist
from trading_assets.automation.discovering import discovery_schedule
from trading_assets.automation.failures import failure_sensor
from trading_assets.automation.names import DISCOVERY_JOB, MINUTE_JOB, NEWS_JOB, NEWS_REPORT_JOB
from trading_assets.automation.schedules import minute_schedules
from trading_assets.automation.sensors import acting_sensors
from trading_assets.jobs.dispatcher import dispatcher
from trading_assets.jobs.end_of_session import end_of_session
from trading_assets.jobs.kill_switch import kill_switch
from trading_assets.jobs.position_manager import position_manager
from trading_assets.resources.desk import Desk

NEWS_ASSETS = (news, sentiment)
SESSION_ASSETS = (daily_bars, splits, bars, option_chains, iv_history, features, market_context, watchlist, signals)


def build_definitions(desk: Desk, *, ticking: bool = False) -> Definitions:
    """Everything Dagster needs to know. ``ticking`` starts schedules and sensors by default (practice worlds).

    The configured model is a part of the code by which ``sentiment`` is made; it is named here and not loaded.
    """
    from trading_assets.news.scoring import scoring_version

    scored = sentiment_by(scoring_version(desk.settings.strategy.news))
    news_minute = define_asset_job(
        NEWS_JOB,
        selection=AssetSelection.assets(*(asset.key for asset in NEWS_ASSETS)),
        description="Fetches and scores the news of the day.",
        executor_def=in_process_executor,
    )
    report = define_asset_job(
        NEWS_REPORT_JOB,
        selection=AssetSelection.assets(news_report.key),
        description="Draws the pictures of a day of news. Reads what is stored and sends nothing.",
        executor_def=in_process_executor,
    )
    discovery = define_asset_job(
        DISCOVERY_JOB,
        selection=AssetSelection.assets(universe.key),
        description="Finds the tickers to follow. A person may run it, too: it sends no order.",
        executor_def=in_process_executor,
    )
    session_minute = define_asset_job(
        MINUTE_JOB,
        selection=AssetSelection.assets(*(asset.key for asset in SESSION_ASSETS)),
        description="One minute of the session: bars, features, context, watchlist, signals. Sends no order.",
        executor_def=in_process_executor,
    )
    schedules = DefaultScheduleStatus.RUNNING if ticking else DefaultScheduleStatus.STOPPED
    return Definitions(
        assets=[news, scored, news_report, universe, *SESSION_ASSETS, orders, executions, reconciliation, positions],
        asset_checks=[*standing_checks, trade_stream_flows],
        jobs=[
            news_minute,
            report,
            discovery,
            session_minute,
            dispatcher,
            position_manager,
            end_of_session,
            kill_switch,
        ],
        schedules=[*minute_schedules(schedules), discovery_schedule(schedules)],
        sensors=[
            *acting_sensors(DefaultSensorStatus.RUNNING if ticking else DefaultSensorStatus.STOPPED),
            failure_sensor(),
        ],
        resources={"desk": desk},
        executor=in_process_executor,
    )


@definitions
def defs() -> Definitions:
    """The code location of the world that the environment names; Dagster calls this when it loads the module."""
    from trading_assets.settings import load_settings
    from trading_assets.world.runtime import open_world

    settings = load_settings()
    return build_definitions(Desk(lambda: settings, open_world), ticking=settings.ticking)
