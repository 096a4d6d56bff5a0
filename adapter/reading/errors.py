"""Failures as the SDK raises them."""

from __future__ import annotations

import importlib
from typing import Any

from adapter.errors import StreamTruncated, TranslationError, UpstreamFailure

_BY_STATUS = {
    400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError", 409: "ConflictError",
    422: "UnprocessableEntityError", 429: "RateLimitError",
}  # fmt: skip


def request_of(source: Any) -> Any:
    """Return the HTTP request behind one of the SDK's streams; None for any other source."""
    response = getattr(source, "response", None) or getattr(source, "_response", None)
    return getattr(response, "request", None)


def stream_error(error: TranslationError, request: Any) -> Exception:
    """Return what is raised for a stream that failed.

    What upstream reports is an `openai.APIError`, as the SDK makes it of an error frame. A stream of the SDK's that ended too early is an
    `openai.APIConnectionError`, and any other the StreamTruncated that it is.
    """
    import openai

    if isinstance(error, UpstreamFailure):
        return openai.APIError(error.why, request or _placeholder_request(), body=error.error)
    if isinstance(error, StreamTruncated) and request is not None:
        return openai.APIConnectionError(message=str(error), request=request)
    return error


def result_error(error: TranslationError) -> Exception:
    """Return what is raised for a result that failed: the class that the error's code stands for (docs/mapping.md#failed-responses)."""
    import openai

    if not isinstance(error, UpstreamFailure):
        return error
    server = openai.InternalServerError if error.status >= 500 else openai.APIStatusError
    kind: Any = getattr(openai, _BY_STATUS.get(error.status, ""), server)
    response = _http_library().Response(error.status, request=_placeholder_request())
    made: Exception = kind(error.why, response=response, body=error.error)
    return made


def _placeholder_request() -> Any:
    """Stand in for a request that isn't known here: the SDK's errors have one."""
    return _http_library().Request("POST", "http://unknown.invalid/")


def _http_library() -> Any:
    import openai

    # The SDK's own, httpx2 or httpx: its client's base class.
    roots = (base.__module__.partition(".")[0] for base in openai.DefaultHttpxClient.__mro__)
    return importlib.import_module(next(root for root in roots if root.startswith("httpx")))
