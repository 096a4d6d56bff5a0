"""Streams with one fault each, and what a Chat caller may see of them.

A mutant is a recorded stream's events with a single change. The expected result follows from its
own terminal event alone, independently of the code under test: an error, or just the answer that
the terminal event lists.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support import corpus, oracle

Json = dict[str, Any]
Events = list[Any]  # JSON objects, or the bytes after `data: `

_TERMINAL = ("response.completed", "response.incomplete", "response.done")
_CALLS = ("function_call", "custom_tool_call")


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """A recorded stream with a normal end."""

    name: str
    events: tuple[Json, ...]

    @property
    def response(self) -> Json:
        """The finished Response."""
        found: Json = self.events[-1]["response"]
        return found


@dataclass(frozen=True, slots=True)
class Mutant:
    """A stream with one fault; `make` gives its events."""

    stream: Recorded
    kind: str
    make: Callable[[], Events]


def of_cassettes(folder: Path) -> Iterator[Recorded]:
    """Return the streams of all committed cassettes."""
    for path in sorted(folder.rglob("*.yaml")):
        if "response.created" not in (text := path.read_text(encoding="utf-8")):
            continue
        for n, interaction in enumerate(yaml.load(text, yaml.CSafeLoader)["interactions"]):
            body = interaction["response"]["body"]
            recorded = body.get("text") if isinstance(body, dict) else None
            if isinstance(recorded, str) and "response.created" in recorded:
                blocks = [
                    line.removeprefix("data:").strip()
                    for line in recorded.splitlines()
                    if line.startswith("data:")
                ]
                made = _stream(
                    f"{path.stem}:{n}", [json.loads(one) for one in blocks if one != "[DONE]"]
                )
                if made is not None:
                    yield made


def of_corpus() -> Iterator[Recorded]:
    """Return the recorded streams from beside this repository."""
    for one in corpus.select(api="responses", stream=True):
        made = _stream(f"#{one.id}", [data for _, data in one.sse or () if isinstance(data, dict)])
        if made is not None:
            yield made


def _stream(name: str, events: list[Json]) -> Recorded | None:
    ended = events and events[-1].get("type") in _TERMINAL
    return (
        Recorded(name, tuple(events))
        if ended and not oracle.must_raise(events[-1]["response"])
        else None
    )


def mutants(stream: Recorded) -> Iterator[Mutant]:
    """Yield every mutant of a stream."""
    events = stream.events
    for i, event in enumerate(events):
        for kind, make in _around(events, i):
            yield Mutant(stream, kind, make)
        for kind, changed in _changes(stream, event):
            yield Mutant(
                stream,
                kind,
                lambda i=i, changed=changed: [*events[:i], changed(), *events[i + 1 :]],
            )


def _around(events: Sequence[Json], i: int) -> Iterator[tuple[str, Callable[[], Events]]]:
    yield "dropped", lambda: [*events[:i], *events[i + 1 :]]
    yield "repeated", lambda: [*events[: i + 1], *events[i:]]
    yield "truncated", lambda: [*events[:i]]
    yield (
        "JSON broken",
        lambda: [*events[:i], json.dumps(events[i]).encode()[:-2], *events[i + 1 :]],
    )
    if i + 1 < len(events):
        yield "swapped", lambda: [*events[:i], events[i + 1], events[i], *events[i + 2 :]]


_NOTHING = object()


def _with(event: Json, path: Sequence[Any], value: Any) -> Callable[[], Json]:
    """Return a function that copies with another value there, or without one."""

    def make() -> Json:
        made = copy.deepcopy(event)
        inner: Any = made
        for key in path[:-1]:
            inner = inner[key]
        if value is _NOTHING:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        return made

    return make


def _changes(stream: Recorded, event: Json) -> Iterator[tuple[str, Callable[[], Json]]]:
    for key in ("output_index", "content_index"):
        if isinstance(event.get(key), int):
            for value in (event[key] + 1, 0 if event[key] else 7, "0", _NOTHING):
                yield (
                    f"{key} {'removed' if value is _NOTHING else 'changed'}",
                    _with(event, [key], value),
                )
    if "item_id" in event:
        for value in ("another", *_others(stream, event["item_id"]), _NOTHING):
            yield (
                f"item_id {'removed' if value is _NOTHING else 'changed'}",
                _with(event, ["item_id"], value),
            )
    if "sequence_number" in event:
        yield "sequence_number changed", _with(event, ["sequence_number"], 0)
        yield "sequence_number removed", _with(event, ["sequence_number"], _NOTHING)
    yield from _renamed(event)
    for where in ("delta", "text", "arguments", "input", "refusal"):
        yield from _texts(event, [where], where)
    if isinstance(event.get("part"), dict):
        for where in ("text", "refusal"):
            yield from _texts(event, ["part", where], "part")
    if isinstance(event.get("item"), dict):
        yield from _of_item(event, ["item"], event["item"], "item")
    if event["type"] in _TERMINAL:
        yield from _of_output(event)


def _others(stream: Recorded, own_id: str) -> list[str]:
    ids = [
        event["item_id"] for event in stream.events if event.get("item_id") not in (None, own_id)
    ]
    return list(dict.fromkeys(ids))[:2]


_NAMES = (
    "response.output_text.delta", "response.output_text.done", "response.refusal.delta", "response.reasoning_text.delta",
    "response.function_call_arguments.delta", "response.function_call_arguments.done", "response.output_item.done",
    "response.output_item.added", "response.in_progress", "response.completed", "response.failed", "response.of_tomorrow",
)  # fmt: skip


def _renamed(event: Json) -> Iterator[tuple[str, Callable[[], Json]]]:
    for name in _NAMES:
        if name != event["type"]:
            yield "type renamed", _with(event, ["type"], name)
    yield "type removed", _with(event, ["type"], _NOTHING)


def _texts(event: Json, path: list[Any], where: str) -> Iterator[tuple[str, Callable[[], Json]]]:
    inner: Any = event
    for key in path[:-1]:
        inner = inner[key]
    value = inner.get(path[-1])
    if not isinstance(value, str) or not value:
        return
    middle = len(value) // 2
    for what, changed in (
        ("changed", value[:middle] + ("x" if value[middle] != "x" else "y") + value[middle + 1 :]),
        ("emptied", ""),
        ("doubled", value * 2),
        ("cut", value[:middle]),
        ("extended", value + "?"),
        ("spaced", f" {value}\n"),
    ):
        yield f"{where} text {what}", _with(event, path, changed)


def _of_item(
    event: Json, path: list[Any], item: Json, where: str
) -> Iterator[tuple[str, Callable[[], Json]]]:
    for key in ("call_id", "name", "id"):
        if isinstance(item.get(key), str):
            for value in ("another", "", _NOTHING):
                yield f"{where} {key} changed", _with(event, [*path, key], value)
    for key in ("arguments", "input"):
        yield from _texts(event, [*path, key], where)
    content = item.get("content")
    if item.get("type") == "message" and isinstance(content, list):
        for p, part in enumerate(content):
            for key in ("text", "refusal"):
                if key in part:
                    yield from _texts(event, [*path, "content", p, key], where)
        if content:
            yield f"{where} content emptied", _with(event, [*path, "content"], [])
            yield f"{where} content doubled", _with(event, [*path, "content"], content * 2)


def _of_output(event: Json) -> Iterator[tuple[str, Callable[[], Json]]]:
    path = ["response", "output"]
    output = event["response"].get("output") or []
    for i, item in enumerate(output):
        yield "terminal item removed", _with(event, path, output[:i] + output[i + 1 :])
        yield "terminal item repeated", _with(event, path, [*output[:i], item, *output[i:]])
        if item.get("type") in _CALLS or item.get("type") == "message":
            yield from _of_item(event, [*path, i], item, "terminal")
    if len(output) > 1:
        yield "terminal items reordered", _with(event, path, output[::-1])
        yield "terminal items reordered", _with(event, path, [*output[1:], output[0]])
    added = {"type": "message", "id": "msg_unknown", "role": "assistant", "status": "completed"}
    added["content"] = [{"type": "output_text", "text": "Not sent before.", "annotations": []}]  # type: ignore[assignment]
    call = {
        "type": "function_call",
        "id": "fc_unknown",
        "call_id": "call_unknown",
        "name": "f",
        "arguments": "{}",
    }
    for more in (added, call):
        yield "terminal item added", _with(event, path, [more, *output])
        yield "terminal item added", _with(event, path, [*output, more])


# Expected results


def expected(events: Events) -> oracle.Seen | None:
    """Return the output of the first terminal event.

    None where there is no such event, or it lists nothing.
    """
    for event in events:
        if (
            isinstance(event, dict)
            and event.get("type") in _TERMINAL
            and isinstance(event.get("response"), dict)
        ):
            output = event["response"].get("output")
            once = _with_commentary_shown(
                [_as_streamed(item, events) for item in _once(output or [])]
            )
            return oracle.seen({**event["response"], "output": once}) if once else None
    return None


def _as_streamed(item: Json, events: Events) -> Json:
    """Remove the phase of commentary whose text was streamed before its phase was known.

    The caller read it as the answer then.
    """
    if item.get("phase") != "commentary":
        return item
    for event in filter(_is_object, events):
        kind, given = event.get("type"), event.get("item")
        if (
            kind == "response.output_item.added"
            and isinstance(given, dict)
            and given.get("phase") == "commentary"
        ):
            return item
        if (
            kind == "response.output_text.delta"
            and event.get("item_id") == item.get("id")
            and event.get("delta")
        ):
            return {**item, "phase": None}
    return item


def _is_object(event: Any) -> bool:
    return isinstance(event, dict)


def _with_commentary_shown(output: list[Json]) -> list[Json]:
    """Count commentary as shown where a call follows it before any final text.

    A caller has read it by then.
    """
    out, pending = list(output), []
    for i, item in enumerate(output):
        if item.get("type") in _CALLS:
            for k in pending:
                out[k] = {**output[k], "phase": None}
            pending = []
        elif item.get("type") == "message" and item.get("phase") == "commentary":
            pending.append(i)
        elif item.get("type") == "message":
            break
    return out


def _once(output: list[Json]) -> Iterator[Json]:
    """Leave out a call that is listed again, unless it has the longer arguments."""
    calls: dict[str, Json] = {}
    for item in output:
        if item.get("type") in _CALLS:
            call = {
                **item,
                "call_id": item.get("call_id") or item.get("id"),
                "name": item.get("name"),
            }
            first = calls.setdefault(call["call_id"], call)
            key = "input" if item["type"] == "custom_tool_call" else "arguments"
            if first is not call and not first.get(key):
                calls[call["call_id"]] = call
    for item in output:
        if item.get("type") not in _CALLS:
            yield item
        elif (made := calls.pop(item.get("call_id") or item.get("id"), None)) is not None:
            yield made


def agree(got: oracle.Seen, listed: oracle.Seen, *, as_json: bool) -> bool:
    """Return whether a caller has read what a terminal event lists, ignoring formatting."""
    return (
        _words(got.content, as_json=as_json) == _words(listed.content, as_json=as_json)
        and _words(got.refusal, as_json=False) == _words(listed.refusal, as_json=False)
        and _calls(got, listed) == _calls(listed, listed)
        and got.finish == listed.finish
    )


def _words(text: str | None, *, as_json: bool) -> str:
    """Remove formatting, so that only different content differs."""
    text = "".join((text or "").split())
    return _canonical(text) if as_json else text


def _calls(seen: oracle.Seen, listed: oracle.Seen) -> list[tuple[str, ...]]:
    """List calls in any order; an empty name counts as absent."""
    named = {call_id for call_id, _, name, _ in listed.calls if name}
    return sorted(
        (
            call_id,
            kind,
            name if call_id in named else "",
            "".join(_canonical(written or "").split()),
        )
        for call_id, kind, name, written in seen.calls
    )


@cache
def _canonical(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text
