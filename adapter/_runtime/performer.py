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
    Head,
    Missing,
    Note,
    OnLeaving,
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
    Wait,
)
from adapter._exchange.stream import Frame, Relay
from adapter._http.bodies import APump, outlive, pump
from adapter._http.draining import drain
from adapter._http.messages import outgoing
from adapter._routing import flags

from .background_runs import AsyncRuns, Runs
from .base_performer import TripBase
from .call_context import PASSED_ON
from .fan_out import FanOutTasks, FanOutThreads
from .internal_errors import after_sending, before_sending
from .run import adrive, drive
from .stream_frames import AFrames, Frames


def _unpacked(upstream: Any) -> Iterator[bytes]:
    """Give a reply's bytes as they come, and close it at their end."""
    upstream.is_stream_consumed = True
    try:
        yield from upstream.stream
    except Exception as error:
        setattr(error, PASSED_ON, True)
        raise
    finally:
        upstream.close()


class Trip(Runs, TripBase):
    """A request's trip in sync code."""

    chunks: Iterator[bytes] | None = None
    _frames = Frames
    several: FanOutThreads | None = None

    def go(self) -> Any:
        """Carry the request, and return the reply that the HTTP client gets. `rescued` is for exceptions that aren't a transport's."""
        self.ticket.carried = True
        try:
            outcome = drive(self.journey(), self.perform)
        except BaseException as error:
            if not isinstance(error, Exception) or hasattr(error, PASSED_ON):
                self.fail(error)
            raise
        finally:
            self.ticket.carried = False
        return self.reply(outcome)

    def rescued(self, bug: Exception) -> Any:
        """Return the reply of a call on which the adapter failed; None where it is to be sent as it came. Raises it where that is wanted."""
        with suppress(Exception):
            if self.several is not None:
                self.several.give_up()
        if self.ticket.sent == 0:
            return before_sending(self.request, self.ticket, self.ticket.router, bug)
        made = None if self.strict else after_sending(self, bug)
        if made is not self.upstream:
            with suppress(Exception):
                self.ended(bug)
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
            case Note():
                try:
                    self.note()
                except Exception:  # a call is not lost for its log line
                    if self.strict:
                        raise
            case ReadRequest():
                return self.read_request()
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
            case Missing() | Wait() | OnLeaving():
                return self.aside(effect)
            case Recall() | Remember() | Forget() | Refuse():
                return self.ticket.router.memory.perform(effect, self.whose)
        return None

    def send(self, effect: Send) -> Head:
        """Send a request, and return the head of its reply."""
        self.close()
        sent = outgoing(self.request, effect, self.family)
        self.native = effect.body is None and effect.method is None
        self.ticket.sent += 1
        self.chunks = None  # of an earlier reply
        try:
            self.upstream = self.inner.handle_request(sent)
        except BaseException as error:
            setattr(error, PASSED_ON, True)
            raise
        self.sent = sent.stream
        return self.head(sent)

    def read_request(self) -> bytes:
        """Read the caller's request, to its end."""
        try:
            body: bytes = self.request.read()
        except Exception as error:  # the caller's own stream
            setattr(error, PASSED_ON, True)
            raise
        return body

    def read(self) -> bytes:
        """Read upstream's reply, to its end."""
        upstream = self.upstream
        unread = self._unread()
        try:
            if not unread:
                body: bytes = upstream.read()
                return body
            upstream.is_stream_consumed = True
            upstream._content = b"".join(upstream.stream)  # where `read` keeps it (httpx 0.27 to httpx2 2.16)
        except Exception as error:
            setattr(error, PASSED_ON, True)
            raise
        finally:
            if unread:
                upstream.is_closed = True  # as its `close` does, which has nothing else to do
                upstream.stream.close()
        return upstream._content  # type: ignore[no-any-return]

    def pumped(self, outcome: Streamed) -> Iterator[list[Frame]]:
        """Relay a stream."""
        return pump(outcome, self._source(), self)

    def drain(self) -> Exception | None:
        """Read upstream to its end, so that its connection can be used again; return the error that stands there."""
        return drain(self.upstream, self._source())

    def book(self, relay: Relay) -> None:
        """Put what a stream has brought into the memory, and take note of how far it is, before the reader has it."""
        try:
            memo = relay.take_memo()
            if memo is not None:
                self.perform(Remember(relay.model, memo))
        finally:
            self.booked(relay)

    def reply(self, outcome: Outcome) -> Any:
        """Make the reply that the HTTP client gets."""
        if isinstance(outcome, Rewritten):
            if self.several is not None:
                self.several.cancel()
            self.close()
            return self.whole(outcome)
        stream = self.stream(outcome)
        if stream is None:
            return self.passing()
        body = self.family.Body(stream, self)
        if self.several is not None:
            self.several.abandon(body)
        return self.response(outcome, body)

    def _source(self) -> Iterator[bytes]:
        if self.chunks is None:
            self.chunks = _unpacked(self.upstream) if self._unread() else self.upstream.iter_bytes()
        return self.chunks

    def finish(self) -> None:
        """End a reply that was read, or left."""
        try:
            self.over()
            self.leave()
        finally:
            if self.several is not None:
                self.several.cancel()
            else:
                self.close()
                self.cancel_run()

    def leave(self) -> None:
        """Remember what the reader of a stream has seen, who reads no more."""
        if self.relay is not None:
            self.relay.leave()
            memo = self.relay.take_memo()
            if memo is not None:
                self.perform(Remember(self.relay.model, memo))

    def fail(self, error: BaseException) -> None:
        """End a trip that brought nothing."""
        with suppress(Exception):
            self.ended(error)
        self.close()
        self.cancel_run()

    def close(self) -> None:
        """Close upstream's reply."""
        if self.upstream is not None and not self.upstream.is_closed:
            try:
                self.upstream.close()
            except Exception as error:
                setattr(error, PASSED_ON, True)
                raise


