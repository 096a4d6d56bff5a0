"""Tools and tool choices, chat → responses (MAPPING §1.5, §3.1 to §3.3)."""

from __future__ import annotations

from typing import Any

from adapter.errors import MalformedRequest
from adapter.translation.json_types import json_type, string

from .builder import Draft

_NEWER = {"allowed_callers", "async", "defer_loading"}
FUNCTION_FIELDS = frozenset({"name", "description", "parameters", "strict", "output_schema", *_NEWER})
CUSTOM_FIELDS = frozenset({"name", "description", "format", *_NEWER})
"""What the Responses API has for tools of these kinds."""


def _function_tool(draft: Draft, function: dict[str, Any], path: str) -> dict[str, Any]:
    """Flatten a function's definition.

    `strict` is always written: left out, the Responses API makes the schema strict by itself, and optional arguments
    come back as nulls or inventions (MAPPING §3.1; 39 of 39 recordings). `parameters` is a required key there.
    """
    strict = function.get("strict") is True
    parameters = function.get("parameters")
    if parameters is None:
        parameters = {"type": "object", "properties": {}}
        if strict:
            parameters |= {"required": [], "additionalProperties": False}
    tool: dict[str, Any] = {"type": "function", "name": string(function.get("name"), f"{path}.name")}
    if function.get("description") is not None:
        tool["description"] = function["description"]
    tool["parameters"] = parameters
    tool["strict"] = strict
    _rest(draft, tool, function, path, FUNCTION_FIELDS)
    return tool


def _custom_tool(draft: Draft, custom: dict[str, Any], path: str) -> dict[str, Any]:
    tool = {"type": "custom", "name": string(custom.get("name"), f"{path}.name")}
    _rest(draft, tool, custom, path, CUSTOM_FIELDS)
    shape = custom.get("format")
    if isinstance(shape, dict) and isinstance(shape.get("grammar"), dict):
        shape = {**{key: value for key, value in shape.items() if key != "grammar"}, **shape["grammar"]}
    if shape is not None:
        tool["format"] = shape
    return tool


_WRAPPED = {"function": _function_tool, "custom": _custom_tool}
_FIELDS = {"function": FUNCTION_FIELDS, "custom": CUSTOM_FIELDS}


def _rest(draft: Draft, tool: dict[str, Any], given: dict[str, Any], path: str, known: frozenset[str]) -> None:
    """Take over the other keys of a definition that the Responses API has; Chat passes over any."""
    for key, value in given.items():
        if value is None or key in tool:
            continue
        if key not in known:
            draft.leave_out(path, key, "not a field of such a tool")
        elif key != "format":
            tool[key] = value


def _joined(draft: Draft, tool: dict[str, Any], kind: str, path: str) -> dict[str, Any]:
    """Return a tool's definition with what stands beside it, where the Responses API has that.

    What stands inside counts.
    """
    inside: dict[str, Any] = tool[kind]
    beside: dict[str, Any] = {}
    for key, value in tool.items():
        if key in ("type", kind) or value is None:
            continue
        given = inside.get(key)
        if key not in _FIELDS[kind]:
            draft.leave_out(path, key, "not a field of such a tool")
        elif given is None:
            beside[key] = value
        elif type(given) is not type(value) or given != value:
            draft.ledger.note(f"{path}.{key}", "dropped", f"`{path}.{kind}.{key}` says something else")
    return {**inside, **beside} if beside else inside


def _tool(draft: Draft, tool: Any, path: str) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise MalformedRequest(path, f"expected an object, got {json_type(tool)}")
    kind = string(tool.get("type"), f"{path}.type")
    wrapped = tool.get(kind)
    if kind not in _WRAPPED:
        return tool  # a hosted tool, put there on purpose: it goes as it is (MAPPING §3.5)
    if wrapped is None and isinstance(tool.get("name"), str):
        return tool  # already in the Responses API's own shape
    if not isinstance(wrapped, dict):
        raise MalformedRequest(f"{path}.{kind}", f"expected an object, got {json_type(wrapped)}")
    if len(tool) > 2:
        wrapped = _joined(draft, tool, kind, path)
    return _WRAPPED[kind](draft, wrapped, f"{path}.{kind}")


def tools(draft: Draft, value: Any) -> None:
    """Write `tools`."""
    if not isinstance(value, list):
        raise MalformedRequest("tools", f"expected an array, got {json_type(value)}")
    target = draft.body.setdefault("tools", [])
    for i, tool in enumerate(value):
        path = f"tools[{i}]"
        target.append(_tool(draft, tool, path))
        draft.tools.append(path)
        if target[-1] is not tool:
            draft.names[path] = target[-1]["type"]  # what its definition was wrapped in


