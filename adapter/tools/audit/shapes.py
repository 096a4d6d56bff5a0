"""Reduce a request to its shape: everything that its verdict depends on, and no user data.

Requests with one shape have one verdict, so the translation runs once per shape. Requests with the
same verdict may have different shapes, but never the other way round;
`tests/tools/test_audit_shapes.py` checks this against verdicts without shapes.

Values are reduced to their kind: the type, and whether they are empty. Only what rules read is kept
by value: models, types, roles, efforts, small numbers. Equal messages, parts, calls and tools count
once, in the order of their first appearance, since the translation treats repetitions alike. Only
deprecated function calls are matched by name and order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from adapter.translation.parameters import CHAT_PARAMETERS, MINIMUM_OUTPUT_TOKENS, ValueShape

Shape = Hashable

_MAX_CHARACTERS = 64  # of a value that is kept; no rule has a longer one
_KIND: dict[type, tuple[Shape, Shape]] = {  # when it is false, and when it is true
    str: ("''", "'s'"),
    int: ("0", "int"),
    float: ("0.0", "float"),
    list: ("[]", "[x]"),
    dict: ("{}", "{x}"),
    bool: ("false", "true"),
}


def shape_of(body: Any, raw_path: bytes, host: str) -> Shape:
    """Return the shape of a chat request; `raw_path` and `host` are where it was sent."""
    if type(body) is not dict:
        return kind(body)
    out: list[Shape] = [raw_path, host]
    for key, value in body.items():
        out.append(key)
        out.append(_REDUCED_PARAMETERS.get(key, kind)(value))
    return tuple(out)


def characters(shape: Shape) -> int:
    """Return the number of characters in a shape, as names in a log may be of any length."""
    if isinstance(shape, tuple):
        return sum(map(characters, shape))
    return len(shape) if isinstance(shape, (str, bytes)) else 0


def kind(value: Any) -> Shape:
    """Reduce a value to its type and truth value."""
    if value is None:
        return None
    pair = _KIND.get(type(value))
    return type(value).__name__ if pair is None else pair[1] if value else pair[0]


def _text(value: Any) -> Shape:
    return ("=", value) if type(value) is str else kind(value)


def _word(value: Any) -> Shape:
    return ("=", value) if type(value) is str and len(value) <= _MAX_CHARACTERS else kind(value)


def _count(value: Any) -> Shape:
    return ("=", value) if type(value) is int and -1 <= value <= 200 else kind(value)


def _limit(value: Any) -> Shape:
    return "small" if type(value) is int and 0 < value < MINIMUM_OUTPUT_TOKENS else _sign(value)


def _sign(value: Any) -> Shape:
    return "negative" if type(value) is int and value < 0 else kind(value)


def _words(value: Any) -> Shape:
    return tuple(map(_word, value)) if type(value) is list and len(value) <= 8 else kind(value)


def _fields(value: Any) -> Shape:
    """Keep the keys, and `type` by value."""
    if type(value) is not dict:
        return kind(value)
    return tuple(
        [(key, _word(inner) if key == "type" else kind(inner)) for key, inner in value.items()]
    )


def _deep(value: Any) -> Shape:
    """Keep the keys down to the depth of a tool choice with its list of tools."""
    return _nested(value, 5)


def _nested(value: Any, depth: int) -> Shape:
    if depth and type(value) is dict:
        return tuple(
            [
                (key, _word(inner) if key == "type" else _nested(inner, depth - 1))
                for key, inner in value.items()
            ]
        )
    if depth and type(value) is list:
        return ("list", *dict.fromkeys([_nested(inner, depth - 1) for inner in value]))
    return kind(value)


def _messages(value: Any) -> Shape:
    if type(value) is not list:
        return kind(value)
    out: list[Shape] = []
    legacy = calls = False
    for message in value:
        if type(message) is not dict:
            out.append(kind(message))
            continue
        role, content = message.get("role"), message.get("content")
        if type(role) is str and type(content) is str and len(message) == 2:
            out.append(
                (role if len(role) <= _MAX_CHARACTERS else "?", "''" if not content else "'s'")
            )
            legacy = legacy or role == "function"
            continue
        legacy = legacy or role == "function" or message.get("function_call") is not None
        calls = calls or "tool_calls" in message
        out.append(tuple([(key, _in_message(key, inner)) for key, inner in message.items()]))
    if legacy:  # the translation matches these by name, in order
        names = tuple([_function_name(message) for message in value if type(message) is dict])
        return ("legacy", tuple(out), names)
    return (
        ("again", *dict.fromkeys(out)) if calls and _repeats(value) else tuple(dict.fromkeys(out))
    )


def _repeats(messages: list[Any]) -> bool:
    """Return whether two calls have the same id; the translation gives the second another one."""
    known: set[str] = set()
    for message in messages:
        calls = message.get("tool_calls") if type(message) is dict else None
        for call in calls if type(calls) is list else ():
            own = call.get("id") if type(call) is dict else None
            if type(own) is str:
                if own in known:
                    return True
                known.add(own)
    return False


def _function_name(message: dict[str, Any]) -> Shape:
    called = message.get("function_call")
    name = (
        called.get("name")
        if type(called) is dict
        else message.get("name")
        if message.get("role") == "function"
        else None
    )
    return name if type(name) is str else kind(name)


def _in_message(key: str, value: Any) -> Shape:
    if type(value) is str:
        return _word(value) if key == "role" else "'s'" if value else "''"
    if key == "content" and type(value) is list:
        return ("parts", *dict.fromkeys(map(_fields_deeper, value)))
    if key == "tool_calls" and type(value) is list:
        return ("calls", *dict.fromkeys(map(_fields_deeper, value)))
    return _fields(value) if key == "function_call" else kind(value)


def _fields_deeper(value: Any) -> Shape:
    """Keep the keys of a part or a call, and of the objects in it."""
    if type(value) is not dict:
        return kind(value)
    return tuple(
        [(key, _word(inner) if key == "type" else _fields(inner)) for key, inner in value.items()]
    )


def _tools(value: Any) -> Shape:
    if type(value) is not list:
        return kind(value)
    return ("tools", *dict.fromkeys(map(_tool, value)))


def _tool(value: Any) -> Shape:
    """Keep of a tool also the keys that have the same value outside and inside its definition."""
    shape = _fields_deeper(value)
    if type(value) is not dict or len(value) <= 2:
        return shape
    inside = value.get(value["type"]) if type(value.get("type")) is str else None
    inner = inside if type(inside) is dict else {}
    again = [
        key
        for key, outer in value.items()
        if key in inner and type(outer) is type(inner[key]) and outer == inner[key]
    ]
    return (shape, *again)


def _stop(value: Any) -> Shape:
    return tuple([kind(one) for one in value[:8]]) if type(value) is list else kind(value)


_REDUCED: dict[ValueShape, Callable[[Any], Shape]] = {
    "kind": kind,
    "text": _text,
    "word": _word,
    "words": _words,
    "count": _count,
    "limit": _limit,
    "fields": _fields,
    "inner fields": _fields_deeper,
    "deep fields": _deep,
    "messages": _messages,
    "tools": _tools,
    "stop": _stop,
}
_REDUCED_PARAMETERS = {name: _REDUCED[row.shape] for name, row in CHAT_PARAMETERS.items()}
