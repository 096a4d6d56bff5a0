"""Observing replies: when the first piece came, how the reply ended, its usage.

Only with observers (docs/decisions.md#records).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from adapter._exchange.endpoints import is_azure
from adapter._util import json_codec
from adapter.telemetry.record import Record

from .call_context import CallContext
from .protocols import IncomingRequest


class ReplyObserver:
    """Observes one request's reply, and notifies the observers when the call has ended.

    A call of an adapted client ends with the client's, which may retry; any other with its request.
    """

    def __init__(self, context: CallContext, request: IncomingRequest) -> None:
        self._context = context
        self._request = request
        self.status: int | None = None
        self.first_piece_at: float | None = None
        self.error: BaseException | str | None = None
        self.usage: Callable[[], Any] = context.state.usage

    def add_piece(self, data: Any) -> None:
        """Record the time of the first piece that isn't empty."""
        if self.first_piece_at is None and data:
            self.first_piece_at = time.perf_counter()

    def finish(self) -> None:
        """Notify the observers, unless the client may retry the call and does it itself."""
        failed = self.status is None or self.status >= 400
        if not (failed and self._context.by_client):
            notify(
                self._context,
                self._request,
                status=self.status,
                error=self.error,
                first_piece_at=self.first_piece_at,
                usage=self.usage,
            )

    def stream_ended(self, error: BaseException | str | None) -> None:
        """Finish with a stream whose end is known."""
        self.error = error or self.error
        if self.first_piece_at is None and self.error is None:
            self.first_piece_at = time.perf_counter()  # it came in one piece
        self.finish()

    def failed(self, error: BaseException) -> None:
        """Finish with a request that got no reply."""
        self.status, self.error = None, error
        self.finish()


def notify(
    context: CallContext,
    request: IncomingRequest | None,
    *,
    status: int | None,
    error: BaseException | str | None = None,
    first_piece_at: float | None = None,
    usage: Callable[[], Any] = lambda: None,
) -> None:
    """Notify the observers of a call, once."""
    observers = context.router.observers
    if context.observed or not observers:
        return
    context.observed = True
    with suppress(Exception):  # a call is never lost for a record (docs/decisions.md#promises)
        decision = context.state.decision()
        if decision is None:
            return
        body = {} if request is None else _body_of(request)
        model = context.state.model or body.get("model")
        record = Record.of(
            decision,
            latency=time.perf_counter() - context.started,
            first_token=None if first_piece_at is None else first_piece_at - context.started,
            model=model if isinstance(model, str) else None,
            tag=context.overrides.tag,
            stream=body.get("stream") is True,
            azure=request is not None and is_azure(request.host, request.raw_path),
            status=status,
            error=error,
            usage=usage(),
        )
        observers.notify(record)


def _body_of(request: IncomingRequest) -> dict[str, Any]:
    with suppress(Exception):  # a body that is a stream or isn't JSON
        body = json_codec.loads(request.content)
        if isinstance(body, dict):
            return body
    return {}
