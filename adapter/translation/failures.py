"""Errors, responses → chat: bodies before the stream, events inside it, failed responses, and `param` paths.

Status and error code stay what upstream said; only `param` is put in Chat's terms (DESIGN §2, promise 2).
"""

from __future__ import annotations

import re
from typing import Any

from adapter import names
from adapter.errors import UpstreamFailure

from .azure import error_details
from .draft import IndexMap, Origin

_STATUS = {
    "server_error": 500,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,  # in the middle of a stream in recording 3989; Chat answers 429 before it
    "vector_store_timeout": 504,
    "bio_policy": 403,
    "misalignment_policy_violation": 403,
    "data_residency_mismatch": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "model_not_found": 404,
    "invalid_api_key": 401,
}
_TYPE = {400: "invalid_request_error", 401: "invalid_request_error", 403: "invalid_request_error",
         404: "invalid_request_error", 429: "rate_limit_error"}  # fmt: skip
# Where the type isn't given, these codes are their own type on Chat.
_CODE_IS_TYPE = {"insufficient_quota", "server_error"}


def status_of(code: object) -> int:
    """Return the HTTP status that Chat uses for an error code (MAPPING §4.10); 500 for what isn't known."""
    if not isinstance(code, str):
        return 500
    if "image" in code:
        return 400
    return _STATUS.get(code, 500)


def failure(
    path: str, error: Any, index: IndexMap | None = None, *, why: str = "The response failed.", spoke: bool = False
) -> UpstreamFailure:
    """Make the exception for an error object found in a reply or an event."""
    given = error if isinstance(error, dict) else {}
    code = given.get("code")
    if not isinstance(code, (str, int)):
        code = None
    # Some servers send the HTTP status as the code (vLLM, llama.cpp: integers).
    status = code if isinstance(code, int) and 400 <= code <= 599 else status_of(code or given.get("type"))
    kind = given.get("type")
    if not isinstance(kind, str) or kind == "error":
        kind = code if code in _CODE_IS_TYPE else _TYPE.get(status, "server_error")
    message = given.get("message")
    chat = {
        "message": message if isinstance(message, str) and message else why,
        "type": kind,
        "param": param_to_chat(given.get("param"), index),
        "code": code,
    }
    known = {"message", "type", "param", "code", "sequence_number"}
    chat |= {key: value for key, value in given.items() if key not in known}
    chat |= error_details(given)
    return UpstreamFailure(path, chat, status, spoke=spoke)


def event_failure(event: dict[str, Any], index: IndexMap | None = None) -> UpstreamFailure:
    """Make the exception for an `error` event.

    The SDK's types say that it is flat; on the wire its error is nested as well (recording 3989; MAPPING §5.6).
    """
    nested = event.get("error")
    return failure("error", nested if isinstance(nested, dict) else event, index, why="The stream failed.")


UNFINISHED = ("queued", "in_progress")
"""The states of a response that is still to come."""


def shown_id(response: dict[str, Any]) -> str:
    """Return a response's id, for messages."""
    own = response.get("id")
    return own if isinstance(own, str) and re.fullmatch(r"[\w.:-]{1,128}", own, re.ASCII) else "without an id"


def response_failure(response: dict[str, Any], index: IndexMap | None = None) -> UpstreamFailure:
    """Make the exception for a response that failed, was cancelled or has not run."""
    status = response.get("status")
    if status in UNFINISHED and response.get("error") is None:
        why = f"The response {shown_id(response)} is {status}, and isn't waited for."
        error = {"message": why, "type": "invalid_request_error", "param": None, "code": "response_not_finished"}
        return UpstreamFailure("status", error, 400, spoke=True)  # another try would start another run
    why = "The response failed." if status in (None, "failed") else f"The response is {names.name(status)}."
    # One that was cancelled, or is in a state of a server's own, may be run again by its caller, but not by a retry.
    spoke = bool(response.get("output")) or status not in (None, "failed", "completed", "incomplete", *UNFINISHED)
    return failure("error", response.get("error"), index, why=why, spoke=spoke)


