"""Read Chat's parameters from a log, which may rename tools or write numbers as text.

Logs put keys of their own among parameters, so keys that Chat doesn't know are dropped; those that
the SDK's caller added with `extra_body` are kept.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Final

from adapter.translation.parameters import CHAT_PARAMETERS

from .json_path import read_text

OPTIONS: Final = frozenset({"extra_headers", "extra_query", "extra_body", "timeout"})
"""The options of the SDK's methods that aren't parameters of the request."""

_NUMBERS = {name for name, row in CHAT_PARAMETERS.items() if type(row.example) in (int, float)}
_FLAGS = {name for name, row in CHAT_PARAMETERS.items() if type(row.example) is bool}
_OBJECTS = frozenset({
    "tools", "functions", "logit_bias", "metadata", "stream_options", "audio",
    "web_search_options", "prediction", "modalities",
})  # fmt: skip
_UNSET = frozenset({"", "none", "null", "undefined", "not_given", "notgiven", "omit"})
_BOOLEANS = {"true": True, "false": False}
_SCHEMA = {"name": "unknown", "schema": {"type": "object"}}  # stands for a schema not in the log


_PARAMETER_OBJECTS = frozenset({
    "params", "parameters", "kwargs", "options", "settings", "config", "configuration",
    "model_params", "model_parameters", "model_kwargs", "model_config", "model_settings",
    "modelParameters", "invocation_params", "invocation_parameters", "generation_config",
    "generationConfig", "generation_params", "completion_params", "completion_kwargs",
    "completion_config", "sampling_params", "inference_params", "inferenceConfig",
    "optional_params", "llm_params", "llm_config", "request_params", "api_params", "call_kwargs",
    "hyperparameters", "args", "extra", "request", "body", "payload", "json", "request_body",
    "openai",
})  # fmt: skip
"""Objects next to messages that hold their parameters, perhaps with keys of the log."""
_AMBIGUOUS_NAMES = frozenset({"model", "user", "metadata", "store"})  # used for other things too


def is_known(name: Any) -> bool:
    """Return whether a name is a parameter other than `messages`."""
    return name in CHAT_PARAMETERS and name != "messages"


def body_from_arguments(found: dict[str, Any]) -> dict[str, Any]:
    """Return the body that the SDK makes of keyword arguments."""
    if OPTIONS.isdisjoint(found):
        return found
    more = read_text(found.get("extra_body"))
    return {key: value for key, value in found.items() if key not in OPTIONS} | (
        more if isinstance(more, dict) else {}
    )


def body_from_row(
    row: dict[str, Any], log_keys: Collection[str], reply_keys: Collection[str]
) -> dict[str, Any]:
    """Return the body whose messages and parameters are keys of a row.

    If the row has one of `log_keys`, only Chat's parameters are taken from it. Parameters in an
    object of their own are added, those next to the messages win. `reply_keys` are skipped.
    """
    nested: dict[str, Any] = {}
    taken = set()
    for name, value in row.items():
        if name not in CHAT_PARAMETERS and name not in OPTIONS and name not in reply_keys:
            found = _nested_parameters(name, value)
            if found:
                nested = {**found, **nested}
                taken.add(name)
    if any(name in row for name in log_keys):
        own = {
            name: value
            for name, value in row.items()
            if name in CHAT_PARAMETERS or name == "extra_body"
        }
    else:
        own = {name: value for name, value in row.items() if name not in taken} if taken else row
    own = body_from_arguments(own)
    return {**nested, **own} if nested else own


def _nested_parameters(name: str, value: Any) -> dict[str, Any]:
    """Return the parameters in an object that has a usual name or contains nothing else."""
    found = read_text(value)
    if not isinstance(found, dict):
        return {}
    only = all(
        key in CHAT_PARAMETERS or key in OPTIONS for key in found
    ) and not _AMBIGUOUS_NAMES.issuperset(found)
    return parameters_of(found) if only or name in _PARAMETER_OBJECTS else {}


def parameters_of(found: Any) -> dict[str, Any]:
    """Return the parameters in an object, or in its JSON text."""
    found = read_text(found)
    if not isinstance(found, Mapping):
        return {}
    out = {
        name: value
        for name, given in found.items()
        if is_known(name) and (value := value_of(name, given)) is not None
    }
    more = read_text(found.get("extra_body"))
    return {**out, **more} if isinstance(more, dict) else out


def value_of(name: str, given: Any) -> Any:
    """Return a parameter's value in Chat's terms, None if the log has no usable one."""
    if isinstance(given, str):
        if given.lower() in _UNSET or given.startswith("<openai."):
            return None
        given = _of_text(name, given)
    if given is None or (type(given) is float and not math.isfinite(given)):
        return None
    if name in ("tools", "functions") and isinstance(given, list):
        made = [tool for one in given if (tool := _tool(one, bare=name == "functions")) is not None]
        return made or None
    return _format(given) if name == "response_format" else given


def _of_text(name: str, text: str) -> Any:
    if name in _NUMBERS:
        try:
            number = float(text)
        except ValueError:
            return None
        return int(number) if number.is_integer() else number
    if name in _FLAGS:
        return _BOOLEANS.get(text.lower())
    if name in _OBJECTS:
        read = read_text(text)
        return None if isinstance(read, str) else read
    return read_text(text)


def _tool(tool: Any, *, bare: bool) -> Any:
    """Convert a tool's definition: Chat's, one with its name next to its type, or a JSON text."""
    tool = read_text(tool)
    if not isinstance(tool, dict):
        return None
    wrapped = tool.get("tool")
    if isinstance(wrapped, dict):  # OpenInference
        return _tool(wrapped.get("json_schema"), bare=bare)
    if bare or "function" in tool or "custom" in tool or not isinstance(tool.get("name"), str):
        return tool
    schema = read_text(tool.get("parameters", tool.get("input_schema")))
    inner = {"name": tool["name"], "description": tool.get("description"), "parameters": schema}
    return {
        "type": "function",
        "function": {key: value for key, value in inner.items() if value is not None},
    }


def _format(given: Any) -> Any:
    """Convert a response format: Chat's, a type alone, or a schema alone."""
    if isinstance(given, str):
        word = given.lower()
        if word == "json_schema":
            return {"type": word, "json_schema": _SCHEMA}
        return (
            {"type": "json_object" if word == "json" else word}
            if word in ("json", "json_object", "text")
            else None
        )
    if isinstance(given, dict) and (given.get("type") == "object" or "properties" in given):
        return {"type": "json_schema", "json_schema": {**_SCHEMA, "schema": given}}
    return given
