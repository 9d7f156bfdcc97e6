"""The exchange's configuration file: ``config.json`` in its directory.

Secrets are ``SecretStr``: no log line, error message or repr shows them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from trading_assets.domain.clock import require_utc
from trading_assets.domain.errors import ConfigurationError
from trading_assets.exchange.actions import CorporateAction, NameChange
from trading_assets.market.sessions import Session, require_session, session_on, shift

CONFIG_FILE = "config.json"
#: How long before a session's open its market is there.
LEAD = timedelta(minutes=5)
_SECOND = timedelta(seconds=1)
StreamFeed = Literal["iex", "sip", "delayed_sip", "news", "indicative", "opra"]


class AccountConfig(BaseModel):
    """One account of the practice exchange."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="name of the account, unique")
    key: SecretStr = Field(min_length=1, description="API key id that the client sends, unique")
    secret: SecretStr = Field(min_length=1, description="API secret that the client sends")
    token: SecretStr | None = Field(None, min_length=8, description="token that an app sends in the place of the two")
    cash: Decimal = Field(
        ge=0, le=Decimal(10) ** 9, max_digits=12, decimal_places=2, description="opening cash, dollars"
    )
    options_level: int = Field(ge=0, le=3, description="0 none, 1 covered, 2 long options, 3 spreads")
    shorting: bool = Field(False, description="whether it may sell stock short; its owner can switch that off")


class ExchangeRules(BaseModel):
    """Numbers of the exchange's own rules. Cut-offs are minutes before the session's close."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    expiry_entry_cutoff: int = Field(45, ge=0, le=390, description="no opening orders in expiring contracts from here")
    expiry_liquidation: int = Field(30, ge=1, le=390, description="the broker sells expiring long options from here")
    market_collar: Decimal = Field(
        Decimal("0.03"), ge=0, le=1, description="a market buy reserves the ask plus this fraction"
    )
    options_stop_orders: bool = Field(
        False, description="whether options take stop and stop_limit orders, and GTC; the real broker refuses them"
    )
    expiry_exercise: bool = Field(
        False,
        description="whether expiring contracts that the account can pay for are left to exercise and assignment; "
        "else the broker closes all of them",
    )
    hard_to_borrow: tuple[str, ...] = Field((), description="stocks that nobody may sell short")
    requests_per_minute: int = Field(200, ge=1, le=100_000, description="rate limit per account and interface")


class StreamRules(BaseModel):
    """Numbers of the market-data sockets. The defaults carry a whole watchlist; the broker's free plan has 30 symbols
    and the feeds iex, indicative and news."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: int | None = Field(None, ge=1, description="stock trades and quotes of one socket; null: any number")
    option_symbols: int = Field(1000, ge=1, description="option trades and quotes of one socket")
    connections: int = Field(1, ge=1, le=1000, description="sockets one account may have open at one feed")
    feeds: tuple[StreamFeed, ...] = Field(
        get_args(StreamFeed), description="feeds that accounts are subscribed to, also in REST"
    )
    authentication_seconds: float = Field(10, gt=0, le=600, description="wall time in which a client says who it is")
    slow_seconds: float = Field(5, gt=0, le=600, description="wall time in which a client takes a frame, or is cut off")


