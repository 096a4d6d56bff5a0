"""What may differ between a call's records natively and through the adapter.

Each difference has its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any

from tests.support.plain import differing, plain

CLOCKS = (
    "*start_time", "*end_time", "*start_timestamp", "*end_timestamp", "*time_to_*", "*time_elapsed",
    "*duration*", "*latency*", "*_at", "*time_per_output_*", "began", "request_time", "*_unix_nano",
    "dotted_order",  # LangSmith's, made of times and ids
)  # fmt: skip
"""Keys whose values are times, in addition to those of `plain`."""

DIFFERENT: dict[str, dict[str, str]] = {
    "*": {
        "*system_fingerprint": "the Responses API has none",
    },
    "braintrust": {
        "start": "a time",
        "end": "a time",
        "exec_counter": "counts the spans of the process",
        "_is_merge": "tells whether a row was sent before, in pieces",
    },
    "ddtrace": {
        "start": "a time",
        "span_id": "a number; which span is whose parent is shown by name",
        "trace_id": "same",
        "parent_id": "same",
        "_dd.p.tid": "half of an id",
        "_dd.tracer_kr": "the rate at which spans were kept so far",
    },
    "mlflow": {
        "mlflow.trace[IO]*puts": "previews, cut at a length: the spans hold the whole",
        "mlflow.trace.size*": "counts the letters of times, ids and stack traces",
    },
    "logfire": {
        "logfire.exception.fingerprint": "made of stack traces, with the HTTP library's frames and the adapter's",
    },
}
"""Keys whose values really differ between the APIs, by tracer; `*` is any tracer."""

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of an object
_FRAMES = frozenset({"frames", "traceback"})  # keys of lists of frames: Sentry's, Weave's
_TOOK = re.compile(r" took \d+\.\d+s")
_FRAME = re.compile(r'^ *File "(?P<file>[^"]+)", line \d+, in .*$', re.MULTILINE)
OURS = re.compile(r"\badapter[./](?!settings)|BuiltCompletion|ChatStream|chat_responses_adapter")
"""Names of the adapter's own modules and classes."""


def comparable(tracer: str, records: list[Any]) -> list[Any]:
    """Return records in a comparable form."""
    keys = [*CLOCKS, *DIFFERENT["*"], *DIFFERENT.get(tracer, {})]

    def left(key: str) -> bool:
        return any(fnmatchcase(key, one) for one in keys)

    sorted_keys = json.loads(json.dumps(_without_our_frames(records), sort_keys=True))
    made: list[Any] = plain(sorted_keys, without=left, parsed=True)
    return made


def different(natively: list[Any], here: list[Any]) -> Iterator[str]:
    """List the differences of comparable records."""
    return differing(natively, here)


def names_of_ours(value: Any) -> set[str]:
    """List the names of the adapter's own modules and classes in comparable records."""
    return {found.group() for text in _texts(value) for found in OURS.finditer(text)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


def _without_our_frames(value: Any) -> Any:
    """Cut stack traces to the frames of the calls.

    The others belong to the SDK, the HTTP library, the tracer and the adapter.
    """
    if isinstance(value, dict):
        return {
            key: [frame for frame in one if "/tests/tracers/" in str(frame)]
            if key in _FRAMES
            else _without_our_frames(one)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_without_our_frames(one) for one in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError):
            return _without_our_frames(json.loads(value))
    if isinstance(value, str) and "Traceback (most recent call last)" in value:
        frames = [
            found.group() for found in _FRAME.finditer(value) if "/tests/tracers/" in found["file"]
        ]
        return [*frames, value.rstrip().rpartition("\n")[2]]
    return _TOOK.sub(" took …", _ADDRESS.sub("", value)) if isinstance(value, str) else value
