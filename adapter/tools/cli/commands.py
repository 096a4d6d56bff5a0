"""The commands as data, which `adapter --help` lists even if their libraries aren't installed."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its help in one line, and a loader that imports its function.

    `needs` are the libraries that it imports beyond the core.
    """

    name: str
    help: str
    load: Callable[[], Callable[..., None]]
    needs: tuple[str, ...] = ("typer", "rich")


# Import statements, because tools that build executables follow only these.


def _audit() -> Callable[..., None]:
    from .audit import audit

    return audit


def _demo() -> Callable[..., None]:
    from .demo import demo

    return demo


def _doctor() -> Callable[..., None]:
    from .doctor import doctor

    return doctor


def _explain() -> Callable[..., None]:
    from .explain import explain_

    return explain_


def _force() -> Callable[..., None]:
    from .force import force_

    return force_


def _scan() -> Callable[..., None]:
    from .scan import scan_

    return scan_


def _schema() -> Callable[..., None]:
    from .schema import schema

    return schema


COMMANDS: dict[str, Command] = {
    one.name: one
    for one in (
        Command(
            "audit", "Show which requests of your logs would move to the Responses API.", _audit
        ),
        Command(
            "demo",
            "Run programs on both APIs, side by side; without a key or the network.",
            _demo,
            ("typer", "rich", "vcr", "yaml"),
        ),
        Command("doctor", "Check this installation, its settings, memory and endpoints.", _doctor),
        Command("explain", "Show what becomes of one chat request, and why.", _explain),
        Command("force", "Write the kill switch into a settings file, or remove it.", _force),
        Command(
            "scan",
            "Find the calls that a code base makes, and change its imports.",
            _scan,
            ("typer", "rich", "libcst"),
        ),
        Command("schema", "Print the JSON schema of the settings file, for editors.", _schema),
    )
}

_EXTRAS = {
    "typer": "tools",
    "rich": "tools",
    "libcst": "tools",
    "vcr": "testing",
    "yaml": "testing",
}
_PACKAGES = {"vcr": "vcrpy", "yaml": "pyyaml"}

_USAGE = """\
Usage: adapter [OPTIONS] COMMAND [ARGS]...

  Run Chat Completions code on the Responses API.

Options:
  -V, --version                 Show the version and exit.
  --install-completion [SHELL]  Install completion of commands and options for this shell.
  --show-completion [SHELL]     Print the completion script for this shell.
  -h, --help                    Show this message and exit.

Commands:
"""


def usage() -> str:
    """Return the output of `adapter --help`: the commands, and the libraries that are missing."""
    width = max(map(len, COMMANDS))
    lines = [f"  {one.name:{width}}  {one.help}\n" for one in COMMANDS.values()]
    notes = [
        f"  {one.name:{width}}  {need}\n"
        for one in COMMANDS.values()
        if (need := missing_packages(one))
    ]
    if notes:
        lines += ["\nNot installed here:\n", *notes]
    return _USAGE + "".join(lines)


def missing_packages(command: Command) -> str:
    """Return which libraries a command lacks, with their extra; empty if it has all of them."""
    absent = [name for name in command.needs if not _is_installed(name)]
    if not absent:
        return ""
    extras = dict.fromkeys(f"`{_EXTRAS[name]}`" for name in absent)
    packages = ", ".join(_PACKAGES.get(name, name) for name in absent)
    return f"needs {packages} (extra {', '.join(extras)})"


def unknown_command(name: str) -> str:
    """Return the message for an unknown command, with a suggestion."""
    return f"{name}: no such command{suggestion(name, COMMANDS)}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a question whether a similar name was meant, empty if there is none."""
    found = difflib.get_close_matches(name[:100], list(known), 1)
    return f"; did you mean {found[0]}?" if found else ""


def _is_installed(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    return find_spec(name) is not None
