"""Compare two replies of either API: `assert_same_turn(a, b)` fails with the differences."""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Iterator
from typing import Any

from adapter.reading import Events, Finished, ToolCall, Turn, read


def assert_same_turn(a: Any, b: Any, *, tools: Any = None, output: Any = None) -> None:
    """Raise AssertionError if two replies of either API differ; the message shows how.

    `a` and `b` are results, sync streams or `Turn`s, and `tools` and `output` are those of
    `adapter.read`. These are compared: `text`, `refusal`, `finish`, `parsed`, the tool calls in
    order (type, name, and arguments, as JSON values if they are JSON), and the cited URLs; all
    choices of a result, the first of a stream. These can't be equal and aren't compared: ids, the
    model's name, usage, summaries of reasoning.
    """
    __tracebackhide__ = True
    first, second = _turn(a, tools, output), _turn(b, tools, output)
    differences = list(differing(first, second))
    if all(isinstance(one, Turn) or _is_result(one) for one in (a, b)):
        # A stream has only its first choice.
        differences += _other_choices(first, second, tools, output)
    if differences:
        raise AssertionError(
            "the turns differ (- the first, + the second):\n" + "\n".join(differences)
        )


def _turn(given: Any, tools: Any, output: Any) -> Turn[Any]:
    if isinstance(given, Turn):
        return given
    found = read(given, tools=tools, output=output)
    if isinstance(found, Turn):
        return found
    if not isinstance(found, Events):
        raise TypeError(
            "expected a result, a Turn or a sync stream: "
            "read an async stream first, and pass its Turn"
        )
    with found:
        last = list(found)[-1]
    assert isinstance(last, Finished)
    return last.turn


def _is_result(given: Any) -> bool:
    return isinstance(given, dict) or hasattr(given, "choices") or hasattr(given, "output")


def _other_choices(a: Turn[Any], b: Turn[Any], tools: Any, output: Any) -> Iterator[str]:
    """Compare the choices after the first; a `Turn` holds only the first."""
    first, second = (_choices(turn.raw) for turn in (a, b))
    if len(first) != len(second):
        yield f"  choices: {len(first)} != {len(second)}"
        return
    for number in range(1, len(first)):
        one, other = (
            _turn(
                {"object": "chat.completion", "choices": [{**choices[number], "index": 0}]},
                tools,
                output,
            )
            for choices in (first, second)
        )
        yield from (
            f"  choices[{number}]{line[1:]}" if line[2:3] != " " else line
            for line in differing(one, other)
        )


def _choices(raw: Any) -> list[dict[str, Any]]:
    """Return a completion's choices in order; one empty choice for anything else."""
    top = raw.model_dump() if hasattr(raw, "model_dump") and hasattr(raw, "choices") else raw
    choices = top.get("choices") if isinstance(top, dict) else None
    return sorted(choices, key=lambda choice: choice.get("index") or 0) if choices else [{}]


def differing(a: Turn[Any], b: Turn[Any]) -> Iterator[str]:
    """Yield the differences between two turns, as one or more lines each."""
    for name in ("text", "refusal"):
        yield from _texts(name, getattr(a, name), getattr(b, name))
    for name in ("finish", "parsed"):
        yield from _values(name, getattr(a, name), getattr(b, name))
    if len(a.tool_calls) != len(b.tool_calls):
        yield f"  tool_calls: {_call_names(a.tool_calls)} != {_call_names(b.tool_calls)}"
    else:
        for number, (one, other) in enumerate(zip(a.tool_calls, b.tool_calls, strict=True)):
            yield from _calls(f"tool_calls[{number}]", one, other)
    urls = [
        [
            (citation.type, citation.url, citation.title)
            for citation in turn.citations
            if citation.url
        ]
        for turn in (a, b)
    ]
    yield from _values("citations", *urls)


def _call_names(calls: tuple[ToolCall, ...]) -> str:
    return f"{len(calls)} ({', '.join(call.name for call in calls)})" if calls else "none"


def _calls(where: str, a: ToolCall, b: ToolCall) -> Iterator[str]:
    yield from _values(f"{where}.type", a.type, b.type)
    yield from _values(f"{where}.name", a.name, b.name)
    try:
        one, other = a.json(), b.json()
    except ValueError:
        yield from _texts(f"{where}.arguments", a.arguments, b.arguments)
    else:
        yield from _json(f"{where}.arguments", one, other)


def _json(where: str, a: Any, b: Any) -> Iterator[str]:
    """Compare JSON values path by path; true, 1 and 1.0 differ, as they do to a tool."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(key for key in b if key not in a)]:
            if key not in a or key not in b:
                yield f"  {where}.{key}: only in the {'first' if key in a else 'second'}"
            else:
                yield from _json(f"{where}.{key}", a[key], b[key])
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for number, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _json(f"{where}[{number}]", one, other)
    elif json.dumps(a) != json.dumps(b):
        first, second = (json.dumps(value, ensure_ascii=False) for value in (a, b))
        yield f"  {where}: {first} != {second}"


def _values(where: str, a: Any, b: Any) -> Iterator[str]:
    if a != b:
        yield f"  {where}: {a!r} != {b!r}"


def _texts(where: str, a: str | None, b: str | None) -> Iterator[str]:
    if a == b:
        return
    if a is None or b is None:
        yield f"  {where}: {a!r} != {b!r}"
        return
    if _as_seen(a) == _as_seen(b):  # a diff by lines would show no difference
        yield f"  {where}: {a!a} != {b!a}"
        return
    yield f"  {where}:"
    lines = difflib.ndiff(a.splitlines() or [""], b.splitlines() or [""])
    yield from (f"    {line.rstrip()}" for line in lines)


def _as_seen(text: str) -> list[str]:
    return [line.rstrip() for line in unicodedata.normalize("NFC", text).rstrip().splitlines()]
