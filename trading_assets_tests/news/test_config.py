"""The configuration of news refuses what cannot work."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from trading_assets.domain.errors import ConfigurationError
from trading_assets.news.config import FeedConfig, NewsConfig
from trading_assets.news.model_config import ModelConfig, ModelKind


def feed(name: str = "cnbc", url: str = "https://example.com/rss.xml") -> FeedConfig:
    return FeedConfig(name=name, url=url, source="CNBC")


def test_the_lexicon_is_the_default_model_and_no_feed_is_invented() -> None:
    config = NewsConfig()
    assert config.model.kind is ModelKind.LEXICON
    assert config.feeds == ()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/feed",
        "/rss.xml",
        "http://",
        "https://user:secret@example.com/",
        "http://a b/",
        "https://{ticker}.example.com/",
        "https://example.com/{ticker}/{ticker}",
        "https://example.com/{symbol}",
        "https://example.com/ticker}",
        "https://example.com:99999/",
        "https://example.com:port/",
        "https://example.com:0/",
    ],
)
def test_F59_an_address_that_is_no_plain_http_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="url"):
        feed(url=url)


@pytest.mark.parametrize("name", ["", "CNBC", "a b", "../x", "a;drop table", "x" * 65])
def test_F59_a_feed_name_is_short_and_plain(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        feed(name=name)


def test_two_feeds_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="doubled: cnbc"):
        NewsConfig(feeds=(feed(), feed()))


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    assert FeedConfig(name="a", url="https://example.com/", source="A", zone="Asia/Seoul").zone == "Asia/Seoul"
    with pytest.raises(ValidationError, match="no time zone 'EDT5'"):
        FeedConfig(name="a", url="https://example.com/", source="A", zone="EDT5")


def test_only_a_feed_with_a_ticker_in_its_address_can_name_it() -> None:
    url = "https://example.com/rss?s={ticker}"
    assert FeedConfig(name="a", url=url, source="A", names_ticker=True).is_template
    with pytest.raises(ValidationError, match=r"names_ticker needs \{ticker\}"):
        FeedConfig(name="a", url="https://example.com/", source="A", names_ticker=True)


def test_an_unknown_key_and_a_value_out_of_range_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        NewsConfig.model_validate({"feed": []})
    with pytest.raises(ValidationError, match="less than or equal to 512"):
        ModelConfig(max_tokens=513)


def test_a_feed_is_found_by_name_and_a_wrong_name_is_told() -> None:
    config = NewsConfig(feeds=(feed(),))
    assert config.feed("cnbc").source == "CNBC"
    with pytest.raises(ConfigurationError, match="'wsj'"):
        config.feed("wsj")
