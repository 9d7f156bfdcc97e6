"""What may be configured about news: feeds, fetch limits and clustering; the model has a module of its own.

Only typed, validated values belong here. Nothing is read from files or the environment.
"""

from __future__ import annotations

import re
from typing import Self
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trading_assets.domain.errors import ConfigurationError
from trading_assets.news.articles_config import ArticlesConfig
from trading_assets.news.inference_config import InferenceConfig
from trading_assets.news.model_config import ModelConfig
from trading_assets.news.reading_config import ReadingConfig
from trading_assets.news.tickers_config import TickersConfig
from trading_assets.news.wire_config import WIRE_NAMES, WireConfig

_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
#: What stands for a ticker in the address of a feed.
TICKER = "{ticker}"
_FEED_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FeedConfig(_Frozen):
    """One RSS, Atom or JSON feed, or, with ``{ticker}`` in its address, one for each followed ticker."""

    name: str = Field(description="Short name, unique: lower-case letters, digits, '_', '.', '-', at most 64")
    url: str = Field(
        description="http or https address, without user name or password; {ticker} stands for each followed ticker",
        max_length=2000,
        repr=False,
    )
    source: str = Field(description="Publisher shown beside a story, e.g. CNBC", min_length=1, max_length=100)
    every_minutes: int = Field(default=1, ge=1, le=1440, description="Asked this often; rounds come once a minute")

    zone: str | None = Field(
        default=None,
        max_length=64,
        description="Time zone of dates that name none, e.g. America/New_York. Without it such a date is missing",
    )

    tickers_per_round: int = Field(
        default=10,
        ge=1,
        le=500,
        description="Tickers asked in one round, by turns; only where {ticker} is in the address",
    )
    names_ticker: bool = Field(
        default=False,
        description="Every story of a ticker's own feed is about that ticker; only where {ticker} is in the address",
    )

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            raise ValueError(f"there is no time zone {value!r}; one is called e.g. America/New_York")
        return value

    @field_validator("name")
    @classmethod
    def _name_is_short(cls, value: str) -> str:
        if not _FEED_NAME.fullmatch(value):
            raise ValueError(f"feed name {value!r} must match {_FEED_NAME.pattern}")
        return value

    @field_validator("url")
    @classmethod
    def _url_is_http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a feed address must be http:// or https:// with a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a feed address must not carry a user name or password")
        try:
            port = parts.port
        except ValueError:
            port = 0  # No number, or too large. What stands there is not repeated: it may be a misplaced password.
        if port == 0:
            raise ValueError("the port of a feed address must be a number from 1 to 65535")
        if any(ord(letter) <= ord(" ") for letter in value):
            raise ValueError("a feed address must not contain spaces or control characters")
        path = value.partition(parts.netloc)[2]
        rest = parts.netloc + path.replace(TICKER, "", 1)
        if "{" in rest or "}" in rest:
            raise ValueError(f"a feed address may contain {TICKER} once, after its host, and no other braces")
        return value

    @model_validator(mode="after")
    def _only_a_template_names_tickers(self) -> Self:
        if self.names_ticker and not self.is_template:
            raise ValueError(f"names_ticker needs {TICKER} in the address")
        return self

    @property
    def is_template(self) -> bool:
        """Whether this stands for one feed per followed ticker."""
        return TICKER in self.url


