"""What a rule of the settings matches, as a model: globs of names, kinds of calls."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated, Any, Literal

import pydantic

Globs = tuple[str, ...]


# Brackets are around an IPv6 address, as in a URL, which has more colons than one; or they hold characters, as in any glob.
_NOT_A_HOST = re.compile(r"^\.*$|[/@\s]|^[^:]*:[^:]*$|^\[[^\]]*:[^\]]*:[^\]]*\]:")
_IPV6 = re.compile(r"\[([^\]]*:[^\]]*:[^\]]*)\]")


def _check_host(glob: str) -> str:
    if _NOT_A_HOST.search(glob):
        raise ValueError("expected a host or a glob of hosts, without scheme, port and path")
    return _IPV6.sub(r"\1", normalize_host(glob))


def normalize_host(host: str) -> str:
    """Write a host as hosts are compared: in lower case, without the dot at the end, and in its own script."""
    host = host.lower().rstrip(".")
    if "xn--" in host:
        with suppress(UnicodeError):  # a glob within such a label
            return host.encode("ascii").decode("idna")
    return host


Host = Annotated[str, pydantic.AfterValidator(_check_host)]


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
    def _as_tuple(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value
