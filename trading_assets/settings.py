"""Environment, ``strategy.yaml`` and ``accounts.yaml`` become one frozen, validated :class:`Settings`.

What belongs here: where configuration comes from and how it is put together. What does not: numbers of rules (they lie
beside the rules) and anything that connects. Safe by default: without credentials a world is PRACTICE, with them PAPER;
LIVE only by a mode, a confirmation and account ids that are all explicit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from trading_assets.account_config import AccountConfig
from trading_assets.config_files import read_yaml, validated
from trading_assets.domain.errors import ConfigurationError
from trading_assets.earnings_file import read_earnings
from trading_assets.ledger.canonical import content_hash
from trading_assets.ledger.engine import ledger_url
from trading_assets.news.config import FeedConfig
from trading_assets.presets import Preset, strategy_of
from trading_assets.strategy_config import StrategyConfig
from trading_assets.world.paths import DEFAULT_WORLD, World, WorldKind, home_directory

PREFIX = "TRADING_ASSETS_"
#: What TRADING_ASSETS_LIVE_CONFIRMATION must say, word for word, before real money is used.
LIVE_CONFIRMATION = "trade real money"
_SECRETS = frozenset({"key", "secret", "mode", "name"})


class Environment(BaseSettings):
    """The variables that are read, each with the prefix ``TRADING_ASSETS_``. An empty variable counts as not set."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    home: Path | None = Field(default=None, description="folder that holds the worlds")
    world: str | None = Field(default=None, description="name of the world")
    mode: WorldKind | None = Field(default=None, description="PRACTICE, PAPER or LIVE")
    live_confirmation: SecretStr | None = Field(default=None, description="must say LIVE_CONFIRMATION for LIVE")
    database_url: SecretStr | None = Field(default=None, description="ledger on a server of your own")
    dagster_url: SecretStr | None = Field(default=None, description="Dagster's storage on a server of your own")
    strategy_file: Path | None = Field(default=None, description="strategy.yaml to use")
    accounts_file: Path | None = Field(default=None, description="accounts.yaml to use")

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Environment:
        """The variables of ``env``; raises :class:`ConfigurationError` naming a wrong one, never showing a secret."""

        class Source(EnvSettingsSource):
            def _load_env_vars(self) -> Mapping[str, str | None]:
                return {key.lower(): value for key, value in env.items() if value != ""}

        class FromMapping(cls):  # type: ignore[misc, valid-type]
            @classmethod
            def settings_customise_sources(
                cls, settings_cls: type[BaseSettings], **_: PydanticBaseSettingsSource
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                return (Source(settings_cls),)

        try:
            found: Environment = FromMapping()
            return found
        except ValidationError as error:
            item = error.errors(include_url=False, include_input=False)[0]
            raise ConfigurationError(
                item["msg"], where=PREFIX + str(item["loc"][0]).upper(), mend="Correct the variable or unset it."
            ) from None


@dataclass(frozen=True)
class Settings:
    """Everything a process needs to know before it opens anything. Secrets never appear in ``repr``."""

    world: World
    mode: WorldKind
    strategy: StrategyConfig = field(repr=False)
    accounts: tuple[AccountConfig, ...]
    #: Configured PAPER accounts for which the environment has neither key nor secret. They do not trade, which is
    #: refused (when the world is opened) while the ledger has something open in one of them.
    idle_accounts: tuple[AccountConfig, ...] = ()
    database_url: SecretStr | None = None
    dagster_url: SecretStr | None = None
    sources: tuple[str, ...] = ()
    #: Days of earnings by ticker; None where no calendar is configured.
    earnings: Mapping[str, tuple[date, ...]] | None = field(default=None, repr=False)
    #: Why the configured calendar cannot be read. It denies entries, and must not keep exits from being worked.
    earnings_trouble: ConfigurationError | None = field(default=None, repr=False)
    #: Strategies of the presets other than the default one that some account follows.
    presets: Mapping[Preset, StrategyConfig] = field(default_factory=dict, repr=False)

    @cached_property
    def config_hash(self) -> str:
        """SHA-256 over the effective strategy: equal rules have equal hashes, whatever file they came from."""
        return content_hash(self.strategy.model_dump(mode="json"))

    @cached_property
    def config_hashes(self) -> Mapping[Preset, str]:
        """The same of every preset that an account follows, and of the default one."""
        others = {preset: content_hash(each.model_dump(mode="json")) for preset, each in self.presets.items()}
        return {Preset.DEFAULT: self.config_hash} | others

    def preset(self, preset: Preset) -> StrategyConfig:
        """The strategy of a preset that an account follows; ``KeyError`` of one that none does."""
        return self.strategy if preset is Preset.DEFAULT else self.presets[preset]

    def strategy_for(self, account: str) -> StrategyConfig:
        """The strategy by which the account trades: its preset under the user's own strategy.yaml.

        An account that is not configured (any more) is managed by the default preset.
        """
        known = {each.name: each.preset for each in (*self.accounts, *self.idle_accounts)}
        return self.preset(known.get(account, Preset.DEFAULT))

    @cached_property
    def followed(self) -> Mapping[Preset, tuple[str, ...]]:
        """The presets that trading accounts follow, each with the rule sets that one of them follows."""
        found: dict[Preset, set[str]] = {}
        for account in self.accounts:
            found.setdefault(account.preset, set()).update(account.rule_sets)
        return {preset: tuple(sorted(found[preset])) for preset in sorted(found)}

    @property
    def ticking(self) -> bool:
        """Whether schedules and sensors run by themselves: in practice worlds; elsewhere a person starts them."""
        return self.mode is WorldKind.PRACTICE

    @property
    def feeds(self) -> tuple[FeedConfig, ...]:
        """The configured news feeds."""
        return self.strategy.news.feeds

    def account(self, name: str) -> AccountConfig:
        """The account of that name; ``KeyError`` if there is none."""
        for account in self.accounts:
            if account.name == name:
                return account
        raise KeyError(name)

    def ledger_database_url(self) -> str:
        """Address of the ledger on the configured server; :class:`ConfigurationError` in an embedded world."""
        return ledger_url(self._server()).render_as_string(hide_password=False)

    def dagster_database_url(self) -> str:
        """Address of Dagster's storage: its own variable, else the database ``dagster`` on the ledger's server."""
        given = self.dagster_url
        url = make_url(given.get_secret_value()) if given else make_url(self._server()).set(database="dagster")
        return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)

    def _server(self) -> str:
        if self.database_url is None:
            raise ConfigurationError(
                "this world uses its embedded database, whose address its server knows",
                where=PREFIX + "DATABASE_URL",
            )
        return self.database_url.get_secret_value()


