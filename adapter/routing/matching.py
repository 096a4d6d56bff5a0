"""What a rule matches: the call's model, tag, call site and kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from fnmatch import translate
from typing import Annotated, Any, Literal

import pydantic

from .calls import Call

Globs = tuple[str, ...]


# Brackets are around an IPv6 address, as in a URL, which has more colons than one; or they hold characters, as in any glob.
_NO_HOST = re.compile(r"^\.*$|[/@\s]|^[^:]*:[^:]*$|^\[[^\]]*:[^\]]*:[^\]]*\]:")
_IPV6 = re.compile(r"\[([^\]]*:[^\]]*:[^\]]*)\]")


def _host(glob: str) -> str:
    if _NO_HOST.search(glob):
        raise ValueError("expected a host or a glob of hosts, without scheme, port and path")
    return _IPV6.sub(r"\1", plain_host(glob))


def plain_host(host: str) -> str:
    """Write a host as hosts are compared: in lower case, without the dot at the end, and in its own script."""
    host = host.lower().rstrip(".")
    if "xn--" in host:
        with suppress(UnicodeError):  # a glob within such a label
            return host.encode("ascii").decode("idna")
    return host


Host = Annotated[str, pydantic.AfterValidator(_host)]

_IN_BODY = ("model", "stream", "tools", "format")


class Match(pydantic.BaseModel):
    """What a call must be like; all that is given must hold, and an empty match holds for every call.

    `model`, `tag`, `call_site` (`module:function` of any caller) and `host` (of the URL, without a
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
        self._model, self._tag, self._call_site = map(compiled, (match.model, match.tag, match.call_site))
        self._host = compiled_hosts(match.host)
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
        if self._call_site is not None and not any(map(self._call_site, call.call_sites)):
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


def compiled_hosts(globs: Globs) -> Callable[[str], object] | None:
    """Make what tells whether a host, as it stands in a URL, fits one of several globs; None where there are none."""
    fits = compiled(globs)
    return None if fits is None else lambda host: fits(plain_host(host))


def _format(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else "text"
