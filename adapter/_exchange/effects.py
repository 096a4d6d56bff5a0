"""What a journey asks its door to do, and what the caller gets in the end.

The journey (exchange.py) yields effects and is told their results; what it returns is an outcome.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from adapter.errors import UpstreamFailure
from adapter.translation.reasoning.turns import MemoryEntry, RememberedTurn

from .merged_stream import StreamMerger
from .stream import Frame, StreamTranslator


class Unread(Enum):
    """Stands for what nobody has looked at yet."""

    UNREAD = "unread"


UNREAD: Final = Unread.UNREAD


@dataclass(frozen=True, slots=True)
class FlagQuery:
    """A question to the provider of feature flags: who is asked for, and what else it may choose by."""

    targeting_key: str
    attributes: Mapping[str, str | bool]


class Need(Enum):
    """What is missing for a choice."""

    BODY = "body"


# Effects


@dataclass(frozen=True, slots=True)
class Decide:
    """Say what the settings choose for this call. Result: Choice; or what is missing for one: Need.BODY, or a Flag."""

    body: Any = UNREAD
    flag: Any = UNREAD


@dataclass(frozen=True, slots=True)
class ReadFlag:
    """Ask the provider of feature flags. Result: its answer, or None."""

    flag: FlagQuery


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Read the request's body. Result: bytes."""


class Send(NamedTuple):
    """Send the request, with this body and to this path where they aren't None, else as it came. Result: Head.

    With a `method` it is another request to the same server, with the same credentials and no body. A reply that an earlier one
    brought is closed.
    """

    body: bytes | None = None
    path: bytes | None = None
    method: Literal["GET", "POST"] | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for some seconds, and no longer than the call may last. Result: whether there is time left."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SetCancelPath:
    """Say where to POST if the caller leaves before the journey ends, or None for nowhere any more; `leave` says that it has left."""

    path: bytes | None
    cancel_now: bool = False


@dataclass(frozen=True, slots=True)
class FanOut:
    """Run several journeys at once. Result: their outcomes; or only that of the first one that failed, the others cancelled."""

    branches: tuple[Exchange, ...]


@dataclass(frozen=True, slots=True)
class ReadReply:
    """Read the whole reply, decompressed. Result: bytes."""


@dataclass(frozen=True, slots=True)
class ReadChunk:
    """Read the next piece of the reply, decompressed. Result: bytes, or None at the end."""


@dataclass(frozen=True, slots=True)
class LearnMissingEndpoint:
    """Remember for some seconds that the endpoint isn't there, or not for one model."""

    seconds: float
    model: str | None = None


class RecallResult(NamedTuple):
    """What the memory has: turns by name, and what was found out about the model at this server.

    `refused`: it takes no encrypted reasoning; `with_ids`: it insists on the reasoning items' own ids; `suspect`: it has refused
    a turn that was put back; `stopped`: it has refused more than one, and nothing is carried any more.
    """

    turns: Mapping[str, RememberedTurn] = MappingProxyType({})
    refused: bool = False
    with_ids: bool = False
    suspect: bool = False
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Recall:
    """Ask the memory for turns by their names. Result: Recalled. A memory in trouble has nothing."""

    model: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remember:
    """Put a turn into the memory."""

    model: str
    entry: MemoryEntry


@dataclass(frozen=True, slots=True)
class Forget:
    """Take turns out of the memory: the API refused them. The second time within a while, nothing is carried to that model."""

    model: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LearnRefusedReasoning:
    """Remember for a while what a model at this server doesn't take: `encrypted` reasoning, or reasoning with `no ids`.

    `nothing`: it has taken what was put back, and earlier refusals don't count.
    """

    model: str
    refused: Literal["encrypted", "no ids", "nothing"]


@dataclass(frozen=True, slots=True)
class LogCall:
    """Put the call on record: its journal is as complete as it will be."""


READ_REQUEST, READ_REPLY, READ_CHUNK, LOG_CALL = ReadRequest(), ReadReply(), ReadChunk(), LogCall()
"""Those that are always the same."""

Effect = (
    Decide
    | ReadFlag
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
    | LogCall
)


class ReplyHead(NamedTuple):
    """The head of a reply; `retry_after` is how many seconds it asks to wait."""

    status: int
    content_type: str
    retry_after: float | None = None


# Outcomes


@dataclass(frozen=True, slots=True)
class PassThrough:
    """Upstream's reply, as it is."""


class WholeReply(NamedTuple):
    """A whole body: with upstream's headers where there is an upstream reply, with none where the call went nowhere.

    `value` is the JSON that it was written from, where nobody else has it; `failure` what upstream said inside a reply that began
    well.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = MappingProxyType({})
    value: Any = None
    failure: UpstreamFailure | None = None


@dataclass(frozen=True, slots=True)
class StreamReply:
    """A stream: what `relay` has put out so far, and a read error that came early and belongs to the reader."""

    translator: StreamTranslator
    first_frames: list[Frame]
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class MergedStreamReply:
    """The streams of several requests, to be read as one through `chorus`."""

    parts: tuple[StreamReply | WholeReply, ...]
    merger: StreamMerger


@dataclass(frozen=True, slots=True)
class FallBack:
    """A branch's reply for which the whole call is to go to Chat Completions."""

    reason: str
    head: ReplyHead
    raw: bytes


Outcome = PassThrough | WholeReply | StreamReply | MergedStreamReply | FallBack
Exchange = Generator[Effect, Any, Outcome]