def load_settings(
    home: Path | None = None,
    world: World | str | None = None,
    env: Mapping[str, str] = os.environ,
    *,
    kind: WorldKind | None = None,
) -> Settings:
    """Read and validate everything. ``kind`` forces the world's kind (a demo is always PRACTICE).

    Raises :class:`ConfigurationError` naming file or variable, key, and what is allowed. Nothing is opened or created.
    """
    variables = Environment.read(env)
    if not isinstance(world, World):
        world = World(home_directory(home or variables.home, env), world or variables.world or DEFAULT_WORLD)
    sources: list[str] = []
    own, where = _own_strategy(variables, world, sources)
    accounts = _accounts(variables, world, sources)
    defaults = packaged("strategy.yaml")
    strategy = strategy_of(defaults, Preset.DEFAULT, own, where)
    earnings, earnings_trouble = _earnings(strategy, where)
    others = sorted({account.preset for account in accounts} - {Preset.DEFAULT})
    presets = {preset: strategy_of(defaults, preset, own, where) for preset in others}
    mode = kind or _mode(variables, world, accounts, env)
    accounts = tuple(account.with_credentials(mode, env) for account in accounts)
    if mode is WorldKind.LIVE:
        _require_live(variables, accounts)
    idle: tuple[AccountConfig, ...] = ()
    if mode is WorldKind.PAPER:
        # The packaged list names more accounts than a person may have. Without any keys at all everything is kept, so
        # that the first use names the variables that are missing.
        keyed = tuple(account for account in accounts if account.key is not None or account.secret is not None)
        idle = tuple(account for account in accounts if account not in keyed) if keyed else ()
        accounts = keyed or accounts
    for name, url in (("DATABASE_URL", variables.database_url), ("DAGSTER_URL", variables.dagster_url)):
        _require_postgresql(name, url)
    return Settings(
        world=world,
        mode=mode,
        strategy=strategy,
        accounts=accounts,
        idle_accounts=idle,
        database_url=variables.database_url,
        dagster_url=variables.dagster_url,
        sources=tuple(sources),
        earnings=earnings,
        earnings_trouble=earnings_trouble,
        presets=presets,
    )


# --- files ------------------------------------------------------------------------------------------------------------


def packaged(name: str) -> dict[str, Any]:
    """The content of a packaged default file."""
    content: dict[str, Any] = yaml.safe_load((files("trading_assets.defaults") / name).read_text())
    return content