class FeedDelay(BaseModel):
    """How late one generated feed shows its items. Their dates stay what they are; REST and sockets are not late."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = Field(0, ge=0, le=86_400, description="each item is shown so long after its publication")
    straggler_one_in: int | None = Field(None, ge=1, description="of about so many items one comes later still")
    straggler_seconds: float = Field(0, ge=0, le=86_400, description="how long after its publication that one is shown")
    opens_at: AwareDatetime | None = Field(
        None, description="the feed is empty before, and shows its backlog at once from then on; null: always open"
    )


class ExchangeConfig(BaseModel):
    """Everything a practice exchange is started with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(ge=0, description="seed of the simulated market; ids derive from it")
    session: date = Field(description="the first XNYS session that is played")
    last_session: date | None = Field(None, description="the last XNYS session of this world; default the first")
    scenario: str = Field("normal", min_length=1, description="scenario of the simulated market")
    recorded: bool = Field(False, description="play recording.parquet beside this file instead of a simulated market")
    recorded_feeds: bool = Field(False, description="serve the captures of feeds.json instead of generated headlines")
    feed_delays: Mapping[str, FeedDelay] = Field(
        default_factory=dict, description="generated feeds by name that show their items late"
    )
    composite: str | None = Field(None, description="the recorded ticker that is an index made of the others")
    start_at: AwareDatetime | None = Field(None, description="first instant; default five minutes before the open")
    speed: float = Field(0, ge=0, le=3600, description="0 = stepped; else multiples of wall time")
    actions: tuple[CorporateAction, ...] = Field(
        (), description="corporate actions: splits, cash dividends and changes of name"
    )
    faults: bool = Field(False, description="whether the control path may arm faults; off, nothing of them is built")
    control_token: SecretStr = Field(min_length=8, description="token of the control path")
    accounts: tuple[AccountConfig, ...] = Field(min_length=1, description="the accounts")
    streams: StreamRules = Field(
        default_factory=lambda: StreamRules.model_validate({}), description="market-data sockets"
    )
    rules: ExchangeRules = Field(default_factory=lambda: ExchangeRules.model_validate({}), description="exchange rules")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, day in (("session", self.session), ("last_session", self.final_session)):
            if session_on(day) is None:
                raise ValueError(f"{name}: the exchange is closed on {day}")
        if self.final_session < self.session:
            raise ValueError("last_session: lies before session")
        for what, values in (
            ("name", [account.name for account in self.accounts]),
            ("key", [account.key.get_secret_value() for account in self.accounts]),
            ("token", [a.token.get_secret_value() for a in self.accounts if a.token is not None]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"accounts: two accounts have the same {what}")
        doubled = [action.symbol for action in self.actions if sum(other.id == action.id for other in self.actions) > 1]
        if doubled:
            raise ValueError(f"actions: {doubled[0]} has two of one kind in one session")
        for change in self.actions:
            if isinstance(change, NameChange) and any(
                other is not change and other.ex_session == change.ex_session and other.symbols & change.symbols
                for other in self.actions
            ):
                raise ValueError(f"actions: {change.symbol} has another one in the session in which its name changes")
        if not self.first_instant < self.last_instant:
            raise ValueError("start_at: lies after the end of the session's day")
        if self.first_instant < shift(self.session, -1).close:
            raise ValueError("start_at: lies before the close of the session before")
        if self.rules.expiry_entry_cutoff < self.rules.expiry_liquidation:
            raise ValueError("rules: expiry_entry_cutoff must not be later than expiry_liquidation")
        return self

    @property
    def trading_session(self) -> Session:
        """The first session that is played."""
        return require_session(self.session)

    @property
    def final_session(self) -> date:
        """The last session that is played."""
        return self.last_session or self.session

    @property
    def first_instant(self) -> datetime:
        """Where the clock starts, UTC."""
        return require_utc(self.start_at) if self.start_at is not None else self.trading_session.open - LEAD

    @property
    def last_instant(self) -> datetime:
        """Where the clock ends, UTC: one second before the open of the session after the last."""
        return shift(self.final_session, 1).open - _SECOND


def load_config(directory: Path) -> ExchangeConfig:
    """Read ``directory``/config.json; raises ``ConfigurationError`` naming each wrong key, never showing a value."""
    path = directory / CONFIG_FILE
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigurationError("the configuration file is missing", where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("the configuration file cannot be read", where=str(path)) from error
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"the configuration file is not JSON: {error.msg}", where=f"{path}, line {error.lineno}"
        ) from None
    try:
        return ExchangeConfig.model_validate(raw)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_context=False, include_url=False)
        )
        raise ConfigurationError(f"the configuration is wrong: {wrong}", where=str(path)) from None
