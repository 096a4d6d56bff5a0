"""All exceptions of the adapter.

    AdapterError
    ├── ConfigurationError       settings that can't be used
    ├── MissingExtra             an optional dependency isn't installed (also an ImportError)
    └── TranslationError         one value of one call, with its JSON path
        ├── MalformedRequest     not a Chat Completions request
        ├── Unsupported          can't be translated, and the policy says "error"
        ├── MalformedReply       upstream's reply is not a Response
        ├── UpstreamFailure      upstream reports a failed response (its own error, verbatim)
        └── StreamTruncated      the stream ended without its terminal event

Callers of the SDK rarely see these: the client and the transport turn a `TranslationError` into
the SDK's own exception (`BadRequestError` for a refused request, the class of the status for an
upstream failure), so that `except openai.…` keeps working (docs/decisions.md#errors).
"""

from __future__ import annotations

from typing import Any

from ._util import safe_names

__all__ = [
    "AdapterError",
    "ConfigurationError",
    "MalformedReply",
    "MalformedRequest",
    "MissingExtra",
    "StreamTruncated",
    "TranslationError",
    "Unsupported",
    "UpstreamFailure",
]

_LONGEST_MESSAGE = 4000


class AdapterError(Exception):
    """Base class of the adapter's exceptions."""


class ConfigurationError(AdapterError):
    """Settings that can't be used; the message is one line and begins with the setting's name."""

    def __init__(self, message: str) -> None:
        super().__init__(safe_names.printable(message, _LONGEST_MESSAGE))


class MissingExtra(AdapterError, ImportError):
    """An optional dependency isn't installed; the message names the extra that installs it."""


class TranslationError(AdapterError):
    """A problem with one value of one call; the message begins with the value's JSON path."""

    def __init__(self, path: str, why: str) -> None:
        self.path = safe_names.printable(path)  # not reduced to `other`: the caller wrote it
        self.why = why
        super().__init__(f"{self.path}: {why}")


class MalformedRequest(TranslationError):
    """The body is not a Chat Completions request, whichever API it is meant for."""


class Unsupported(TranslationError):
    """A value that the other API has no form for, if the policy makes that an error."""


class MalformedReply(TranslationError):
    """Upstream's reply has a successful status, but is not a Response."""


class StreamTruncated(TranslationError):
    """The stream ended, or contradicted itself, before its terminal event."""


class UpstreamFailure(TranslationError):
    """Upstream reports that the response failed, was cancelled or never ran.

    `error` is the error object in Chat's shape (`message`, `type`, `param`, `code`); `status` is
    the HTTP status that Chat Completions uses for such an error; `spoke` is true if there was
    output already, so that a retry would be billed again. `given` is the error object as upstream
    sent it; None if upstream gave no details.
    """

    def __init__(
        self,
        path: str,
        error: dict[str, Any],
        status: int,
        *,
        spoke: bool = False,
        given: dict[str, Any] | None = None,
    ) -> None:
        self.error = error
        self.status = status
        self.spoke = spoke
        self.given = given
        super().__init__(path, str(error.get("message")))