def error_to_chat(body: Any, index: IndexMap | None) -> Any:
    """Translate the JSON body of a reply with an error status; what isn't shaped like the API's error stays as it is."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return body
    changes = error_details(error)
    param = param_to_chat(error.get("param"), index)
    if param != error.get("param"):
        changes["param"] = param
    return {**body, "error": error | changes} if changes else body


_STEP = re.compile(r"\.?\[(\d+)\]|\.?([^.\[\]]+)")

# What the API's names come from, where the request's own map doesn't say it.
_USUAL = {
    "max_output_tokens": "max_completion_tokens",
    "text": "response_format",
    "text.format": "response_format",
    "text.verbosity": "verbosity",
    "reasoning": "reasoning_effort",
    "reasoning.effort": "reasoning_effort",
    "include": "logprobs",
}


def _steps(path: str) -> list[str | int]:
    return [int(number) if number else name for number, name in _STEP.findall(path)]


def _join(base: str, steps: list[str | int]) -> str:
    out = base
    for step in steps:
        out += f"[{step}]" if isinstance(step, int) else f".{step}"
    return out


def param_to_chat(param: Any, index: IndexMap | None) -> Any:
    """Translate an error's `param` into the path that the Chat caller knows (MAPPING §7.2); what isn't known stays.

    `index` leads items and tools back to the messages, tools and functions they were made from, and says which of two
    names the caller used.
    """
    if not isinstance(param, str) or not param:
        return param
    index = index or IndexMap()
    steps = _steps(param)
    if steps and index.names.get(str(steps[0])) == steps[0]:
        return param  # the caller wrote this in the Responses API's own terms
    names = {**_USUAL, **index.names}
    match steps:
        case ["input"]:
            return "messages"
        case ["input", int(i), *rest]:
            return _input(i, rest, index) if i < len(index.items) else _join(f"messages[{i}]", rest)
        case ["tools", int(i), *rest]:
            return _tool(i, rest, index)
        case ["text", "format", *rest]:
            inner = {(): "response_format", ("type",): "response_format.type"}.get(tuple(map(str, rest)))
            return inner or _join("response_format.json_schema", rest)
        case ["tool_choice", *rest]:
            return _tool_choice(param, rest, index)
        case ["include", *_]:
            return names["include"]
        case _:
            return names.get(param, param)


def _tool_choice(param: str, rest: list[str | int], index: IndexMap) -> str:
    base = index.names.get("tool_choice", "tool_choice")
    if base == "function_call":
        return _join(base, rest)
    if rest and rest[0] in ("mode", "tools"):
        return _join("tool_choice.allowed_tools", rest)
    if param == "tool_choice.name":
        return index.names.get(param, "tool_choice.function.name")
    return _join(base, rest)


def _tool(i: int, rest: list[str | int], index: IndexMap) -> str:
    base = index.tools[i] if i < len(index.tools) else f"tools[{i}]"
    if base == "web_search_options" or not rest or rest[0] == "type":
        return base if base == "web_search_options" else _join(base, rest)
    if base.startswith("functions"):
        return _join(base, rest)
    if rest[0] == "format":
        deep = rest[1:] and rest[1] in ("definition", "syntax")
        return _join(f"{base}.custom.format.grammar" if deep else f"{base}.custom.format", rest[1:])
    return _join(f"{base}.{index.names.get(base, 'function')}", rest)


_PART = {
    "image_url": ["image_url", "url"],
    "detail": ["image_url", "detail"],
    "file_id": ["file", "file_id"],
    "file_data": ["file", "file_data"],
    "filename": ["file", "filename"],
}


def _input(i: int, rest: list[str | int], index: IndexMap) -> str:
    origin = index.items[i]
    base = f"messages[{origin.message}]"
    match origin.kind, rest:
        case "message", ["content", int(p), *deeper]:
            return _part(base, origin, p, deeper)
        case "output", ["output", int(p), *deeper]:
            return _part(base, origin, p, deeper)
        case "output", ["output", *deeper]:
            return _join(f"{base}.content", deeper)
        case "output", ["call_id"]:
            return f"{base}.tool_call_id"
        case (("message" | "output"), _):
            return _join(base, rest)
        case "reasoning", _:
            return base  # the caller doesn't know of it
        case "legacy_call", _:
            return _join(f"{base}.function_call", rest)
    call = f"{base}.tool_calls[{origin.call}]"
    match rest:
        case ["call_id"]:
            return f"{call}.id"
        case ["name" | "arguments" | "input", *_]:
            return _join(f"{call}.{'custom' if origin.kind == 'custom_call' else 'function'}", rest)
        case _:
            return _join(call, rest)


def _part(base: str, origin: Origin, p: int, deeper: list[str | int]) -> str:
    where = origin.parts[p] if p < len(origin.parts) else "content"
    if not where.startswith("content["):
        return f"{base}.{where}"  # the message held a string
    if deeper and deeper[0] in _PART:
        deeper = [*_PART[str(deeper[0])], *deeper[1:]]
    return _join(f"{base}.{where}", deeper)