class AsyncTrip(AsyncRuns, TripBase):
    """A request's trip in async code."""

    chunks: AsyncIterator[bytes] | None = None
    _frames = AFrames
    several: FanOutTasks | None = None

    def capacity(self) -> int | None:
        """Return how many connections there can be at once; one where the event loop isn't asyncio's, which has no free tasks."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return 1
        return super().capacity()

    async def go(self) -> Any:
        """Carry the request, and return the reply that the HTTP client gets. `rescued` is for exceptions that aren't a transport's."""
        self.ticket.carried = True
        try:
            outcome = await adrive(self.journey(), self.perform)
        except BaseException as error:
            if not isinstance(error, Exception) or hasattr(error, PASSED_ON):
                await self.fail(error)
            raise
        finally:
            self.ticket.carried = False
        return await self.reply(outcome)

    async def rescued(self, bug: Exception) -> Any:
        """Return the reply of a call on which the adapter failed; None where it is to be sent as it came. Raises it where that is wanted."""
        with suppress(Exception):
            if self.several is not None:
                await self.several.give_up()
        if self.ticket.sent == 0:
            return before_sending(self.request, self.ticket, self.ticket.router, bug)
        made = None if self.strict else after_sending(self, bug)
        if made is not self.upstream:
            with suppress(Exception):
                self.ended(bug)
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
            case Note():
                try:
                    self.note()
                except Exception:  # a call is not lost for its log line
                    if self.strict:
                        raise
            case ReadRequest():
                return await self.read_request()
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
            case Missing() | Wait() | OnLeaving():
                return await self.aside(effect)
            case Recall() | Remember() | Forget() | Refuse():
                return await self.ticket.router.memory.aperform(effect, self.whose)
        return None

    async def send(self, effect: Send) -> Head:
        """Send a request, and return the head of its reply."""
        await self.aclose()
        sent = outgoing(self.request, effect, self.family)
        self.native = effect.body is None and effect.method is None
        self.ticket.sent += 1
        self.chunks = None  # of an earlier reply
        try:
            self.upstream = await self.inner.handle_async_request(sent)
        except BaseException as error:
            setattr(error, PASSED_ON, True)
            raise
        self.sent = sent.stream
        return self.head(sent)

    async def read_request(self) -> bytes:
        """Read the caller's request, to its end."""
        try:
            body: bytes = await self.request.aread()
        except Exception as error:  # the caller's own stream
            setattr(error, PASSED_ON, True)
            raise
        return body

    async def read(self) -> bytes:
        """Read upstream's reply, to its end."""
        upstream = self.upstream
        unread = self._unread()
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
            setattr(error, PASSED_ON, True)
            raise
        finally:
            if unread:
                upstream.is_closed = True  # as its `aclose` does, which has nothing else to do
                await upstream.stream.aclose()
        return upstream._content  # type: ignore[no-any-return]

    def pumped(self, outcome: Streamed) -> APump:
        """Relay a stream."""
        return APump(outcome, self._source(), self)

    async def book(self, relay: Relay) -> None:
        """Put what a stream has brought into the memory, and take note of how far it is, before the reader has it."""
        try:
            memo = relay.take_memo()
            if memo is not None:
                await self.perform(Remember(relay.model, memo))
        finally:
            self.booked(relay)

    async def reply(self, outcome: Outcome) -> Any:
        """Make the reply that the HTTP client gets."""
        if isinstance(outcome, Rewritten):
            if self.several is not None:
                await self.several.cancel()
            await self.aclose()
            return self.whole(outcome)
        stream = self.stream(outcome)
        if stream is None:
            return self.passing()
        body = self.family.AsyncBody(stream, self)
        if self.several is not None:
            self.several.abandon(body)
        else:
            outlive(body, self)
        return self.response(outcome, body)

    def _source(self) -> AsyncIterator[bytes]:
        if self.chunks is None and self._unread():
            self.upstream.is_stream_consumed = True
            self.chunks = aiter(self.upstream.stream)
        elif self.chunks is None:
            self.chunks = self.upstream.aiter_bytes()
        return self.chunks

    async def finish(self) -> None:
        """End a reply that was read, or left."""
        try:
            self.over()
            await self.leave()
        finally:  # also where the task is cancelled while the store is asked
            if self.several is not None:
                await self.several.cancel()
            else:
                try:
                    await self.aclose()
                finally:
                    await self.cancel_run()

    async def leave(self) -> None:
        """Remember what the reader of a stream has seen, who reads no more."""
        if self.relay is not None:
            self.relay.leave()
            memo = self.relay.take_memo()
            if memo is not None:
                await self.perform(Remember(self.relay.model, memo))

    async def fail(self, error: BaseException) -> None:
        """End a trip that brought nothing."""
        with suppress(Exception):
            self.ended(error)
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
                setattr(error, PASSED_ON, True)
                raise
