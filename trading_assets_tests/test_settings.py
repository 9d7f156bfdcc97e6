"""Configuration is complete, refused with file, key and range where it is wrong, safe by default, and keeps secrets."""

from __future__ import annotations

import logging
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from trading_assets.config_files import merged, read_yaml
from trading_assets.defaults.render import render_strategy
from trading_assets.domain.errors import ConfigurationError
from trading_assets.domain.values import Strategy
from trading_assets.settings import LIVE_CONFIRMATION, Settings, load_settings, packaged
from trading_assets.strategy_config import StrategyConfig
from trading_assets.world.paths import World, WorldKind

PAPER_KEYS = {
    "ALPACA_LARGE_KEY": "PKLARGE000000000",
    "ALPACA_LARGE_SECRET": "large-secret-value",
}
LIVE = {
    "TRADING_ASSETS_MODE": "LIVE",
    "TRADING_ASSETS_LIVE_CONFIRMATION": LIVE_CONFIRMATION,
    "ALPACA_MAIN_KEY": "AKMAIN0000000000",
    "ALPACA_MAIN_SECRET": "main-secret-value",
}
LIVE_ACCOUNT = "accounts: {main: {broker_account_id: 9f1c}}"


@pytest.fixture(autouse=True)
def _empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def _load(tmp_path: Path, env: dict[str, str] | None = None, **kwargs: Any) -> Settings:
    return load_settings(tmp_path / "home", env=env or {}, **kwargs)


def _write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / "cwd" / name
    path.write_text(text)
    return path


# --- defaults ---------------------------------------------------------------------------------------------------------


def test_the_packaged_strategy_file_is_what_the_models_say() -> None:
    """After a change of a model: ``python -m trading_assets.defaults.render``."""
    import trading_assets.defaults

    packaged_file = Path(trading_assets.defaults.__file__).with_name("strategy.yaml")
    assert packaged_file.read_text() == render_strategy()


def test_the_packaged_strategy_file_lists_every_key_with_its_default(tmp_path: Path) -> None:
    settings = _load(tmp_path)
    assert settings.strategy == StrategyConfig.model_validate({})

    def keys(value: Any) -> Any:
        return {name: keys(item) for name, item in value.items()} if isinstance(value, dict) else None

    assert keys(packaged("strategy.yaml")) == keys(settings.strategy.model_dump(mode="json"))


def test_every_key_of_the_packaged_strategy_file_has_a_comment() -> None:
    lines = render_strategy().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("  ") and line.rstrip().endswith(":") and not line.strip().startswith(("#", "-")):
            assert lines[number - 1].strip().startswith("#"), line


def test_without_files_and_keys_a_fresh_folder_is_a_practice_world(tmp_path: Path) -> None:
    settings = _load(tmp_path)
    assert settings.mode is WorldKind.PRACTICE
    assert [(a.name, a.strategies, a.practice_cash) for a in settings.accounts] == [
        ("large", (Strategy.SWING_TRADE, Strategy.DAY_TRADE), Decimal(121000)),
        ("tiny", (Strategy.DAY_TRADE,), Decimal(1800)),
    ]
    assert settings.database_url is None
    assert not (tmp_path / "home").exists()


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_users_file_is_laid_over_the_defaults(tmp_path: Path) -> None:
    _write(tmp_path, "strategy.yaml", "exits: {overnight: {min_dte: 7}}\nuniverse: {tickers: [NVDA]}\n")
    settings = _load(tmp_path)
    assert settings.strategy.exits.overnight.min_dte == 7
    assert settings.strategy.universe.tickers == ("NVDA",)
    assert settings.strategy.exits.overnight.minutes == StrategyConfig.model_validate({}).exits.overnight.minutes
    assert settings.sources[0] == str(tmp_path / "cwd" / "strategy.yaml")


