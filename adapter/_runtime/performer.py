"""One request on its way through a door, and the reply on its way back: the effects of a journey, performed with an HTTP library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

from adapter._exchange.effects import (
    Decide,
    Effect,
    FanOut,
    Forget,
    LearnMissingEndpoint,
    LearnRefusedReasoning,
    LogCall,
    Outcome,
    ReadChunk,
    ReadFlag,
    ReadReply,
    ReadRequest,
    Recall,
    Remember,
    ReplyHead,
    Send,
    SetCancelPath,
    StreamReply,
    Wait,
    WholeReply,
)
from adapter._exchange.stream import Frame, StreamTranslator
from adapter._http.bodies import AsyncFrameIterator, iter_frames, keep_until_collected
from adapter._http.draining import drain
from adapter._http.messages import outgoing_request
from adapter._routing import flags

from .background_runs import AsyncBackgroundRuns, BackgroundRuns
from .base_performer import BasePerformer
from .call_context import EXTERNAL_ERROR
from .fan_out import FanOutTasks, FanOutThreads
from .internal_errors import recover_after_sending, recover_before_sending
from .run import adrive, drive
from .stream_frames import AsyncFrameReader, FrameReader


def _raw_chunks(upstream: Any) -> Iterator[bytes]:
    """Give a reply's bytes as they come, and close it at their end."""
    upstream.is_stream_consumed = True
    try:
        yield from upstream.stream
    except Exception as error:
        setattr(error, EXTERNAL_ERROR, True)
        raise
    finally:
        upstream.close()


class Performer(BackgroundRuns, BasePerformer):
    """A request's trip in sync code."""

    chunks: Iterator[bytes] | None = None
    _frame_reader = FrameReader
    fan_out: FanOutThreads | None = None

    def run(self) -> Any:
        """Carry the request, and return the reply that the HTTP client gets. `rescued` is for exceptions that aren't a transport's."""
        self.context.in_progress = True
        try:
            outcome = drive(self.start_exchange(), self.perform)
        except BaseException as error:
            if not isinstance(error, Exception) or hasattr(error, EXTERNAL_ERROR):
                self.abort(error)
            raise
        finally:
            self.context.in_progress = False
        return self.reply(outcome)

    def recover(self, bug: Exception) -> Any:
        """Return the reply of a call on which the adapter failed; None where it is to be sent as it came. Raises it where that is wanted."""
        with suppress(Exception):
            if self.fan_out is not None:
                self.fan_out.abort()
        if self.context.requests_sent == 0:
            return recover_before_sending(self.request, self.context, self.context.router, bug)
        made = None if self.strict else recover_after_sending(self, bug)
        if made is not self.upstream:
            with suppress(Exception):
                self.call_failed(bug)
            if self.upstream is not None:
                with suppress(Exception):
                    self.upstream.close()
        if made is None:
            raise bug
        return made

    def perform(self, effect: Effect) -> Any:
        """Perform one effect."""
        match effect:
            case Send():
                return self.send(effect)
            case ReadReply():
                return self.read()
            case LogCall():
                try:
                    self.log_call()
                except Exception:  # a call is not lost for its log line
                    if self.strict:
                        raise
            case ReadRequest():
                return self.read_request()
            case Decide():
                return self.context.choose_route(effect, self.request)
            case ReadChunk():
                return next(self._source(), None)
            case ReadFlag(flag=flag):
                return flags.read_flag(
                    self.context.settings.flags, flag, self.context.settings.flag_timeout
                )
            case FanOut(branches=branches):
                self.fan_out = FanOutThreads(self.branches(len(branches)), branches)
                outcomes, first = self.fan_out.run()
                self.upstream, self._encoded = first.upstream, first._encoded
                return outcomes
            case LearnMissingEndpoint() | Wait() | SetCancelPath():
                return self.perform_local(effect)
            case Recall() | Remember() | Forget() | LearnRefusedReasoning():
                return self.context.router.memory.perform(effect, self.memory_scope)
        return None

    def send(self, effect: Send) -> ReplyHead:
        """Send a request, and return the head of its reply."""
        self.close()
        sent = outgoing_request(self.request, effect, self.library)
        self.native = effect.body is None and effect.method is None
        self.context.requests_sent += 1
        self.chunks = None  # of an earlier reply
        try:
            self.upstream = self.inner.handle_request(sent)
        except BaseException as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise
        self.sent_body = sent.stream
        return self.head(sent)

    def read_request(self) -> bytes:
        """Read the caller's request, to its end."""
        try:
            body: bytes = self.request.read()
        except Exception as error:  # the caller's own stream
            setattr(error, EXTERNAL_ERROR, True)
            raise
        return body

    def read(self) -> bytes:
        """Read upstream's reply, to its end."""
        upstream = self.upstream
        unread = self._is_unread()
        try:
            if not unread:
                body: bytes = upstream.read()
                return body
            upstream.is_stream_consumed = True
            upstream._content = b"".join(
                upstream.stream
            )  # where `read` keeps it (httpx 0.27 to httpx2 2.16)
        except Exception as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise
        finally:
            if unread:
                upstream.is_closed = True  # as its `close` does, which has nothing else to do
                upstream.stream.close()
        return upstream._content  # type: ignore[no-any-return]

    def frames(self, outcome: StreamReply) -> Iterator[list[Frame]]:
        """Relay a stream."""
        return iter_frames(outcome, self._source(), self)

    def drain(self) -> Exception | None:
        """Read upstream to its end, so that its connection can be used again; return the error that stands there."""
        return drain(self.upstream, self._source())

    def record_progress(self, translator: StreamTranslator) -> None:
        """Put what a stream has brought into the memory, and take note of how far it is, before the reader has it."""
        try:
            entry = translator.take_entry()
            if entry is not None:
                self.perform(Remember(translator.model, entry))
        finally:
            self.stream_progressed(translator)

    def reply(self, outcome: Outcome) -> Any:
        """Make the reply that the HTTP client gets."""
        if isinstance(outcome, WholeReply):
            if self.fan_out is not None:
                self.fan_out.cancel()
            self.close()
            return self.whole_reply(outcome)
        stream = self.stream(outcome)
        if stream is None:
            return self.pass_through()
        body = self.library.Body(stream, self)
        if self.fan_out is not None:
            self.fan_out.cancel_when_collected(body)
        return self.response(outcome, body)

    def _source(self) -> Iterator[bytes]:
        if self.chunks is None:
            self.chunks = (
                _raw_chunks(self.upstream) if self._is_unread() else self.upstream.iter_bytes()
            )
        return self.chunks

    def finish(self) -> None:
        """End a reply that was read, or left."""
        try:
            self.stream_ended()
            self.reader_left()
        finally:
            if self.fan_out is not None:
                self.fan_out.cancel()
            else:
                self.close()
                self.cancel_run()

    def reader_left(self) -> None:
        """Remember what the reader of a stream has seen, who reads no more."""
        if self.translator is not None:
            self.translator.reader_left()
            entry = self.translator.take_entry()
            if entry is not None:
                self.perform(Remember(self.translator.model, entry))

    def abort(self, error: BaseException) -> None:
        """End a trip that brought nothing."""
        with suppress(Exception):
            self.call_failed(error)
        self.close()
        self.cancel_run()

    def close(self) -> None:
        """Close upstream's reply."""
        if self.upstream is not None and not self.upstream.is_closed:
            try:
                self.upstream.close()
            except Exception as error:
                setattr(error, EXTERNAL_ERROR, True)
                raise


