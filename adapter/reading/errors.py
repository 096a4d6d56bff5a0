"""Turn the adapter's errors into the exceptions of the SDK."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from adapter.errors import StreamTruncated, TranslationError, UpstreamFailure

_BY_STATUS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}


@contextmanager
def raised_as(convert: Callable[[TranslationError], Exception]) -> Iterator[None]:
    """Raise the adapter's errors as what `convert` makes of them."""
    try:
        yield
    except TranslationError as error:
        made = convert(error)
        if made is error:
            raise
        raise made from error


def request_of(source: Any) -> Any:
    """Return the HTTP request of one of the SDK's streams; None for any other source."""
    response = getattr(source, "response", None) or getattr(source, "_response", None)
    return getattr(response, "request", None)


def stream_error(error: TranslationError, request: Any) -> Exception:
    """Return the exception for a failed stream.

    A failure that upstream reports is an `openai.APIError`, as for an error frame. A stream of the
    SDK that ended too early is an `openai.APIConnectionError`; for any other source, `error` itself
    is returned.
    """
    import openai

    if isinstance(error, UpstreamFailure):
        return openai.APIError(error.why, request or _placeholder_request(), body=error.error)
    if isinstance(error, StreamTruncated) and request is not None:
        return openai.APIConnectionError(message=str(error), request=request)
    return error


def result_error(error: TranslationError) -> Exception:
    """Return the exception for a failed result: the SDK's class for the code of the error.

    See docs/mapping.md#failed-responses.
    """
    import openai

    if not isinstance(error, UpstreamFailure):
        return error
    server = openai.InternalServerError if error.status >= 500 else openai.APIStatusError
    kind: Any = getattr(openai, _BY_STATUS.get(error.status, ""), server)
    response = _http_library().Response(error.status, request=_placeholder_request())
    made: Exception = kind(error.why, response=response, body=error.error)
    return made


def _placeholder_request() -> Any:
    """Return a request for the SDK's errors, which need one, if the real one isn't known."""
    return _http_library().Request("POST", "http://unknown.invalid/")


def _http_library() -> Any:
    import openai

    # The SDK's own library, httpx2 or httpx: the module of its client's base class.
    roots = (base.__module__.partition(".")[0] for base in openai.DefaultHttpxClient.__mro__)
    return importlib.import_module(next(root for root in roots if root.startswith("httpx")))
