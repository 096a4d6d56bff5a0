"""Compare the results of a call site on both backends, field by field.

`facts` flattens a result to paths and values: a completion by its whole `model_dump()`, a stream by
its accumulated completion and by its raw first, finish and usage chunks, an exception by every
attribute a handler can read. `compare` compares two results' facts. Each difference is either
listed, with its reason, or a fault.
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
    """A value that no JSON document contains."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


ABSENT = _Mark("ABSENT")
ANY = _Mark("ANY")


# Values that differ between two replies of one server are compared by their form.
_FORMS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    (
        r"(.*completion|accumulated|first|finish|usage)\.id",
        lambda value: str(value).startswith("chatcmpl-"),
    ),
    (r".*\.created", lambda value: type(value) is int and value > 1_700_000_000),
    (r".*\.tool_calls\[\d+\]\.id", lambda value: type(value) is str and 8 <= len(value) <= 64),
)


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of JSON; an empty object or array is a leaf."""
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
    """Return the name of the SDK's own class.

    The adapter may return a subclass, which makes no difference to a call site.
    """
    return next(cls.__name__ for cls in type(value).__mro__ if cls.__module__.startswith("openai."))


def accumulate(chunks: Sequence[Any]) -> Any:
    """Accumulate a stream with the SDK's own code."""
    state: Any = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chunk)
    return state.current_completion_snapshot


def _of_stream(chunks: Sequence[Any]) -> dict[str, Any]:
    # Raw: whether a key is present is part of a chunk's shape.
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
    """Return the kinds of content in a chunk."""
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
    # Some servers repeat the usage in their text; usage is compared by itself.
    return {
        "class": type(error).__name__,
        "text": str(error).partition(" - CompletionUsage")[0],
        **read,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """One difference that a server makes between its two APIs.

    `path` is a glob over a fact's path (`*` stands for anything, `[*]` for any index), `scenarios`
    globs over their names; `native` and `adapted` are the values allowed there.
    """

    path: str
    reason: str
    servers: tuple[str, ...] = ("vllm", "llamacpp")
    scenarios: tuple[str, ...] = ("*",)
    native: Any = ANY
    adapted: Any = ANY

    def concerns(self, server: str, scenario: str) -> bool:
        """Return whether this entry applies to a scenario on a server."""
        return server in self.servers and any(
            fnmatchcase(scenario, pattern) for pattern in self.scenarios
        )

    def allows(self, server: str, scenario: str, path: str, native: Any, adapted: Any) -> bool:
        """Return whether this entry allows the difference found."""
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
    """Counts of compared and equal fields, unlisted differences, and list entries that occurred."""

    fields: int = 0
    equal: int = 0
    faults: list[str] = field(default_factory=list)
    occurred: Counter[Difference] = field(default_factory=Counter)

    def add(self, other: Comparison) -> None:
        """Add another comparison to this one."""
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
            # Not compared: llama.cpp's chunks have a new timestamp each.
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
