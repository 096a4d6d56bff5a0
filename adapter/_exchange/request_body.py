"""The JSON of a request's body, which is read when something needs it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Self

from adapter._util import fast_json

from .effects import READ_REQUEST, Effect

NOT_JSON = object()
"""The value of a body that is not JSON."""


def parse_request(raw: bytes) -> Any:
    """Decode a request's JSON; return NOT_JSON if it is not JSON."""
    try:
        return fast_json.loads_strictly(raw)
    except ValueError:
        return NOT_JSON


class RequestBody:
    """The JSON of a request's body; `value` is None until `read_gen` has read it."""

    __slots__ = ("is_read", "value")

    def __init__(self) -> None:
        self.is_read = False
        self.value: Any = None

    @classmethod
    def of(cls, value: Any) -> Self:
        """Make a body whose JSON is known."""
        made = cls()
        made.is_read, made.value = True, value
        return made

    def read_gen(self) -> Generator[Effect, Any, Any]:
        """Return the JSON; read and decode it the first time."""
        if not self.is_read:
            self.value = parse_request((yield READ_REQUEST))
            self.is_read = True
        return self.value
