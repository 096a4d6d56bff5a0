"""Ways to cut a stream's bytes: the network cuts anywhere, and the result must not depend on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate

from tests.support import tier

Cut = Callable[[bytes], list[bytes]]

_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r)|.+", re.DOTALL)


def whole(data: bytes) -> list[bytes]:
    """Return the bytes in one piece."""
    return [data] if data else []


def per_event(data: bytes) -> list[bytes]:
    """Cut after each blank line; the bytes after the last one are a piece of their own."""
    return _EVENT.findall(data)


def every(size: int) -> Cut:
    """Make a cut into pieces of `size` bytes.

    It splits fields, line ends and UTF-8 sequences.
    """
    if size < 1:
        msg = f"pieces must have at least one byte, not {size}"
        raise ValueError(msg)

    def cut(data: bytes) -> list[bytes]:
        return [data[start : start + size] for start in range(0, len(data), size)]

    return cut


per_byte = every(1)

# A prime, so that the cuts shift from event to event.
CUTS: Mapping[str, Cut] = {
    "whole": whole,
    "per-event": per_event,
    "per-97-bytes": every(97),
    **tier.pick({"per-byte": per_byte}, {}),
}


def truncations(events: bytes | Sequence[bytes]) -> list[bytes]:
    """Yield what had arrived when a stream broke off.

    That is nothing, one event, and so on; never all of it.
    """
    pieces: Iterable[bytes] = per_event(events) if isinstance(events, bytes) else events
    return list(accumulate(pieces, initial=b""))[:-1]
