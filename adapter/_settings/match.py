"""The `match` of a rule: globs of names, and kinds of calls (docs/decisions.md#rules)."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated, Any, Literal

import pydantic

Globs = tuple[str, ...]

# Brackets enclose an IPv6 address, which has several colons, or the characters of a glob.
_NOT_A_HOST = re.compile(r"^\.*$|[/@\s]|^[^:]*:[^:]*$|^\[[^\]]*:[^\]]*:[^\]]*\]:")
_IPV6 = re.compile(r"\[([^\]]*:[^\]]*:[^\]]*)\]")


def _check_host(glob: str) -> str:
    if _NOT_A_HOST.search(glob):
        raise ValueError("expected a host or a glob of hosts, without scheme, port and path")
    return _IPV6.sub(r"\1", normalize_host(glob))


def normalize_host(host: str) -> str:
    """Return a host for comparison: in lower case, without a final dot, decoded from Punycode."""
    host = host.lower().rstrip(".")
    if "xn--" in host:
        with suppress(UnicodeError):  # a glob inside such a label
            return host.encode("ascii").decode("idna")
    return host


Host = Annotated[str, pydantic.AfterValidator(_check_host)]


class Match(pydantic.BaseModel):
    """The calls that a rule applies to; every field that is given must match.

    `model`, `tag`, `call_site` (`module:function` of any caller) and `host` (of the URL, without a
    port) are globs, or lists of them. `format` is the type of the `response_format`, `text` if
    there is none. `api` is the API that the call was written for.
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
