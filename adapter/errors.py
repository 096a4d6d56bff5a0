"""Every exception the adapter raises by itself.

    AdapterError
    ├── ConfigurationError          settings that can't be used
    ├── MissingExtra                an optional dependency isn't installed (also an ImportError)
    └── TranslationError            one value of one call, with its JSON path
        ├── MalformedRequest        not a Chat Completions request
        ├── Unsupported             can't be carried over, and the policy says "error"
        ├── MalformedReply          upstream's reply is not a Response
        ├── UpstreamFailure         upstream says that the response failed (its own error, verbatim)
        └── StreamTruncated         the stream ended without its terminal event

Callers of the SDK rarely see these: a door turns a `TranslationError` into the SDK's own exception (`BadRequestError`
for a refused request, the class that fits the status for an upstream failure), so that `except openai.…` keeps working.
"""

from __future__ import annotations

from typing import Any

from ._util import safe_names

_LONGEST_MESSAGE = 4000


class AdapterError(Exception):
    """Base of everything the adapter raises for misuse and misconfiguration."""


class ConfigurationError(AdapterError):
    """Settings that can't be used; the message begins with the name of the setting, and is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(safe_names.printable(message, _LONGEST_MESSAGE))


class MissingExtra(AdapterError, ImportError):
    """An optional dependency isn't installed; the message names the extra that brings it."""


class TranslationError(AdapterError):
    """Something about one value of one call; the message begins with the value's JSON path."""

    def __init__(self, path: str, why: str) -> None:
        self.path = safe_names.printable(path)  # true to the caller, who wrote it
        self.why = why
        super().__init__(f"{self.path}: {why}")


class MalformedRequest(TranslationError):
    """The body is not a Chat Completions request, whichever API it is meant for."""


class Unsupported(TranslationError):
    """A value that the Responses API can't carry, where the policy says that this is an error."""


class MalformedReply(TranslationError):
    """Upstream answered with success, but not with a Response."""


class StreamTruncated(TranslationError):
    """The stream ended, or contradicted itself, before its terminal event."""


class UpstreamFailure(TranslationError):
    """Upstream reports that the response failed, was cancelled or never ran.

    `error` is the error object in Chat's shape (`message`, `type`, `param`, `code`), `status` the HTTP status that Chat
    Completions uses for such an error, `spoke` tells whether there was output already: a retry would be paid for again.
    `given` is the error object as upstream wrote it; None where it said no more than that something failed.
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
