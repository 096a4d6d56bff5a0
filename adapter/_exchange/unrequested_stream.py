"""Read a whole Response from a stream that wasn't requested: some servers always stream.

See docs/mapping.md#stream-ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapter._util import json_codec, sse
from adapter.errors import StreamTruncated, TranslationError, UpstreamFailure
from adapter.translation.replies.errors import error_event, event_failure, response_failure
from adapter.translation.streams.event_types import is_keepalive
from adapter.translation.streams.events_to_chunks import OPENING, TERMINAL, is_terminal

from .stream import is_opening_event


def response_of_stream(raw: bytes) -> dict[str, Any]:
    """Return the finished Response of a stream. Raises what the translation of a stream raises.

    If the terminal event has no Response, or one without items, the items of the stream are used.
    """
    finished: dict[int, Any] = {}
    opened: dict[str, Any] = {}
    response: dict[str, Any] | None = None
    failed: UpstreamFailure | None = None
    for number, (name, event) in enumerate(_events(raw)):
        kind = event.get("type") if isinstance(event, dict) else None
        given = event.get("response") if isinstance(event, dict) else None
        error = error_event(event, name)
        if error is not None:
            failure = event_failure(error)
            if failure.given is not None:
                raise failure
            failed = failed or failure
        elif kind == "response.output_item.done":
            index = event.get("output_index")
            finished[index if isinstance(index, int) else number] = event.get("item")
        elif kind in OPENING and isinstance(given, dict):
            opened = given
        elif kind == "response.failed" and event.get("error"):
            raise response_failure(
                given if isinstance(given, dict) else {}, event_error=event["error"]
            )
        elif kind in TERMINAL and (isinstance(given, dict) or (given is None and finished)):
            response = given or opened | {"status": _STATUS.get(kind, "completed")}
        elif isinstance(event, dict) and is_terminal(event):
            response = event.get("response", event)
    if failed is not None and (response is None or not response.get("error")):
        raise failed
    if response is None:
        raise StreamTruncated("$", "the stream ended before its terminal event")
    return (
        response
        if response.get("output")
        else response | {"output": [finished[i] for i in sorted(finished)]}
    )


_STATUS = {
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}


def _events(raw: bytes) -> Iterator[tuple[str, Any]]:
    for event in sse.Decoder().feed(raw + b"\n\n"):
        if not event.data.strip() or event.data.startswith(b"[DONE]"):
            continue
        try:
            yield event.name, json_codec.loads(event.data)
        except ValueError:
            if event.name == "error":
                yield event.name, {"type": "error", "error": event.data.decode("utf-8", "replace")}
            elif not (
                event.name in OPENING or is_opening_event(event.data) or is_keepalive(event.name)
            ):
                raise TranslationError("$", "the stream has an event that is not JSON") from None
