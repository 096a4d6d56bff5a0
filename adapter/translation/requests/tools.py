"""Tools and tool choices, Chat → Responses (docs/mapping.md#tools, #tool-choice, #web-search)."""

from __future__ import annotations

from typing import Any

from adapter.errors import MalformedRequest
from adapter.translation.json_types import json_type, string
from adapter.translation.objects.tool_definitions import (
    TOOL_FIELDS,
    empty_parameters,
    flat_format,
)

from .builder import RequestBuilder
from .converters import converter


def _function_tool(builder: RequestBuilder, function: dict[str, Any], path: str) -> dict[str, Any]:
    """Flatten a function's definition.

    `strict` is always written: without it the Responses API makes the schema strict, and optional
    arguments come back as nulls or invented values (docs/mapping.md#tools). `parameters` is a
    required key there.
    """
    strict = function.get("strict") is True
    parameters = function.get("parameters")
    if parameters is None:
        parameters = empty_parameters(strict=strict)
    tool: dict[str, Any] = {
        "type": "function",
        "name": string(function.get("name"), f"{path}.name"),
    }
    if function.get("description") is not None:
        tool["description"] = function["description"]
    tool["parameters"] = parameters
    tool["strict"] = strict
    _copy_rest(builder, tool, function, path)
    return tool


def _custom_tool(builder: RequestBuilder, custom: dict[str, Any], path: str) -> dict[str, Any]:
    tool = {"type": "custom", "name": string(custom.get("name"), f"{path}.name")}
    _copy_rest(builder, tool, custom, path)
    shape = flat_format(custom.get("format"))
    if shape is not None:
        tool["format"] = shape
    return tool


_WRAPPED = {"function": _function_tool, "custom": _custom_tool}


def _copy_rest(
    builder: RequestBuilder,
    tool: dict[str, Any],
    given: dict[str, Any],
    path: str,
) -> None:
    """Copy the other known keys of a definition, and leave out unknown ones as Chat does."""
    known = TOOL_FIELDS[tool["type"]]
    for key, value in given.items():
        if value is None or key in tool:
            continue
        if key not in known:
            builder.leave_out(path, key, "not a field of such a tool")
        elif key != "format":
            tool[key] = value


def _with_outer_fields(
    builder: RequestBuilder, tool: dict[str, Any], kind: str, path: str
) -> dict[str, Any]:
    """Return a tool's definition with the known keys beside it; keys inside it take precedence.

    See docs/edge-cases.md#keys-beside-function.
    """
    inside: dict[str, Any] = tool[kind]
    beside: dict[str, Any] = {}
    for key, value in tool.items():
        if key in ("type", kind) or value is None:
            continue
        given = inside.get(key)
        if key not in TOOL_FIELDS[kind]:
            builder.leave_out(path, key, "not a field of such a tool")
        elif given is None:
            beside[key] = value
        elif type(given) is not type(value) or given != value:
            builder.ledger.add(
                f"{path}.{key}", "dropped", f"`{path}.{kind}.{key}` has another value"
            )
    return {**inside, **beside} if beside else inside


def _tool(builder: RequestBuilder, tool: Any, path: str) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise MalformedRequest(path, f"expected an object, got {json_type(tool)}")
    kind = string(tool.get("type"), f"{path}.type")
    wrapped = tool.get(kind)
    if kind not in _WRAPPED:
        return tool  # a hosted tool is passed on (docs/mapping.md#tools)
    if wrapped is None and isinstance(tool.get("name"), str):
        return tool  # already in the Responses API's form
    if not isinstance(wrapped, dict):
        raise MalformedRequest(f"{path}.{kind}", f"expected an object, got {json_type(wrapped)}")
    if len(tool) > 2:
        wrapped = _with_outer_fields(builder, tool, kind, path)
    return _WRAPPED[kind](builder, wrapped, f"{path}.{kind}")


@converter("tools")
def tools(builder: RequestBuilder, value: Any, _: dict[str, Any]) -> None:
    """Write `tools`."""
    if not isinstance(value, list):
        raise MalformedRequest("tools", f"expected an array, got {json_type(value)}")
    target = builder.body.setdefault("tools", [])
    for i, tool in enumerate(value):
        path = f"tools[{i}]"
        target.append(_tool(builder, tool, path))
        builder.tools.append(path)
        if target[-1] is not tool:
            builder.names[path] = target[-1]["type"]  # the key of its definition


@converter("functions")
def functions(builder: RequestBuilder, value: Any, body: dict[str, Any]) -> None:
    """Write the deprecated `functions` as tools, without parallel calls.

    A message has one `function_call` at most.
    """
    if body.get("tools"):
        why = "Chat takes tools or functions, not both, and rejects the request itself"
        builder.unsupported("functions", "functions", why, droppable=False)
        return
    if not isinstance(value, list):
        raise MalformedRequest("functions", f"expected an array, got {json_type(value)}")
    target = builder.body.setdefault("tools", [])
    for i, function in enumerate(value):
        path = f"functions[{i}]"
        if not isinstance(function, dict):
            raise MalformedRequest(path, f"expected an object, got {json_type(function)}")
        target.append(_function_tool(builder, function, path))
        builder.tools.append(path)
    builder.set("parallel_tool_calls", False)
    builder.reply_context["legacy_functions"] = True


