"""Compare what a call site holds on either backend, field by field.

`facts` flattens a result to paths and values: a completion by its whole `model_dump()`, a stream by what it accumulates to and by
its first, finish and usage chunks as they came, an exception by all that a handler can read off it. `compare` puts two results'
facts side by side. What differs is either listed, with its reason, or a fault.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from itertools import groupby
from typing import Any

import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

Facts = dict[str, Any]


class _Mark:
    """A value that no JSON has."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


ABSENT = _Mark("ABSENT")
ANY = _Mark("ANY")


# What differs from one reply of the same server to the next is compared by its form.
_FORMS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    (
        r"(.*completion|accumulated|first|finish|usage)\.id",
        lambda value: str(value).startswith("chatcmpl-"),
    ),
    (r".*\.created", lambda value: type(value) is int and value > 1_700_000_000),
    (r".*\.tool_calls\[\d+\]\.id", lambda value: type(value) is str and 8 <= len(value) <= 64),
)


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Walk the leaves of JSON; an empty object or array is a leaf."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flatten(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from flatten(inner, f"{path}[{index}]")
    else:
        yield path, value


def facts(result: Any) -> Facts:
    """Flatten one result of a call."""
    if isinstance(result, list):
        tree: dict[str, Any] = _of_stream(result)
    elif isinstance(result, Exception):
        tree = {"error": _of_error(result)}
    else:
        tree = {"type": _sdk_name(result), "completion": result.model_dump(warnings=False)}
    return {path: _form(path, value) for path, value in flatten(tree)}


def _form(path: str, value: Any) -> Any:
    for pattern, form in _FORMS:
        if re.fullmatch(pattern, path):
            return form(value)
    return value


def _sdk_name(value: object) -> str:
    """Name the SDK's own class: the adapter may hand out a subclass, which is the same to a call site."""
    return next(cls.__name__ for cls in type(value).__mro__ if cls.__module__.startswith("openai."))


def accumulate(chunks: Sequence[Any]) -> Any:
    """Put a stream together by the SDK's own means."""
    state: Any = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chunk)
    return state.current_completion_snapshot


def _of_stream(chunks: Sequence[Any]) -> dict[str, Any]:
    # As it came: whether a key was there or not is part of a chunk's shape.
    finish = [chunk for chunk in chunks if any(choice.finish_reason for choice in chunk.choices)]
    rest = [chunk for chunk in chunks if not chunk.choices]
    named: dict[str, Any] = {"first": chunks[0]}
    named |= {"finish" if n == 0 else f"finish{n}": chunk for n, chunk in enumerate(finish)}
    named |= {"usage" if n == 0 else f"usage{n}": chunk for n, chunk in enumerate(rest)}
    return {
        "type": sorted({_sdk_name(chunk) for chunk in chunks}),
        "accumulated": accumulate(chunks).model_dump(warnings=False),
        "order": " ".join(
            kind for kind, _ in groupby(kind for chunk in chunks for kind in _kinds(chunk))
        ),
        "tops": len({(chunk.id, chunk.model) for chunk in chunks}),
        "roles": [
            n for n, chunk in enumerate(chunks) for choice in chunk.choices if choice.delta.role
        ],
        **{
            name: chunk.model_dump(exclude_unset=True, warnings=False)
            for name, chunk in named.items()
        },
    }


def _kinds(chunk: Any) -> Iterator[str]:
    """Say what a chunk brings."""
    for choice in chunk.choices:
        delta = choice.delta.model_dump(exclude_none=True)
        for key in ("reasoning", "reasoning_content", "content", "refusal"):
            if delta.get(key):
                yield key
        yield from (f"call[{call['index']}]" for call in delta.get("tool_calls", ()))
        if choice.finish_reason:
            yield "finish"
    if not chunk.choices:
        yield "usage"


