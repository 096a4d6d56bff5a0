"""`assert_same_turn(a, b)`: two answers of either API say the same, or the test fails with what differs."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

from adapter.reading import Events, Finished, ToolCall, Turn, read


def assert_same_turn(a: Any, b: Any, *, tools: Any = None, output: Any = None) -> None:
    """Raise AssertionError where two answers of either API don't say the same; the message shows what differs.

    `a` and `b` are what `adapter.read` takes, results or sync streams, or `Turn`s; `tools` and `output` go to it. Compared are
    `text`, `refusal`, `finish`, `parsed`, the tool calls in their order with type, name and arguments (as JSON values where they
    are JSON), and the URLs that are cited. Not compared is what can't be equal: ids, the model's name, usage, summaries of reasoning.
    """
    __tracebackhide__ = True
    differences = list(differing(_turn(a, tools, output), _turn(b, tools, output)))
    if differences:
        raise AssertionError("the turns differ (- the first, + the second):\n" + "\n".join(differences))


def _turn(given: Any, tools: Any, output: Any) -> Turn[Any]:
    if isinstance(given, Turn):
        return given
    found = read(given, tools=tools, output=output)
    if isinstance(found, Turn):
        return found
    if not isinstance(found, Events):
        raise TypeError("expected a result, a Turn or a sync stream: read an async stream first, and give its Turn")
    with found:
        last = list(found)[-1]
    assert isinstance(last, Finished)
    return last.turn


def differing(a: Turn[Any], b: Turn[Any]) -> Iterator[str]:
    """Say what differs between two turns, a line or a few for each difference."""
    for name in ("text", "refusal"):
        yield from _texts(name, getattr(a, name), getattr(b, name))
    for name in ("finish", "parsed"):
        yield from _values(name, getattr(a, name), getattr(b, name))
    if len(a.tool_calls) != len(b.tool_calls):
        yield f"  tool_calls: {_named(a.tool_calls)} != {_named(b.tool_calls)}"
    else:
        for number, (one, other) in enumerate(zip(a.tool_calls, b.tool_calls, strict=True)):
            yield from _calls(f"tool_calls[{number}]", one, other)
    urls = [
        [(citation.type, citation.url, citation.title) for citation in turn.citations if citation.url]
        for turn in (a, b)
    ]
    yield from _values("citations", *urls)


def _named(calls: tuple[ToolCall, ...]) -> str:
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
    """Compare JSON values path by path; true, 1 and 1.0 are three values, as they are to a tool."""
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
        yield f"  {where}: {json.dumps(a, ensure_ascii=False)} != {json.dumps(b, ensure_ascii=False)}"


def _values(where: str, a: Any, b: Any) -> Iterator[str]:
    if a != b:
        yield f"  {where}: {a!r} != {b!r}"


def _texts(where: str, a: str | None, b: str | None) -> Iterator[str]:
    if a == b:
        return
    if a is None or b is None:
        yield f"  {where}: {a!r} != {b!r}"
        return
    yield f"  {where}:"
    lines = difflib.ndiff(a.splitlines() or [""], b.splitlines() or [""])
    yield from (f"    {line.rstrip()}" for line in lines)
