"""The desk: everything a run works with, opened when first used and once per process.

A Dagster resource (passed as ``ResourceParam[Desk]``). Loading the definitions builds a desk but opens nothing: no
database, no broker, no model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from datetime import date, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING

from trading_assets.automation.tickets import NotPermitted
from trading_assets.domain.clock import Clock
from trading_assets.world.frames import FrameStore

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trading_assets.account_config import AccountConfig
    from trading_assets.broker.alpaca import AlpacaBroker
    from trading_assets.broker.news_wire import SharedNewsWire
    from trading_assets.broker.shared_data import SharedMarketData
    from trading_assets.news.bedrock import Bedrock
    from trading_assets.news.config import NewsConfig
    from trading_assets.news.inference import TickerInference
    from trading_assets.news.sentiment import SentimentModel
    from trading_assets.news.tickers import TickerExtractor
    from trading_assets.resources.following import Eligible
    from trading_assets.settings import Settings
    from trading_assets.strategy_config import StrategyConfig
    from trading_assets.world.runtime import Runtime


class Desk:
    """Adapters of one world. ``open_runtime`` returns the world's addresses, starting what is missing."""

    def __init__(self, load: Callable[[], Settings], open_runtime: Callable[[Settings], Runtime]) -> None:
        self._load = load
        self._open_runtime = open_runtime
        self._brokers: dict[str, AlpacaBroker] = {}
        self._patient: Desk | None = None
        self._extractor: tuple[tuple[tuple[str, ...], datetime | None], TickerExtractor] | None = None
        #: Why stories could not be scored when that was last tried, by their identity; "*" if no story could.
        self.unscored: dict[str, str] = {}
        #: Why the broker's list of assets that was read last was not taken; None if it was, or was not due.
        self.unlisted: str | None = None

    @cached_property
    def settings(self) -> Settings:
        """The validated configuration of this world."""
        return self._load()

    @cached_property
    def runtime(self) -> Runtime:
        """Addresses and secrets of the running world."""
        return self._open_runtime(self.settings)

    @cached_property
    def clock(self) -> Clock:
        """The exchange's clock in a practice world, else the system's."""
        return self.runtime.clock()

    @cached_property
    def ledger(self) -> Engine:
        """The ledger's engine; refuses a schema it does not know."""
        from trading_assets.ledger.engine import open_ledger
        from trading_assets.ledger.schema import require_current

        engine = open_ledger(self.runtime.ledger_url)
        require_current(engine)
        return engine

    @cached_property
    def frames(self) -> FrameStore:
        """The store of Parquet frames."""
        return FrameStore(self.settings.world.frames)

    @property
    def secret(self) -> bytes:
        """The key that signs tickets."""
        return self.runtime.ticket_secret

    @property
    def start_id(self) -> str:
        """Identity of the world's current start: an account counts as reconciled only under it."""
        return self.runtime.start_id

    @property
    def accounts(self) -> tuple[AccountConfig, ...]:
        """The configured accounts, in order."""
        return self.settings.accounts

    def account(self, name: str) -> AccountConfig:
        """One account's configuration; ``KeyError`` if there is none of that name."""
        return next(account for account in self.accounts if account.name == name)

    def strategy(self, account: str) -> StrategyConfig:
        """The strategy by which the account trades."""
        return self.settings.strategy_for(account)

    def broker(self, account: str) -> AlpacaBroker:
        """The broker connection of one account."""
        if self._patient is not None:
            return self._patient.broker(account).hurried()
        if account not in self._brokers:
            from trading_assets.broker.alpaca import AlpacaBroker

            self._brokers[account] = AlpacaBroker(
                self.runtime.connection(self.account(account)), self.clock, self.settings.strategy.broker
            )
        return self._brokers[account]

    def hurried(self) -> Desk:
        """The same desk for work that an exit may wait for: its brokers wait only briefly for a rate limit."""
        _ = self.ledger, self.clock, self.frames  # opened once, not once more by the other desk
        other = copy(self)
        other._patient = self
        return other

    @cached_property
    def data(self) -> SharedMarketData:
        """Market data through the first account, and through the next one of the same feeds while it does not answer.

        Accounts with other feeds are left out: volumes and quotes of two feeds must not be mixed in one history.
        """
        from trading_assets.broker.shared_data import SharedMarketData

        first = self.accounts[0]
        return SharedMarketData(
            [
                (account.name, partial(self.broker, account.name))
                for account in self.accounts
                if (account.stock_feed, account.option_feed) == (first.stock_feed, first.option_feed)
            ]
        )

    @cached_property
    def configured_universe(self) -> tuple[str, ...]:
        """The configured tickers and the index; of a recorded world what its recording has."""
        from trading_assets.resources.following import configured

        return configured(self)

    @cached_property
    def discovers(self) -> bool:
        """Whether the universe is discovered, and not the configured one."""
        from trading_assets.resources.following import discovers

        return discovers(self)

    @property
    def universe(self) -> tuple[str, ...]:
        """Tickers that are followed now; the index is always among them. Asked anew each time: a process may outlive a
        discovered universe."""
        from trading_assets.resources.following import followed_now

        return followed_now(self)

    def universe_in(self, day: date) -> tuple[str, ...]:
        """Everyone who was followed at any time of the session ``day``, as known in it."""
        from trading_assets.resources.following import followed_in

        return followed_in(self, day)

    def eligible_in(self, day: date) -> Eligible:
        """Who may be entered in the session ``day``, each with the instant from which on, as known then."""
        from trading_assets.resources.following import may_enter

        return may_enter(self, day)

    def write_down(self, run_id: str, now: datetime) -> None:
        """Write into the ledger who is followed from ``now`` on, if that changed."""
        from trading_assets.resources.following import write_down

        write_down(self, run_id, now)

    def entered(self, since: datetime) -> Mapping[str, datetime]:
        """Who is followed now and was not at some time from ``since`` on, with the instant since which it is."""
        from trading_assets.resources.following import entered_since

        return entered_since(self, since)

    @cached_property
    def model(self) -> SentimentModel:
        """The configured sentiment model, loaded once per process, when it first has something to score."""
        from trading_assets.news.scoring import scoring_model
        from trading_assets.news.sentiment import load_model

        config = self.settings.strategy.news
        return scoring_model(load_model(config.model, self.settings.world.models), config)

    @cached_property
    def wall(self) -> Clock:
        """The machine's clock: when a tick was due, never what the market's time is."""
        from trading_assets.world.clocks import SystemClock

        return SystemClock()

    @cached_property
    def news(self) -> NewsConfig:
        """What is read. A practice world without feeds of its own reads the practice exchange's."""
        from trading_assets.news.config import FeedConfig

        config = self.settings.strategy.news
        if self.runtime.exchange is None or config.feeds:
            return config
        feeds = tuple(
            FeedConfig(name=name, url=url, source=f"practice {name}")
            for name, url in self.runtime.practice_feeds().items()
        )
        return config.model_copy(update={"feeds": feeds})

    @cached_property
    def news_wire(self) -> SharedNewsWire:
        """The broker's news interface through the first account, and through the next one while it does not answer."""
        from trading_assets.broker.news_wire import NewsWire, SharedNewsWire

        def wire(account: AccountConfig) -> NewsWire:
            return NewsWire(self.runtime.connection(account), self.clock, self.settings.strategy.broker)

        return SharedNewsWire([(account.name, partial(wire, account)) for account in self.accounts])

    @property
    def tickers(self) -> TickerExtractor:
        """Finds followed companies in texts, by the names of the broker's list of assets and by our own.

        Built anew when others are followed or the list was read again.
        """
        from trading_assets.ledger.companies import current_list, last_seen
        from trading_assets.news.tickers import TickerExtractor, universe_of

        followed = self.universe
        with self.ledger.connect() as connection:
            made_of = followed, last_seen(connection)
            if self._extractor is not None and self._extractor[0] == made_of:
                return self._extractor[1]
            names = {symbol: company.name for symbol, company in current_list(connection).items()}
        # Without a list only what is followed can be named; with one, nothing outside it.
        listed = universe_of(names, names) if names else None
        self._extractor = made_of, TickerExtractor(universe_of(followed, names), listed)
        return self._extractor[1]

    @cached_property
    def _language_model(self) -> Bedrock:
        from trading_assets.news.bedrock import Bedrock

        return Bedrock(self.settings.strategy.news.inference.bedrock)

    def inference(self) -> TickerInference | None:
        """Who is asked, in one round of scoring, about stories that name no company; None where nobody is."""
        config = self.settings.strategy.news.inference
        if not config.enabled:
            return None
        from trading_assets.news.inference import TickerInference

        return TickerInference(self._language_model, self.universe, config)

    # --- tickets ----------------------------------------------------------------------------------------------------

    def acting_ticket(self, run_id: str) -> str | None:
        """The ticket this run has already claimed, or None."""
        from trading_assets.ledger import runs

        with self.ledger.connect() as connection:
            return runs.ticket_of(connection, run_id)

    def claim_ticket(self, run_id: str, *, job: str, account: str | None, ticket: str, as_of: datetime) -> None:
        """Use the ticket up for this run; raises ``NotPermitted`` if another run used it before."""
        from trading_assets.ledger import runs

        with self.ledger.begin() as connection:
            claimed = runs.claim_ticket(connection, run_id=run_id, job=job, account=account, ticket=ticket, as_of=as_of)
        if not claimed:
            raise NotPermitted("the ticket was already used by another run; nothing was done")
