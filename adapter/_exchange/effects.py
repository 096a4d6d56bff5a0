"""Effects and outcomes: what an exchange asks its performer to do, and what the caller gets.

The exchange (call.py) yields effects and is sent their results; it returns an outcome.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from adapter.errors import UpstreamFailure
from adapter.translation.reasoning.turns import MemoryEntry, RememberedTurn

from .merged_stream import StreamMerger
from .stream import Frame, StreamTranslator


class FlagQuery(NamedTuple):
    """A query to the flag provider: the targeting key and the attributes of its context."""

    targeting_key: str
    attributes: Mapping[str, str | bool]


# Effects


class ReadFlag(NamedTuple):
    """Query the flag provider. Result: its answer, or None."""

    flag: FlagQuery


class ReadRequest:
    """Read the request's body. Result: bytes."""

    __slots__ = ()


class Send(NamedTuple):
    """Send the request; `body` and `path` replace its own unless None. Result: ReplyHead.

    With a `method`, send another request to the same server, with the same credentials and no
    body. The reply of an earlier Send is closed.
    """

    body: bytes | None = None
    path: bytes | None = None
    method: Literal["GET", "POST"] | None = None


class Wait(NamedTuple):
    """Wait for some seconds, at most until the call times out. Result: whether time is left."""

    seconds: float


class SetCancelPath(NamedTuple):
    """Set where to POST if the caller leaves before the exchange ends; None unsets it.

    With `cancel_now`, the POST to the path set before is sent at once.
    """

    path: bytes | None
    cancel_now: bool = False


class FanOut(NamedTuple):
    """Run several exchanges at once. Result: a tuple of their outcomes.

    If one fails, the others are cancelled, and the result holds only the outcome of that one.
    """

    branches: tuple[Exchange, ...]


class ReadReply:
    """Read the whole reply, decompressed. Result: bytes."""

    __slots__ = ()


class ReadChunk:
    """Read the next piece of the reply, decompressed. Result: bytes, or None at the end."""

    __slots__ = ()


class LearnMissingEndpoint(NamedTuple):
    """Remember for a while that the server lacks the endpoint, or lacks it for one model."""

    model: str | None = None


class RecallResult(NamedTuple):
    """What the memory returns: turns by name, and what was learned about the model at this server.

    `refused`: the model takes no encrypted reasoning; `with_ids`: the API requires the reasoning
    items' own ids; `suspect`: the API has refused a remembered turn; `stopped`: it has refused more
    than one, and reasoning is no longer sent back.
    """

    turns: Mapping[str, RememberedTurn] = MappingProxyType({})
    refused: bool = False
    with_ids: bool = False
    suspect: bool = False
    stopped: bool = False


class Recall(NamedTuple):
    """Get turns from the memory by name. Result: RecallResult, empty while the memory fails."""

    model: str
    names: tuple[str, ...]


class Remember(NamedTuple):
    """Store a turn in the memory."""

    model: str
    entry: MemoryEntry


class Forget(NamedTuple):
    """Delete turns that the API refused from the memory.

    When that happens twice within a while, reasoning is no longer sent to that model
    (docs/decisions.md#refused-reasoning).
    """

    model: str
    names: tuple[str, ...]


class LearnRefusedReasoning(NamedTuple):
    """Remember for a while what a model at this server refuses.

    `encrypted`: encrypted reasoning; `no ids`: reasoning without item ids; `nothing`: it accepted
    the remembered turns, so that earlier refusals no longer count.
    """

    model: str
    refused: Literal["encrypted", "no ids", "nothing"]


READ_REQUEST, READ_REPLY, READ_CHUNK = ReadRequest(), ReadReply(), ReadChunk()
"""The effects without parameters."""

Effect = (
    ReadFlag
    | ReadRequest
    | Send
    | Wait
    | SetCancelPath
    | FanOut
    | ReadReply
    | ReadChunk
    | LearnMissingEndpoint
    | Recall
    | Remember
    | Forget
    | LearnRefusedReasoning
)


class ReplyHead(NamedTuple):
    """The head of a reply; `retry_after` is the wait that it requests, in seconds."""

    status: int
    content_type: str
    retry_after: float | None = None


# Outcomes


class PassThrough:
    """Upstream's reply, unchanged."""

    __slots__ = ()


class WholeReply(NamedTuple):
    """A complete body, with upstream's headers if the call was sent, else with none.

    `failure` is the failure that upstream reported in a reply with a successful status.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = MappingProxyType({})
    failure: UpstreamFailure | None = None


class StreamReply(NamedTuple):
    """A stream: its translator, the frames so far, and an early read error for the reader."""

    translator: StreamTranslator
    first_frames: list[Frame]
    error: Exception | None = None


class MergedStreamReply(NamedTuple):
    """The streams of several requests, read as one through `merger`."""

    parts: tuple[StreamReply | WholeReply, ...]
    merger: StreamMerger


class FallBack(NamedTuple):
    """A reply that sends the whole call to Chat Completions (fallback.py)."""

    reason: str
    head: ReplyHead
    raw: bytes


Outcome = PassThrough | WholeReply | StreamReply | MergedStreamReply | FallBack
Exchange = Generator[Effect, Any, Outcome]
