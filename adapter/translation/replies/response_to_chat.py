"""Translate a Response to a ChatCompletion (docs/mapping.md#replies)."""

from __future__ import annotations

from math import isfinite
from types import NoneType
from typing import Any, NamedTuple

from adapter._util import safe_names
from adapter.errors import MalformedReply
from adapter.translation.identifiers import completion_id
from adapter.translation.json_types import json_type
from adapter.translation.ledger import Ledger, Loss
from adapter.translation.objects.call_types import call_type_of
from adapter.translation.objects.content_filter import (
    completion_filter_results,
    prompt_filter_results,
)
from adapter.translation.objects.finish_reason import cut_by_error, finish_reason
from adapter.translation.objects.moderation import moderation_to_chat
from adapter.translation.objects.output_items import (
    check_items,
    is_commentary,
    longer_of,
    parts_of,
)
from adapter.translation.objects.tool_calls import call_to_chat
from adapter.translation.objects.usage import usage_to_chat
from adapter.translation.types import PathMap, ReplyContext

from .answer import AnswerCollector
from .empty_answers import check_answerable
from .errors import error_event, event_failure, response_failure

# dialect: several (no status; recording 573 has `complete`), docs/edge-cases.md#odd-statuses
FINISHED = {"completed", "complete", "incomplete", None}


class Reply(NamedTuple):
    """A translated reply: the JSON of a ChatCompletion, and the ledger."""

    body: dict[str, Any]
    losses: tuple[Loss, ...]


def response_to_completion(
    response: Any, asked: ReplyContext | None = None, index: PathMap | None = None
) -> Reply:
    """Translate the JSON of a Response to that of a ChatCompletion.

    `asked`, `index`: of the request's Translation; by default those of a plain request. Raises
    UpstreamFailure for a response that failed, was cancelled or isn't finished, and MalformedReply
    for anything that is no Response.
    """
    context = asked or ReplyContext()
    response = checked_response(response, index)
    ledger = Ledger()
    answer = _collect_plain(response["output"], context) or _collect(response, context, ledger)
    calls = answer.calls

    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text if answer.text or not (calls or answer.refusal) else None,
        "refusal": answer.refusal or None,
        "annotations": answer.annotations,
    }
    if calls and context.legacy_functions:
        message["function_call"] = calls[0].get("function")
        for _ in calls[1:]:
            ledger.add("output", "dropped", "the deprecated function_call holds one call")
    elif calls:
        message["tool_calls"] = calls
    choice: dict[str, Any] = {"index": 0, "message": message}
    if writes_logprobs(response, context):
        choice["logprobs"] = (
            {"content": answer.logprobs, "refusal": None}
            if context.logprobs and answer.logprobs
            else None
        )
    choice["finish_reason"] = finish_reason(
        response, context, calls=bool(calls), cut=answer.cut, ledger=ledger
    )
    filtered = completion_filter_results(response)
    if filtered is not None:
        choice["content_filter_results"] = filtered
    body = envelope(response, context, "chat.completion") | {"choices": [choice]}
    usage = usage_to_chat(response.get("usage"))
    if usage is not None:
        body["usage"] = usage
    elif response.get("usage"):
        add_usage_loss(ledger)
    if context.metadata and "metadata" in response:  # dialect: several (it isn't echoed)
        body["metadata"] = response["metadata"]
    moderation = moderation_to_chat(response.get("moderation"))
    if moderation is not None:
        body["moderation"] = moderation
    prompts = prompt_filter_results(response)
    if prompts:
        body["prompt_filter_results"] = prompts
    return Reply(body, tuple(ledger))


class _Answer(NamedTuple):
    """The contents of the one choice; `cut`: at a stop sequence."""

    text: str
    refusal: str
    annotations: list[dict[str, Any]]
    logprobs: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    cut: bool


def _collect_plain(output: list[Any], context: ReplyContext) -> _Answer | None:
    """Read the most common answer: one text, perhaps after reasoning; None for any other.

    A fast path: `_collect` gives the same (docs/performance.md#fast-paths).
    """
    item = output[-1] if output else None
    if (
        context.stop
        or context.logprobs
        or item is None
        or item.get("type") != "message"
        or is_commentary(item)
        or "tool_calls" in item
        or "function_call" in item
    ):
        return None
    for other in output[:-1]:
        if other.get("type") != "reasoning" or other.get("summary") or other.get("content"):
            return None
    content = item.get("content")
    part = content[0] if isinstance(content, list) and len(content) == 1 else None
    if not isinstance(part, dict) or part.get("type") != "output_text" or part.get("annotations"):
        return None
    text = part.get("text")
    return _Answer(text, "", [], [], [], cut=False) if isinstance(text, str) and text else None


