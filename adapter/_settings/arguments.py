"""The arguments of `Settings(...)`, for type checkers.

Each has every type that its setting accepts, which are more than the types of its value.
Written from `_settings/fields.py` by `make docs-tables`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from pydantic import SecretStr

    from adapter._memory.store import Store
    from adapter.telemetry.record import Record

    from .fields import Rule
    from .match import Match

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class MatchArguments(TypedDict, total=False):
    """The arguments of a rule's `match`."""

    model: str | Iterable[str]
    tag: str | Iterable[str]
    call_site: str | Iterable[str]
    host: str | Iterable[str]
    api: Literal["chat"] | Iterable[Literal["chat"]]
    format: (
        Literal["text", "json_object", "json_schema"]
        | Iterable[Literal["text", "json_object", "json_schema"]]
    )
    azure: bool | None
    stream: bool | None
    tools: bool | None


class CallSettingsArguments(TypedDict, total=False):
    """The arguments that a rule takes as well."""

    backend: Literal["chat", "responses"]
    rollout: float | str | None
    sticky_by: str
    unsupported: Literal["chat", "error", "drop"]
    unsupported_parameters: Mapping[str, Literal["chat", "error", "drop"]] | str
    drop: str | Iterable[str]
    emulate: str | Iterable[Literal["n", "name", "stop", "web_search_options"]]
    fallback: str | Iterable[Literal["blocked", "missing", "rejected"]]
    carry_reasoning: Literal["auto", "always", "never"]
    on_bug: Literal["chat", "raise"]
    on_internal_error: Literal["chat", "raise"]


class RuleArguments(CallSettingsArguments, total=False):
    """The arguments of a rule."""

    match: Match | MatchArguments
    model: str | None


class Arguments(CallSettingsArguments, total=False):
    """All arguments but `config_file`."""

    force: Literal["chat", "native", "responses"] | None
    allow_header: bool
    hosts: str | Iterable[str]
    service: str
    rules: Iterable[Rule | RuleArguments]
    flag_timeout: float
    fallback_expiry: float
    memory: str | SecretStr | Store | Any  # or a client of redis-py
    memory_scope: str | None
    memory_scope_headers: str | Iterable[str]
    memory_key: str | SecretStr | Iterable[str | SecretStr]
    memory_timeout: float
    models: Mapping[str, Mapping[str, Any]]
    flags: Any  # a client of OpenFeature
    observers: Iterable[Callable[[Record], object]]
    _env_file: Paths | None
    _env_file_encoding: str | None
    _secrets_dir: Paths | None
