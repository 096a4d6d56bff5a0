"""The environment variables that settings are read from.

Those of the process beat those of `.env` files, which beat a directory of secrets. A variable that
is empty, or holds only white space, is unset (docs/decisions.md#settings).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from adapter._util import regular_files, safe_names
from adapter._util.log_once import Once
from adapter.errors import ConfigurationError

PREFIX = "ADAPTER_"
CONFIG, LOG = "ADAPTER_CONFIG", "ADAPTER_LOG"

OPTIONS = ("_env_file", "_env_file_encoding", "_secrets_dir")
"""The options of pydantic-settings that `Settings` takes, with defaults in `model_config`."""

_LARGEST = 1 << 20  # bytes of a secret
_LONGEST_NAME, _LONGEST_LINE = 100, 400

# The variables that Kubernetes sets for a service called `adapter`, or `adapter-…`.
_SERVICE = re.compile(
    r"(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)\w*)?)"
)

_WARNED = Once()

logger = logging.getLogger("adapter")


@dataclass(frozen=True, slots=True)
class VariableSource:
    """The variables of one source, by their names in upper case.

    `place` is the path of the file or folder, and empty for the process itself.
    """

    values: Mapping[str, str] = field(repr=False)  # may hold passwords
    place: str = ""

    def where(self, name: str) -> str:
        """Return a variable's name, with the path of its source."""
        return f"{name} in {self.place}" if self.place else name


