"""The tools that a program offers: read from any of their forms, and what they make of a call's arguments."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from adapter.errors import ConfigurationError
from adapter.translation.json_types import json_type

from .types import CallType, ToolCall

Parser = Callable[[str], Any]
"""Make of a call's arguments what the tool wants; raise where they don't fit."""


def parser_of(kind: Any) -> Parser:
    """Return what reads JSON text as a type: a Pydantic model, or anything that Pydantic knows."""
    validate = getattr(kind, "model_validate_json", None)
    if validate is None:
        from pydantic import TypeAdapter

        validate = TypeAdapter(kind).validate_json
    parse: Parser = validate
    return parse


def try_parse(parse: Parser, text: str) -> tuple[Any, str | None]:
    """Parse; return what came of it, and what was wrong."""
    try:
        return parse(text), None
    except Exception as error:  # noqa: BLE001 - the validators are the program's own, and may raise anything
        return None, str(error) or type(error).__name__


def json_object(text: str) -> dict[str, Any]:
    """Decode a JSON object; raises ValueError for anything else."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {json_type(value)}")
    return value


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its definition in the flat form, and what reads a call of it (None for a custom tool).

    `model` is the Pydantic model that it was made from; `given` is what the program gave where that is Chat's form already.
    """

    name: str
    definition: Mapping[str, Any]
    parse: Parser | None
    model: Any = None
    given: Mapping[str, Any] | None = None


def is_model(given: Any) -> bool:
    """Tell whether a tool is given as a Pydantic model."""
    return isinstance(given, type) and hasattr(given, "model_validate_json")


def read_tool(path: str, given: Any) -> list[Tool]:
    """Read one tool in any form; a namespace holds several, a hosted tool is none that the model calls by name."""
    if isinstance(given, Mapping):
        return _from_definition(path, given)
    if not callable(given):
        raise ConfigurationError(
            f"{path}: expected a model, a callable or a definition, got {json_type(given)}"
        )
    # Methods and closures hold on to what a single call may have made: a cache must not keep that alive.
    held = inspect.ismethod(given) or getattr(given, "__closure__", None) is not None
    try:
        return [(_from_callable if held else _from_callable_cached)(given)]
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
    if kind not in ("function", "custom"):
        return []
    nested = given.get(kind)
    flat: Mapping[str, Any] = nested if isinstance(nested, Mapping) else given
    name = flat.get("name")
    if not isinstance(name, str):
        raise ConfigurationError(f"{path}.name: expected a string, got {json_type(name)}")
    definition = {"type": kind, **{key: value for key, value in flat.items() if key != "type"}}
    model = getattr(flat, "model", None)  # the SDK's own helpers keep it beside the definition
    parse = None if kind == "custom" else json_object if model is None else parser_of(model)
    return [Tool(name, definition, parse, model, given if nested is flat else None)]


def _from_callable(given: Callable[..., Any]) -> Tool:
    """Read a function's annotations. Its parser gives the keyword arguments, and doesn't call it."""
    from pydantic import PydanticUserError, TypeAdapter

    name = getattr(given, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigurationError("a callable without a name; wrap it in a function")
    adapter: TypeAdapter[Any]
    try:
        if isinstance(given, type):
            adapter = TypeAdapter(given)  # a dataclass or a TypedDict: its parser gives an instance
        else:
            adapter = TypeAdapter(_argument_collector(given))  # type: ignore[arg-type]  # a function is a type to Pydantic
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


# A schema takes Pydantic a millisecond, and a program's tools are the same for every call.
_from_callable_cached = functools.lru_cache(maxsize=128)(_from_callable)


def _argument_collector(given: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Make a function with the same parameters that returns what it was called with, by name."""
    signature = inspect.signature(given)
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigurationError(
                f"the parameter {parameter} has no name that a model could give"
            )

    @functools.wraps(given)
    def arguments(*args: Any, **kwargs: Any) -> dict[str, Any]:
        return signature.bind(*args, **kwargs).arguments

    return arguments


class ToolSet:
    """The tools of one reader, by name; the first of a name counts, as in the SDK's own parsing."""

    def __init__(self, tools: Iterable[Any] | None) -> None:
        if isinstance(tools, (Mapping, str)) or not isinstance(tools, (Iterable, type(None))):
            raise ConfigurationError(f"tools: expected a list of tools, got {json_type(tools)}")
        self._tools_given = tools is not None
        self._tools: dict[str, Tool] = {}
        for n, given in enumerate(tools or ()):
            # A model's schema isn't needed to read with it, and takes a millisecond.
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
        """Make a tool call; `parsed` is what the SDK made of its arguments, `cut` tells that they aren't whole."""
        problem: str | None = None
        known = self._tools.get(name)
        if cut:
            problem = "the answer was cut before the arguments were complete"
        elif kind == "custom":
            pass
        elif known is not None and known.parse is not None:
            parsed, problem = try_parse(known.parse, arguments)
        elif self._tools_given and parsed is None:
            problem = f"there is no tool with the name {name!r}"
        elif parsed is None:
            problem = try_parse(json.loads, arguments)[1]
        return ToolCall(call_id, name, arguments, None if cut else parsed, problem, kind)