def _collect(response: dict[str, Any], context: ReplyContext, ledger: Ledger) -> _Answer:
    """Read all items, up to where the text is cut."""
    collector = AnswerCollector(context, ledger)
    calls: dict[str, dict[str, Any]] = {}
    for i, item in enumerate(response["output"]):
        kind, path = item.get("type"), f"output[{i}]"
        if kind == "message":
            collector.message(path, item)
        elif call_type_of(item) is not None:
            collector.call()
            if not collector.is_cut:
                call = call_to_chat(path, item, context)
                first = calls.setdefault(call["id"], call)
                if first is not call:
                    calls[call["id"]] = longer_of(path, first, call)
                    ledger.add(path, "dropped", "duplicates an earlier call")  # dialect: several
        if collector.is_cut:
            break
        add_item_losses(ledger, path, item)
    collector.finish()
    items = [(f"output[{i}]", item) for i, item in enumerate(response["output"])]
    check_answerable(response, items, has_output=collector.has_output or bool(calls))
    return _Answer(
        collector.text,
        collector.refusal,
        collector.annotations(),
        collector.logprobs,
        [*calls.values()],
        cut=collector.is_cut,
    )


def checked_response(response: Any, paths: PathMap | None) -> dict[str, Any]:
    """Return a finished Response, with an empty `output` in place of null; raise otherwise."""
    check_response(response, paths)
    given: dict[str, Any] = response
    return given if given["output"] is not None else given | {"output": []}  # dialect: several


def check_response(response: Any, paths: PathMap | None) -> None:
    """Raise unless `response` is a finished Response; its `output` may be null.

    Raises UpstreamFailure for a failed or unfinished one, else MalformedReply.
    """
    if not isinstance(response, dict):
        raise MalformedReply("$", f"expected a Response, got {json_type(response)}")
    status = response.get("status")
    if (
        not isinstance(status, (str, NoneType))
        or status not in FINISHED
        or (response.get("error") and (not response.get("output") or cut_by_error(response)))
    ):
        raise response_failure(response, paths)
    if "output" not in response and (event := error_event(response)) is not None:
        raise event_failure(event, paths)
    if response.get("object") not in ("response", None):
        raise MalformedReply("object", "expected a Response, got an object of another kind")
    output = response.get("output")
    if not isinstance(output, (list, NoneType)) or "output" not in response:
        raise MalformedReply("output", f"expected an array, got {json_type(output)}")
    check_items(output or [])


def add_item_losses(ledger: Ledger, path: str, item: dict[str, Any]) -> None:
    """Add the losses of one item: its whole, its parts, or its fields that Chat doesn't have."""
    kind = item.get("type")
    if call_type_of(item) is not None:
        for key in ("namespace", "caller", "async"):
            if item.get(key):
                ledger.add(f"{path}.{key}", "dropped", "Chat's tool calls have no such field")
    elif kind == "message":
        for p, part in enumerate(parts_of(path, item)):
            if part.kind is None:
                ledger.add(f"{path}.content[{p}]", "dropped", "Chat has no content of this type")
    elif kind == "reasoning":  # only readable reasoning is a loss
        for key in ("summary", "content"):
            if item.get(key):
                ledger.add(f"{path}.{key}", "dropped", "Chat shows no reasoning")
    else:
        ledger.add(
            path,
            "dropped",
            f"Chat has no item of the type {safe_names.name(kind)}"
            if isinstance(kind, str)
            else "not an item",
        )


def add_usage_loss(ledger: Ledger) -> None:
    """Add the loss of a usage without token counts."""
    ledger.add("usage", "dropped", "it has no token counts that Chat has")


def writes_logprobs(response: dict[str, Any], context: ReplyContext) -> bool:
    """Return whether choices have the key `logprobs` (docs/wire-facts.md#logprobs-key)."""
    model = response.get("model")
    return (
        context.logprobs
        or context.models.profile(model if isinstance(model, str) else context.model).logprobs_key
    )


def envelope(response: dict[str, Any], context: ReplyContext, kind: str) -> dict[str, Any]:
    """Return the top level that completions and chunks share (docs/mapping.md#envelope)."""
    top = {
        "id": completion_id(response.get("id")),
        "object": kind,
        "created": _seconds(response.get("created_at")),
        "model": response["model"] if isinstance(response.get("model"), str) else context.model,
        "system_fingerprint": None,
    }
    # dialect: vLLM (a default `service_tier`, which its Chat doesn't have)
    if response.get("service_tier") is not None:
        top["service_tier"] = response["service_tier"]
    return top


def _seconds(value: Any) -> int:
    known = isinstance(value, int) or (isinstance(value, float) and isfinite(value))
    return int(value) if known else 0
