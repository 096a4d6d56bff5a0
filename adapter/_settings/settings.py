"""The settings (docs/decisions.md#settings).

Arguments beat `ADAPTER_*` environment variables, which beat a file, which beats the defaults.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Self, Unpack

import pydantic
from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from adapter._util import safe_names
from adapter.errors import AdapterError, ConfigurationError, MissingExtra
from adapter.telemetry.observers import check

from . import environment, log_handler, settings_file
from .arguments import Arguments
from .environment import CONFIG, PREFIX, Environment
from .fields import OTHER_NAME, Force, SettingsFields
from .kill_switch import ForceEntry, Location, extract_forces, read_entry, strongest
from .settings_hash import hash_of
from .sources import (
    SOURCES,
    FileSource,
    KillSwitchSource,
    Sources,
    UnmergedSource,
    VariablesSource,
)
from .validation_errors import Locate, explain

_OBJECTS = frozenset({"flags", "observers"})
_SECRET = frozenset({"memory", "memory_key"})
_LONGEST_LINE = 4000  # characters of a log line

logger = logging.getLogger("adapter")


class Settings(BaseSettings, SettingsFields):
    """How the adapter handles the calls of one client.

    Each setting can be an argument, an environment variable (`ADAPTER_BACKEND`, …; lists with
    commas, the rest as JSON; an empty one is unset) or an entry of a TOML file: the one that
    `config_file` or `ADAPTER_CONFIG` names, with the settings at its top or in the table
    `[tool.adapter]`. Arguments beat the environment, which beats the file; but `force` counts
    wherever it is written. The file is read again when it changes; arguments are fixed.
    `_env_file`, `_env_file_encoding` and `_secrets_dir` are those of pydantic-settings: files with
    variables, and a folder with one file per variable, below the environment and above the file.

    Raises ConfigurationError, with the name of the setting first, for an invalid value and for an
    unknown name. Where there is a `force`, only for arguments: a mistake in the file or the
    environment is logged then, and the default is used in its place.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )

    flags: Any = Field(default=None, exclude=True)
    """A client of OpenFeature, for the flag `openai-backend`."""

    observers: tuple[Any, ...] = Field(default=(), exclude=True)
    """Callables that get one `Record` for every call."""

    memory: Any = Field(default="memory://", repr=False)
    """The same as in a file, a client of redis-py (`redis.Redis`, `redis.RedisCluster`, or
    `redis.asyncio.Redis` for async calls alone), or a store of the program's own (`adapter.Store`).
    A URL with a password is kept as a `pydantic.SecretStr`, which shows itself without it, also in
    dumps and JSON; `get_secret_value()` returns the whole URL. Settings accept a SecretStr, too."""

    _arguments: dict[str, Any] = pydantic.PrivateAttr(default_factory=dict)
    _settings_file: settings_file.SettingsFile | None = pydantic.PrivateAttr(default=None)
    _reloader: Any = pydantic.PrivateAttr(default=None)  # see adapter/_routing/reload.py
    _problem: str = pydantic.PrivateAttr(
        default=""
    )  # what was invalid, where a force made up for it
    _remarks: str = pydantic.PrivateAttr(default="")  # what is wrong with the force itself

    def __init__(
        self, *, config_file: str | os.PathLike[str] | None = None, **arguments: Unpack[Arguments]
    ) -> None:
        values: dict[str, Any] = {**arguments}
        environment.check_options(values)
        options = {
            name: values.pop(name, self.model_config.get(name[1:])) for name in environment.OPTIONS
        }
        values |= environment.with_absolute_paths(
            {name: value for name, value in options.items() if value is not None}
        )
        named = config_file or environment.read(values).get(CONFIG)
        document = None
        if named:
            try:
                document = settings_file.read(named)
            except ConfigurationError as error:
                document = settings_file.unreadable_file(named, str(error))
        self._load(document, values, lenient=True)
        if self._problem or self._remarks:
            logger.error("%s", self.force_message())

    @classmethod
    def from_file(
        cls,
        settings_file: settings_file.SettingsFile | None,
        arguments: dict[str, Any],
        *,
        lenient: bool = False,
    ) -> Self:
        """Make settings of earlier arguments with another state of their file.

        `lenient`: where there is a force, invalid values are left out.
        """
        made = cls.__new__(cls)
        made._load(settings_file, arguments, lenient=lenient)
        return made

    def with_force(self, force: Force) -> Self:
        """Return a copy with another force."""
        made = self.__copy__()
        made.__dict__ = {**self.__dict__, "force": force}
        made.__dict__.pop("hash", None)
        made._reloader = None
        return made

    def force_message(self) -> str:
        """Return the log line for a kill switch with something wrong beside it."""
        why = "; ".join(filter(None, (self._remarks, self._problem)))
        return safe_names.printable(
            f"settings={self.hash} force={self.force}: "
            f"the kill switch holds, and something is wrong: {why}",
            _LONGEST_LINE,
        )

    def _load(
        self,
        settings_file: settings_file.SettingsFile | None,
        arguments: dict[str, Any],
        *,
        lenient: bool,
    ) -> None:
        variables = environment.read(arguments)
        force, remarks = _effective_force(
            find_forces(settings_file, arguments, variables), arguments
        )
        values = {
            name: value
            for name, value in arguments.items()
            if name not in ("force", *environment.OPTIONS)
        }
        if "rules" in values:
            values["rules"], _ = extract_forces(values["rules"])
        sources = Sources(
            {} if settings_file is None else settings_file.data,
            {"force": force},
            variables.values(),
        )
        log_handler.configure_log(variables)
        environment.warn_of_unknown(variables, type(self).model_fields)
        problem = ""
        try:
            if variables.problem:
                raise ConfigurationError(variables.problem)
            environment.check_objects(variables, _OBJECTS)
            if settings_file is not None:
                check_file(settings_file)
            self._read(
                sources,
                values,
                lambda location: _place_of(location, values, variables, settings_file),
            )
        except Exception as error:
            if force is None or not lenient:
                raise
            problem = str(error) if isinstance(error, AdapterError) else type(error).__name__
            self._read_valid(sources, values)
        self._arguments = {
            name: getattr(self, name) if name in _SECRET else value
            for name, value in arguments.items()
        }
        self._settings_file, self._problem, self._remarks = settings_file, problem, remarks

    def _read(self, sources: Sources, values: dict[str, Any], where: Locate = lambda _: "") -> None:
        token = SOURCES.set(sources)
        problem = ""
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            problem = explain(error, where, type(self).model_fields)
        except SettingsError as error:  # invalid JSON in a variable
            named = re.search(r'field "(\w+)"', str(error))
            name = named[1] if named else "settings"
            problem = f"{name}: not JSON ({where((name,))})"
        finally:
            SOURCES.reset(token)
        if problem:  # not raised in a handler, whose exception holds the values, passwords included
            raise ConfigurationError(problem)

    def _read_valid(self, sources: Sources, values: dict[str, Any]) -> None:
        """Read the arguments, and those values of the file and the environment that are valid.

        Raises ConfigurationError for invalid arguments.
        """
        kept = replace(sources, file={}, variables={})
        self._read(kept, values)
        names = list(type(self).model_fields)
        candidates = [
            replace(kept, file={name: sources.file[name]}) for name in names if name in sources.file
        ]
        candidates += [
            replace(kept, variables={variable: sources.variables[variable]})
            for name in names
            if (variable := PREFIX + name.upper()) in sources.variables
        ]
        invalid: list[str] = []
        for one in candidates:
            wider = replace(
                kept, file={**kept.file, **one.file}, variables={**kept.variables, **one.variables}
            )
            try:
                self._read(wider, values)
                kept = wider
            except Exception:  # noqa: BLE001  # whatever is wrong with it, it is left out
                invalid += [*one.file, *one.variables]
        of_memory = ("memory", f"{PREFIX}MEMORY")
        if any(name.startswith(of_memory) for name in invalid):
            # The valid rest could mean another store, or an unencrypted one: use no memory at all.
            file = {
                name: value for name, value in kept.file.items() if not name.startswith(of_memory)
            }
            variables = {
                name: value
                for name, value in kept.variables.items()
                if not name.startswith(of_memory)
            }
            kept = Sources(file, {**kept.forced, "carry_reasoning": "never"}, variables)
        self._read(kept, values)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in order of precedence, the kill switch first."""
        variables = VariablesSource(settings_cls, env_settings)
        file = UnmergedSource(settings_cls, FileSource(settings_cls))
        return KillSwitchSource(settings_cls), init_settings, variables, file

    @pydantic.field_validator("flags")
    @classmethod
    def _flags(cls, value: Any) -> Any:
        if value is not None and not callable(getattr(value, "get_string_details", None)):
            raise ValueError("expected a client of OpenFeature")
        if value is not None and find_spec("openfeature") is None:
            raise MissingExtra("flags need OpenFeature (extra `openfeature`)")
        return value

    @pydantic.field_validator("observers")
    @classmethod
    def _observers(cls, value: Any) -> Any:
        check(value)
        return value

    @pydantic.field_serializer("memory", when_used="json")
    def _serialize_memory(self, value: Any) -> str:
        return (
            str(value) if isinstance(value, (str, pydantic.SecretStr)) else type(value).__qualname__
        )

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal digits for these settings (docs/decisions.md#settings-hash)."""
        return hash_of(self)

    # `_reloader` belongs to this object alone: a copy with other values gets its own, and it can't
    # be pickled.

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy; the values in `update` are validated, and count as arguments."""
        if not update:
            return self.__copy__()
        given = {
            name: value
            for name, value in self._arguments.items()
            if OTHER_NAME.get(name) not in update
        }
        return type(self).from_file(self._settings_file, {**given, **update}, lenient=True)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.__copy__()

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {
            **state,
            "__pydantic_private__": {**state["__pydantic_private__"], "_reloader": None},
        }


def find_forces(
    settings_file: settings_file.SettingsFile | None,
    arguments: Mapping[str, Any],
    variables: Environment | None = None,
) -> Iterator[tuple[ForceEntry, str]]:
    """Yield every force of the arguments, the variables and the file, with its place."""
    if "force" in arguments:
        yield read_entry(("force",), arguments["force"]), "argument"
    for entry in extract_forces(arguments.get("rules"), ("rules",))[1]:
        yield entry, "argument"
    variables = variables or environment.read(arguments)
    for value, place in variables.values_of(f"{PREFIX}FORCE"):
        yield read_entry(("force",), value), place
    for value, place in variables.values_of(f"{PREFIX}RULES"):
        with suppress(ValueError, RecursionError):
            for entry in extract_forces(json.loads(value), ("rules",))[1]:
                yield entry, place
    if settings_file is not None:
        for entry in settings_file.forces:
            yield entry, settings_file.where_force(entry)


def _effective_force(
    forces: Iterable[tuple[ForceEntry, str]], arguments: Mapping[str, Any]
) -> tuple[Force | None, str]:
    """Return the force that takes precedence, and remarks on those that are written wrongly."""
    values: list[Force | None] = []
    remarks = []
    for entry, place in forces:
        values.append(entry.value)
        if not entry.known:
            remarks.append(
                "force: unknown, so it counts as native; "
                f"expected chat, native or responses ({place})"
            )
        if entry.value is not None and entry.misplaced:
            path = ".".join(map(str, entry.location))
            remarks.append(f"{path}: counts as force, at the top ({place})")
    force = strongest(values)
    # An explicit force=None of the program cancels `responses`, which is no kill switch.
    if force == "responses" and arguments.get("force", "") is None:
        force = None
    return force, "; ".join(dict.fromkeys(remarks))


def check_file(settings_file: settings_file.SettingsFile) -> None:
    """Raise ConfigurationError for a mistake in the file, even if other sources override it."""
    for name in _OBJECTS & settings_file.data.keys():
        raise ConfigurationError(
            f"{name}: an object, which can only be given as an argument "
            f"({settings_file.where((name,))})"
        )
    if settings_file.problem:
        raise ConfigurationError(settings_file.problem)
    problem = ""
    try:
        SettingsFields.model_validate(settings_file.data)
    except pydantic.ValidationError as error:
        problem = explain(error, settings_file.where, Settings.model_fields)
    if problem:
        raise ConfigurationError(problem)


def _place_of(
    location: Location,
    values: dict[str, Any],
    variables: Environment,
    settings_file: settings_file.SettingsFile | None,
) -> str:
    name = str(location[0]) if location else ""
    if name in values:
        return ""
    variable = variables.where(PREFIX + name.upper())
    if variable is not None:
        return variable
    return "" if settings_file is None else settings_file.where(location)
