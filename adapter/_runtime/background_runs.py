"""What a trip does beside carrying its request.

It waits for a run in the background, and cancels it for a caller who leaves.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from adapter._exchange.effects import LearnMissingEndpoint, SetCancelPath, Wait

from . import background_clock, missing_endpoints
from .base_performer import GRACE, BasePerformer


class BackgroundRuns(BasePerformer):
    """In sync code."""

    def perform_local(self, effect: LearnMissingEndpoint | Wait | SetCancelPath) -> bool:
        """Perform an effect that sends nothing for the caller."""
        match effect:
            case LearnMissingEndpoint(seconds=seconds, model=model):
                missing_endpoints.remember(
                    missing_endpoints.base_url_of(self.request.url), seconds, model
                )
            case Wait(seconds=seconds):
                background_clock.sleep(max(min(seconds, self.seconds_left), 0.0))
            case SetCancelPath(path=path, cancel_now=leave):
                if leave:
                    self.cancel_run()
                self.cancel_path = path
        return self.seconds_left > 0

    def cancel_run(self) -> None:
        """Cancel what runs in the background for a caller who has left."""
        with suppress(Exception):  # nobody is there who could do more
            request = self.cancel_request()
            if request is not None:
                reply: Any = self.inner.handle_request(request)
                reply.read()
                reply.close()


class AsyncBackgroundRuns(BasePerformer):
    """In async code."""

    async def perform_local(self, effect: LearnMissingEndpoint | Wait | SetCancelPath) -> bool:
        """Perform an effect that sends nothing for the caller."""
        match effect:
            case LearnMissingEndpoint(seconds=seconds, model=model):
                missing_endpoints.remember(
                    missing_endpoints.base_url_of(self.request.url), seconds, model
                )
            case Wait(seconds=seconds):
                await background_clock.async_sleep(max(min(seconds, self.seconds_left), 0.0))
            case SetCancelPath(path=path, cancel_now=leave):
                if leave:
                    await self.cancel_run()
                self.cancel_path = path
        return self.seconds_left > 0

    async def cancel_run(self) -> None:
        """Cancel what runs in the background for a caller who has left."""
        with suppress(Exception):  # nobody is there who could do more
            request = self.cancel_request()
            if request is None:
                return
            import anyio  # the SDK has imported it

            with anyio.move_on_after(
                GRACE, shield=True
            ):  # the caller may have left by being cancelled
                reply: Any = await self.inner.handle_async_request(request)
                await reply.aread()
                await reply.aclose()
