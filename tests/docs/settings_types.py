"""The types of settings that are written from their fields: `python -m tests.docs.settings_types`.

Two modules of the package: the arguments of `Settings(...)` as type checkers see them, and the
settings of a call as the exchange reads them, which must not import the fields.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

from adapter._settings.environment import OPTIONS
from adapter._settings.fields import CallSettings, Rule
from adapter._settings.match import Match
from adapter._settings.settings import Settings

ROOT = Path(__file__).resolve().parents[2]

ACCEPTED = {
    "rollout": "float | str | None",
    "rules": "Iterable[Rule | RuleArguments]",
    "match": "Match | MatchArguments",
    "memory": "str | SecretStr | Store | Any  # or a client of redis-py",
    "memory_key": "str | SecretStr | Iterable[str | SecretStr]",
    "flags": "Any  # a client of OpenFeature",
    "observers": "Iterable[Callable[[Record], object]]",
}
"""The arguments of settings that take more than their types say."""

_ARGUMENTS = '''\
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
'''

_CALL_SETTINGS = '''\
"""The settings of a call, as the exchange reads them.

Written from `CallSettings` of `_settings/fields.py` by `make docs-tables`: the exchange imports no
settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol


class CallSettings(Protocol):
    """The settings that may differ from call to call."""
'''


def arguments() -> str:
    """Return the module `adapter/_settings/arguments.py`."""
    own, rest = _beyond(Rule), _beyond(Settings)
    classes = [
        _typed_dict("MatchArguments", "The arguments of a rule's `match`.", Match.model_fields),
        _typed_dict(
            "CallSettingsArguments",
            "The arguments that a rule takes as well.",
            CallSettings.model_fields,
        ),
        _typed_dict("RuleArguments", "The arguments of a rule.", own, "CallSettingsArguments"),
        _typed_dict("Arguments", "All arguments but `config_file`.", rest, "CallSettingsArguments")
        + "".join(f"    {name}: {_OPTIONS[name]}\n" for name in OPTIONS),
    ]
    return "\n\n".join((_ARGUMENTS, *classes))


def _beyond(model: type[CallSettings]) -> dict[str, FieldInfo]:
    """Return a model's fields without those of each call."""
    of_calls = CallSettings.model_fields
    return {name: field for name, field in model.model_fields.items() if name not in of_calls}


_OPTIONS = {
    "_env_file": "Paths | None",
    "_env_file_encoding": "str | None",
    "_secrets_dir": "Paths | None",
}


def call_settings() -> str:
    """Return the module `adapter/_exchange/call_settings.py`."""
    return _CALL_SETTINGS + "".join(
        f"\n    @property\n    def {name}(self) -> {_value(field.annotation)}:\n"
        f'        """The setting `{name}`."""\n'
        for name, field in CallSettings.model_fields.items()
        if not field.exclude  # an earlier name
    )


MODULES = {
    ROOT / "adapter" / "_settings" / "arguments.py": arguments,
    ROOT / "adapter" / "_exchange" / "call_settings.py": call_settings,
}


def _typed_dict(
    name: str,
    meaning: str,
    fields: Mapping[str, FieldInfo],
    base: str = "TypedDict",
) -> str:
    lines = [f"class {name}({base}, total=False):", f'    """{meaning}"""', ""]
    lines += [f"    {field}: {_argument(field, info)}" for field, info in fields.items()]
    return "\n".join(lines) + "\n"


def _argument(name: str, field: FieldInfo) -> str:
    """Return the types that an argument may have."""
    value = field.annotation
    if name in ACCEPTED:
        return ACCEPTED[name]
    as_text = NoDecode in field.metadata  # a validator splits strings
    if get_origin(value) is tuple:
        item = _value(get_args(value)[0])
        return f"{'str' if as_text else item} | Iterable[{item}]"
    return _value(value) + (" | str" if as_text else "")


def _value(hint: Any) -> str:
    """Return a type as source text, with nothing of this package in it."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _value(parts[0])
    if origin in (Union, UnionType):
        return " | ".join(map(_value, parts))
    if origin is Literal:
        return f"Literal[{', '.join(_quoted(parts))}]"
    if origin is tuple:
        return f"tuple[{_value(parts[0])}, ...]"
    if origin is Mapping:
        return f"Mapping[{', '.join(map(_value, parts))}]"
    if origin is not None:
        raise TypeError(f"{hint} has no source text here: give the setting a row of ACCEPTED")
    if hint is NoneType:
        return "None"
    return "Any" if hint is Any else str(hint.__name__)


def _quoted(values: Iterable[str]) -> list[str]:
    return [f'"{value}"' for value in values]


def main() -> None:
    """Write the modules that aren't current, formatted."""
    for path, make in MODULES.items():
        command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(path), "-"]
        done = subprocess.run(
            command, input=make(), cwd=ROOT, capture_output=True, text=True, check=True
        )
        if not path.exists() or path.read_text(encoding="utf-8") != done.stdout:
            path.write_text(done.stdout, encoding="utf-8")
            print(path.name)


if __name__ == "__main__":
    main()
