"""One wrapper around boto3's ``converse``: a question whose answer is the input of one named tool, or a failure.

A tool with a JSON schema is the only thing that the model may answer with (``toolChoice`` forces it); whatever else
comes back is no answer. Throttling, server errors and lost connections are tried again, a bounded number of times;
refusals and time-outs are not. Nothing here trusts the tool's input: whoever asked judges it. Errors name AWS's error
code and never its message, request or headers, so that no credential and no external text reaches a log by this way.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from trading_assets.domain.errors import ConfigurationError, TradingAssetsError
from trading_assets.news.bedrock_config import BedrockConfig

#: Answers that a later attempt may better. What is refused for another reason stays refused.
_TRANSIENT = frozenset(
    {
        "ThrottlingException",
        "TooManyRequestsException",
        "ModelNotReadyException",
        "ModelTimeoutException",
        "ServiceUnavailableException",
        "InternalServerException",
    }
)
_SERVER_ERROR = 500
_THROTTLED = 429
_MILLION = Decimal(1_000_000)


class BedrockFailed(TradingAssetsError):
    """No usable answer came. ``usage`` is what it cost all the same, if that was told."""

    def __init__(self, what: str, *, where: str = "", mend: str = "", usage: Usage | None = None) -> None:
        super().__init__(what, where=where, mend=mend)
        self.usage = usage


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, and dollars by the configured prices (None without prices)."""

    input_tokens: int
    output_tokens: int
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Tool:
    """The one thing that may be answered: its name, purpose and the JSON schema of its input."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """The tool's input as it came, unjudged, and what the answer cost (None if that was not told)."""

    value: Any
    usage: Usage | None


class Bedrock:
    """One configured model. The client is built at the first question; boto3 is imported then. Several may ask at
    once."""

    def __init__(self, config: BedrockConfig, sleep: Callable[[float], None] = time.sleep) -> None:
        if config.model is None:
            raise ConfigurationError(
                "no model is named", where="bedrock.model", mend="Name a model or inference profile of Amazon Bedrock."
            )
        self.model: str = config.model
        self._config = config
        self._sleep = sleep
        self._client: Any = None
        self._opening = threading.Lock()

    def __repr__(self) -> str:
        return f"Bedrock({self.model})"

    def ask(self, system: str, question: str, tool: Tool) -> ToolAnswer:
        """The input with which the model calls ``tool``. Raises ``BedrockFailed`` if it does anything else."""
        request = {
            "modelId": self.model,
            "system": [{"text": system}],
            "messages": [{"role": "user", "content": [{"text": question}]}],
            "inferenceConfig": {"maxTokens": self._config.max_tokens, "temperature": self._config.temperature},
            "toolConfig": {
                "tools": [
                    {
                        "toolSpec": {
                            "name": tool.name,
                            "description": tool.description,
                            "inputSchema": {"json": dict(tool.schema)},
                        }
                    }
                ],
                "toolChoice": {"tool": {"name": tool.name}},
            },
        }
        answer = self._converse(request)
        usage = self._usage(answer)
        return ToolAnswer(_tool_input(answer, tool.name, usage), usage)

    def _converse(self, request: Mapping[str, Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
        from botocore.parsers import ResponseParserError

        attempts = self._config.attempts
        for attempt in range(1, attempts + 1):
            try:
                return self._opened().converse(**request)
            except ClientError as error:
                told = error.response.get("Error", {}).get("Code", "")
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                code = told if told.isalnum() else f"HTTP {status}"
                again = code in _TRANSIENT or status == _THROTTLED or status >= _SERVER_ERROR
                failure = BedrockFailed(
                    f"Amazon Bedrock answered {code}{f', {attempt} times' if attempt > 1 else ''}",
                    where=self.model,
                    mend="" if again else "See docs/operations.md for the permissions that the model needs.",
                )
            except BotoCoreError as error:
                # Its text may carry an address or a profile, never more is said than what kind it is.
                kind = type(error).__name__
                # An answer that did not come in time may come, and cost, a second time.
                again = kind in ("ConnectTimeoutError", "EndpointConnectionError", "ConnectionClosedError")
                failure = BedrockFailed(
                    "Amazon Bedrock gave no answer in time"
                    if isinstance(error, ReadTimeoutError)
                    else f"Amazon Bedrock cannot be asked: {kind}",
                    where=self.model,
                )
            except (ResponseParserError, ValueError, AttributeError, TypeError):
                # botocore's parser trusts the shape of an answer, and stumbles over another one in several ways.
                again, failure = False, BedrockFailed("Amazon Bedrock's answer cannot be read", where=self.model)
            if not again or attempt == attempts:
                raise failure from None
            self._sleep(self._config.backoff_s * 2 ** (attempt - 1))
        raise AssertionError("every attempt returns or raises")

    def _opened(self) -> Any:
        with self._opening:
            if self._client is None:
                self._client = self._built()
            return self._client

    def _built(self) -> Any:
        import boto3
        from botocore.config import Config

        # A session of its own: the default one keeps the credentials that it found first for as long as it lives.
        return boto3.session.Session().client(
            "bedrock-runtime",
            region_name=self._config.region,
            endpoint_url=self._config.endpoint_url,
            config=Config(
                connect_timeout=self._config.connect_timeout_s,
                read_timeout=self._config.read_timeout_s,
                # boto3 would try a time-out again, too.
                retries={"total_max_attempts": 1, "mode": "standard"},
            ),
        )

    def _usage(self, answer: Any) -> Usage | None:
        told = answer.get("usage") if isinstance(answer, dict) else None
        if not isinstance(told, dict):
            return None
        counts = (told.get("inputTokens"), told.get("outputTokens"))
        if not all(isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**31 for count in counts):
            return None
        asked, answered = int(counts[0]), int(counts[1])  # type: ignore[arg-type]
        cost = None
        if self._config.input_price is not None and self._config.output_price is not None:
            cost = (asked * self._config.input_price + answered * self._config.output_price) / _MILLION
        return Usage(asked, answered, cost)


def _tool_input(answer: Any, name: str, usage: Usage | None) -> Any:
    def failed(what: str) -> BedrockFailed:
        return BedrockFailed(f"the model's answer cannot be used: {what}", usage=usage)

    stopped = answer.get("stopReason") if isinstance(answer, dict) else None
    if stopped != "tool_use":
        raise failed(
            "it was cut off at max_tokens" if stopped == "max_tokens" else "it does not end with a call of the tool"
        )
    content = answer.get("output", {}).get("message", {}).get("content", [])
    calls = [block["toolUse"] for block in content if isinstance(block, dict) and "toolUse" in block]
    if len(calls) != 1:
        raise failed(f"it calls {len(calls)} tools and not one")
    if calls[0].get("name") != name:
        raise failed("it calls another tool than the one it was given")
    return calls[0].get("input")


def finite_number(value: Any) -> float | None:
    """``value`` as a float; None unless it is a finite number (a string or a truth value is none)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
