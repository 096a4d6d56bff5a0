"""Error messages for settings that fail validation: the setting's path, the reason, the place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches

import pydantic

from adapter._util import safe_names

from .fields import Rule
from .kill_switch import Location
from .match import Match

Locate = Callable[[Location], str]
"""Return where a setting was written (a file with its line, or a variable); empty if unknown."""

_LONGEST_NAME = 100  # characters of an unknown name that are compared


def explain(error: pydantic.ValidationError, where: Locate, known: Iterable[str]) -> str:
    """Return one line with every problem; `known` are the names of all settings.

    No value is quoted, since it may be a password.
    """
    problems = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        location = problem["loc"]
        name = ".".join(map(safe_names.setting, location)) or "settings"
        message = problem["msg"].removeprefix("Value error, ")
        if message.startswith("models."):  # the message itself holds the path in the table
            name, _, message = message.partition(": ")
            location = ("models", *name.removeprefix("models.").rsplit(".", 1))
        if problem["type"] == "extra_forbidden":
            near = _nearest_name(location, known)
            message = "no such setting" + (f"; did you mean {near}?" if near else "")
        elif problem["type"] == "tuple_type":
            message = "expected a list" + (
                " of tables, [[rules]] in TOML" if location == ("rules",) else ""
            )
        place = where(location)
        problems.append(f"{name}: {message}" + (f" ({place})" if place else ""))
    return "; ".join(problems)


def _nearest_name(location: Location, known: Iterable[str]) -> str:
    """Return the setting that an unknown name probably means; empty if none is near."""
    name = str(location[-1])
    if location[0] == "rules":
        inside = "match" in location[:-1]
        if not inside and name in Match.model_fields:  # written beside `match`
            return f"match.{name}"
        known = Match.model_fields if inside else Rule.model_fields
    return "".join(get_close_matches(name[:_LONGEST_NAME], list(known), n=1))
