"""The settings: arguments over `ADAPTER_*` environment variables over a file over defaults."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from difflib import get_close_matches
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Self

import pydantic
from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from adapter.errors import ConfigurationError, MissingExtra
from adapter.telemetry import check

from . import files
from .values import Values

PREFIX = "ADAPTER_"
CONFIG = "ADAPTER_CONFIG"
_OBJECTS = frozenset({"flags", "observers"})
_NEAR = 0.78  # `STICKY` is meant for `STICKY_BY`, `SERVICE_HOST` not for `SERVICE`
_FILE: ContextVar[dict[str, Any]] = ContextVar("adapter.settings.file")


class Settings(BaseSettings, Values):
    """What the adapter does with the calls of one client.

    Each setting can be given as an argument, as an environment variable (`ADAPTER_BACKEND`, …; lists with commas, the rest as
    JSON) or in a file: the one that `config_file` or `ADAPTER_CONFIG` names, TOML, with the settings at its top or in the table
    `[tool.adapter]`. Arguments beat the environment, which beats the file; but `force` counts wherever it stands. The
    file is read again when it changes; what was given as an argument stays.

    Raises ConfigurationError, with the name of the setting first, for a value that can't be and for a name that is none.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, arbitrary_types_allowed=True)

    flags: Any = Field(default=None, exclude=True)
    """A client of OpenFeature, which is asked for the flag `openai-backend`."""

    observers: tuple[Any, ...] = Field(default=(), exclude=True)
    """Callables that get one `Record` for every call."""

    memory: Any = Field(default="memory://", repr=False)
    """The same as in a file, or a store of the program's own (`adapter.Store`)."""

    _given: dict[str, Any] = pydantic.PrivateAttr(default_factory=dict)
    _document: files.Document | None = pydantic.PrivateAttr(default=None)
    _live: Any = pydantic.PrivateAttr(default=None)  # see live.py

    def __init__(self, *, config_file: str | os.PathLike[str] | None = None, **values: Any) -> None:
        named = config_file or _environment().get(CONFIG)
        document = files.read(named) if named else None
        self._load(document, values)

    @classmethod
    def at(cls, document: files.Document | None, given: dict[str, Any]) -> Self:
        """Make the settings that the arguments of before give with another state of their file."""
        made = cls.__new__(cls)
        made._load(document, given)
        return made

    def _load(self, document: files.Document | None, values: dict[str, Any]) -> None:
        _check_environment()
        data = {} if document is None else document.data
        if document is not None:
            _check_file(document)
        token = _FILE.set(data)
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise ConfigurationError(_explain(error, lambda loc: _source(loc, values, document))) from None
        except SettingsError as error:  # a variable's JSON, which pydantic-settings reads
            found = re.search(r'field "(\w+)"', str(error))
            name = found[1] if found else "settings"
            raise ConfigurationError(f"{name}: not JSON ({PREFIX}{name.upper()})") from None
        finally:
            _FILE.reset(token)
        self._given, self._document = values, document

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Rank the sources, with the kill switch before all of them."""
        ranked = (init_settings, _Whole(settings_cls, env_settings), _Whole(settings_cls, _File(settings_cls)))
        return (_Kill(settings_cls, ranked), *ranked)

    @pydantic.field_validator("flags")
    @classmethod
    def _flags(cls, value: Any) -> Any:
        if value is not None and not callable(getattr(value, "get_string_details", None)):
            raise ValueError("expected a client of OpenFeature")
        if value is not None and find_spec("openfeature") is None:
            raise MissingExtra("flags need OpenFeature: pip install 'chat-responses-adapter[openfeature]'")
        return value

    @pydantic.field_validator("observers")
    @classmethod
    def _observers(cls, value: Any) -> Any:
        check(value)
        return value

    @pydantic.field_serializer("memory", when_used="json")
    def _named(self, value: Any) -> str:
        return value if isinstance(value, str) else type(value).__qualname__

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal digits that tell one set of settings from another, the same in every process."""
        # Of rules only what they say: a default that is written down is said.
        rules = [rule.model_dump(mode="json", exclude_unset=True) for rule in self.rules]
        written = json.dumps(self.model_dump(mode="json", exclude={"rules"}) | {"rules": rules}, sort_keys=True)
        return hashlib.sha256(written.encode()).hexdigest()[:12]

    # What reads the file again belongs to this object alone: copies with other values have their own, and it can't be pickled.

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Make a copy; what `update` gives is checked, and counts as arguments."""
        return type(self).at(self._document, {**self._given, **update}) if update else self.__copy__()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.__copy__()

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {**state, "__pydantic_private__": {**state["__pydantic_private__"], "_live": None}}


class _File(PydanticBaseSettingsSource):
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise AssertionError("read as a whole")

    def __call__(self) -> dict[str, Any]:
        return dict(_FILE.get())


class _Whole(PydanticBaseSettingsSource):
    """A source whose values take the place of those below as a whole: pydantic-settings would merge tables."""

    def __init__(self, settings_cls: type[BaseSettings], source: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._source = source

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise AssertionError("read as a whole")

    def __call__(self) -> dict[str, Any]:
        return {name: value for name, value in self._source().items() if name not in self.current_state}


class _Kill(PydanticBaseSettingsSource):
    """The kill switch from any source, before everything else."""

    def __init__(self, settings_cls: type[BaseSettings], sources: tuple[PydanticBaseSettingsSource, ...]) -> None:
        super().__init__(settings_cls)
        self._sources = sources

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise AssertionError("read as a whole")

    def __call__(self) -> dict[str, Any]:
        said = [source().get("force") for source in self._sources]
        return next(({"force": force} for force in ("native", "chat") if force in said), {})


def _environment() -> dict[str, str]:
    """Return the variables that may be settings, in upper case: as for pydantic-settings, their case doesn't count."""
    return {upper: value for name, value in os.environ.items() if (upper := name.upper()).startswith(PREFIX)}


