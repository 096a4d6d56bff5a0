"""Matching rules by a call's model, tag, host, call site and kind (docs/decisions.md#rules)."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate
from typing import TYPE_CHECKING, Any

from .call import Call

if TYPE_CHECKING:  # imported where they are needed, as Pydantic's models take long
    from adapter._settings.match import Globs, Match

_IN_BODY = ("model", "stream", "tools", "format")


class Matcher:
    """A rule's `match`, compiled for use on every call."""

    __slots__ = (
        "_azure",
        "_call_site",
        "_format",
        "_host",
        "_model",
        "_stream",
        "_tag",
        "_tools",
        "needs_body",
    )

    def __init__(self, match: Match) -> None:
        self._model, self._tag, self._call_site = map(
            compile_globs, (match.model, match.tag, match.call_site)
        )
        self._host = compile_host_globs(match.host)
        self._format, self._azure, self._stream, self._tools = (
            match.format,
            match.azure,
            match.stream,
            match.tools,
        )
        self.needs_body = any(getattr(match, name) not in ((), None) for name in _IN_BODY)

    def matches(self, call: Call) -> bool:
        """Return whether a call matches; the body must have been read if `needs_body`."""
        if self._azure is not None and call.azure is not self._azure:
            return False
        if self._host is not None and not self._host(call.host):
            return False
        if self._tag is not None and not (
            call.overrides.tag is not None and self._tag(call.overrides.tag)
        ):
            return False
        if self._call_site is not None and not any(map(self._call_site, call.call_sites)):
            return False
        if not self.needs_body:
            return True
        body = call.fields
        if self._stream is not None and (body.get("stream") is True) is not self._stream:
            return False
        if (
            self._tools is not None
            and bool(body.get("tools") or body.get("functions")) is not self._tools
        ):
            return False
        if self._model is not None and not self._model(call.model or ""):
            return False
        return not self._format or _response_format(body.get("response_format")) in self._format


def compile_globs(globs: Globs) -> Callable[[str], object] | None:
    """Return a predicate for names that match one of several globs; None for no globs."""
    # One expression for all globs, since it runs on every call.
    return re.compile("|".join(translate(glob) for glob in globs)).match if globs else None


def compile_host_globs(globs: Globs) -> Callable[[str], object] | None:
    """Return a predicate for hosts of URLs that match one of several globs; None for no globs."""
    from adapter._settings.match import normalize_host

    matches = compile_globs(globs)
    return None if matches is None else lambda host: matches(normalize_host(host))


def _response_format(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else "text"