def _of_error(error: Exception) -> dict[str, Any]:
    names = ("status_code", "code", "param", "type", "body", "message", "request_id")
    read = {name: getattr(error, name, None) for name in names}
    if isinstance(error, openai.LengthFinishReasonError):
        read["completion"] = error.completion.model_dump(warnings=False)
    # The text of some repeats the usage, which is compared by itself.
    return {
        "class": type(error).__name__,
        "text": str(error).partition(" - CompletionUsage")[0],
        **read,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Allow one difference that a server itself makes between its two APIs.

    `path` is a glob over a fact's path (`*` stands for anything, `[*]` for any index), `scenarios` globs over their names;
    `native` and `adapted` are the values allowed there.
    """

    path: str
    reason: str
    servers: tuple[str, ...] = ("vllm", "llamacpp")
    scenarios: tuple[str, ...] = ("*",)
    native: Any = ANY
    adapted: Any = ANY

    def concerns(self, server: str, scenario: str) -> bool:
        """Tell whether this is about a scenario on a server."""
        return server in self.servers and any(
            fnmatchcase(scenario, pattern) for pattern in self.scenarios
        )

    def allows(self, server: str, scenario: str, path: str, native: Any, adapted: Any) -> bool:
        """Tell whether this is the difference that was found."""
        return (
            self.concerns(server, scenario)
            and _pattern(self.path).fullmatch(path) is not None
            and _is(self.native, native)
            and _is(self.adapted, adapted)
        )


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    escaped = re.escape(glob).replace(re.escape("[*]"), r"\[\d+\]").replace(re.escape("*"), ".*")
    return re.compile(
        re.sub(r"\\\{([^}]*)\\\}", lambda m: f"(?:{m[1].replace(',', '|')})", escaped)
    )


def _is(wanted: Any, value: Any) -> bool:
    return wanted is ANY or wanted is value or (type(wanted) is type(value) and wanted == value)


@dataclass(slots=True)
class Comparison:
    """Count fields compared and equal, and keep what differed without being listed and which list entries occurred."""

    fields: int = 0
    equal: int = 0
    faults: list[str] = field(default_factory=list)
    occurred: Counter[Difference] = field(default_factory=Counter)

    def add(self, other: Comparison) -> None:
        """Take another comparison in."""
        self.fields += other.fields
        self.equal += other.equal
        self.faults += other.faults
        self.occurred += other.occurred

    @property
    def listed(self) -> int:
        """Count the fields whose difference is in the list."""
        return sum(self.occurred.values())

    def __str__(self) -> str:
        return f"{self.equal} of {self.fields} fields equal, {self.listed} differ as listed, {len(self.faults)} do not"


def compare(
    server: str,
    scenario: str,
    native: Sequence[Any],
    adapted: Sequence[Any],
    listed: Iterable[Difference] = (),
) -> Comparison:
    """Compare the results of both sides of a scenario."""
    allowed, out = tuple(listed), Comparison()
    if len(native) != len(adapted):
        out.faults.append(
            f"{len(native)} results natively, {len(adapted)} adapted: {adapted[-1:]!r:.300}"
        )
    for number, pair in enumerate(zip(native, adapted, strict=False)):
        if isinstance(pair[1], list) and len({chunk.created for chunk in pair[1]}) > 1:
            # Not compared: llama.cpp's own chunks tell the time as it goes by.
            out.faults.append(f"[{number}] created: not the same in all chunks")
        sides: list[Mapping[str, Any]] = [facts(result) for result in pair]
        for path in sorted(sides[0].keys() | sides[1].keys()):
            values = [side.get(path, ABSENT) for side in sides]
            out.fields += 1
            if _is(*values):
                out.equal += 1
                continue
            found = next(
                (each for each in allowed if each.allows(server, scenario, path, *values)), None
            )
            if found is None:
                out.faults.append(
                    f"[{number}] {path}: {values[0]!r:.200} natively, {values[1]!r:.200} adapted"
                )
            else:
                out.occurred[found] += 1
    return out
