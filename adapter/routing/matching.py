"""What a rule matches: the call's model, tag, call site and kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import translate
from functools import cached_property
from typing import Any, Literal

import pydantic

from .calls import Call

Globs = tuple[str, ...]

_IN_BODY = ("model", "stream", "tools", "format")


class Match(pydantic.BaseModel):
    """What a call must be like; all that is given must hold, and an empty match holds for every call.

    `model`, `tag` and `call_site` (`module:function` of the caller) are globs, or lists of them; `format` is the type of the
    `response_format` (`text` where there is none).
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    model: Globs = ()
    tag: Globs = ()
    call_site: Globs = ()
    format: tuple[Literal["text", "json_object", "json_schema"], ...] = ()
    azure: bool | None = None
    stream: bool | None = None
    tools: bool | None = None

    @pydantic.field_validator("model", "tag", "call_site", "format", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @cached_property
    def needs_body(self) -> bool:
        """Tell whether the request must be read to say whether it matches."""
        return any(getattr(self, name) not in ((), None) for name in _IN_BODY)

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str] | None, ...]:
        return tuple(_compiled(globs) for globs in (self.model, self.tag, self.call_site))

    def holds(self, call: Call) -> bool:
        """Tell whether a call is meant; `call.body` has been read where `needs_body` says so."""
        model, tag, call_site = self._patterns
        if self.azure is not None and call.azure is not self.azure:
            return False
        if tag is not None and not (call.overrides.tag is not None and tag.match(call.overrides.tag)):
            return False
        if call_site is not None and not (call.call_site is not None and call_site.match(call.call_site)):
            return False
        if not self.needs_body:
            return True
        body: Mapping[str, Any] = call.fields
        if model is not None and not model.match(call.model or ""):
            return False
        if self.stream is not None and (body.get("stream") is True) is not self.stream:
            return False
        if self.tools is not None and bool(body.get("tools") or body.get("functions")) is not self.tools:
            return False
        return not self.format or _format(body.get("response_format")) in self.format


def _compiled(globs: Globs) -> re.Pattern[str] | None:
    # One expression for all of them: matched on every call.
    return re.compile("|".join(translate(glob) for glob in globs)) if globs else None


def _format(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else "text"
