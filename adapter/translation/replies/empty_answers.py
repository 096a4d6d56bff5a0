"""Answers without text or calls: which are empty, and which Chat can't represent.

A Response whose items were only steps (searches, reasoning) is an empty answer, as it is natively.
One with an answer of another kind (an image), or that waits for the client, must be an error: an
empty message would look like success (docs/edge-cases.md#answers-that-chat-cannot-show).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adapter._util import safe_names
from adapter.errors import MalformedReply, UpstreamFailure
from adapter.translation.json_types import json_type
from adapter.translation.objects.call_types import CALL_TYPES
from adapter.translation.objects.finish_reason import is_cut

# Items that need a client-side result, for which Chat has no form (docs/mapping.md#output-items).
_WAITING = frozenset({
    "apply_patch_call", "computer_call", "local_shell_call",
    "mcp_approval_request", "shell_call", "tool_search_call",
})  # fmt: skip

# Items that are steps: their result is in the model's context, and is no answer.
_STEPS = frozenset({
    *CALL_TYPES, "additional_tools", "compaction", "configuration_update", "file_search_call",
    "mcp_approval_response", "mcp_call", "mcp_list_tools", "reasoning", "tool_search_call",
    "tool_search_output", "web_search_call",
})  # fmt: skip

# Parts of a message that Chat shows, or that are reasoning.
_NON_ANSWER_PARTS = frozenset(
    {"output_text", "text", "refusal", "reasoning_text", "summary_text", "reasoning", "thinking"}
)


def check_answerable(
    response: dict[str, Any], items: Iterable[tuple[str, dict[str, Any]]], *, has_output: bool
) -> None:
    """Raise UpstreamFailure if Chat can't represent an answer without text and calls.

    A cut answer doesn't raise: its finish reason shows that it is incomplete. Raises MalformedReply
    for an item without a type.
    """
    if has_output:
        return
    items = list(items)
    for path, item in items:
        if not isinstance(item.get("type"), str):
            raise MalformedReply(
                f"{path}.type", f"expected a string, got {json_type(item.get('type'))}"
            )
    if is_cut(response):
        return
    # By `repr`: an id may be anything, also what has no hash.
    answered = {repr(item.get("call_id")) for _, item in items if item["type"].endswith("_output")}
    for path, item in items:
        kind = item["type"]
        if _waits(item) and repr(item.get("call_id")) not in answered:
            why = "needs a client-side result, which Chat Completions has no form for"
            raise _failure(path, f"an item of the type {kind} {why}")
    for path, item in items:
        shown = _unshowable_answer(path, item)
        if shown is not None:
            raise _failure(*shown)


def _waits(item: dict[str, Any]) -> bool:
    return item["type"] in _WAITING and item.get("execution") != "server"


def _unshowable_answer(path: str, item: dict[str, Any]) -> tuple[str, str] | None:
    """Return path and reason for an item that is an answer of another kind; else None."""
    kind = item["type"]
    if kind == "message":
        content = item.get("content")
        for p, part in enumerate(content if isinstance(content, list) else ()):
            of = part.get("type") if isinstance(part, dict) else None
            if of is not None and not (isinstance(of, str) and of in _NON_ANSWER_PARTS):
                return (
                    f"{path}.content[{p}]",
                    f"the answer is content of the type {safe_names.name(of)}, {_NOT_SHOWABLE}",
                )
        return None
    if kind in _STEPS or (kind.endswith("_output") and kind != "shell_call_output"):
        return None
    if kind == "code_interpreter_call" and not item.get("outputs"):
        return None
    return path, f"the answer is an item of the type {safe_names.name(kind)}, {_NOT_SHOWABLE}"


_NOT_SHOWABLE = "which Chat Completions can't represent"


def _failure(path: str, why: str) -> UpstreamFailure:
    error = {
        "message": f"{path}: {why}",
        "type": "invalid_request_error",
        "param": None,
        "code": "unsupported_by_chat",
    }
    return UpstreamFailure(path, error, 400, spoke=True, given={})
