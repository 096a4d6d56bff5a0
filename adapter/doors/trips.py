"""One request on its way through a door, and the reply on its way back: the effects of a journey, performed with an HTTP library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any

from adapter.effects import (
    JSON,
    Decide,
    Effect,
    FanOut,
    Forget,
    Head,
    Journey,
    Merged,
    Missing,
    Note,
    Outcome,
    ReadChunk,
    ReadFlag,
    ReadReply,
    ReadRequest,
    Recall,
    Refuse,
    Remember,
    Rewritten,
    Send,
    Streamed,
)
from adapter.endpoints import stored_endpoint
from adapter.exchange import exchange, follow, stored
from adapter.journal import Journal
from adapter.memory.scope import Whose
from adapter.relay import Frame, Relay
from adapter.routing import flags

from . import fields, missing
from .bodies import AOnce, APump, once, outlive, pump
from .draining import drain
from .envelopes import outgoing, reply_headers
from .families import Family
from .fan_out import FanOutTasks, FanOutThreads
from .frames import READER, AFrames, Frames
from .record import note
from .remembering import whose_of
from .ticket import Ticket
from .watching import AWatched, Watch, watched

_HEAD = frozenset({b"location", b"content-type", b"content-encoding"})


class TripBase:
    """What the sync and the async trip have in common."""

    def __init__(self, family: Family, inner: Any, request: Any, ticket: Ticket, *, branch: bool = False) -> None:
        self.family = family
        self.inner = inner
        self.request = request
        self.ticket = ticket
        self.upstream: Any = None
        self._encoded = False  # upstream's reply, for its way here
        self._branch = branch  # one of several requests of a call, which is put on record as a whole
        self._watch = Watch(ticket, request) if ticket.router.observers and not branch else None

    @property
    def journal(self) -> Journal:
        """The record of the call."""
        return self.ticket.journal

    @cached_property
    def whose(self) -> Whose:
        """Whose turns the call is about."""
        return whose_of(self.request, self.ticket.overrides.conversation, token=self.ticket.token)

    def journey(self) -> Journey:
        """Return the journey that this request is to go."""
        method, raw_path = self.request.method, self.request.url.raw_path
        if method == "POST":
            return exchange(self.journal, raw_path, self.capacity())
        question = stored_endpoint(method, raw_path)
        return follow(self.journal) if question is None else stored(question)

    def capacity(self) -> int | None:
        """Return how many connections there can be at once; None where that can't be told."""
        pool = getattr(self.inner, "_pool", None)  # private, in httpx 0.27 to httpx2 2.12
        most = getattr(pool, "_max_connections", None)
        return most if isinstance(most, int) else None

    def branches(self, count: int) -> list[Any]:
        """Make trips for several requests of this call."""
        return [type(self)(self.family, self.inner, self.request, self.ticket, branch=True) for _ in range(count)]

    def note(self) -> None:
        """Put the call on record."""
        if not self._branch:
            note(self.journal)

    def over(self, error: BaseException | str | None = None) -> None:
        """Put the call on record and tell of it: the end of its stream is known."""
        self.note()
        if self._watch is not None:
            self._watch.over(error)

    def head(self, sent: Any) -> Head:
        """Tell the journey of the reply's head."""
        headers = self.upstream.headers
        found = fields.some(headers, _HEAD)
        self._encoded = b"content-encoding" in found
        location = found.get(b"location")
        if sent is not self.request and location and not location.startswith("/") and "://" not in location:
            # A path relative to the one that was sent to; the HTTP client would resolve it against the chat URL.
            headers["location"] = str(sent.url.join(location))
        return Head(self.upstream.status_code, found.get(b"content-type", ""))

    def _unread(self) -> bool:
        """Tell whether the reply's body is still to be read, and is as it was sent: then it is read past the HTTP library's decoders."""
        upstream = self.upstream
        return not (
            self._encoded or upstream.is_stream_consumed or upstream.is_closed or "_content" in upstream.__dict__
        )

    def truncated(self, why: str) -> Exception:
        """Make the exception for a stream that ends too soon."""
        error: Exception = self.family.RemoteProtocolError(why, request=self.request)
        return error

    def closed_early(self) -> Exception:
        """Make the exception for a stream that is read after it was closed."""
        error: Exception = self.family.ReadError("the stream was closed before its end", request=self.request)
        return error

    def response(self, outcome: Outcome, body: Any, frames: Any = None) -> Any:
        """Make a reply with a body of ours; a stream of our own finds the `frames` that the body is made of."""
        status = outcome.status if isinstance(outcome, Rewritten) else self.upstream.status_code
        extensions = {} if self.upstream is None else self.upstream.extensions
        if self.upstream is not None and status != self.upstream.status_code:
            extensions = {key: value for key, value in extensions.items() if key != "reason_phrase"}
        if isinstance(outcome, Streamed) and self.ticket.reads_frames:
            extensions = {**extensions, READER: frames}
        made = self.family.Response(status, stream=body, extensions=extensions)
        made.headers = reply_headers(self.upstream, outcome, self.family)  # the constructor would copy them
        if self.family.plain_decoder is not None:
            made._decoder = self.family.plain_decoder
        return made

    def passing(self) -> Any:
        """Return upstream's reply, untouched; watched where somebody observes."""
        if self._watch is not None:
            self._watch.status = self.upstream.status_code
            if self.upstream.is_closed:  # read before it came: a stand-in's for a test
                self._watch.whole(self.upstream)
            else:
                self.upstream.stream = self.family.Passing(self.upstream.stream, self._watch, self.upstream.headers)
        return self.upstream

    several: Any = None
    relay: Relay | None = None  # of the stream under way
    _watched: Any  # what passes a stream on, watched
    _frames: Any  # what a stream is read through
    pumped: Any  # relays a stream

    def stream(self, outcome: Outcome) -> Any:
        """Give the bytes of a reply that is a stream, watched where somebody observes; None where there is none."""
        if isinstance(outcome, Streamed):
            self.watching(outcome)
            return self.pieces(outcome)
        if not isinstance(outcome, Merged):
            return None
        stream = self.several.pump(outcome.chorus, self.truncated, self.closed_early, over=self.over)
        watch = self.watching(outcome)
        return stream if watch is None else self._watched(stream, watch)

    def pieces(self, outcome: Streamed) -> Any:
        """Give a stream's bytes, or its frames."""
        self.relay = outcome.relay
        source = self.pumped(outcome)
        if self._watch is not None:
            source = self._watched(source, self._watch)
        return self._frames(outcome.relay, source, self)

    def watching(self, outcome: Outcome) -> Watch | None:
        """Begin to watch a reply that is made here."""
        if self._watch is not None:
            self._watch.status = outcome.status if isinstance(outcome, Rewritten) else self.upstream.status_code
            self._watch.usage = self.journal.usage
        return self._watch


