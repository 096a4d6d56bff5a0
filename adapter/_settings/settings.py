"""The settings: arguments over `ADAPTER_*` environment variables over a file over defaults."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Self, Unpack

import pydantic
from pydantic import Field
from pydantic.fields import FieldInfo
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

_OBJECTS = frozenset({"flags", "observers"})
_SECRET = frozenset({"memory", "memory_key"})
_LONGEST_NAME, _LONGEST_LINE = 100, 4000  # of what is asked after, and of what is said

logger = logging.getLogger("adapter")


@dataclass(frozen=True, slots=True)
class _Sources:
    """What settings are read from beside arguments: the file's values, the variables, and what holds before all."""

    file: Mapping[str, Any]
    forced: Mapping[str, Any]
    variables: Mapping[str, str]


Locate = Callable[[Location], str]

_SOURCES: ContextVar[_Sources] = ContextVar("adapter.settings.reading")


class Settings(BaseSettings, SettingsFields):
    """What the adapter does with the calls of one client.

    Each setting can be given as an argument, as an environment variable (`ADAPTER_BACKEND`, …; lists
    with commas, the rest as JSON; an empty one is unset) or in a file: the one that `config_file` or
    `ADAPTER_CONFIG` names, TOML, with the settings at its top or in the table `[tool.adapter]`.
    Arguments beat the environment, which beats the file; but `force` counts wherever it stands. The
    file is read again when it changes; what was given as an argument stays. `_env_file`,
    `_env_file_encoding` and `_secrets_dir` are those of pydantic-settings: files with variables, and a
    folder with a file for each, below the environment and above the settings file.

    Raises ConfigurationError, with the name of the setting first, for a value that can't be and for a name that is none. Where
    there is a `force`, only for arguments: what is wrong in the file or the environment is logged then, and its default holds.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )

    flags: Any = Field(default=None, exclude=True)
    """A client of OpenFeature, which is asked for the flag `openai-backend`."""

    observers: tuple[Any, ...] = Field(default=(), exclude=True)
    """Callables that get one `Record` for every call."""

    memory: Any = Field(default="memory://", repr=False)
    """The same as in a file, a client of redis-py (`redis.Redis`, `redis.RedisCluster`, `redis.asyncio.Redis` for async calls alone),
    or a store of the program's own (`adapter.Store`). A URL with a password in it is kept as a `pydantic.SecretStr`, which shows
    itself, in dumps and in JSON without it; `get_secret_value()` gives it whole, and settings take it as it is."""

    _arguments: dict[str, Any] = pydantic.PrivateAttr(default_factory=dict)
    _settings_file: settings_file.SettingsFile | None = pydantic.PrivateAttr(default=None)
    _reloader: Any = pydantic.PrivateAttr(default=None)  # see live.py
    _problem: str = pydantic.PrivateAttr(
        default=""
    )  # what was wrong, where a force holds all the same
    _remarks: str = pydantic.PrivateAttr(default="")  # what is odd about the force itself

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
        """Make the settings that the arguments of before give with another state of their file.

        `lenient`: where there is a force, what is wrong is left out.
        """
        made = cls.__new__(cls)
        made._load(settings_file, arguments, lenient=lenient)
        return made

    def with_force(self, force: Force) -> Self:
        """Make a copy with a force laid over it."""
        made = self.__copy__()
        made.__dict__ = {**self.__dict__, "force": force}
        made.__dict__.pop("hash", None)
        made._reloader = None
        return made

    def force_message(self) -> str:
        """Say that the kill switch holds, and what is wrong beside it."""
        why = "; ".join(filter(None, (self._remarks, self._problem)))
        return safe_names.printable(
            f"settings={self.hash} force={self.force}: the kill switch holds, and something is wrong: {why}",
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
        reading = _Sources(
            {} if settings_file is None else settings_file.data,
            {"force": force},
            variables.values(),
        )
        log_handler.configure_log(variables)
        environment.warn_of_unknown(variables, type(self).model_fields)
        trouble = ""
        try:
            if variables.problem:
                raise ConfigurationError(variables.problem)
            environment.check_objects(variables, _OBJECTS)
            if settings_file is not None:
                check_file(settings_file)
            self._read(
                reading,
                values,
                lambda location: _place_of(location, values, variables, settings_file),
            )
        except Exception as error:
            if force is None or not lenient:
                raise
            trouble = str(error) if isinstance(error, AdapterError) else type(error).__name__
            self._read_valid(reading, values)
        self._arguments = {
            name: getattr(self, name) if name in _SECRET else value
            for name, value in arguments.items()
        }
        self._settings_file, self._problem, self._remarks = settings_file, trouble, remarks

    def _read(
        self, sources: _Sources, values: dict[str, Any], where: Locate = lambda _: ""
    ) -> None:
        token = _SOURCES.set(sources)
        problem = ""
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            problem = _explain(error, where)
        except SettingsError as error:  # a variable's JSON, which pydantic-settings reads
            named = re.search(r'field "(\w+)"', str(error))
            name = named[1] if named else "settings"
            problem = f"{name}: not JSON ({where((name,))})"
        finally:
            _SOURCES.reset(token)
        if (
            problem
        ):  # outside of the handlers: their exceptions hold what was given, passwords included
            raise ConfigurationError(problem)

    def _read_valid(self, sources: _Sources, values: dict[str, Any]) -> None:
        """Read arguments, and of the file and the environment what is sound, one after the other. Raises for wrong arguments."""
        kept = replace(sources, file={}, variables={})
        self._read(kept, values)
        names = list(type(self).model_fields)
        tried = [
            replace(kept, file={name: sources.file[name]}) for name in names if name in sources.file
        ]
        tried += [
            replace(kept, variables={variable: sources.variables[variable]})
            for name in names
            if (variable := PREFIX + name.upper()) in sources.variables
        ]
        unsound: list[str] = []
        for one in tried:
            wider = replace(
                kept, file={**kept.file, **one.file}, variables={**kept.variables, **one.variables}
            )
            try:
                self._read(wider, values)
                kept = wider
            except Exception:  # noqa: BLE001  # whatever is wrong with it, it is left out
                unsound += [*one.file, *one.variables]
        of_memory = ("memory", f"{PREFIX}MEMORY")
        if any(name.startswith(of_memory) for name in unsound):
            # Half of what was said of the memory may be another memory, or an unsealed one: rather none.
            file = {
                name: value for name, value in kept.file.items() if not name.startswith(of_memory)
            }
            variables = {
                name: value
                for name, value in kept.variables.items()
                if not name.startswith(of_memory)
            }
            kept = _Sources(file, {**kept.forced, "carry_reasoning": "never"}, variables)
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
        """Rank the sources, with the kill switch before all of them."""
        variables, file = (
            _Variables(settings_cls, env_settings),
            _Unmerged(settings_cls, _File(settings_cls)),
        )
        return _KillSwitch(settings_cls), init_settings, variables, file

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
        """Twelve hexadecimal digits that tell one set of settings from another; see hashing.py."""
        return hash_of(self)

    # What reads the file again belongs to this object alone: copies with other values have their own, and it can't be pickled.

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Make a copy; what `update` gives is checked, and counts as arguments."""
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


