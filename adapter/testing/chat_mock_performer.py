"""Let HTTP mocks of Chat Completions serve translated calls: `chat_mocks()`.

A suite that mocks `POST …/chat/completions` (with respx, pytest-httpx, a `MockTransport`, a
server of its own) has no reply to the `POST …/responses` of a translated call. Here the call is
routed, translated and recorded as always. Then its mock gets the caller's own request, as it would
natively, and the reply is converted to one of the Responses API, which is translated back. So
assertions about requests hold, and assertions about results apply to translated calls
(docs/guides/test-both-sides.md).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from adapter._exchange.effects import Effect, FanOut, Send
from adapter._exchange.fallback import REASON_TEXT
from adapter._exchange.record import Route
from adapter._exchange.request_body import RequestBody
from adapter._http import transport
from adapter._http.upstream import AsyncHttpUpstream, HttpUpstream
from adapter._runtime.base_performer import BasePerformer
from adapter._runtime.call_context import EXTERNAL_ERROR
from adapter._runtime.performer import AsyncPerformer, Performer
from adapter._runtime.run import adrive, drive
from adapter._runtime.steps import Step

from .chat_mock_transport import MockTransport

__all__ = ["chat_mocks"]


@contextmanager
def chat_mocks() -> Iterator[None]:
    """Serve the replies of Chat Completions mocks as the Responses API, in the whole process.

    A translated call requests its mock once, with the caller's own request. The reply is read as
    JSON or as a stream; errors, exceptions, and replies that aren't Chat's are passed on unchanged.
    """
    performers = transport.Transport._performers
    transport.Transport._performers = {
        HttpUpstream: _MockedPerformer,
        AsyncHttpUpstream: _AsyncMockedPerformer,
    }
    try:
        yield
    finally:
        transport.Transport._performers = performers


class _BaseMockedPerformer(BasePerformer):
    """The common part of the sync and the async performer."""

    def __init__(self, request: Any, upstream: Any, context: Any, *, branch: bool = False) -> None:
        super().__init__(request, upstream, context, branch=branch)
        if not isinstance(upstream.transport, MockTransport):
            upstream.transport = MockTransport(
                upstream.transport, upstream.library, upstream.request
            )
        self.mock: MockTransport = upstream.transport
        self._replies: list[Callable[[], Any]] = []
        if context.state.route is not None:
            context.state.route = _without_fallback(context.state.route)

    def choose_gen(self, body: RequestBody) -> Generator[Effect, Any, Route]:
        """Choose the route of the call."""
        return _without_fallback((yield from super().choose_gen(body)))

    def branches(self, count: int) -> list[Any]:
        """Return performers for several requests of this call."""
        performers = super().branches(count)
        for number, one in enumerate(performers):
            one.mock = one.upstream.transport = self.mock.branch(self._replies, number)
        return performers

    def prepare_send(self, effect: Send) -> None:
        """Tell the mock whether the next request is a translated one, or a redirect of one."""
        self.mock.sends_translated = effect.body is not None or (
            self.request.method != "POST" and effect == Send()
        )

    def take_replies(self, replies: list[Callable[[], Any]]) -> bool:
        """Keep the replies of the mock to several requests; return whether there are several."""
        self._replies = replies
        self.mock.make_reply = replies[0]
        return len(replies) > 1


class _MockedPerformer(_BaseMockedPerformer, Performer):
    """Performs the effects of a call on a mock, in sync code."""

    def perform(self, effect: Effect | Step) -> Any:
        """Perform one effect."""
        match effect:
            case Send():
                self.prepare_send(effect)
            case FanOut(branches=branches):
                self.context.requests_sent += 1
                with _marked_external():
                    replies = self.mock.request_choices()
                if not self.take_replies(replies):
                    # An error, or the only choice of the mock.
                    return (drive(branches[0], self.perform),)
        return super().perform(effect)


class _AsyncMockedPerformer(_BaseMockedPerformer, AsyncPerformer):
    """Performs the effects of a call on a mock, in async code."""

    async def perform(self, effect: Effect | Step) -> Any:
        """Perform one effect."""
        match effect:
            case Send():
                self.prepare_send(effect)
            case FanOut(branches=branches):
                self.context.requests_sent += 1
                with _marked_external():
                    replies = await self.mock.arequest_choices()
                if not self.take_replies(replies):
                    return (await adrive(branches[0], self.perform),)  # as above
        return await super().perform(effect)


@contextmanager
def _marked_external() -> Iterator[None]:
    """Mark exceptions of a mock as not the adapter's."""
    try:
        yield
    except BaseException as error:
        setattr(error, EXTERNAL_ERROR, True)
        raise


def _without_fallback(route: Route) -> Route:
    """Return a route that stays as chosen: a mock's errors say nothing about the Responses API."""
    settings: Any = route.settings
    fallback = tuple(one for one in settings.fallback if one not in REASON_TEXT)
    hold = None if route.hold is not None and route.hold.reason == "missing" else route.hold
    kept = settings.model_copy(update={"fallback": fallback})
    return route._replace(settings=kept, hold=hold, unserved=None)
