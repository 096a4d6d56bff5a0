"""Convert options: the limits of tokens, logprobs, `store` and `stream_options`."""

from __future__ import annotations

from typing import Any

from adapter.errors import MalformedRequest
from adapter.translation.json_types import json_type
from adapter.translation.parameters import MINIMUM_OUTPUT_TOKENS

from .builder import RequestBuilder
from .converters import converter


@converter("logprobs")
def _logprobs(builder: RequestBuilder, value: Any, _: dict[str, Any]) -> None:
    if value is not True:
        raise MalformedRequest("logprobs", f"expected a boolean, got {json_type(value)}")
    builder.include("message.output_text.logprobs")
    builder.reply_context["logprobs"] = True


@converter("top_logprobs")
def _top_logprobs(builder: RequestBuilder, value: Any, body: dict[str, Any]) -> None:
    if body.get("logprobs") is True:
        builder.set("top_logprobs", value)
    else:
        builder.unsupported(
            "top_logprobs",
            "top_logprobs",
            "Chat takes it together with logprobs only, and rejects the request itself",
        )


@converter("max_completion_tokens")
def _max_completion_tokens(builder: RequestBuilder, value: Any, _: dict[str, Any]) -> None:
    _set_limit(builder, "max_completion_tokens", value)


@converter("max_tokens")
def _max_tokens(builder: RequestBuilder, value: Any, _: dict[str, Any]) -> None:
    _set_limit(builder, "max_tokens", value)


def _set_limit(builder: RequestBuilder, name: str, value: Any) -> None:
    if "max_output_tokens" in builder.body:
        raise MalformedRequest(
            name,
            "given together with max_completion_tokens; Chat Completions takes one of them",
        )
    if isinstance(value, int) and 0 < value < MINIMUM_OUTPUT_TOKENS:
        if builder.policy.action_for(name) != "drop":
            builder.unsupported(
                name, name, f"the Responses API takes {MINIMUM_OUTPUT_TOKENS} or more"
            )
            return
        builder.ledger.add(
            name,
            "clamped",
            f"to {MINIMUM_OUTPUT_TOKENS}, the least that the Responses API takes",
        )
        value = MINIMUM_OUTPUT_TOKENS
    builder.set("max_output_tokens", value)


@converter("store")
def _store(builder: RequestBuilder, value: Any, _: dict[str, Any]) -> None:
    builder.set("store", value)
    if value is True:
        builder.ledger.add("store", "changed", "stored as a Response, not as a chat completion")


@converter("stream_options")
def _stream_options(builder: RequestBuilder, value: Any, body: dict[str, Any]) -> None:
    if not isinstance(value, dict):
        raise MalformedRequest("stream_options", f"expected an object, got {json_type(value)}")
    builder.reply_context["include_usage"] = value.get("include_usage") is True
    options: dict[str, Any] = {}
    for key, option in value.items():
        if option is None or key == "include_usage":
            continue
        if key == "include_obfuscation":
            options[key] = option
        else:
            builder.unsupported(
                f"stream_options.{key}", "stream_options", "not an option of the Responses API"
            )
    if options and body.get("stream") is True:
        builder.set("stream_options", options)