def _check_environment() -> None:
    """Refuse variables that look like a setting and are none: a switch that does nothing is found out too late.

    Those that look like no setting are other programs': Kubernetes makes `ADAPTER_PORT` and `ADAPTER_SERVICE_HOST` of a service
    called `adapter`.
    """
    known = {name.upper(): PREFIX + name.upper() for name in Settings.model_fields}
    known |= dict.fromkeys(("CONFIG", "CONFIG_FILE"), CONFIG)
    for name in _environment():
        rest = name.removeprefix(PREFIX)
        if rest.lower() in _OBJECTS:
            raise ConfigurationError(f"{name}: an object, which can only be given as an argument")
        near = [] if known.get(rest) == name else get_close_matches(rest, known, n=1, cutoff=_NEAR)
        if near:
            raise ConfigurationError(f"{name}: no such setting; did you mean {known[near[0]]}?")


def _check_file(document: files.Document) -> None:
    """Refuse what is wrong in the file itself, also where something else has the last word."""
    for name in _OBJECTS & document.data.keys():
        raise ConfigurationError(
            f"{name}: an object, which can only be given as an argument ({document.where((name,))})"
        )
    try:
        Values.model_validate(document.data)
    except pydantic.ValidationError as error:
        raise ConfigurationError(_explain(error, document.where)) from None


def _source(location: files.Location, values: dict[str, Any], document: files.Document | None) -> str:
    name = str(location[0]) if location else ""
    if name in values:
        return ""
    variable = PREFIX + name.upper()
    if variable in _environment():
        return variable
    return "" if document is None else document.where(location)


def _explain(error: pydantic.ValidationError, where: Any) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        location = problem["loc"]
        name = ".".join(map(str, location)) or "settings"
        message = problem["msg"].removeprefix("Value error, ")
        if message.startswith("models."):  # says by itself where in the table
            name, _, message = message.partition(": ")
            location = ("models", *name.removeprefix("models.").rsplit(".", 1))
        if problem["type"] == "extra_forbidden":
            message = "no such setting"
            near = get_close_matches(str(location[-1]), _known_at(location), n=1)
            message += f"; did you mean {near[0]}?" if near else ""
        place = where(location)
        problems.append(f"{name}: {message}" + (f" ({place})" if place else ""))
    return "; ".join(problems)


def _known_at(location: files.Location) -> list[str]:
    """Return the names that could stand where an unknown one stands."""
    from .matching import Match
    from .values import Rule

    if location[0] != "rules":
        return list(Settings.model_fields)
    return list(Match.model_fields if "match" in location[:-1] else Rule.model_fields)