def test_the_named_file_wins_over_the_worlds_and_that_over_the_working_directorys(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.create()
    named = tmp_path / "named.yaml"
    for path, days in ((tmp_path / "cwd" / "strategy.yaml", 6), (world.directory / "strategy.yaml", 7), (named, 8)):
        path.write_text(f"exits: {{overnight: {{min_dte: {days}}}}}")
    assert _load(tmp_path, {"TRADING_ASSETS_STRATEGY_FILE": str(named)}).strategy.exits.overnight.min_dte == 8
    assert _load(tmp_path).strategy.exits.overnight.min_dte == 7
    (world.directory / "strategy.yaml").unlink()
    assert _load(tmp_path).strategy.exits.overnight.min_dte == 6


def test_equal_rules_have_equal_hashes_and_a_changed_number_another(tmp_path: Path) -> None:
    plain = _load(tmp_path).config_hash
    _write(tmp_path, "strategy.yaml", "# only a comment\n")
    assert _load(tmp_path).config_hash == plain
    _write(tmp_path, "strategy.yaml", "exits: {overnight: {min_dte: 7}}")
    assert _load(tmp_path).config_hash != plain
    assert len(plain) == 64


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("exits: {overnight: {min_dte: 0}}", ["exits.overnight.min_dte", "at least 1, at most 60", "saw 0"]),
        ("exits: {overnight: {min_dte: 61}}", ["exits.overnight.min_dte", "at least 1, at most 60"]),
        ("exits: {overnight: {min_dte: '5'}}", ["exits.overnight.min_dte", "valid integer"]),
        ("exits: {overnight: {min_dte: 5.5}}", ["exits.overnight.min_dte", "integer"]),
        ("exits: {overnight: {min_dte: true}}", ["exits.overnight.min_dte", "integer"]),
        ("exits: {overnight: {min_dte: null}}", ["exits.overnight.min_dte", "integer"]),
        ("exits: {overnight: {min_dtee: 5}}", ["exits.overnight.min_dtee", "unknown key", "did you mean 'min_dte'"]),
        ("exist: {}", ["exist", "unknown key", "did you mean 'exits'"]),
        ("zzz: {}", ["zzz", "unknown key", "known are: universe"]),
        ("exits: 5", ["exits:"]),
        ("contracts: {rate: .nan}", ["contracts.rate", "nan is no number"]),
        ("contracts: {min_premium: .inf}", ["contracts.min_premium", "inf is no number"]),
        ("contracts: {rate: 0.9}", ["contracts.rate", "at most 0.25"]),
        ("news: {feeds: [{name: a, url: 'file:///etc/passwd', source: x}]}", ["news.feeds[0].url", "http"]),
        ("universe: {tickers: ['NVDA; DROP TABLE']}", ["universe.tickers", "no ticker"]),
        ("universe: {tickers: []}", ["universe.tickers"]),
        ("context: {normal_from: 25}", ["context", "must rise"]),
        ("exits: {overnight: {min_dte: 1}, overnight: {min_dte: 2}}", ["'overnight' stands twice", "line 1, column"]),
        ("exits: [", ["not valid YAML", "line"]),
        ("- a\n- b\n", ["expected 'key: value'"]),
        ("exits: !!python/object/apply:os.system ['true']", ["not valid YAML"]),
    ],
)
def test_F54_a_wrong_file_is_refused_with_file_key_and_range(tmp_path: Path, text: str, says: list[str]) -> None:
    path = _write(tmp_path, "strategy.yaml", text)
    with pytest.raises(ConfigurationError) as refused:
        _load(tmp_path)
    assert str(path) in str(refused.value)
    for words in says:
        assert words in str(refused.value)


def test_F54_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    _write(tmp_path, "strategy.yaml", "exits: {overnight: {min_dte: 0}, low_dte: 99}\nbogus: 1\n")
    with pytest.raises(ConfigurationError, match=r"(?s)min_dte.*low_dte|low_dte.*min_dte") as refused:
        _load(tmp_path)
    assert "bogus" in str(refused.value)


@pytest.mark.parametrize("variable", ["TRADING_ASSETS_STRATEGY_FILE", "TRADING_ASSETS_ACCOUNTS_FILE"])
def test_F54_a_named_file_that_is_missing_is_refused(tmp_path: Path, variable: str) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
        _load(tmp_path, {variable: str(tmp_path / "nowhere.yaml")})


def test_F54_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cwd" / "strategy.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        _load(tmp_path)


def test_lists_are_replaced_and_mappings_merged() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merged(base, {"a": {"c": [3]}, "d": {"e": 2}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 2}}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert read_yaml(_write(tmp_path, "strategy.yaml", "")) == {}


# --- accounts ---------------------------------------------------------------------------------------------------------


def test_F57_a_password_in_a_feeds_address_is_refused_without_being_repeated(tmp_path: Path) -> None:
    _write(tmp_path, "strategy.yaml", "news: {feeds: [{name: a, url: 'https://u:hunter2@feeds.example', source: x}]}")
    with pytest.raises(ConfigurationError, match="user name or password") as refused:
        _load(tmp_path)
    assert "hunter2" not in str(refused.value)