class _File(PydanticBaseSettingsSource):
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise AssertionError("read as a whole")

    def __call__(self) -> dict[str, Any]:
        return dict(_SOURCES.get().file)


class _Unmerged(PydanticBaseSettingsSource):
    """A source whose values take the place of those below as a whole: pydantic-settings would merge tables."""

    def __init__(
        self, settings_cls: type[BaseSettings], source: PydanticBaseSettingsSource
    ) -> None:
        super().__init__(settings_cls)
        self._source = source

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise AssertionError("read as a whole")

    def __call__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self._source().items() if name not in self.current_state
        }


class _Variables(_Unmerged):
    """The variables that count, read as pydantic-settings reads those of the process."""

    def __call__(self) -> dict[str, Any]:
        source: Any = self._source
        source.env_vars = {name.lower(): value for name, value in _SOURCES.get().variables.items()}
        values = super().__call__()
        if "rules" in values:
            values["rules"], _ = extract_forces(values["rules"])
        return values


class _KillSwitch(PydanticBaseSettingsSource):
    """What holds before everything else: the kill switch, from whatever source."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise AssertionError("read as a whole")

    def __call__(self) -> dict[str, Any]:
        return dict(_SOURCES.get().forced)


def find_forces(
    settings_file: settings_file.SettingsFile | None,
    arguments: Mapping[str, Any],
    variables: Environment | None = None,
) -> Iterator[tuple[ForceEntry, str]]:
    """Give every force of the arguments, the variables and the file, with the place that it stands in."""
    if "force" in arguments:
        yield read_entry(("force",), arguments["force"]), "argument"
    for one in extract_forces(arguments.get("rules"), ("rules",))[1]:
        yield one, "argument"
    variables = variables or environment.read(arguments)
    for value, place in variables.values_of(f"{PREFIX}FORCE"):
        yield read_entry(("force",), value), place
    for value, place in variables.values_of(f"{PREFIX}RULES"):
        with suppress(ValueError, RecursionError):
            for one in extract_forces(json.loads(value), ("rules",))[1]:
                yield one, place
    if settings_file is not None:
        for one in settings_file.forces:
            yield one, settings_file.where_force(one)


def _effective_force(
    forces: Iterable[tuple[ForceEntry, str]], arguments: Mapping[str, Any]
) -> tuple[Force | None, str]:
    """Return the force that beats all others, and what is odd about how some of them are said."""
    values: list[Force | None] = []
    odd = []
    for one, place in forces:
        values.append(one.value)
        if not one.known:
            odd.append(
                f"force: unknown, so it counts as native; expected chat, native or responses ({place})"
            )
        if one.value is not None and one.misplaced:
            odd.append(f"{'.'.join(map(str, one.location))}: counts as force, at the top ({place})")
    force = strongest(values)
    if (
        force == "responses" and arguments.get("force", "") is None
    ):  # a program that says that there is none
        force = None
    return force, "; ".join(dict.fromkeys(odd))


def check_file(settings_file: settings_file.SettingsFile) -> None:
    """Refuse what is wrong in the file itself, also where something else has the last word."""
    for name in _OBJECTS & settings_file.data.keys():
        raise ConfigurationError(
            f"{name}: an object, which can only be given as an argument ({settings_file.where((name,))})"
        )
    if settings_file.problem:
        raise ConfigurationError(settings_file.problem)
    problem = ""
    try:
        SettingsFields.model_validate(settings_file.data)
    except pydantic.ValidationError as error:
        problem = _explain(error, settings_file.where)
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


def _explain(error: pydantic.ValidationError, where: Locate) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        location = problem["loc"]
        name = ".".join(map(safe_names.setting, location)) or "settings"
        message = problem["msg"].removeprefix("Value error, ")
        if message.startswith("models."):  # says by itself where in the table
            name, _, message = message.partition(": ")
            location = ("models", *name.removeprefix("models.").rsplit(".", 1))
        if problem["type"] == "extra_forbidden":
            near = _nearest_name(location)
            message = "no such setting" + (f"; did you mean {near}?" if near else "")
        elif problem["type"] == "tuple_type":
            message = "expected a list" + (
                " of tables, [[rules]] in TOML" if location == ("rules",) else ""
            )
        place = where(location)
        problems.append(f"{name}: {message}" + (f" ({place})" if place else ""))
    return "; ".join(problems)


def _nearest_name(location: Location) -> str:
    """Return the name that may have been meant where an unknown one stands."""
    from .fields import Rule
    from .match import Match

    name, known = str(location[-1]), list(Settings.model_fields)
    if location[0] == "rules":
        inside = "match" in location[:-1]
        if not inside and name in Match.model_fields:  # written beside the match
            return f"match.{name}"
        known = list(Match.model_fields if inside else Rule.model_fields)
    return "".join(get_close_matches(name[:_LONGEST_NAME], known, n=1))
