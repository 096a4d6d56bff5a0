"""The `param` of an error, as a path of the caller's request (docs/mapping.md#error-paths)."""

from __future__ import annotations

import re
from typing import Any

from adapter.translation.objects.call_types import CALL_TYPES
from adapter.translation.parameters import CHAT_PARAMETERS
from adapter.translation.types import Origin, PathMap

_STEP = re.compile(r"\.?\[(\d+)\]|\.?([^.\[\]]+)")


def _default_names() -> dict[str, str]:
    names: dict[str, str] = {}
    for row in CHAT_PARAMETERS.values():
        for path in (*row.target_paths, *row.error_names):
            names.setdefault(path, row.name)
    return names | {name: name for name in CHAT_PARAMETERS}


_DEFAULT_NAMES = _default_names()
"""Chat's names, for those that the request's PathMap lacks: the first row's that has the path."""


def _steps(path: str) -> list[str | int]:
    return [int(number) if number else name for number, name in _STEP.findall(path)]


def _join(base: str, steps: list[str | int]) -> str:
    out = base
    for step in steps:
        out += f"[{step}]" if isinstance(step, int) else f".{step}"
    return out


# Chat's own errors name no deeper paths than these (docs/wire-facts.md#errors).
_CHAT_PREFIXES = (
    re.compile(r"(response_format)\.json_schema\.schema\b.*", re.DOTALL),
    re.compile(r"((?:tools\[\d+\]\.function|functions\[\d+\])\.parameters)[.\[].*", re.DOTALL),
)


def param_to_chat(param: Any, index: PathMap | None) -> Any:
    """Translate an error's `param` to the path that Chat's own error has."""
    path = path_to_chat(param, index)
    if isinstance(path, str):
        for pattern in _CHAT_PREFIXES:
            found = pattern.fullmatch(path)
            if found is not None:
                return found[1]
    return path


def with_path(message: str, param: Any, paths: PathMap | None) -> str:
    """Append the whole path to an error's message if `param_to_chat` shortens it."""
    path = path_to_chat(param, paths)
    if path == param_to_chat(param, paths) or path in message:
        return message
    return f"{message} ({path})"


def path_to_chat(param: Any, paths: PathMap | None) -> Any:
    """Translate an error's `param` to the whole path in the Chat request.

    `paths` maps items and tools to the messages, tools and functions they were made from, and says
    which of two names the caller used. Unknown paths stay as they are.
    """
    if not isinstance(param, str) or not param:
        return param
    paths = paths or PathMap()
    steps = _steps(param)
    if steps and paths.names.get(str(steps[0])) == steps[0]:
        return param  # the caller sent this Responses parameter
    names = {**_DEFAULT_NAMES, **paths.names}
    match steps:
        case ["input"]:
            return "messages"
        case ["input", int(i), *rest]:
            return _input(i, rest, paths) if i < len(paths.items) else _join(f"messages[{i}]", rest)
        case ["tools", int(i), *rest]:
            return _tool(i, rest, paths)
        case ["text", "format", *rest]:
            inner = {(): "response_format", ("type",): "response_format.type"}.get(
                tuple(map(str, rest))
            )
            return inner or _join("response_format.json_schema", rest)
        case ["tool_choice", *rest]:
            return _tool_choice(param, rest, paths)
        case ["include", *_]:
            return names["include"]
        case _:
            return names.get(param, param)


def _tool_choice(param: str, rest: list[str | int], paths: PathMap) -> str:
    base = paths.names.get("tool_choice", "tool_choice")
    if base == "function_call":
        return _join(base, rest)
    if rest and rest[0] in ("mode", "tools"):
        return _join("tool_choice.allowed_tools", rest)
    if param == "tool_choice.name":
        return paths.names.get(param, "tool_choice.function.name")
    return _join(base, rest)


def _tool(i: int, rest: list[str | int], paths: PathMap) -> str:
    base = paths.tools[i] if i < len(paths.tools) else f"tools[{i}]"
    if base == "web_search_options" or not rest or rest[0] == "type":
        return base if base == "web_search_options" else _join(base, rest)
    if base.startswith("functions"):
        return _join(base, rest)
    if rest[0] == "format":
        deep = rest[1:] and rest[1] in ("definition", "syntax")
        return _join(f"{base}.custom.format.grammar" if deep else f"{base}.custom.format", rest[1:])
    return _join(f"{base}.{paths.names.get(base, 'function')}", rest)


_PART = {
    "image_url": ["image_url", "url"],
    "detail": ["image_url", "detail"],
    "file_id": ["file", "file_id"],
    "file_data": ["file", "file_data"],
    "filename": ["file", "filename"],
}


# The fields of a call's item that Chat has in an object named after the call's kind.
_CALL_FIELDS = frozenset({"name", *(one.payload for one in CALL_TYPES.values())})


def _input(i: int, rest: list[str | int], paths: PathMap) -> str:
    origin = paths.items[i]
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
            return base  # inserted by the adapter
        case "legacy_call", _:
            return _join(f"{base}.function_call", rest)
    call = f"{base}.tool_calls[{origin.call}]"
    match rest:
        case ["call_id"]:
            return f"{call}.id"
        case [str(key), *_] if key in _CALL_FIELDS:
            return _join(f"{call}.{origin.kind.removesuffix('_call')}", rest)
        case _:
            return _join(call, rest)


def _part(base: str, origin: Origin, p: int, deeper: list[str | int]) -> str:
    where = origin.parts[p] if p < len(origin.parts) else "content"
    if not where.startswith("content["):
        return f"{base}.{where}"  # the message held a string
    if deeper and deeper[0] in _PART:
        deeper = [*_PART[str(deeper[0])], *deeper[1:]]
    return _join(f"{base}.{where}", deeper)
