"""Every setting: its name, type, default and validation (docs/decisions.md#settings)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field
from pydantic_settings import NoDecode

from adapter._memory import stores
from adapter._memory.serialization import parse_key
from adapter._memory.urls import hide_secrets, plain_url
from adapter.errors import MissingExtra
from adapter.translation.model_profiles import ModelProfiles
from adapter.translation.policy import CarryReasoning, Unsupported

from .match import Host, Match
from .validation import Emulated, check_parameter

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Force = Literal["chat", "native", "responses"]
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
Fallback = Literal["blocked", "missing", "rejected"]
OnInternalError = Literal["chat", "raise"]

_UNSET: Any = None

OTHER_NAME = {"on_bug": "on_internal_error", "on_internal_error": "on_bug"}
"""The other name of settings that have two."""

STICKY = re.compile(
    r"conversation|user|safety_identifier|request|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+"
)


class CallSettings(pydantic.BaseModel):
    """The settings that may differ from call to call: those that a rule may set."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    backend: Literal["chat", "responses"] = "chat"
    """The backend of calls; `chat` leaves them as they are."""

    rollout: Percent | None = None
    """The percentage of calls that go to the Responses API, from 0 to 100, fractions allowed (`0.5`
    and `"0.5%"` are one call in 200); without it all follow `backend`."""

    sticky_by: str = "conversation"
    """What keeps a caller on one backend during a `rollout`: `conversation`, `user`,
    `safety_identifier`, `header:NAME`, or `request` (nothing does)."""

    unsupported: Unsupported = "chat"
    """What happens to a call with a value that the Responses API can't carry: it is kept on `chat`,
    raises an `error`, or is sent without the value (`drop`)."""

    unsupported_parameters: Annotated[Mapping[str, Unsupported], NoDecode] = Field(
        default_factory=dict
    )
    """The same by parameter; also for `name` of messages, `input_audio` parts,
    `prompt_cache_breakpoint` of answers, and `cache_control` (dropped unless it is listed here)."""

    drop: Annotated[tuple[str, ...], NoDecode] = ()
    """Parameters that are dropped if they can't be carried: a short form of
    `unsupported_parameters`."""

    emulate: Annotated[tuple[Emulated, ...], NoDecode] = ()
    """Parameters that the adapter reproduces by other means, which may change cost."""

    fallback: Annotated[tuple[Fallback, ...], NoDecode] = ("blocked", "missing")
    """When a call that the Responses API refused falls back to Chat Completions: the endpoint is
    `missing`, a gateway `blocked` the request, or the API `rejected` it."""

    carry_reasoning: CarryReasoning = "auto"
    """Which models are asked for encrypted reasoning, so that the next request can hold it: those
    that reason (`auto`), `always`, or `never`; then nothing is remembered either."""

    # Before `on_internal_error`, whose validator reads it.
    on_bug: OnInternalError = Field(
        default=_UNSET, validate_default=False, exclude=True, repr=False
    )
    """The earlier name of `on_internal_error`; only one of the two can be given."""

    on_internal_error: OnInternalError = Field(default="chat", validate_default=False)
    """What happens when the adapter itself fails before a request is sent: the call goes to `chat`,
    or the exception is raised (`raise`)."""

    @pydantic.field_validator("on_internal_error")
    @classmethod
    def _check_one_name(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        if info.data.get("on_bug") is not None:
            raise ValueError(
                "given as on_bug as well, which is the earlier name of the same setting: "
                "give one of them"
            )
        return value

    @pydantic.model_validator(mode="after")
    def _set_both_names(self) -> Self:
        fields_set = self.__pydantic_fields_set__
        if "on_bug" in fields_set:
            self.__dict__["on_internal_error"] = self.on_bug
            fields_set.remove("on_bug")
            fields_set.add("on_internal_error")
        self.__dict__["on_bug"] = self.on_internal_error
        return self

    @pydantic.field_validator("drop", "emulate", "fallback", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value.lstrip().startswith("["):
                return json.loads(value)
            return tuple(part.strip() for part in value.split(",") if part.strip())
        # Sorted, since a set's order differs from process to process, and the hash must not.
        return tuple(sorted(value)) if isinstance(value, (set, frozenset)) else value

    @pydantic.field_validator("unsupported_parameters", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("{"):
            return json.loads(value)
        parts = (part.partition("=") for part in value.split(",") if part.strip())
        return {name.strip(): policy.strip() for name, _, policy in parts}

    @pydantic.field_validator("drop", "unsupported_parameters", mode="after")
    @classmethod
    def _check_parameters(cls, value: Any) -> Any:
        for name in value:
            check_parameter(name)
        return value

    @pydantic.field_validator("sticky_by")
    @classmethod
    def _check_sticky_by(cls, value: str) -> str:
        if not STICKY.fullmatch(value):
            raise ValueError(
                "expected conversation, user, safety_identifier, header:NAME or request"
            )
        return value

    @pydantic.field_validator("rollout", mode="before")
    @classmethod
    def _percent(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(
                "expected a percentage from 0 to 100"
            )  # a TypeError would escape pydantic
        if not isinstance(value, str):
            return value
        return value.strip().removesuffix("%").rstrip() if value.strip() else None

    @pydantic.field_validator("drop", mode="after")
    @classmethod
    def _check_contradiction(
        cls, value: tuple[str, ...], info: pydantic.ValidationInfo
    ) -> tuple[str, ...]:
        policies = info.data.get("unsupported_parameters", {})
        for name in value:
            if policies.get(name, "drop") != "drop":
                raise ValueError(f"{name} is in unsupported_parameters with another value")
        return value

    @cached_property
    def policies(self) -> dict[str, Unsupported]:
        """The policy of each parameter, `drop` included."""
        return {**self.unsupported_parameters, **dict.fromkeys(self.drop, "drop")}


class Rule(CallSettings):
    """Other settings for the calls that match, and another model for those on the Responses API."""

    match: Match = Match()
    model: str | None = Field(default=None, min_length=1)


class SettingsFields(CallSettings):
    """All settings that can be written in a file."""

    force: Force | None = None
    """The kill switch, which beats everything else. `native` sends each call to the API that it was
    written for. From all sources `native` beats `chat`, which beats `responses`."""

    allow_header: bool = True
    """Whether the header `x-adapter-backend` chooses a call's backend. It is never sent on in any
    case."""

    hosts: Annotated[tuple[Host, ...], NoDecode] = ("*",)
    """Globs of the hosts whose calls are adapted; calls to other hosts are never changed."""

    service: str = "adapter"
    """The name of this service: the salt of every hash of a caller."""

    rules: tuple[Rule, ...] = ()
    """Other settings for some calls; only the first rule that matches applies."""

    flag_timeout: Seconds = 0.05
    """The seconds that a flag provider may take."""

    fallback_expiry: Seconds = 600.0
    """The seconds for which a missing endpoint isn't tried again."""

    memory: str = Field(default="memory://", repr=False)
    """Where reasoning is remembered between the turns of a tool loop: `memory://` (this process),
    `sqlite:///path` (this machine), or for many machines `redis://…`, `rediss://…` (TLS),
    `unix:///path`, `redis+cluster://host,host` or `redis+sentinel://host:26379,host:26379/SERVICE`
    (with TLS `rediss+…`). A password in a URL is never shown."""

    memory_scope: str | None = Field(default=None, min_length=1)
    """A name for those who share remembered reasoning; without it, they share base URL,
    organisation, project and API key or token."""

    memory_scope_headers: Annotated[tuple[HeaderName, ...], NoDecode] = ()
    """Headers by which a gateway tells its tenants apart: calls that differ in one of them share no
    remembered reasoning."""

    memory_key: Annotated[tuple[pydantic.SecretStr, ...], NoDecode] = ()
    """The key that encrypts reasoning outside this process: 32 bytes in URL-safe base64. Of several
    keys the first encrypts, and all decrypt."""

    memory_timeout: Seconds = 0.05
    """The seconds that a store may take for each request."""

    models: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    """Facts about models, by a glob of their names; they override the built-in ones."""

    @pydantic.field_validator("force", "memory_scope", mode="before")
    @classmethod
    def _unset(cls, value: Any) -> Any:
        return unset(value)

    @pydantic.field_validator("memory", mode="before")
    @classmethod
    def _reveal(cls, value: Any) -> Any:
        return plain_url(value)

    @pydantic.field_validator("memory_scope_headers", "hosts", mode="before")
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value.lstrip().startswith("["):
                return json.loads(value)
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @pydantic.field_validator("memory_scope_headers", mode="after")
    @classmethod
    def _normalize_headers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted({name.lower() for name in value}))

    @pydantic.field_validator("memory", mode="after")
    @classmethod
    def _check_store(cls, value: Any) -> Any:
        stores.check(value)
        return hide_secrets(value)

    @pydantic.field_validator("memory_key", mode="before")
    @classmethod
    def _keys(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = tuple(part.strip() for part in value.split(",") if part.strip())
        return (value,) if isinstance(value, pydantic.SecretStr) else value

    @pydantic.field_validator("memory_key", mode="after")
    @classmethod
    def _check_keys(cls, value: tuple[pydantic.SecretStr, ...]) -> tuple[pydantic.SecretStr, ...]:
        for key in value:
            parse_key(key.get_secret_value())
        if value and find_spec("cryptography") is None:
            raise MissingExtra("memory_key needs cryptography (extra `seal`)")
        return value

    @pydantic.field_validator("models", mode="after")
    @classmethod
    def _check_models(cls, value: Any) -> Any:
        ModelProfiles.from_mapping(value)
        return value


def unset(value: Any) -> Any:
    """Return None for an empty string: an environment variable has no other way to unset."""
    return None if value == "" else value
