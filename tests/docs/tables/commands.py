"""The tables of the command line."""

from __future__ import annotations

import inspect
from typing import Any

from typer.main import get_command

from adapter.tools.cli import exit_codes as codes_module
from adapter.tools.cli.app import _new_app
from adapter.tools.cli.commands import _EXTRAS, COMMANDS, Command

from . import code, codes, table

EXIT_CODES = {
    0: "all is well",
    codes_module.EXIT_FINDINGS: "the command worked, and found something to look at: a failed check of the doctor, `--check`, `--fail-on`, files that `--fix` couldn't write, log lines that can't be read, outcomes that differ",
    codes_module.EXIT_USAGE: "it was used wrongly, or can't work with what it was given: one line on stderr, `adapter: …`, which begins with the option or path",
    codes_module.EXIT_INTERRUPTED: "it was interrupted",
}  # fmt: skip


def overview() -> str:
    """Return one row for each command."""
    rows = [
        (f"[`{one.name}`](#{one.name})", one.help, codes(_extras(one))) for one in COMMANDS.values()
    ]
    return table(("command", "what it does", "needs the extras"), rows)


def described() -> str:
    """Return a section for each command: its usage, arguments and options."""
    return "\n\n".join(_section(one) for one in COMMANDS.values())


def exit_codes() -> str:
    """Return one row for each exit code."""
    return table(("code", "what it means"), ((str(one), text) for one, text in EXIT_CODES.items()))


def _section(command: Command) -> str:
    single = _new_app()
    function = command.load()
    single.command(command.name)(function)
    made: Any = get_command(single)
    context = made.make_context(command.name, [], resilient_parsing=True)
    pieces = made.collect_usage_pieces(context)
    text = inspect.cleandoc(made.help or function.__doc__ or "")
    parts = [
        f"## `{command.name}` {{#{command.name}}}",
        f"```text\nadapter {command.name} {' '.join(pieces)}\n```",
        text,
    ]
    for kind in ("argument", "option"):
        shown = [one.get_help_record(context) for one in made.params if one.param_type_name == kind]
        rows = [(code(names), " ".join(meaning.split())) for names, meaning in filter(None, shown)]
        if rows:
            parts.append(table((kind, "meaning"), rows))
    return "\n\n".join(parts)


def _extras(command: Command) -> list[str]:
    return sorted({_EXTRAS[name] for name in command.needs})
