"""Effects that send nothing for the caller, and cancelling a background run when it leaves.

See docs/decisions.md#background-runs.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from adapter._exchange.effects import LearnMissingEndpoint, SetCancelPath, Wait

from . import background_clock, missing_endpoints
from .base_performer import GRACE, BasePerformer


class BackgroundRuns(BasePerformer):
    """Local effects and cancelling in sync code."""

    def perform_local(self, effect: LearnMissingEndpoint | Wait | SetCancelPath) -> bool:
        """Perform an effect that sends nothing; return whether the call has time left."""
        match effect:
            case LearnMissingEndpoint(seconds=seconds, model=model):
                missing_endpoints.remember(
                    missing_endpoints.base_url_of(self.request.url), seconds, model
                )
            case Wait(seconds=seconds):
                background_clock.sleep(max(min(seconds, self.seconds_left), 0.0))
            case SetCancelPath(path=path, cancel_now=cancel_now):
                if cancel_now:
                    self.cancel_run()
                self.cancel_path = path
        return self.seconds_left > 0

    def cancel_run(self) -> None:
        """Cancel the background run of a caller that has left."""
        with suppress(Exception):  # no caller is left to get an error
            request = self.cancel_request()
            if request is not None:
                reply: Any = self.inner.handle_request(request)
                reply.read()
                reply.close()


class AsyncBackgroundRuns(BasePerformer):
    """Local effects and cancelling in async code."""

    async def perform_local(self, effect: LearnMissingEndpoint | Wait | SetCancelPath) -> bool:
        """Perform an effect that sends nothing; return whether the call has time left."""
        match effect:
            case LearnMissingEndpoint(seconds=seconds, model=model):
                missing_endpoints.remember(
                    missing_endpoints.base_url_of(self.request.url), seconds, model
                )
            case Wait(seconds=seconds):
                await background_clock.async_sleep(max(min(seconds, self.seconds_left), 0.0))
            case SetCancelPath(path=path, cancel_now=cancel_now):
                if cancel_now:
                    await self.cancel_run()
                self.cancel_path = path
        return self.seconds_left > 0

    async def cancel_run(self) -> None:
        """Cancel the background run of a caller that has left."""
        with suppress(Exception):  # no caller is left to get an error
            request = self.cancel_request()
            if request is None:
                return
            import anyio  # the SDK has imported it

            # Shielded, since the caller may have left by being cancelled.
            with anyio.move_on_after(GRACE, shield=True):
                reply: Any = await self.inner.handle_async_request(request)
                await reply.aread()
                await reply.aclose()
