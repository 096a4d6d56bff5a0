"""Tool definitions for requests: one list of tools in the form of either API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Literal

from adapter.errors import ConfigurationError, Unsupported
from adapter.translation.objects.tool_definitions import (
    TOOL_FIELDS,
    TOOL_TYPES,
    empty_parameters,
    flat_format,
    nested_format,
)

from .tools import Tool, is_model, read_tool

_FUNCTION_FIELDS = TOOL_FIELDS["function"] | {"type"}

Definition = dict[str, Any]


def tools_for(api: Literal["chat", "responses"], tools: Iterable[Any]) -> list[Definition]:
    """Return tools in the form of one API's `tools` parameter.

    Each is a Pydantic model (strict, as with `openai.pydantic_function_tool`), the result of that
    helper, a callable with annotations, or a definition in the form of either API, also of a custom
    tool. `strict` is kept, and always written for the Responses API, whose default is true
    (docs/mapping.md#tools). Raises Unsupported for a hosted tool with `api="chat"`, and
    ConfigurationError for anything that isn't a tool.
    """
    if api not in ("chat", "responses"):
        raise ConfigurationError(f"api: expected 'chat' or 'responses', got {api!r}")
    definitions: list[Definition] = []
    for n, given in enumerate(tools):
        path = f"tools[{n}]"
        hosted = isinstance(given, Mapping) and given.get("type") not in TOOL_TYPES
        if hosted and api == "chat":
            raise Unsupported(path, "Chat Completions has functions and custom tools only")
        if hosted:
            definitions.append(dict(given))
        else:
            if is_model(given):
                import openai

                given = openai.pydantic_function_tool(given)  # noqa: PLW2901  # the same tool
            definitions += [
                _chat_definition(one) if api == "chat" else _responses_definition(one)
                for one in read_tool(path, given)
            ]
    return definitions


def _chat_definition(one: Tool) -> Definition:
    if one.given is not None:
        return dict(one.given)
    kind = one.definition["type"]
    inner = {key: value for key, value in deepcopy(one.definition).items() if key != "type"}
    if kind == "custom" and "format" in inner:
        inner["format"] = nested_format(inner["format"])
    return {"type": kind, kind: inner}


def _responses_definition(one: Tool) -> Definition:
    made = dict(deepcopy(one.definition))  # a copy: the caller may change it
    if made["type"] == "function":
        if one.given is not None:
            # Chat ignores unknown keys, the Responses API refuses them
            # (docs/edge-cases.md#keys-beside-function).
            made = {
                key: value
                for key, value in made.items()
                if key in _FUNCTION_FIELDS and value is not None
            }
        made["strict"] = made.get("strict") is True
        if made.get("parameters") is None:
            made["parameters"] = empty_parameters(strict=made["strict"])
        return _with_model(made, one.model)
    if "format" in made:
        made["format"] = flat_format(made["format"])
    return made


def _with_model(made: Definition, model: Any) -> Definition:
    """Attach the model to the definition, as the SDK's own `responses.parse` expects it."""
    if model is None:
        return made
    try:
        from openai.lib._tools import ResponsesPydanticFunctionTool
    except ImportError:
        return made  # then only `read()` parses
    return ResponsesPydanticFunctionTool(made, model)  # type: ignore[arg-type]
