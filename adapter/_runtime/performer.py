"""Performing the effects and steps of one request, in sync and async code."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from adapter._exchange.effects import (
    Effect,
    FanOut,
    Forget,
    LearnMissingEndpoint,
    LearnRefusedReasoning,
    ReadChunk,
    ReadFlag,
    ReadReply,
    ReadRequest,
    Recall,
    Remember,
    ReplyHead,
    Send,
    SetCancelPath,
    Wait,
)
from adapter._routing import flags

from . import background_clock
from .base_performer import BasePerformer
from .fan_out import FanOutTasks, FanOutThreads
from .protocols import AsyncUpstream, Upstream
from .run import adrive, drive
from .steps import Step
from .stream_iterators import AsyncStreamIterator, StreamIterator


class Performer(BasePerformer):
    """Performs a request in sync code."""

    __slots__ = ()
    upstream: Upstream
    fan_out: FanOutThreads | None
    _iterator = StreamIterator
    _drains = True

    def run(self) -> Any:
        """Run the exchange, and return the reply for the caller. See `run_gen`."""
        return drive(self.run_gen(), self.perform)

    def recover(self, bug: Exception) -> Any:
        """Return the reply of a call on which the adapter failed. See `recover_gen`."""
        return drive(self.recover_gen(bug), self.perform)

    def finish(self) -> None:
        """Finish with a stream. See `finish_gen`."""
        drive(self.finish_gen(), self.perform)

    def abort_branches(self) -> None:
        """Let the branches of a fan-out send nothing more."""
        with suppress(Exception):
            if self.fan_out is not None:
                self.fan_out.abort()

    def perform(self, effect: Effect | Step) -> Any:
        """Perform one effect or step."""
        match effect:
            case ReadChunk():
                return self.upstream.read_chunk()
            case Send():
                return self.send(effect)
            case ReadReply():
                return self.upstream.read()
            case ReadRequest():
                return self.request.read()
            case Recall() | Remember() | Forget() | LearnRefusedReasoning():
                return self.context.router.memory.perform(effect, self.memory_scope)
            case Step():
                return self._perform_step(effect)
            case FanOut(branches=branches):
                self.fan_out = FanOutThreads(self.branches(len(branches)), branches)
                outcomes, first = self.fan_out.run()
                self.upstream = first.upstream
                return outcomes
            case ReadFlag(flag=flag):
                settings = self.context.settings
                return flags.read_flag(settings.flags, flag, settings.flag_timeout)
            case LearnMissingEndpoint():
                self.learn_missing_endpoint(effect)
            case Wait():
                background_clock.sleep(self.waiting_seconds(effect))
                return self.seconds_left > 0
            case SetCancelPath(path=path, cancel_now=cancel_now):
                if cancel_now:
                    self.perform(Step.CANCEL_RUN)
                self.cancel_path = path
        return None

    def _perform_step(self, step: Step) -> Any:
        match step:
            case Step.CLOSE:
                self.upstream.close()
            case Step.CANCEL_RUN:
                path = self.take_cancel_path()
                if path is not None:
                    with suppress(Exception):  # no caller is left to get an error
                        self.upstream.cancel_run(path)
            case Step.DRAIN:
                return self.upstream.drain()
            case Step.NEXT_ITEM:
                assert self.fan_out is not None
                return self.fan_out.next_item()
            case Step.CANCEL_BRANCHES:
                assert self.fan_out is not None
                self.fan_out.stop()
        return None

    def send(self, effect: Send) -> ReplyHead:
        """Send a request, and return the head of its reply."""
        self.upstream.close()
        return self.upstream.send(effect)


class AsyncPerformer(BasePerformer):
    """Performs a request in async code."""

    __slots__ = ()
    upstream: AsyncUpstream
    fan_out: FanOutTasks | None
    _iterator = AsyncStreamIterator
    _drains = False

    def max_connections(self) -> int | None:
        """Return how many requests may run at once; 1 in an event loop other than asyncio's.

        There the branches of a fan-out can't be tasks.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return 1
        return super().max_connections()

    async def run(self) -> Any:
        """Run the exchange, and return the reply for the caller. See `run_gen`."""
        return await adrive(self.run_gen(), self.perform)

    async def recover(self, bug: Exception) -> Any:
        """Return the reply of a call on which the adapter failed. See `recover_gen`."""
        return await adrive(self.recover_gen(bug), self.perform)

    async def finish(self) -> None:
        """Finish with a stream. See `finish_gen`."""
        await adrive(self.finish_gen(), self.perform)

    async def abort_branches(self) -> None:
        """Let the branches of a fan-out send nothing more."""
        with suppress(Exception):
            if self.fan_out is not None:
                await self.fan_out.abort()

    async def perform(self, effect: Effect | Step) -> Any:
        """Perform one effect or step."""
        match effect:
            case ReadChunk():
                return await self.upstream.read_chunk()
            case Send():
                return await self.send(effect)
            case ReadReply():
                return await self.upstream.read()
            case ReadRequest():
                return await self.request.aread()
            case Recall() | Remember() | Forget() | LearnRefusedReasoning():
                return await self.context.router.memory.aperform(effect, self.memory_scope)
            case Step():
                return await self._perform_step(effect)
            case FanOut(branches=branches):
                self.fan_out = FanOutTasks(self.branches(len(branches)), branches)
                outcomes, first = await self.fan_out.run()
                self.upstream = first.upstream
                return outcomes
            case ReadFlag(flag=flag):
                settings = self.context.settings
                return await flags.aread_flag(settings.flags, flag, settings.flag_timeout)
            case LearnMissingEndpoint():
                self.learn_missing_endpoint(effect)
            case Wait():
                await background_clock.async_sleep(self.waiting_seconds(effect))
                return self.seconds_left > 0
            case SetCancelPath(path=path, cancel_now=cancel_now):
                if cancel_now:
                    await self.perform(Step.CANCEL_RUN)
                self.cancel_path = path
        return None

    async def _perform_step(self, step: Step) -> Any:
        match step:
            case Step.CLOSE:
                await self.upstream.close()
            case Step.CANCEL_RUN:
                path = self.take_cancel_path()
                if path is not None:
                    with suppress(Exception):  # no caller is left to get an error
                        await self.upstream.cancel_run(path)
            case Step.NEXT_ITEM:
                assert self.fan_out is not None
                return await self.fan_out.next_item()
            case Step.CANCEL_BRANCHES:
                assert self.fan_out is not None
                await self.fan_out.cancel()
        return None

    async def send(self, effect: Send) -> ReplyHead:
        """Send a request, and return the head of its reply."""
        await self.upstream.close()
        return await self.upstream.send(effect)
