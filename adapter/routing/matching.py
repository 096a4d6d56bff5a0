"""What a rule matches: the call's model, tag, call site and kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate
from typing import Annotated, Any, Literal

import pydantic

from .calls import Call

Globs = tuple[str, ...]


def _host(glob: str) -> str:
    if _NO_HOST.search(glob):
        raise ValueError("expected a host or a glob of hosts, without scheme, port and path")
    return glob.lower()


Host = Annotated[str, pydantic.AfterValidator(_host)]

_NO_HOST = re.compile(r"^$|[/@\s]|^[^:]*:\d*$")  # an IPv6 address has more colons

_IN_BODY = ("model", "stream", "tools", "format")


class Match(pydantic.BaseModel):
    """What a call must be like; all that is given must hold, and an empty match holds for every call.

    `model`, `tag`, `call_site` (`module:function` of the caller) and `host` (of the URL, without a
    port) are globs, or lists of them; `format` is the type of the `response_format` (`text` where there
    is none); `api` is the API that the call was written for.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    model: Globs = ()
    tag: Globs = ()
    call_site: Globs = ()
    host: tuple[Host, ...] = ()
    api: tuple[Literal["chat"], ...] = ()
    format: tuple[Literal["text", "json_object", "json_schema"], ...] = ()
    azure: bool | None = None
    stream: bool | None = None
    tools: bool | None = None

    @pydantic.field_validator("model", "tag", "call_site", "host", "api", "format", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Matcher:
    """A match made ready to be asked on every call."""

    __slots__ = ("_azure", "_call_site", "_format", "_host", "_model", "_stream", "_tag", "_tools", "needs_body")

    def __init__(self, match: Match) -> None:
        globs = (match.model, match.tag, match.call_site, match.host)
        self._model, self._tag, self._call_site, self._host = map(compiled, globs)
        self._format, self._azure, self._stream, self._tools = match.format, match.azure, match.stream, match.tools
        self.needs_body = any(getattr(match, name) not in ((), None) for name in _IN_BODY)

    def holds(self, call: Call) -> bool:
        """Tell whether a call is meant; `call.body` has been read where `needs_body` says so."""
        if self._azure is not None and call.azure is not self._azure:
            return False
        if self._host is not None and not self._host(call.host):
            return False
        if self._tag is not None and not (call.overrides.tag is not None and self._tag(call.overrides.tag)):
            return False
        if self._call_site is not None and not (call.call_site is not None and self._call_site(call.call_site)):
            return False
        if not self.needs_body:
            return True
        body = call.fields
        if self._stream is not None and (body.get("stream") is True) is not self._stream:
            return False
        if self._tools is not None and bool(body.get("tools") or body.get("functions")) is not self._tools:
            return False
        if self._model is not None and not self._model(call.model or ""):
            return False
        return not self._format or _format(body.get("response_format")) in self._format


def compiled(globs: Globs) -> Callable[[str], object] | None:
    """Make what tells whether a name fits one of several globs; None where there are none."""
    # One expression for all of them: matched on every call.
    return re.compile("|".join(translate(glob) for glob in globs)).match if globs else None


def _format(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else "text"
