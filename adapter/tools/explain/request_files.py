"""Find a chat request in a file: a body, a log line that contains one, a line of a batch file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

from adapter._util import json_codec
from adapter._util.safe_names import printable
from adapter.tools.logs.rows import LoggedRequest, NonRequest, RowFormats, read_row, unwrap_all


class NotARequest(ValueError):
    """The text has no request; the message says what it is instead, without its contents."""


_NOT_FINITE = "Out of range float values"  # the message of json.JSONEncoder


@dataclass(frozen=True, slots=True)
class FoundRequest:
    """A request's body, the keys that lead to it, its URL if the row has one, and its line.

    In a document with several requests `line` is the number of the request, and `lines` how many
    there are. `missing` are the parts that the log lacks: "messages" (placeholders take their
    place) or "model".
    """

    body: Any
    inside: tuple[str, ...] = ()
    url: str | None = None
    line: int | None = None
    lines: int = 1
    missing: tuple[str, ...] = ()


def find_request(
    text: bytes, line: int | None = None, formats: RowFormats | None = None
) -> FoundRequest:
    """Read a request from JSON or JSON Lines; `line` (from 1) chooses one of several.

    `formats` are the known formats of log rows. Raise NotARequest if the text isn't JSON, is empty,
    or has no such line.
    """
    text = text.removeprefix(b"\xef\xbb\xbf")
    if not text.strip():
        raise NotARequest("empty: expected a request as JSON")
    whole: ValueError | None = None
    try:
        found = _find_in_json(text, formats)
    except NotARequest:
        if line is None or len(_numbered_lines(text)) == 1:
            raise
    except ValueError as error:
        whole = error
    else:
        if line is None or len(found) > 1:
            return _chosen(found, line)
    numbered = _numbered_lines(text)
    if line is not None and line not in {number for number, _ in numbered}:
        raise NotARequest(f"line {line}: no such line; the last is {numbered[-1][0]}")
    number, chosen = (
        numbered[0] if line is None else next(one for one in numbered if one[0] == line)
    )
    try:
        return replace(_find_in_json(chosen, formats)[0], line=number, lines=len(numbered))
    except NotARequest:
        raise
    except ValueError as error:
        raise NotARequest(
            _json_error(error if line is not None else whole or error, line)
        ) from None


def _numbered_lines(text: bytes) -> list[tuple[int, bytes]]:
    return [(number, one) for number, one in enumerate(text.splitlines(), 1) if one.strip()]


def _chosen(found: list[FoundRequest], number: int | None) -> FoundRequest:
    """Return one of the requests in a document."""
    if number is not None and number > len(found):
        raise NotARequest(f"line {number}: no such line; the last is {len(found)}")
    one = found[(number or 1) - 1]
    return one if len(found) == 1 else replace(one, line=number or 1, lines=len(found))


def _json_error(error: Exception, line: int | None) -> str:
    """Describe why text isn't JSON, and where, without quoting it."""
    place = f"line {line}: " if line is not None else ""
    if isinstance(error, json.JSONDecodeError):
        return f"{place}not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"{place}not JSON: not {error.encoding}"
    if str(error).startswith(_NOT_FINITE):
        return f"{place}not JSON: it has NaN or an infinite number"
    return (
        f"{place}not JSON: {error if str(error) == 'nested too deeply' else type(error).__name__}"
    )


_NO_REQUEST = {
    NonRequest.OTHER_ENDPOINT: "a request to another endpoint than Chat Completions",
    NonRequest.ANSWER: "a reply without its request",
    NonRequest.NOTHING: "a log row without a chat request",
}


def _find_in_json(text: bytes, formats: RowFormats | None) -> list[FoundRequest]:
    """Read JSON, and find the requests in it. Raise ValueError if it isn't JSON or isn't finite."""
    value, finite = _read(text)
    outcomes = unwrap_all(value, formats)
    found = [
        FoundRequest(one.body, one.inside, one.url, missing=one.missing)
        for one in outcomes
        if isinstance(one, LoggedRequest)
    ]
    first = outcomes[0]
    if not found and isinstance(first, NonRequest):
        raise NotARequest(_NO_REQUEST[first])
    if not found and formats is not None and formats.body is not None:
        raise NotARequest(f"{first}: {printable(formats.body)}")
    found = found or [FoundRequest(value)]
    for one in found:
        if not finite or _is_within_text(value, one):
            json_codec.dumps(one.body)
    return found


def _read(text: bytes) -> tuple[Any, bool]:
    """Read JSON, also after a timestamp; return whether all numbers are finite as well.

    A log may have NaN outside of the request.
    """
    try:
        return _FINITE(text.decode()), True
    except (ValueError, RecursionError):
        pass
    try:
        return json_codec.loads(text), False
    except ValueError as error:
        try:
            return read_row(text.strip()), False
        except ValueError:
            raise error from None


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):  # NaN, and 1e999
        raise ValueError("not a finite number")
    return value


_FINITE = json.JSONDecoder(parse_constant=_finite, parse_float=_finite).decode


def _is_within_text(value: Any, found: FoundRequest) -> bool:
    """Return whether a request was a string within the JSON, read separately."""
    for name in found.inside:
        if not isinstance(value, dict):
            return True
        value = value.get(name)
    return value is not found.body