def _find(given: Path | None, world: World, name: str) -> Path | None:
    """The file that the variable names (it must exist), else the world's, else the working directory's, else None."""
    if given is not None:
        return given.expanduser().absolute()
    return next((path for path in (world.directory / name, Path(name).absolute()) if path.exists()), None)


def _own_strategy(variables: Environment, world: World, sources: list[str]) -> tuple[dict[str, Any], str]:
    """The user's own strategy.yaml, empty without one, and where it lies."""
    path = _find(variables.strategy_file, world, "strategy.yaml")
    where = str(path or "packaged strategy.yaml")
    sources.append(where)
    return ({} if path is None else read_yaml(path)), where


def _earnings(
    strategy: StrategyConfig, where: str
) -> tuple[Mapping[str, tuple[date, ...]] | None, ConfigurationError | None]:
    try:
        return read_earnings(strategy.gates.earnings_calendar, where), None
    except ConfigurationError as error:
        return None, error


def _accounts(variables: Environment, world: World, sources: list[str]) -> tuple[AccountConfig, ...]:
    path = _find(variables.accounts_file, world, "accounts.yaml")
    where = str(path or "packaged accounts.yaml")
    sources.append(where)
    content = packaged("accounts.yaml") if path is None else read_yaml(path)
    unknown = sorted(set(content) - {"accounts"})
    if unknown:
        raise ConfigurationError(f"{unknown[0]}: unknown key (known are: accounts)", where=where)
    rows = content.get("accounts")
    if not isinstance(rows, dict) or not rows:
        raise ConfigurationError("accounts: expected at least one account as 'name: {...}'", where=where)
    found = []
    for name, row in rows.items():
        path_of_row = f"accounts.{name}"
        if not isinstance(row, dict):
            raise ConfigurationError(f"{path_of_row}: expected the account's settings as 'key: value'", where=where)
        for key in sorted(_SECRETS & set(row)):
            raise ConfigurationError(
                f"{path_of_row}.{key}: does not belong in a file",
                where=where,
                mend="Credentials come from the environment; name the variables with key_variable and secret_variable.",
            )
        defaults = {
            "key_variable": f"ALPACA_{str(name).upper().replace('-', '_')}_KEY",
            "secret_variable": f"ALPACA_{str(name).upper().replace('-', '_')}_SECRET",
        }
        found.append(validated(AccountConfig, {**defaults, **row, "name": name}, where, prefix=path_of_row))
    return tuple(found)


# --- mode -------------------------------------------------------------------------------------------------------------


def _mode(
    variables: Environment, world: World, accounts: tuple[AccountConfig, ...], env: Mapping[str, str]
) -> WorldKind:
    """The explicit mode, else the existing world's kind, else PAPER with credentials and PRACTICE without any."""
    record = world.record()
    if record is not None:
        if variables.mode not in (None, record.kind):
            raise ConfigurationError(
                f"the world {world.name!r} is a {record.kind} world, and the mode says {variables.mode}",
                where=PREFIX + "MODE",
                mend="Unset the variable, or choose another world: a world never changes its kind.",
            )
        if record.kind is not WorldKind.LIVE:
            return record.kind
    if variables.mode is not None:
        return variables.mode
    if record is not None:
        raise ConfigurationError(
            f"the world {world.name!r} trades real money, and the mode does not say so",
            where=PREFIX + "MODE",
            mend="Set it to LIVE explicitly.",
        )
    has_credentials = any(env.get(account.key_variable, "").strip() for account in accounts)
    return WorldKind.PAPER if has_credentials else WorldKind.PRACTICE


def _require_live(variables: Environment, accounts: tuple[AccountConfig, ...]) -> None:
    confirmation = variables.live_confirmation
    if confirmation is None or confirmation.get_secret_value() != LIVE_CONFIRMATION:
        raise ConfigurationError(
            "the mode is LIVE and the confirmation is missing or differs",
            where=PREFIX + "LIVE_CONFIRMATION",
            mend=f"Set it to '{LIVE_CONFIRMATION}' if real money is meant to be used.",
        )
    for account in accounts:
        if account.broker_account_id is None:
            raise ConfigurationError(
                f"a live account needs the broker's account id, {account.name!r} has none",
                where=f"accounts.{account.name}.broker_account_id",
                mend="Copy it from the broker; keys of another account are then refused.",
            )
        account.connection()


def _require_postgresql(name: str, url: SecretStr | None) -> None:
    if url is None:
        return
    try:
        ledger_url(url.get_secret_value())
    except ArgumentError:
        # The address may carry a password: it is not repeated here.
        raise ConfigurationError(
            "this is no database address", where=PREFIX + name, mend="Use postgresql://user:password@host/database."
        ) from None
