"""One trading account as ``accounts.yaml`` describes it: what it may do, and where its credentials are to be found."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from trading_assets.broker.transport import check_address
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.errors import ConfigurationError
from trading_assets.domain.values import Strategy
from trading_assets.presets import Preset
from trading_assets.risk.config import AccountLimits
from trading_assets.strategy.config_signals import check_rule_sets
from trading_assets.world.paths import WorldKind

#: Addresses of Alpaca by mode: trading and market data.
ADDRESSES = {
    WorldKind.PAPER: ("https://paper-api.alpaca.markets", "https://data.alpaca.markets"),
    WorldKind.LIVE: ("https://api.alpaca.markets", "https://data.alpaca.markets"),
}
_NAME = r"^[a-z][a-z0-9_-]{0,31}$"
_VARIABLE = r"^[A-Z][A-Z0-9_]{0,63}$"


class AccountConfig(BaseModel):
    """An account, its mode and (never shown, never written) its credentials."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=_NAME, description="name of the account in this project")
    limits: AccountLimits = Field(
        default=AccountLimits(), description="instruments, strategies and limits; they only tighten those of its tier"
    )
    preset: Preset = Field(default=Preset.DEFAULT, description="set of numbers it trades by: default or seeds")
    rule_sets: tuple[str, ...] = Field(
        default=("momentum",), min_length=1, description="rule sets it follows: momentum, gap_fade, webhook"
    )
    key_variable: str = Field(pattern=_VARIABLE, description="environment variable with the broker's key id")
    secret_variable: str = Field(pattern=_VARIABLE, description="environment variable with the broker's secret")
    broker_account_id: str | None = Field(
        default=None, min_length=1, description="the broker's id of the account; LIVE demands it"
    )
    trading_url: str | None = Field(default=None, description="the broker's trading address; default: the mode's own")
    data_url: str | None = Field(default=None, description="the broker's data address; default: the mode's own")
    stock_feed: str = Field(default="iex", pattern=r"^(iex|sip|delayed_sip)$", description="feed of stock data")
    option_feed: str = Field(default="indicative", pattern=r"^(indicative|opra)$", description="feed of option quotes")
    practice_cash: Decimal = Field(
        default=Decimal(100_000),
        ge=0,
        le=Decimal(10) ** 9,
        description="opening cash at the practice exchange",
    )
    practice_options_level: int = Field(
        default=2, ge=0, le=3, description="options level at the practice exchange: 0 none, 2 long options, 3 spreads"
    )
    mode: WorldKind = Field(default=WorldKind.PRACTICE, exclude=True, description="set by the world, not by the file")
    key: SecretStr | None = Field(default=None, exclude=True, repr=False, description="never in a file")
    secret: SecretStr | None = Field(default=None, exclude=True, repr=False, description="never in a file")

    @field_validator("key_variable", "secret_variable", mode="after")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        # A key pasted where the variable's name belongs would otherwise end up in messages.
        if len(value) >= 16 and "_" not in value:
            raise ValueError("this looks like a credential; write the name of an environment variable here")
        return value

    @field_validator("rule_sets", mode="after")
    @classmethod
    def _offered(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_rule_sets(value)

    @model_validator(mode="after")
    def _addresses_given(self) -> Self:
        for name in ("trading_url", "data_url"):
            if getattr(self, name) == "":
                raise ValueError(f"{name} is empty; remove it to get the mode's own address")
        return self

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """Strategies whose signals the account follows."""
        return self.limits.strategies

    def with_credentials(self, mode: WorldKind, env: Mapping[str, str]) -> AccountConfig:
        """This account under ``mode`` with the credentials of ``env``; raises :class:`ConfigurationError` if address,
        mode and key do not belong together."""
        found: dict[str, Any] = {"mode": mode}
        if mode is not WorldKind.PRACTICE:
            for field, variable in (("key", self.key_variable), ("secret", self.secret_variable)):
                value = env.get(variable, "").strip()
                found[field] = SecretStr(value) if value else None
        account = self.model_copy(update=found)
        if mode is not WorldKind.PRACTICE and account.key is not None:
            check_address(mode.value, account.key.get_secret_value(), *account._urls())
        return account

    def connection(self) -> BrokerConnection:
        """Where and as whom this account meets its broker (paper and live; practice keys belong to the exchange)."""
        if self.mode is WorldKind.PRACTICE:
            raise ConfigurationError(
                f"account {self.name!r} trades at the practice exchange, which issues its own keys",
                where=f"accounts.yaml: {self.name}",
            )
        if self.key is None or self.secret is None:
            missing = self.key_variable if self.key is None else self.secret_variable
            raise ConfigurationError(
                f"account {self.name!r} has no credentials",
                where=missing,
                mend=f"Set {self.key_variable} and {self.secret_variable}, or use a practice world.",
            )
        trading_url, data_url = self._urls()
        return BrokerConnection(
            mode=self.mode.value,
            trading_url=trading_url,
            data_url=data_url,
            key=self.key.get_secret_value(),
            secret=self.secret.get_secret_value(),
            expected_account_id=self.broker_account_id,
            stock_feed=self.stock_feed,
            option_feed=self.option_feed,
        )

    def _urls(self) -> tuple[str, str]:
        trading, data = ADDRESSES[self.mode]
        return self.trading_url or trading, self.data_url or data