class AsyncPerformer(AsyncBackgroundRuns, BasePerformer):
    """A request's trip in async code."""

    chunks: AsyncIterator[bytes] | None = None
    _frame_reader = AsyncFrameReader
    fan_out: FanOutTasks | None = None

    def max_connections(self) -> int | None:
        """Return how many connections there can be at once; one where the event loop isn't asyncio's, which has no free tasks."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return 1
        return super().max_connections()

    async def run(self) -> Any:
        """Carry the request, and return the reply that the HTTP client gets. `rescued` is for exceptions that aren't a transport's."""
        self.context.in_progress = True
        try:
            outcome = await adrive(self.start_exchange(), self.perform)
        except BaseException as error:
            if not isinstance(error, Exception) or hasattr(error, EXTERNAL_ERROR):
                await self.abort(error)
            raise
        finally:
            self.context.in_progress = False
        return await self.reply(outcome)

    async def recover(self, bug: Exception) -> Any:
        """Return the reply of a call on which the adapter failed; None where it is to be sent as it came. Raises it where that is wanted."""
        with suppress(Exception):
            if self.fan_out is not None:
                await self.fan_out.abort()
        if self.context.requests_sent == 0:
            return recover_before_sending(self.request, self.context, self.context.router, bug)
        made = None if self.strict else recover_after_sending(self, bug)
        if made is not self.upstream:
            with suppress(Exception):
                self.call_failed(bug)
            if self.upstream is not None:
                with suppress(Exception):
                    await self.upstream.aclose()
        if made is None:
            raise bug
        return made

    async def perform(self, effect: Effect) -> Any:
        """Perform one effect."""
        match effect:
            case Send():
                return await self.send(effect)
            case ReadReply():
                return await self.read()
            case LogCall():
                try:
                    self.log_call()
                except Exception:  # a call is not lost for its log line
                    if self.strict:
                        raise
            case ReadRequest():
                return await self.read_request()
            case Decide():
                return self.context.choose_route(effect, self.request)
            case ReadChunk():
                return await anext(self._source(), None)
            case ReadFlag(flag=flag):
                return await flags.aread_flag(
                    self.context.settings.flags, flag, self.context.settings.flag_timeout
                )
            case FanOut(branches=branches):
                self.fan_out = FanOutTasks(self.branches(len(branches)), branches)
                outcomes, first = await self.fan_out.run()
                self.upstream, self._encoded = first.upstream, first._encoded
                return outcomes
            case LearnMissingEndpoint() | Wait() | SetCancelPath():
                return await self.perform_local(effect)
            case Recall() | Remember() | Forget() | LearnRefusedReasoning():
                return await self.context.router.memory.aperform(effect, self.memory_scope)
        return None

    async def send(self, effect: Send) -> ReplyHead:
        """Send a request, and return the head of its reply."""
        await self.aclose()
        sent = outgoing_request(self.request, effect, self.library)
        self.native = effect.body is None and effect.method is None
        self.context.requests_sent += 1
        self.chunks = None  # of an earlier reply
        try:
            self.upstream = await self.inner.handle_async_request(sent)
        except BaseException as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise
        self.sent_body = sent.stream
        return self.head(sent)

    async def read_request(self) -> bytes:
        """Read the caller's request, to its end."""
        try:
            body: bytes = await self.request.aread()
        except Exception as error:  # the caller's own stream
            setattr(error, EXTERNAL_ERROR, True)
            raise
        return body

    async def read(self) -> bytes:
        """Read upstream's reply, to its end."""
        upstream = self.upstream
        unread = self._is_unread()
        try:
            if not unread:
                body: bytes = await upstream.aread()
                return body
            upstream.is_stream_consumed = True
            parts = []
            async for data in upstream.stream:
                parts.append(data)  # noqa: PERF401  # a comprehension would be a function of ours
            upstream._content = b"".join(parts)
        except Exception as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise
        finally:
            if unread:
                upstream.is_closed = True  # as its `aclose` does, which has nothing else to do
                await upstream.stream.aclose()
        return upstream._content  # type: ignore[no-any-return]

    def frames(self, outcome: StreamReply) -> AsyncFrameIterator:
        """Relay a stream."""
        return AsyncFrameIterator(outcome, self._source(), self)

    async def record_progress(self, translator: StreamTranslator) -> None:
        """Put what a stream has brought into the memory, and take note of how far it is, before the reader has it."""
        try:
            entry = translator.take_entry()
            if entry is not None:
                await self.perform(Remember(translator.model, entry))
        finally:
            self.stream_progressed(translator)

    async def reply(self, outcome: Outcome) -> Any:
        """Make the reply that the HTTP client gets."""
        if isinstance(outcome, WholeReply):
            if self.fan_out is not None:
                await self.fan_out.cancel()
            await self.aclose()
            return self.whole_reply(outcome)
        stream = self.stream(outcome)
        if stream is None:
            return self.pass_through()
        body = self.library.AsyncBody(stream, self)
        if self.fan_out is not None:
            self.fan_out.cancel_when_collected(body)
        else:
            keep_until_collected(body, self)
        return self.response(outcome, body)

    def _source(self) -> AsyncIterator[bytes]:
        if self.chunks is None and self._is_unread():
            self.upstream.is_stream_consumed = True
            self.chunks = aiter(self.upstream.stream)
        elif self.chunks is None:
            self.chunks = self.upstream.aiter_bytes()
        return self.chunks

    async def finish(self) -> None:
        """End a reply that was read, or left."""
        try:
            self.stream_ended()
            await self.reader_left()
        finally:  # also where the task is cancelled while the store is asked
            if self.fan_out is not None:
                await self.fan_out.cancel()
            else:
                try:
                    await self.aclose()
                finally:
                    await self.cancel_run()

    async def reader_left(self) -> None:
        """Remember what the reader of a stream has seen, who reads no more."""
        if self.translator is not None:
            self.translator.reader_left()
            entry = self.translator.take_entry()
            if entry is not None:
                await self.perform(Remember(self.translator.model, entry))

    async def abort(self, error: BaseException) -> None:
        """End a trip that brought nothing."""
        with suppress(Exception):
            self.call_failed(error)
        try:
            await self.aclose()
        finally:
            await self.cancel_run()

    async def aclose(self) -> None:
        """Close upstream's reply."""
        if self.upstream is not None and not self.upstream.is_closed:
            try:
                await self.upstream.aclose()
            except Exception as error:
                setattr(error, EXTERNAL_ERROR, True)
                raise
