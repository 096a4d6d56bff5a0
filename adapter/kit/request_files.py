"""Find a chat request in what people have at hand: a body, a log's line with the body inside, a line of a batch file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from adapter import codec

from .rows import ELSEWHERE, Logged, unwrap


class NotARequest(ValueError):
    """The text holds no request; the message says what it holds instead, never its contents."""


_NO_NUMBER = "Out of range float values"  # as json.JSONEncoder says it


@dataclass(frozen=True, slots=True)
class Found:
    """A request's body, the keys that led to it, the path or URL that it was meant for (batch files name one), and its line of how many."""

    body: Any
    inside: tuple[str, ...] = ()
    url: str | None = None
    line: int | None = None
    lines: int = 1


def find_request(text: bytes, line: int | None = None) -> Found:
    """Read a request from JSON or JSON Lines; `line` (from 1) chooses one of several.

    Raises NotARequest for what is no JSON, is empty, or has no such line.
    """
    text = text.removeprefix(b"\xef\xbb\xbf")
    if not text.strip():
        raise NotARequest("empty: expected a request as JSON")
    if line is None:
        try:
            return _found(text, None, 1)
        except NotARequest:
            raise
        except ValueError as error:
            whole = error
    else:
        whole = None
    numbered = [(number, one) for number, one in enumerate(text.splitlines(), 1) if one.strip()]
    if line is not None and line not in {number for number, _ in numbered}:
        raise NotARequest(f"line {line}: there is none; the last is {numbered[-1][0]}")
    number, chosen = numbered[0] if line is None else next(one for one in numbered if one[0] == line)
    try:
        return _found(chosen, number, len(numbered))
    except NotARequest:
        raise
    except ValueError as error:
        raise NotARequest(_where(whole or error, number if line is not None else None)) from None


def _where(error: Exception, line: int | None) -> str:
    """Say where JSON breaks off, without quoting it."""
    place = f"line {line}: " if line is not None else ""
    if isinstance(error, json.JSONDecodeError):
        return f"{place}not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"{place}not JSON: not {error.encoding}"
    if str(error).startswith(_NO_NUMBER):
        return f"{place}not JSON: NaN or an infinite number in it"
    return f"{place}not JSON: {error if str(error) == 'nested too deeply' else type(error).__name__}"


def _found(text: bytes, line: int | None, lines: int) -> Found:
    """Read JSON, and find the request in it. Raises ValueError, also for NaN and the infinities, which Python alone takes for numbers."""
    value, finite = _read(text)
    logged = unwrap(value)
    if logged is ELSEWHERE:
        raise NotARequest("a request to another endpoint, none of Chat Completions")
    found = (
        Found(logged.body, logged.inside, logged.url, line, lines)
        if isinstance(logged, Logged)
        else Found(value, line=line, lines=lines)
    )
    if not finite or _is_within_text(value, found.inside):
        codec.dumps(found.body)
    return found


def _read(text: bytes) -> tuple[Any, bool]:
    """Read JSON, and say whether each number in it is one: beside the request a log may hold NaN."""
    try:
        return _FINITE(text.decode()), True
    except (ValueError, RecursionError):
        return codec.loads(text), False


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):  # NaN, and 1e999
        raise ValueError("not a finite number")
    return value


_FINITE = json.JSONDecoder(parse_constant=_finite, parse_float=_finite).decode


def _is_within_text(value: Any, inside: tuple[str, ...]) -> bool:
    """Tell whether a request was written into JSON as text, which was read by itself."""
    for name in inside:
        if not isinstance(value, dict):
            return True
        value = value[name]
    return not isinstance(value, dict)
