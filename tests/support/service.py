"""What the service accepts and refuses beyond the SDK's types and the OpenAPI document.

Shared by both validators. Each rule rests on recorded or publicly reported behaviour.
"""

from __future__ import annotations

from typing import Any

# An assistant message in output form, put back into `input` without the `id` and `status` of the
# reply. Both descriptions require them; the service accepts the message without, and it is the most
# portable form of history, since several other servers refuse assistant messages without `type`.
OUTPUT_MESSAGE_WAIVED = frozenset({"id", "status"})
# Its text parts: the document also requires `logprobs`, which no recorded request repeats.
OUTPUT_TEXT_WAIVED = frozenset({"logprobs"})
# A reasoning item with encrypted content needs no id; under `store: false` the id would identify
# nothing.
REASONING_WAIVED = frozenset({"id"})

_ID_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "reasoning": "rs",
}


def refusals(body: dict[str, Any]) -> list[str]:
    """List what the service is known to answer with a 400 although the types allow it."""
    problems: list[str] = []
    items = body.get("input")
    for index, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            problems.extend(f"input[{index}]{problem}" for problem in _item_refusals(item))
    limit = body.get("max_output_tokens")
    if isinstance(limit, int) and limit < 16:
        problems.append("max_output_tokens: below 16 (integer_below_min_value)")
    return problems


def _item_refusals(item: dict[str, Any]) -> list[str]:
    problems: list[str] = []
    content = item.get("content")
    if item.get("role") == "assistant" and isinstance(content, list):
        problems.extend(
            f".content[{index}]: {part.get('type')!r} in an assistant message; only output_text and refusal are taken"
            for index, part in enumerate(content)
            if isinstance(part, dict) and part.get("type") not in {"output_text", "refusal"}
        )
    if item.get("type") == "reasoning" and not (item.get("id") or item.get("encrypted_content")):
        problems.append(": a reasoning item with neither id nor encrypted_content")
    call_id = item.get("call_id")
    if isinstance(call_id, str) and not 1 <= len(call_id) <= 64:
        problems.append(f".call_id: {len(call_id)} characters; 1 to 64 are taken")
    identifier, prefix = item.get("id"), _ID_PREFIXES.get(item.get("type", "message"))
    if isinstance(identifier, str) and prefix and not identifier.startswith(prefix):
        problems.append(f".id: {identifier!r} does not begin with {prefix!r}")
    return problems