def test_a_users_accounts_replace_the_packaged_ones(tmp_path: Path) -> None:
    _write(tmp_path, "accounts.yaml", "accounts: {mine: {practice_cash: 5000, limits: {max_positions: 1}}}")
    (account,) = _load(tmp_path).accounts
    assert (account.name, account.practice_cash, account.limits.max_positions) == ("mine", Decimal(5000), 1)
    assert account.key_variable == "ALPACA_MINE_KEY"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("accounts: {}", "at least one account"),
        ("accounts: [tiny]", "at least one account"),
        ("account: {tiny: {}}", "account: unknown key"),
        ("accounts: {tiny: 5}", "accounts.tiny: expected"),
        ("accounts: {Tiny: {}}", "accounts.Tiny.name"),
        ("accounts: {tiny: {practice_options_level: 4}}", "accounts.tiny.practice_options_level"),
        ("accounts: {tiny: {limits: {max_positions: 0}}}", "accounts.tiny.limits.max_positions"),
        ("accounts: {tiny: {trading_url: ''}}", "trading_url is empty"),
        ("accounts: {tiny: {stock_feed: cable}}", "accounts.tiny.stock_feed"),
    ],
)
def test_F54_wrong_accounts_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = _write(tmp_path, "accounts.yaml", text)
    with pytest.raises(ConfigurationError) as refused:
        _load(tmp_path)
    assert says in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("key", ["key", "secret", "mode", "name"])
def test_F57_credentials_in_a_file_are_refused_without_being_repeated(tmp_path: Path, key: str) -> None:
    _write(tmp_path, "accounts.yaml", f"accounts: {{tiny: {{{key}: SENSITIVE}}}}")
    with pytest.raises(ConfigurationError, match=f"accounts.tiny.{key}") as refused:
        _load(tmp_path)
    assert "SENSITIVE" not in str(refused.value)


def test_F57_a_key_pasted_where_its_variables_name_belongs_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "accounts.yaml", "accounts: {tiny: {key_variable: PKABCDEFGHIJKLMNOPQR}}")
    with pytest.raises(ConfigurationError, match="looks like a credential") as refused:
        _load(tmp_path)
    assert "PKABCDEFGHIJKLMNOPQR" not in str(refused.value)


# --- mode and credentials ---------------------------------------------------------------------------------------------


def test_with_credentials_the_default_is_paper(tmp_path: Path) -> None:
    settings = _load(tmp_path, PAPER_KEYS)
    assert settings.mode is WorldKind.PAPER
    connection = settings.account("large").connection()
    assert (connection.mode, connection.key) == ("PAPER", "PKLARGE000000000")
    assert connection.trading_url == "https://paper-api.alpaca.markets"


def test_an_account_without_credentials_says_which_variable_it_wants(tmp_path: Path) -> None:
    settings = _load(tmp_path, {**PAPER_KEYS, "ALPACA_LARGE_SECRET": " "})
    with pytest.raises(ConfigurationError, match="ALPACA_LARGE_SECRET"):
        settings.account("large").connection()


def test_a_paper_account_without_any_credentials_is_idle_while_the_others_trade(tmp_path: Path) -> None:
    settings = _load(tmp_path, PAPER_KEYS)
    assert [account.name for account in settings.accounts] == ["large"]
    assert [account.name for account in settings.idle_accounts] == ["tiny"]
    half = _load(tmp_path, {**PAPER_KEYS, "ALPACA_TINY_SECRET": "tiny-secret-value"})
    assert [account.name for account in half.accounts] == ["large", "tiny"], "half a pair of keys is a mistake"
    with pytest.raises(ConfigurationError, match="ALPACA_TINY_KEY"):
        half.account("tiny").connection()


def test_a_paper_world_without_any_keys_says_which_are_missing(tmp_path: Path) -> None:
    settings = _load(tmp_path, {"TRADING_ASSETS_MODE": "PAPER"})
    assert [account.name for account in settings.accounts] == ["large", "tiny"]
    with pytest.raises(ConfigurationError, match="ALPACA_LARGE_KEY"):
        settings.account("large").connection()


def test_a_practice_account_gets_no_keys_from_the_environment(tmp_path: Path) -> None:
    settings = _load(tmp_path, PAPER_KEYS, kind=WorldKind.PRACTICE)
    assert settings.accounts[0].key is None
    with pytest.raises(ConfigurationError, match="practice exchange"):
        settings.accounts[0].connection()


def test_an_existing_world_keeps_its_kind(tmp_path: Path) -> None:
    World(tmp_path / "home", "demo").begin(WorldKind.PRACTICE, {})
    assert _load(tmp_path, PAPER_KEYS, world="demo").mode is WorldKind.PRACTICE
    with pytest.raises(ConfigurationError, match=r"PRACTICE world.*PAPER"):
        _load(tmp_path, {"TRADING_ASSETS_MODE": "PAPER"}, world="demo")


def test_F55_live_with_everything_said_is_live(tmp_path: Path) -> None:
    _write(tmp_path, "accounts.yaml", LIVE_ACCOUNT)
    settings = _load(tmp_path, LIVE)
    connection = settings.accounts[0].connection()
    assert settings.mode is WorldKind.LIVE
    assert (connection.trading_url, connection.expected_account_id) == ("https://api.alpaca.markets", "9f1c")


