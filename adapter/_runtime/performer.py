"""Performing the effects of an exchange with an HTTP library, and making the reply."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
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
    Send,
    SetCancelPath,
    StreamReply,
    Wait,
    WholeReply,
)
from adapter._exchange.stream import Frame, StreamTranslator
from adapter._http.bodies import AsyncFrameIterator, iter_frames, keep_until_collected
from adapter._routing import flags

from .background_runs import AsyncBackgroundRuns, BackgroundRuns
from .call_context import EXTERNAL_ERROR
from .fan_out import FanOutTasks, FanOutThreads
from .internal_errors import recover_after_sending, recover_before_sending
from .request_sender import AsyncRequestSender, RequestSender
from .run import adrive, drive
from .stream_frames import AsyncFrameReader, FrameReader


class Performer(BackgroundRuns, RequestSender):
    """Performs the effects of one request in sync code."""

    _frame_reader = FrameReader
    fan_out: FanOutThreads | None = None

    def run(self) -> Any:
        """Run the exchange, and return the reply for the HTTP client.

        Exceptions that aren't the transport's are for `recover`.
        """
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
        """Return the reply of a call on which the adapter failed; None to send it as it came.

        Raise the bug if there is no reply to return, or if the settings say so.
        """
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
                except Exception:  # the call is worth more than its log line
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

    def frames(self, outcome: StreamReply) -> Iterator[list[Frame]]:
        """Translate a stream, frame by frame."""
        return iter_frames(outcome, self._source(), self)

    def record_progress(self, translator: StreamTranslator) -> None:
        """Remember a turn that is complete, and record progress, before the reader sees it."""
        try:
            entry = translator.take_entry()
            if entry is not None:
                self.perform(Remember(translator.model, entry))
        finally:
            self.stream_progressed(translator)

    def reply(self, outcome: Outcome) -> Any:
        """Make the reply for the HTTP client."""
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
        return self.stream_reply(outcome, body)

    def finish(self) -> None:
        """Finish with a stream that was read, or left by its reader."""
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
        """Remember the turn that the reader of a stream has seen so far."""
        if self.translator is not None:
            self.translator.reader_left()
            entry = self.translator.take_entry()
            if entry is not None:
                self.perform(Remember(self.translator.model, entry))

    def abort(self, error: BaseException) -> None:
        """Finish with a request that got no reply."""
        with suppress(Exception):
            self.call_failed(error)
        self.close()
        self.cancel_run()


class AsyncPerformer(AsyncBackgroundRuns, AsyncRequestSender):
    """Performs the effects of one request in async code."""

    _frame_reader = AsyncFrameReader
    fan_out: FanOutTasks | None = None

    def max_connections(self) -> int | None:
        """Return the connection limit; 1 in an event loop other than asyncio's.

        There the branches of a fan-out can't be tasks.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return 1
        return super().max_connections()

    async def run(self) -> Any:
        """Run the exchange, and return the reply for the HTTP client.

        Exceptions that aren't the transport's are for `recover`.
        """
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
        """Return the reply of a call on which the adapter failed; None to send it as it came.

        Raise the bug if there is no reply to return, or if the settings say so.
        """
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
                except Exception:  # the call is worth more than its log line
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

    def frames(self, outcome: StreamReply) -> AsyncFrameIterator:
        """Translate a stream, frame by frame."""
        return AsyncFrameIterator(outcome, self._source(), self)

    async def record_progress(self, translator: StreamTranslator) -> None:
        """Remember a turn that is complete, and record progress, before the reader sees it."""
        try:
            entry = translator.take_entry()
            if entry is not None:
                await self.perform(Remember(translator.model, entry))
        finally:
            self.stream_progressed(translator)

    async def reply(self, outcome: Outcome) -> Any:
        """Make the reply for the HTTP client."""
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
        return self.stream_reply(outcome, body)

    async def finish(self) -> None:
        """Finish with a stream that was read, or left by its reader."""
        try:
            self.stream_ended()
            await self.reader_left()
        finally:  # also if the task is cancelled while it waits for the store
            if self.fan_out is not None:
                await self.fan_out.cancel()
            else:
                try:
                    await self.aclose()
                finally:
                    await self.cancel_run()

    async def reader_left(self) -> None:
        """Remember the turn that the reader of a stream has seen so far."""
        if self.translator is not None:
            self.translator.reader_left()
            entry = self.translator.take_entry()
            if entry is not None:
                await self.perform(Remember(self.translator.model, entry))

    async def abort(self, error: BaseException) -> None:
        """Finish with a request that got no reply."""
        with suppress(Exception):
            self.call_failed(error)
        try:
            await self.aclose()
        finally:
            await self.cancel_run()