class FetchConfig(_Frozen):
    """Limits of one fetch. Times are wall seconds, sizes bytes."""

    connect_timeout_s: float = Field(default=3.0, gt=0, le=30, description="Longest wait for a connection")
    read_timeout_s: float = Field(default=5.0, gt=0, le=60, description="Longest silence while reading")
    deadline_s: float = Field(default=15.0, gt=0, le=120, description="Longest time for one feed, redirects included")
    max_bytes: int = Field(default=4 * 1024**2, ge=1024, le=64 * 1024**2, description="Largest body, also unpacked")
    max_redirects: int = Field(default=3, ge=0, le=10, description="Redirects followed before the feed fails")
    concurrency: int = Field(default=8, ge=1, le=64, description="Feeds fetched at the same time")
    host_concurrency: int = Field(default=2, ge=1, le=8, description="Of them from one site (all hosts of a domain)")
    host_interval_s: float = Field(
        default=0.5, ge=0.2, le=60, description="Least time between two requests to one site; EDGAR allows ten a second"
    )
    round_s: float = Field(
        default=40.0, gt=0, le=600, description="Feeds that have not had their turn by then wait for the next round"
    )
    longest_pause_m: float = Field(
        default=15.0,
        ge=1,
        le=1440,
        description="A failing feed is asked less and less often, but after so many minutes",
    )
    gone_pause_h: float = Field(
        default=6.0,
        ge=0.25,
        le=168,
        description="Hours between attempts at a feed that is gone (410, or 404 for a day)",
    )
    longest_retry_after_h: float = Field(
        default=6.0, gt=0, le=168, description="A server's Retry-After is honoured up to so many hours"
    )
    stories_per_round: int = Field(
        default=500, ge=1, le=100_000, description="New stories of one feed stored in one round; the rest waits"
    )
    stories_per_day: int = Field(
        default=10_000, ge=1, le=1_000_000, description="New stories of one feed stored in 24 hours; the rest waits"
    )
    attempts_kept_days: int = Field(default=14, ge=1, le=366, description="Days for which attempts are remembered")
    user_agent: str = Field(
        default="trading-assets/0.1 (feed reader)",
        min_length=1,
        max_length=200,
        pattern=r"^[\x20-\x7e]+$",
        description="User-Agent sent; SEC EDGAR asks for a name and a mail address here",
    )


class ClusterConfig(_Frozen):
    """When two stories are the same event."""

    window_hours: float = Field(
        default=24.0, gt=0, le=168, description="Stories join a cluster only this near to its first one"
    )
    similarity: float = Field(default=0.6, gt=0, le=1, description="Least Jaccard similarity of the titles' word sets")
    min_tokens: int = Field(default=4, ge=1, le=20, description="Titles with fewer words match only when equal")


class NewsConfig(_Frozen):
    """Everything about news. No feed is configured by default: silence is visible, an invented feed is not."""

    feeds: tuple[FeedConfig, ...] = Field(default=(), max_length=500, description="Feeds to read")
    fetch: FetchConfig = Field(default_factory=FetchConfig, description="Limits of a fetch")
    reading: ReadingConfig = Field(default_factory=ReadingConfig, description="Limits of parsing what was fetched")
    articles: ArticlesConfig = Field(default_factory=ArticlesConfig, description="Texts behind the links of stories")
    clusters: ClusterConfig = Field(default_factory=ClusterConfig, description="Near-duplicate stories")
    model: ModelConfig = Field(default_factory=ModelConfig, description="Scoring model")
    tickers: TickersConfig = Field(default_factory=TickersConfig, description="Companies in stories")
    alpaca: WireConfig = Field(default_factory=WireConfig, description="The broker's own news interface and socket")
    inference: InferenceConfig = Field(
        default_factory=InferenceConfig, description="Companies of stories that name none, by a language model"
    )

    @model_validator(mode="after")
    def _feeds_are_unique(self) -> Self:
        names = [feed.name for feed in self.feeds]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"feed names must be unique; doubled: {', '.join(doubled)}")
        if reserved := sorted(set(names) & WIRE_NAMES):
            raise ValueError(f"the broker's own news are called that, no feed may be: {', '.join(reserved)}")
        return self

    @model_validator(mode="after")
    def _the_sec_knows_whom_to_write_to(self) -> Self:
        hosts = ((urlsplit(feed.url).hostname or "").rstrip(".") for feed in self.feeds)
        asked = any(host == "sec.gov" or host.endswith(".sec.gov") for host in hosts)
        if asked and not _MAIL.search(self.fetch.user_agent):
            raise ValueError(
                "sec.gov answers only readers that name themselves with a mail address: set news.fetch.user_agent, "
                "e.g. 'Jane Doe jane@example.com'"
            )
        return self

    def feed(self, name: str) -> FeedConfig:
        """The feed called ``name``; raises ``ConfigurationError`` if there is none."""
        for feed in self.feeds:
            if feed.name == name:
                return feed
        raise ConfigurationError(f"no feed is called {name!r}", where="news.feeds", mend="Use a configured name.")