@pytest.mark.parametrize(
    ("changes", "accounts", "says"),
    [
        ({"TRADING_ASSETS_LIVE_CONFIRMATION": ""}, LIVE_ACCOUNT, "TRADING_ASSETS_LIVE_CONFIRMATION"),
        ({"TRADING_ASSETS_LIVE_CONFIRMATION": "yes"}, LIVE_ACCOUNT, "TRADING_ASSETS_LIVE_CONFIRMATION"),
        ({}, "accounts: {main: {}}", "accounts.main.broker_account_id"),
        ({"ALPACA_MAIN_KEY": "PKMAIN0000000000"}, LIVE_ACCOUNT, "PK"),
        ({"ALPACA_MAIN_KEY": ""}, LIVE_ACCOUNT, "ALPACA_MAIN_KEY"),
        (
            {},
            "accounts: {main: {broker_account_id: 9f1c, trading_url: 'https://paper-api.alpaca.markets'}}",
            "api.alpaca.markets",
        ),
    ],
)
def test_F55_live_with_anything_missing_is_refused(
    tmp_path: Path, changes: dict[str, str], accounts: str, says: str
) -> None:
    _write(tmp_path, "accounts.yaml", accounts)
    with pytest.raises(ConfigurationError, match=says):
        _load(tmp_path, LIVE | changes)


def test_F55_live_keys_and_a_confirmation_alone_do_not_make_a_world_live(tmp_path: Path) -> None:
    _write(tmp_path, "accounts.yaml", LIVE_ACCOUNT)
    env = {key: value for key, value in LIVE.items() if key != "TRADING_ASSETS_MODE"}
    with pytest.raises(ConfigurationError, match="AK"):
        _load(tmp_path, env)


def test_F55_an_existing_live_world_still_demands_the_explicit_mode(tmp_path: Path) -> None:
    World(tmp_path / "home").begin(WorldKind.LIVE, {})
    with pytest.raises(ConfigurationError, match="real money"):
        _load(tmp_path, PAPER_KEYS)


@pytest.mark.parametrize(
    "url", ["https://api.alpaca.markets", "https://evil.example", "http://paper-api.alpaca.markets"]
)
def test_F55_a_paper_key_is_sent_to_the_paper_address_only(tmp_path: Path, url: str) -> None:
    _write(tmp_path, "accounts.yaml", f"accounts: {{large: {{trading_url: '{url}'}}}}")
    with pytest.raises(ConfigurationError, match="trading address"):
        _load(tmp_path, PAPER_KEYS)


# --- environment ------------------------------------------------------------------------------------------------------


def test_an_unknown_mode_is_refused_by_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TRADING_ASSETS_MODE"):
        _load(tmp_path, {"TRADING_ASSETS_MODE": "YOLO"})


def test_home_and_world_come_from_the_environment(tmp_path: Path) -> None:
    env = {"TRADING_ASSETS_HOME": str(tmp_path / "else"), "TRADING_ASSETS_WORLD": "demo"}
    assert load_settings(env=env).world.directory == tmp_path / "else" / "worlds" / "demo"


def test_both_databases_on_a_server_of_ones_own(tmp_path: Path) -> None:
    settings = _load(tmp_path, {"TRADING_ASSETS_DATABASE_URL": "postgresql://u:p@db.example/ledger"})
    assert settings.ledger_database_url() == "postgresql+psycopg://u:p@db.example/ledger"
    assert settings.dagster_database_url() == "postgresql+psycopg2://u:p@db.example/dagster"


@pytest.mark.parametrize("url", ["sqlite:///x.db", "hunter2", "mysql://u:hunter2@h/d"])
def test_another_database_is_refused_without_repeating_the_address(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        _load(tmp_path, {"TRADING_ASSETS_DATABASE_URL": url})
    assert "hunter2" not in str(refused.value)


def test_F57_secrets_appear_in_no_text_of_the_settings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    env = {**PAPER_KEYS, "TRADING_ASSETS_DATABASE_URL": "postgresql://u:hunter2@db/ledger"}
    settings = _load(tmp_path, env)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("%s %r %s", settings, settings, settings.accounts)
    texts = [repr(settings), str(settings), caplog.text, repr(settings.accounts[0].connection())]
    texts += [yaml.safe_dump(account.model_dump(mode="json")) for account in settings.accounts]
    for secret in (*PAPER_KEYS.values(), "hunter2"):
        assert not any(secret in text for text in texts)


def test_settings_do_not_change_and_can_be_handed_to_a_process(tmp_path: Path) -> None:
    settings = _load(tmp_path)
    with pytest.raises(AttributeError):
        settings.mode = WorldKind.LIVE  # type: ignore[misc]
    copy = pickle.loads(pickle.dumps(settings))
    assert copy.config_hash == settings.config_hash