@converter("function_call")
def function_call(builder: RequestBuilder, value: Any, body: dict[str, Any]) -> None:
    """Write the deprecated `function_call` as `tool_choice`."""
    if body.get("tool_choice") is not None:
        why = "Chat takes tool_choice or function_call, not both, and rejects the request itself"
        builder.unsupported("function_call", "function_call", why, droppable=False)
        return
    builder.reply_context["legacy_functions"] = True
    if isinstance(value, str):
        builder.set("tool_choice", value)
        return
    if not isinstance(value, dict):
        raise MalformedRequest(
            "function_call", f"expected a string or an object, got {json_type(value)}"
        )
    builder.set(
        "tool_choice", {"type": "function", "name": string(value.get("name"), "function_call.name")}
    )
    _drop_unknown_keys(builder, value, "function_call", {"name"})


def _drop_unknown_keys(
    builder: RequestBuilder, choice: dict[str, Any], path: str, known: set[str]
) -> None:
    builder.leave_out_unknown(path, choice, known, "not a field of such a choice")


def _flat_choice(builder: RequestBuilder, value: dict[str, Any], path: str) -> dict[str, Any]:
    """Flatten `{type, <type>: {name}}`; hosted tools and flat choices stay as they are."""
    kind = string(value.get("type"), f"{path}.type")
    wrapped = value.get(kind)
    if kind not in _WRAPPED or (wrapped is None and isinstance(value.get("name"), str)):
        return value
    if not isinstance(wrapped, dict):
        raise MalformedRequest(f"{path}.{kind}", f"expected an object, got {json_type(wrapped)}")
    _drop_unknown_keys(builder, value, path, {"type", kind})
    _drop_unknown_keys(builder, wrapped, f"{path}.{kind}", {"name"})
    return {"type": kind, "name": string(wrapped.get("name"), f"{path}.{kind}.name")}


@converter("tool_choice")
def tool_choice(builder: RequestBuilder, value: Any, _: dict[str, Any]) -> None:
    """Write `tool_choice`."""
    if isinstance(value, str):
        builder.set("tool_choice", value)
        return
    if not isinstance(value, dict):
        raise MalformedRequest(
            "tool_choice", f"expected a string or an object, got {json_type(value)}"
        )
    allowed = value.get("allowed_tools")
    if value.get("type") == "allowed_tools" and allowed is not None:
        path = "tool_choice.allowed_tools"
        if not isinstance(allowed, dict):
            raise MalformedRequest(path, f"expected an object, got {json_type(allowed)}")
        listed = allowed.get("tools")
        if not isinstance(listed, list) or not all(isinstance(tool, dict) for tool in listed):
            raise MalformedRequest(f"{path}.tools", "expected an array of objects")
        flat = [_flat_choice(builder, tool, f"{path}.tools[{i}]") for i, tool in enumerate(listed)]
        _drop_unknown_keys(builder, value, "tool_choice", {"type", "allowed_tools"})
        _drop_unknown_keys(builder, allowed, path, {"mode", "tools"})
        builder.set(
            "tool_choice", {"type": "allowed_tools", "mode": allowed.get("mode"), "tools": flat}
        )
        return
    choice = _flat_choice(builder, value, "tool_choice")
    builder.set("tool_choice", choice)
    builder.reply_context["named_choice"] = choice.get("type") in _WRAPPED
    if choice.get("type") in _WRAPPED:
        builder.names["tool_choice.name"] = f"tool_choice.{choice['type']}.name"


@converter("web_search_options")
def web_search_options(builder: RequestBuilder, value: Any, _: dict[str, Any]) -> None:
    """Emulate `web_search_options` with a `web_search` tool (docs/mapping.md#web-search).

    Chat's search models always search; on the Responses API the model decides. So the tool is
    required if the caller has no other tools. Without emulation the policy decides, since search
    models needn't exist on the Responses API.
    """
    if "web_search_options" not in builder.policy.emulate:
        builder.unsupported(
            "web_search_options",
            "web_search_options",
            "searching is a tool on the Responses API; opt in with emulate",
        )
        return
    if not isinstance(value, dict):
        raise MalformedRequest("web_search_options", f"expected an object, got {json_type(value)}")
    tool = {"type": "web_search"} | {
        k: v for k, v in value.items() if v is not None and k != "user_location"
    }
    location = value.get("user_location")
    if isinstance(location, dict):
        inner = location.get("approximate")
        tool["user_location"] = {"type": "approximate"} | (inner if isinstance(inner, dict) else {})
    else:
        # Absent means the United States on the Responses API, and no location on Chat.
        tool["user_location"] = {"type": "approximate"}
    target = builder.body.setdefault("tools", [])
    target.append(tool)
    builder.tools.append("web_search_options")
    builder.ledger.add("web_search_options", "changed", "replaced by a web_search tool")
    if len(target) == 1 and "tool_choice" not in builder.body:
        builder.set(
            "tool_choice",
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]},
        )
