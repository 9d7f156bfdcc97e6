"""A language model is asked by the real boto3 over HTTP; whatever it answers but one call of its tool is a failure."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest

from trading_assets.domain.errors import ConfigurationError
from trading_assets.news.bedrock import Bedrock, BedrockFailed, Tool
from trading_assets.news.bedrock_config import BedrockConfig
from trading_assets_tests.news.converse_server import (
    ConverseServer,
    Reply,
    call,
    converse,
    converse_server,
    refusal,
    said,
)

__all__ = ["converse", "converse_server"]
TOOL = Tool("name_tickers", "Names tickers.", {"type": "object", "properties": {"tickers": {"type": "array"}}})
MODEL = "anthropic.claude-test-v1:0"


def asker(waits: list[float] | None = None, **changes: Any) -> Bedrock:
    values: dict[str, Any] = {"model": MODEL, "backoff_s": 0.5, "read_timeout_s": 5.0} | changes
    seen: list[float] = [] if waits is None else waits
    return Bedrock(BedrockConfig(**values), sleep=seen.append)


@pytest.fixture(scope="module")
def waited() -> list[float]:
    return []


@pytest.fixture(scope="module")
def default(converse_server: ConverseServer, waited: list[float]) -> Bedrock:
    """One client for the tests that need no configuration of their own: to build one takes long."""
    return asker(waited)


def ask(bedrock: Bedrock) -> Any:
    return bedrock.ask("You name tickers.", "Which?", TOOL)


def test_the_question_forces_the_one_tool_and_the_answer_is_its_input_with_what_it_cost(
    converse: ConverseServer,
) -> None:
    converse.answers(call({"tickers": ["NVDA"]}, tokens=(1_000_000, 2_000)))
    told = ask(asker(input_price=Decimal("0.25"), output_price=Decimal("1.25"), max_tokens=77, temperature=0.5))
    assert told.value == {"tickers": ["NVDA"]}
    assert (told.usage.input_tokens, told.usage.output_tokens) == (1_000_000, 2_000)
    assert told.usage.cost == Decimal("0.2525")
    [body], [path] = converse.asked, converse.paths
    assert path == "/model/anthropic.claude-test-v1%3A0/converse"
    assert body == {
        "system": [{"text": "You name tickers."}],
        "messages": [{"role": "user", "content": [{"text": "Which?"}]}],
        "inferenceConfig": {"maxTokens": 77, "temperature": 0.5},
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "name_tickers",
                        "description": "Names tickers.",
                        "inputSchema": {"json": TOOL.schema},
                    }
                }
            ],
            "toolChoice": {"tool": {"name": "name_tickers"}},
        },
    }
    assert "AKIDNEVERTOBETOLD" in converse.headers[0]["Authorization"], "it is signed"
    assert "SECRETNEVERTOBETOLD" not in str(converse.headers)


def test_without_prices_the_cost_is_not_known_and_a_configured_address_goes_before_the_environments(
    converse: ConverseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:9")
    converse.answers(call({}))
    told = ask(asker(endpoint_url=converse.url, region="eu-central-1"))
    assert told.usage.cost is None
    assert "/eu-central-1/bedrock/" in converse.headers[0]["Authorization"]


UNUSABLE = {
    "text that is no JSON": said([{"text": "Sure! Buy NVDA."}]),
    "fenced JSON as text": said([{"text": '```json\n{"tickers": ["NVDA"]}\n```'}]),
    "no content": said([]),
    "no content, and yet the stop of a tool": said([], stop="tool_use"),
    "cut off": call({"tickers": ["NV"]}, stop="max_tokens"),
    "another tool": call({"symbol": "NVDA", "side": "buy"}, name="place_order"),
    "two calls": said(
        [{"toolUse": {"toolUseId": str(n), "name": "name_tickers", "input": {}}} for n in range(2)], stop="tool_use"
    ),
    "a body that is no JSON": Reply(b"<html>busy</html>"),
    "an empty body": Reply(b""),
    "a list": Reply([1, 2]),
    "output of another shape": Reply({"output": ["x"], "stopReason": "tool_use"}),
    "blocked by a guardrail": call({"tickers": []}, stop="guardrail_intervened"),
}


@pytest.mark.parametrize("what", list(UNUSABLE))
def test_F43_an_answer_that_is_no_call_of_the_tool_is_a_failure_and_not_asked_again(
    what: str, converse: ConverseServer, default: Bedrock
) -> None:
    converse.answers(UNUSABLE[what])
    with pytest.raises(BedrockFailed) as failed:
        ask(default)
    assert len(converse.asked) == 1
    assert "NVDA" not in str(failed.value) and "busy" not in str(failed.value)


@pytest.mark.parametrize(
    ("reply", "asked"),
    [
        (refusal("ThrottlingException", 429), 3),
        (refusal("ServiceUnavailableException", 503), 3),
        (refusal("InternalServerException", 500), 3),
        (Reply(b"bad gateway", 502), 3),
        (refusal("AccessDeniedException", 403), 1),
        (refusal("ValidationException", 400), 1),
        (refusal("ResourceNotFoundException", 404), 1),
    ],
    ids=["throttled", "unavailable", "internal", "gateway", "denied", "invalid", "unknown-model"],
)
def test_F43_only_throttling_and_server_errors_are_asked_again_and_no_more_than_configured(
    reply: Reply,
    asked: int,
    converse: ConverseServer,
    default: Bedrock,
    waited: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    converse.answers(reply)
    waited.clear()
    with pytest.raises(BedrockFailed) as failed:
        ask(default)
    assert len(converse.asked) == asked
    assert waited == [0.5, 1.0][: asked - 1]
    told = f"{failed.value} {failed.value.__cause__} {caplog.text}"
    for secret in ("SECRET-OF-THE-REFUSAL", "AKIDNEVERTOBETOLD", "SECRETNEVERTOBETOLD", "bad gateway"):
        assert secret not in told


def test_F43_throttled_once_it_answers_at_the_second_attempt(converse: ConverseServer, default: Bedrock) -> None:
    converse.answers(refusal("ThrottlingException", 429), call({"tickers": []}))
    assert ask(default).value == {"tickers": []}
    assert len(converse.asked) == 2


def test_F43_an_answer_that_does_not_come_in_time_is_not_paid_for_twice(converse: ConverseServer) -> None:
    converse.answers(Reply(b"{}", delay_s=1.0))
    with pytest.raises(BedrockFailed, match="no answer in time"):
        ask(asker(read_timeout_s=0.2))
    assert len(converse.asked) == 1


def test_F43_without_credentials_nothing_is_asked_and_the_failure_says_what_kind(
    converse: ConverseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(BedrockFailed, match="NoCredentialsError"):
        ask(asker())
    assert converse.asked == []


def test_a_model_must_be_named_and_prices_come_together() -> None:
    with pytest.raises(ConfigurationError, match=r"bedrock\.model"):
        Bedrock(BedrockConfig())
    for wrong in ({"input_price": 1}, {"endpoint_url": "http://user:word@host"}, {"region": "nowhere"}):
        with pytest.raises(ValueError, match=r"price|password|region"):
            BedrockConfig.model_validate(wrong)
