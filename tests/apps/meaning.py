"""What a request means, in a form common to both APIs: equivalent requests have equal meanings.

Derived from the two bodies independently of the code under test, and short enough to verify by
reading.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

Json = dict[str, Any]
ALIKE = (
    "model", "temperature", "top_p", "user", "metadata", "parallel_tool_calls", "prompt_cache_key", "safety_identifier",
    "service_tier", "top_logprobs",
)  # fmt: skip
"""Parameters with the same name on both APIs."""
ONLY_CHAT = (
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "seed",
    "stop",
    "prediction",
    "n",
)
"""Parameters of Chat alone; a request to the Responses API never has them."""


def of_chat(body: Json, without: Iterable[str] = ()) -> Json:
    """Reduce a chat request.

    `without` names parameters (and `messages[].name`) that the ledger lists as dropped, or that are
    emulated: then a message's name precedes its text.
    """
    dropped = set(without)
    turns: list[Any] = []
    for message in body["messages"]:
        turns += _message(message, dropped)
    form = body.get("response_format") or {"type": "text"}
    if form["type"] == "json_schema":
        form = {"type": "json_schema", **form["json_schema"]}
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    tools = [_tool(each.get("function", each), each["type"]) for each in body.get("tools") or ()]
    tools += [_tool(each, "function") for each in body.get("functions") or ()]
    return _meaning(
        body, turns, form, tools, dropped,
        limit=limit, choice=_choice(body.get("tool_choice") or body.get("function_call")), logprobs=bool(body.get("logprobs")),
        effort=body.get("reasoning_effort"), verbosity=body.get("verbosity"), store=bool(body.get("store")),
        **{key: body[key] for key in ONLY_CHAT if _asks(key, body.get(key))},
    )  # fmt: skip


def of_responses(body: Json, without: Iterable[str] = ()) -> Json:
    """Reduce a Responses request."""
    turns: list[Any] = []
    if body.get("instructions"):
        turns.append(["instructions", body["instructions"]])
    given = body["input"]
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        turns += _item(item)
    text = body.get("text") or {}
    return _meaning(
        body, turns, text.get("format") or {"type": "text"}, [_tool(each, each["type"]) for each in body.get("tools") or ()], set(without),
        limit=body.get("max_output_tokens"), choice=_choice(body.get("tool_choice")),
        logprobs="message.output_text.logprobs" in (body.get("include") or ()),
        effort=(body.get("reasoning") or {}).get("effort"), verbosity=text.get("verbosity"), store=body.get("store", True),
    )  # fmt: skip


def _meaning(
    body: Json, turns: list[Any], form: Json, tools: list[Json], dropped: set[str], **more: Any
) -> Json:
    if form["type"] == "json_schema":
        form = {**form, "strict": bool(form.get("strict"))}
    every = {
        **{key: body.get(key) for key in ALIKE},
        **more,
        "turns": turns,
        "format": form,
        "tools": tools,
        "stream": bool(body.get("stream")),
    }
    return {key: value for key, value in every.items() if value is not None and key not in dropped}


def _asks(key: str, value: Any) -> bool:
    """Return whether a value of Chat's asks for anything: its defaults don't."""
    return (
        value not in (None, [], {})
        and not (key == "n" and value == 1)
        and not (value == 0 and "penalty" in key)
    )


def _choice(choice: Any) -> Any:
    if isinstance(choice, dict):
        return choice.get("name") or choice.get("function", {}).get("name")
    return None if choice == "auto" else choice


def _tool(tool: Json, kind: str) -> Json:
    fields = {
        "type": kind,
        **{key: value for key, value in tool.items() if key != "type" and value is not None},
    }
    return fields | {"strict": bool(tool.get("strict"))} if kind == "function" else fields


def _message(message: Json, without: set[str]) -> Iterator[Any]:
    role = message["role"]
    if role in ("tool", "function"):
        yield ["output", message.get("tool_call_id"), _parts(message["content"])]
        return
    parts = _parts(message.get("content"))
    if message.get("refusal"):
        parts.append(["refusal", message["refusal"]])
    name = message.get("name")
    if name and "name" in without:
        if parts and parts[0][0] == "text":
            parts[0] = ["text", f"[{name}]: {parts[0][1]}"]
        name = None
    elif "messages[].name" in without:
        name = None
    if parts or role != "assistant":
        yield [role, *([name] if name else []), parts]
    for each in message.get("tool_calls") or ():
        yield [
            "call",
            each["id"],
            each["function"]["name"],
            _arguments(each["function"]["arguments"]),
        ]


def _item(item: Json) -> Iterator[Any]:
    match item.get("type", "message"):
        case "message":
            yield [item["role"], _parts(item["content"])]
        case "function_call":
            yield ["call", item["call_id"], item["name"], _arguments(item["arguments"])]
        case "function_call_output":
            yield ["output", item["call_id"], _parts(item["output"])]
        case "reasoning":
            return  # Chat has no place for it; see `reasoning`
        case kind:
            yield [kind]


def reasoning(body: Json) -> tuple[int, int]:
    """Count the answers with calls in a request's history, and those with their reasoning."""
    items = body["input"] if isinstance(body["input"], list) else []
    given = {
        item["encrypted_content"].rpartition("-")[2]
        for item in items
        if item.get("type") == "reasoning"
    }
    called = {
        item["call_id"].removeprefix("call_")[:-1]
        for item in items
        if item.get("type") == "function_call"
    }
    return len(called), len(called & given)


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _parts(content: Any) -> list[Any]:
    if not isinstance(content, list):
        return [["text", content]] if content else []
    return [_part(part) for part in content]


def _part(part: Any) -> list[Any]:
    match part["type"]:
        case "text" | "input_text" | "output_text":
            return ["text", part["text"]]
        case "image_url":
            return ["image", part["image_url"]["url"], part["image_url"].get("detail") or "auto"]
        case "input_image":
            return ["image", part["image_url"], part.get("detail") or "auto"]
        case "refusal":
            return ["refusal", part["refusal"]]
        case "file":
            return ["file", sorted(part["file"].items())]
        case "input_file":
            return ["file", sorted((key, value) for key, value in part.items() if key != "type")]
        case kind:
            return [kind, part]