@dataclass(frozen=True, slots=True)
class Environment:
    """All sources of variables, in order of precedence."""

    layers: tuple[VariableSource, ...]
    problem: str = ""
    """Why a source couldn't be read, beginning with the option that names it."""

    def values(self) -> dict[str, str]:
        """Return every variable with the value that takes precedence."""
        return {
            name: value for layer in reversed(self.layers) for name, value in layer.values.items()
        }

    def get(self, name: str) -> str | None:
        """Return a variable's value; None if it is unset."""
        return next((value for value, _ in self.values_of(name)), None)

    def where(self, name: str) -> str | None:
        """Return where a variable is set; None if it is unset."""
        return next((place for _, place in self.values_of(name)), None)

    def values_of(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield a variable's values and their places, in order of precedence."""
        for layer in self.layers:
            if name in layer.values:
                yield layer.values[name], layer.where(name)


def read(
    given: Mapping[str, Any] | None = None, process: Mapping[str, str] = os.environ
) -> Environment:
    """Read the variables; `given` are the arguments of `Settings`, of which OPTIONS matter.

    As in pydantic-settings, an `.env` file or a directory of secrets may be missing.
    """
    given = given or {}
    layers, problems = [VariableSource(_own_variables(process))], []
    readers: dict[str, Callable[[Path], Mapping[str, str | None]]] = {
        "_env_file": lambda path: _read_env_file(path, given.get("_env_file_encoding")),
        "_secrets_dir": lambda path: dict(_read_secrets(path)),
    }
    for option, reader in readers.items():
        for path in reversed(_paths(option, given.get(option))):
            try:
                layers.append(VariableSource(_own_variables(reader(path)), str(path)))
            except ConfigurationError as error:
                problems.append(str(error))
    return Environment(tuple(layers), "; ".join(problems))


def with_absolute_paths(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with absolute paths.

    They are read again when the settings file changes, perhaps from another working directory.
    """
    files = {
        name: _paths(name, given[name])
        for name in ("_env_file", "_secrets_dir")
        if given.get(name) is not None
    }
    return {**given, **files}


def check_options(given: Collection[str]) -> None:
    """Refuse other options of pydantic-settings, which would be ignored, if only in part."""
    for name in given:
        if name.startswith("_") and name not in OPTIONS:
            raise ConfigurationError(
                f"{safe_names.setting(name)}: not supported; expected one of {', '.join(OPTIONS)}"
            )


def check_objects(environment: Environment, objects: Collection[str]) -> None:
    """Refuse variables for settings that are objects."""
    for name in objects:
        place = environment.where(PREFIX + name.upper())
        if place is not None:
            raise ConfigurationError(f"{place}: an object, which can only be given as an argument")


def warn_of_unknown(environment: Environment, fields: Collection[str]) -> None:
    """Warn of variables that are not settings, each once in a process."""
    for name, message in unknown(environment, fields):
        if _WARNED.first(name):
            logger.warning("%s", message)


def unknown(environment: Environment, fields: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that are not settings, each with a warning.

    A misspelled setting has no effect. It isn't an error, since the variable may belong to another
    program.
    """
    known = {name.upper(): PREFIX + name.upper() for name in fields}
    known |= {"CONFIG": CONFIG, "LOG": LOG, "CONFIG_FILE": CONFIG}
    for name in environment.values():
        rest = name.removeprefix(PREFIX)
        if known.get(rest) == name or _SERVICE.fullmatch(rest):
            continue
        near = get_close_matches(rest[:_LONGEST_NAME], known, n=1)
        hint = f"; did you mean {known[near[0]]}?" if near else ""
        place = safe_names.printable(environment.where(name), _LONGEST_LINE)
        yield name, f"{place}: no such setting, ignored{hint}"


def _own_variables(variables: Mapping[str, str | None]) -> dict[str, str]:
    """Return the variables with our prefix that aren't empty, by names in upper case.

    As in pydantic-settings, the case of names doesn't matter.
    """
    named = (
        (name.upper(), value)
        for name, value in variables.items()
        if value is not None and value.strip()
    )
    return {name: value for name, value in named if name.startswith(PREFIX)}


def _paths(option: str, given: Any) -> tuple[Path, ...]:
    """Return the absolute paths of an option: one path, or several of which the last wins."""
    if given is None:
        return ()
    several = isinstance(given, Iterable) and not isinstance(given, (str, bytes, os.PathLike))
    paths = tuple(given) if several else (given,)
    if not all(isinstance(path, (str, os.PathLike)) for path in paths):
        raise ConfigurationError(f"{option}: expected a path, or a list of paths")
    return tuple(Path(path).expanduser().absolute() for path in paths)


def _read_env_file(path: Path, encoding: str | None) -> Mapping[str, str | None]:
    from dotenv import dotenv_values  # comes with pydantic-settings

    if not (path.is_file() or path.is_fifo()):
        return {}
    try:
        return dotenv_values(path, encoding=encoding or "utf-8")
    except (OSError, ValueError, LookupError) as error:  # LookupError: no such encoding
        why = (
            error.strerror
            if isinstance(error, OSError) and error.strerror
            else type(error).__name__
        )
        if isinstance(error, UnicodeDecodeError):
            why = f"not {error.encoding}; _env_file_encoding names another encoding"
        elif isinstance(error, LookupError):
            raise ConfigurationError("_env_file_encoding: no such encoding") from None
    raise ConfigurationError(f"_env_file: {path}: {why}")


def _read_secrets(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the names and contents of the files in a directory, each a variable.

    Links that lead out of the directory are skipped.
    """
    if not folder.exists():
        if _WARNED.first(f"_secrets_dir {folder}"):
            logger.warning("_secrets_dir: %s: no such directory", safe_names.printable(folder))
        return
    if not folder.is_dir():
        raise ConfigurationError(f"_secrets_dir: {folder}: not a directory")
    inside = folder.resolve()
    for path in sorted(folder.iterdir()):
        if not path.name.upper().startswith(PREFIX) or inside not in path.resolve().parents:
            continue
        try:
            yield path.name, regular_files.read(path, _LARGEST).decode("utf-8").strip()
        except (regular_files.Unreadable, ValueError) as error:
            why = str(error) if isinstance(error, regular_files.Unreadable) else "not UTF-8"
            raise ConfigurationError(f"_secrets_dir: {path}: {why}") from None
