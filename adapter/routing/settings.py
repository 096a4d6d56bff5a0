"""The settings: arguments over `ADAPTER_*` environment variables over defaults."""

from __future__ import annotations

import hashlib
import json
from difflib import get_close_matches
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal

import pydantic
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from adapter.errors import ConfigurationError
from adapter.translation.policy import Policy, Unsupported
from adapter.translation.rules import CHAT_PARAMETERS, MESSAGE_FIELDS


class Settings(BaseSettings):
    """What the adapter does with the calls of one client.

    Each field can be given as an argument or as an environment variable (`ADAPTER_BACKEND`, …); arguments win. Lists
    are written with commas there. Raises ConfigurationError, with the name of the setting first, for a value that can't
    be.
    """

    model_config = SettingsConfigDict(env_prefix="ADAPTER_", extra="forbid", frozen=True)

    backend: Literal["chat", "responses"] = "chat"
    """Where calls go: `chat` changes nothing at all."""

    unsupported: Unsupported = "chat"
    """What happens to a value that the Responses API can't carry: the call stays on `chat`, is an `error`, or goes on without
    it (`drop`)."""

    drop: Annotated[tuple[str, ...], NoDecode] = ()
    """Parameters (and `name` of messages, `input_audio` parts, `prompt_cache_breakpoint` of answers) that are left out where
    they can't be carried, whatever `unsupported` says."""

    emulate: Annotated[tuple[Literal["n", "stop", "web_search_options"], ...], NoDecode] = ()
    """Parameters that are reproduced with other means, which may change cost."""

    on_bug: Literal["chat", "raise"] = "chat"
    """What happens when the adapter itself fails before anything was sent: the call goes to `chat`, or the exception is raised."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise ConfigurationError(_explain(error)) from None

    @pydantic.field_validator("drop", "emulate", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        # A set's order differs from process to process, and the hash must not.
        return tuple(sorted(value)) if isinstance(value, (set, frozenset)) else value

    @pydantic.field_validator("drop", mode="after")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = CHAT_PARAMETERS.keys() | MESSAGE_FIELDS
        for name in value:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                raise ValueError(
                    f"{name!r} is not a parameter of Chat Completions" + (f"; {near[0]!r}?" if near else "")
                )
        return value

    @cached_property
    def policy(self) -> Policy:
        """The policy for what can't be carried."""
        return self.policy_with()

    def policy_with(self, *, unsupported: Unsupported | None = None, drop: tuple[str, ...] = ()) -> Policy:
        """Make the policy with one call's own wishes over it."""
        parameters: dict[str, Unsupported] = dict.fromkeys((*self.drop, *drop), "drop")
        return Policy(unsupported or self.unsupported, MappingProxyType(parameters), frozenset(self.emulate))

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal digits that tell one set of settings from another, the same in every process."""
        written = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(written.encode()).hexdigest()[:12]


def _explain(error: pydantic.ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(map(str, problem["loc"])) or "settings"
        near = get_close_matches(name, Settings.model_fields, n=1) if problem["type"] == "extra_forbidden" else []
        message = problem["msg"].removeprefix("Value error, ")
        problems.append(f"{name}: {message}" + (f"; did you mean {near[0]}?" if near else ""))
    return "; ".join(problems)