def _unpacked(upstream: Any) -> Iterator[bytes]:
    """Give a reply's bytes as they come, and close it at their end."""
    upstream.is_stream_consumed = True
    try:
        yield from upstream.stream
    finally:
        upstream.close()


class Trip(TripBase):
    """A request's trip in sync code."""

    chunks: Iterator[bytes] | None = None
    _watched = staticmethod(watched)
    _frames = Frames
    several: FanOutThreads | None = None

    def perform(self, effect: Effect) -> Any:
        """Perform one effect."""
        match effect:
            case Send():
                self.close()
                sent = outgoing(self.request, effect, self.family)
                self.upstream = self.inner.handle_request(sent)
                return self.head(sent)
            case ReadReply():
                return self.read()
            case Note():
                self.note()
            case ReadRequest():
                return self.request.read()
            case Decide():
                return self.ticket.decide(effect, self.request)
            case ReadChunk():
                return next(self._source(), None)
            case ReadFlag(flag=flag):
                return flags.ask(self.ticket.settings.flags, flag, self.ticket.settings.flag_timeout)
            case FanOut(branches=branches):
                self.several = FanOutThreads(self.branches(len(branches)), branches)
                outcomes, first = self.several.run()
                self.upstream, self._encoded = first.upstream, first._encoded
                return outcomes
            case Missing(seconds=seconds):
                missing.remember(missing.base_of(self.request.url), seconds)
            case Recall() | Remember() | Forget() | Refuse():
                return self.ticket.router.memory.perform(effect, self.whose)
        return None

    def read(self) -> bytes:
        """Read upstream's reply, to its end."""
        upstream = self.upstream
        if not self._unread():
            body: bytes = upstream.read()
            return body
        upstream.is_stream_consumed = True
        try:
            upstream._content = b"".join(upstream.stream)  # where `read` keeps it (httpx 0.27 to httpx2 2.16)
        finally:
            upstream.is_closed = True  # as its `close` does, which has nothing else to do
            upstream.stream.close()
        return upstream._content  # type: ignore[no-any-return]

    def pumped(self, outcome: Streamed) -> Iterator[list[Frame]]:
        """Relay a stream."""
        return pump(outcome, self._source(), self)

    def drain(self) -> Exception | None:
        """Read upstream to its end, so that its connection can be used again; return the error that stands there."""
        return drain(self.upstream, self._source())

    def remember(self, relay: Relay) -> None:
        """Put what a stream has brought into the memory, before the reader has it."""
        memo = relay.take_memo()
        if memo is not None:
            with suppress(Exception):  # promise 9: the answer is worth more than the memory of it
                self.perform(Remember(relay.model, memo))

    def reply(self, outcome: Outcome) -> Any:
        """Make the reply that the HTTP client gets."""
        if isinstance(outcome, Rewritten):
            if self.several is not None:
                self.several.cancel()
            self.close()
            watch = self.watching(outcome)
            if watch is not None:
                watch.end()
            if outcome.content_type == JSON:
                return self.response(outcome, self.family.ByteStream(outcome.body))
            return self.response(outcome, self.family.Body(once(outcome.body), self.close))
        stream = self.stream(outcome)
        if stream is None:
            return self.passing()
        body = self.family.Body(stream, self.finish)
        if self.several is not None:
            self.several.abandon(body)
        return self.response(outcome, body, stream)

    def _source(self) -> Iterator[bytes]:
        if self.chunks is None:
            self.chunks = _unpacked(self.upstream) if self._unread() else self.upstream.iter_bytes()
        return self.chunks

    def finish(self) -> None:
        """End a reply that was read, or left."""
        self.over()
        try:
            self.leave()
        finally:
            if self.several is not None:
                self.several.cancel()
            else:
                self.close()

    def leave(self) -> None:
        """Remember what the reader of a stream has seen, who reads no more."""
        if self.relay is not None:
            self.relay.leave()
            self.remember(self.relay)

    def fail(self, error: BaseException) -> None:
        """End a trip that brought nothing."""
        self.note()
        self.close()
        if self._watch is not None:
            self._watch.fail(error)

    def close(self) -> None:
        """Close upstream's reply."""
        if self.upstream is not None and not self.upstream.is_closed:
            self.upstream.close()