def functions(draft: Draft, value: Any) -> None:
    """Write the deprecated `functions` as tools; the old answer holds one call, so parallel calls are switched off."""
    if not isinstance(value, list):
        raise MalformedRequest("functions", f"expected an array, got {json_type(value)}")
    target = draft.body.setdefault("tools", [])
    for i, function in enumerate(value):
        path = f"functions[{i}]"
        if not isinstance(function, dict):
            raise MalformedRequest(path, f"expected an object, got {json_type(function)}")
        target.append(_function_tool(draft, function, path))
        draft.tools.append(path)
    draft.put("parallel_tool_calls", False)
    draft.asked["legacy_functions"] = True


def function_call(draft: Draft, value: Any) -> None:
    """Write the deprecated `function_call` as `tool_choice`."""
    draft.names["tool_choice"] = "function_call"
    draft.asked["legacy_functions"] = True
    if isinstance(value, str):
        draft.put("tool_choice", value)
        return
    if not isinstance(value, dict):
        raise MalformedRequest("function_call", f"expected a string or an object, got {json_type(value)}")
    draft.put("tool_choice", {"type": "function", "name": string(value.get("name"), "function_call.name")})
    _only(draft, value, "function_call", {"name"})


def _only(draft: Draft, choice: dict[str, Any], path: str, known: set[str]) -> None:
    for key, value in choice.items():
        if value is not None and key not in known:
            draft.leave_out(path, key, "not a field of such a choice")


def _flat_choice(draft: Draft, value: dict[str, Any], path: str) -> dict[str, Any]:
    """Flatten `{type, <type>: {name}}`; hosted tools, and what is flat already, stay as they are."""
    kind = string(value.get("type"), f"{path}.type")
    wrapped = value.get(kind)
    if kind not in _WRAPPED or (wrapped is None and isinstance(value.get("name"), str)):
        return value
    if not isinstance(wrapped, dict):
        raise MalformedRequest(f"{path}.{kind}", f"expected an object, got {json_type(wrapped)}")
    _only(draft, value, path, {"type", kind})
    _only(draft, wrapped, f"{path}.{kind}", {"name"})
    return {"type": kind, "name": string(wrapped.get("name"), f"{path}.{kind}.name")}


def tool_choice(draft: Draft, value: Any) -> None:
    """Write `tool_choice`."""
    if isinstance(value, str):
        draft.put("tool_choice", value)
        return
    if not isinstance(value, dict):
        raise MalformedRequest("tool_choice", f"expected a string or an object, got {json_type(value)}")
    allowed = value.get("allowed_tools")
    if value.get("type") == "allowed_tools" and allowed is not None:
        path = "tool_choice.allowed_tools"
        if not isinstance(allowed, dict):
            raise MalformedRequest(path, f"expected an object, got {json_type(allowed)}")
        listed = allowed.get("tools")
        if not isinstance(listed, list) or not all(isinstance(tool, dict) for tool in listed):
            raise MalformedRequest(f"{path}.tools", "expected an array of objects")
        flat = [_flat_choice(draft, tool, f"{path}.tools[{i}]") for i, tool in enumerate(listed)]
        _only(draft, value, "tool_choice", {"type", "allowed_tools"})
        _only(draft, allowed, path, {"mode", "tools"})
        draft.put("tool_choice", {"type": "allowed_tools", "mode": allowed.get("mode"), "tools": flat})
        return
    choice = _flat_choice(draft, value, "tool_choice")
    draft.put("tool_choice", choice)
    draft.asked["named_choice"] = choice.get("type") in _WRAPPED
    if choice.get("type") in _WRAPPED:
        draft.names["tool_choice.name"] = f"tool_choice.{choice['type']}.name"


def web_search_options(draft: Draft, value: Any) -> None:
    """Write `web_search_options` as a `web_search` tool, where that is asked for.

    Chat's search models always search, while the tool is the model's to use: so the model is made to, where the caller
    has no tools of its own. Without the opt-in the policy decides, since search models needn't exist on the Responses
    API (MAPPING §1.5).
    """
    if "web_search_options" not in draft.policy.emulate:
        draft.cannot(
            "web_search_options", "web_search_options", "searching is a tool on the Responses API; opt in with emulate"
        )
        return
    if not isinstance(value, dict):
        raise MalformedRequest("web_search_options", f"expected an object, got {json_type(value)}")
    tool = {"type": "web_search"} | {k: v for k, v in value.items() if v is not None and k != "user_location"}
    location = value.get("user_location")
    if isinstance(location, dict):
        inner = location.get("approximate")
        tool["user_location"] = {"type": "approximate"} | (inner if isinstance(inner, dict) else {})
    else:
        # Absent means the United States there, and nothing on Chat.
        tool["user_location"] = {"type": "approximate"}
    own = draft.body.setdefault("tools", [])
    own.append(tool)
    draft.tools.append("web_search_options")
    draft.ledger.note("web_search_options", "changed", "a web_search tool in its place")
    if len(own) == 1 and "tool_choice" not in draft.body:
        draft.put("tool_choice", {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]})
