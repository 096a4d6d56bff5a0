"""Read tools in any form, and parse the arguments of calls with them."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from adapter.errors import ConfigurationError
from adapter.translation.json_types import json_type
from adapter.translation.objects.tool_definitions import TOOL_TYPES

from .types import CallType, ToolCall, call_type_for

Parser = Callable[[str], Any]
"""Parses the arguments of a call; raises if they don't fit the tool."""


def parser_of(kind: Any) -> Parser:
    """Return a parser of JSON text for a Pydantic model or any type that Pydantic supports."""
    validate = getattr(kind, "model_validate_json", None)
    if validate is None:
        from pydantic import TypeAdapter

        validate = TypeAdapter(kind).validate_json
    parse: Parser = validate
    return parse


def try_parse(parse: Parser, text: str) -> tuple[Any, str | None]:
    """Parse a text; return the value, or None and the problem."""
    try:
        return parse(text), None
    except Exception as error:  # noqa: BLE001  # validators of users may raise anything
        return None, str(error) or type(error).__name__


def json_object(text: str) -> dict[str, Any]:
    """Decode a JSON object. Raises ValueError for anything else."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {json_type(value)}")
    return value


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its definition in the flat form, and the parser of its arguments.

    `parse` is None for a custom tool; `model` is the Pydantic model of the tool, if any; `given` is
    the definition that was passed in, if that has Chat's form.
    """

    name: str
    definition: Mapping[str, Any]
    parse: Parser | None
    model: Any = None
    given: Mapping[str, Any] | None = None


def is_model(given: Any) -> bool:
    """Return whether a tool is given as a Pydantic model."""
    return isinstance(given, type) and hasattr(given, "model_validate_json")


def read_tool(path: str, given: Any) -> list[Tool]:
    """Read a tool in any form: a namespace has several; a hosted tool, which has no name, none."""
    if isinstance(given, Mapping):
        return _from_definition(path, given)
    if not callable(given):
        raise ConfigurationError(
            f"{path}: expected a model, a callable or a definition, got {json_type(given)}"
        )
    # A cache must not keep alive what methods and closures refer to.
    uncached = inspect.ismethod(given) or getattr(given, "__closure__", None) is not None
    try:
        return [(_from_callable if uncached else _from_callable_cached)(given)]
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error.__cause__


def _from_definition(path: str, given: Mapping[str, Any]) -> list[Tool]:
    kind = given.get("type")
    if kind == "namespace":
        inner = given.get("tools")
        listed = inner if isinstance(inner, list) else []
        return [
            one for n, each in enumerate(listed) for one in read_tool(f"{path}.tools[{n}]", each)
        ]
    if kind not in TOOL_TYPES:
        return []
    nested = given.get(kind)
    flat: Mapping[str, Any] = nested if isinstance(nested, Mapping) else given
    name = flat.get("name")
    if not isinstance(name, str):
        raise ConfigurationError(f"{path}.name: expected a string, got {json_type(name)}")
    definition = {"type": kind, **{key: value for key, value in flat.items() if key != "type"}}
    model = getattr(flat, "model", None)  # set by the SDK's own helpers
    parse = None if kind == "custom" else json_object if model is None else parser_of(model)
    return [Tool(name, definition, parse, model, given if nested is flat else None)]


def _from_callable(given: Callable[..., Any]) -> Tool:
    """Read a function's annotations. The parser returns keyword arguments; it doesn't call it."""
    from pydantic import PydanticUserError, TypeAdapter

    name = getattr(given, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigurationError("a callable without a name; wrap it in a function")
    adapter: TypeAdapter[Any]
    try:
        if isinstance(given, type):
            adapter = TypeAdapter(given)  # a dataclass or a TypedDict, parsed to an instance
        else:
            collector: Any = _argument_collector(given)  # Pydantic takes functions as types
            adapter = TypeAdapter(collector)
        schema = adapter.json_schema()
    except (PydanticUserError, NameError, TypeError) as error:
        raise ConfigurationError(
            f"no schema can be made of {name}'s annotations: {error}"
        ) from error
    schema.pop("title", None)
    schema.pop("description", None)
    definition: dict[str, Any] = {"type": "function", "name": name}
    description = inspect.getdoc(given)
    if description:
        definition["description"] = description
    return Tool(name, definition | {"parameters": schema, "strict": False}, adapter.validate_json)


# Pydantic needs a millisecond for a schema, and a program's tools are the same for every call.
_from_callable_cached = functools.lru_cache(maxsize=128)(_from_callable)


def _argument_collector(given: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Return a function with the same parameters that returns its arguments by name."""
    signature = inspect.signature(given)
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigurationError(f"the parameter {parameter} can't be passed by name")

    @functools.wraps(given)
    def arguments(*args: Any, **kwargs: Any) -> dict[str, Any]:
        return signature.bind(*args, **kwargs).arguments

    return arguments


class ToolSet:
    """The tools of one reader by name; the first of a name is used, as in the SDK's own parsing."""

    def __init__(self, tools: Iterable[Any] | None) -> None:
        if isinstance(tools, (Mapping, str)) or not isinstance(tools, (Iterable, type(None))):
            raise ConfigurationError(f"tools: expected a list of tools, got {json_type(tools)}")
        self._tools_given = tools is not None
        self._tools: dict[str, Tool] = {}
        for n, given in enumerate(tools or ()):
            # Reading needs no schema of a model, which takes a millisecond.
            named = (
                [Tool(given.__name__, {}, parser_of(given))]
                if is_model(given)
                else read_tool(f"tools[{n}]", given)
            )
            for one in named:
                self._tools.setdefault(one.name, one)

    def parse_call(
        self, call_id: str, name: str, arguments: str, kind: CallType, *, cut: bool, parsed: Any
    ) -> ToolCall:
        """Make a tool call and parse its arguments.

        `parsed` are the arguments as parsed by the SDK, or None; `cut`: they are incomplete.
        """
        problem: str | None = None
        known = self._tools.get(name)
        if cut:
            problem = "the answer was truncated before the arguments were complete"
        elif not call_type_for(kind).is_json:
            pass
        elif known is not None and known.parse is not None:
            parsed, problem = try_parse(known.parse, arguments)
        elif self._tools_given and parsed is None:
            problem = f"there is no tool with the name {name!r}"
        elif parsed is None:
            problem = try_parse(json.loads, arguments)[1]
        return ToolCall(call_id, name, arguments, None if cut else parsed, problem, kind)