class AsyncTrip(TripBase):
    """A request's trip in async code."""

    chunks: AsyncIterator[bytes] | None = None
    _watched = AWatched
    _frames = AFrames
    several: FanOutTasks | None = None

    def capacity(self) -> int | None:
        """Return how many connections there can be at once; one where the event loop isn't asyncio's, which has no free tasks."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return 1
        return super().capacity()

    async def perform(self, effect: Effect) -> Any:
        """Perform one effect."""
        match effect:
            case Send():
                await self.aclose()
                sent = outgoing(self.request, effect, self.family)
                self.upstream = await self.inner.handle_async_request(sent)
                return self.head(sent)
            case ReadReply():
                return await self.read()
            case Note():
                self.note()
            case ReadRequest():
                return await self.request.aread()
            case Decide():
                return self.ticket.decide(effect, self.request)
            case ReadChunk():
                return await anext(self._source(), None)
            case ReadFlag(flag=flag):
                return await flags.aask(self.ticket.settings.flags, flag, self.ticket.settings.flag_timeout)
            case FanOut(branches=branches):
                self.several = FanOutTasks(self.branches(len(branches)), branches)
                outcomes, first = await self.several.run()
                self.upstream, self._encoded = first.upstream, first._encoded
                return outcomes
            case Missing(seconds=seconds):
                missing.remember(missing.base_of(self.request.url), seconds)
            case Recall() | Remember() | Forget() | Refuse():
                return await self.ticket.router.memory.aperform(effect, self.whose)
        return None

    async def read(self) -> bytes:
        """Read upstream's reply, to its end."""
        upstream = self.upstream
        if not self._unread():
            body: bytes = await upstream.aread()
            return body
        upstream.is_stream_consumed = True
        try:
            upstream._content = b"".join([data async for data in upstream.stream])
        finally:
            upstream.is_closed = True  # as its `aclose` does, which has nothing else to do
            await upstream.stream.aclose()
        return upstream._content  # type: ignore[no-any-return]

    def pumped(self, outcome: Streamed) -> APump:
        """Relay a stream."""
        return APump(outcome, self._source(), self)

    async def remember(self, relay: Relay) -> None:
        """Put what a stream has brought into the memory, before the reader has it."""
        memo = relay.take_memo()
        if memo is not None:
            with suppress(Exception):  # promise 9: the answer is worth more than the memory of it
                await self.perform(Remember(relay.model, memo))

    async def reply(self, outcome: Outcome) -> Any:
        """Make the reply that the HTTP client gets."""
        if isinstance(outcome, Rewritten):
            if self.several is not None:
                await self.several.cancel()
            await self.aclose()
            watch = self.watching(outcome)
            if watch is not None:
                watch.end()
            if outcome.content_type == JSON:
                return self.response(outcome, self.family.ByteStream(outcome.body))
            return self.response(outcome, self.family.AsyncBody(AOnce(outcome.body), self.aclose))
        stream = self.stream(outcome)
        if stream is None:
            return self.passing()
        body = self.family.AsyncBody(stream, self.finish)
        if self.several is not None:
            self.several.abandon(body)
        else:
            outlive(body, self)
        return self.response(outcome, body, stream)

    def _source(self) -> AsyncIterator[bytes]:
        if self.chunks is None and self._unread():
            self.upstream.is_stream_consumed = True
            self.chunks = aiter(self.upstream.stream)
        elif self.chunks is None:
            self.chunks = self.upstream.aiter_bytes()
        return self.chunks

    async def finish(self) -> None:
        """End a reply that was read, or left."""
        self.over()
        try:
            await self.leave()
        finally:  # also where the task is cancelled while the store is asked
            if self.several is not None:
                await self.several.cancel()
            else:
                await self.aclose()

    async def leave(self) -> None:
        """Remember what the reader of a stream has seen, who reads no more."""
        if self.relay is not None:
            self.relay.leave()
            await self.remember(self.relay)

    async def fail(self, error: BaseException) -> None:
        """End a trip that brought nothing."""
        self.note()
        await self.aclose()
        if self._watch is not None:
            self._watch.fail(error)

    async def aclose(self) -> None:
        """Close upstream's reply."""
        if self.upstream is not None and not self.upstream.is_closed:
            await self.upstream.aclose()
