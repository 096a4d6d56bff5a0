"""Turn the errors that typer finds in a command line into one line that begins with the option."""

from __future__ import annotations

import re
from typing import Any

from .commands import suggestion

_EXTRA_ARGUMENT = re.compile(r"unexpected extra argument(?:s|\(s\))? \((?P<which>.*)\)", re.DOTALL)
_SIMPLIFICATIONS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), plain)
    for pattern, plain in (  # typer's wording with Pydantic, and with click
        (r"^value error, ", ""),
        (r"^input should be (?:a valid )?", "expected "),
        (r", unable to parse .*", ""),
        (r"^'.*' is not a valid (?P<kind>integer|float|boolean)\b.*", r"expected \g<kind>"),
        (r"^.* is not in the range ", "expected "),
    )
)


def error_message(error: Any) -> str:
    """Return the message for an error of typer: its ClickException, or that of click."""
    context, message = getattr(error, "ctx", None), str(getattr(error, "message", error)).strip()
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        of = "" if context is None else f" of {context.info_name}"
        return f"{option}: no such option{of}{suggestion(option, _options(context))}"
    if option is not None:
        text = re.sub(r"^Option .*? (?=requires|does|takes|expect)", "", message)
        return f"{option}: {_simplified(text)}"
    parameter = getattr(error, "param", None)
    name = _name(parameter, getattr(error, "param_hint", None))
    if name and hasattr(error, "param_type"):
        return f"{name}: missing"
    if name:
        return f"{name}: {_simplified(message)}"
    extra = _EXTRA_ARGUMENT.search(message)
    return f"{extra['which']}: not expected here" if extra else _simplified(message)


def _options(context: Any) -> list[str]:
    if context is None:
        return []
    return [
        one
        for parameter in context.command.get_params(context)
        for one in (*parameter.opts, *parameter.secondary_opts)
        if one.startswith("--")
    ]


def _name(parameter: Any, hint: Any) -> str:
    if parameter is not None:
        longest = max(parameter.opts or [""], key=len)
        if longest.startswith("-"):
            return str(longest)
        return str(parameter.metavar or parameter.name or "").strip("[]")
    return str(hint or "").strip("'")


def _simplified(message: str) -> str:
    text = message.strip().removesuffix(".")
    for pattern, plain in _SIMPLIFICATIONS:
        text = pattern.sub(plain, text)
    return text[:1].lower() + text[1:] if text[:2].istitle() else text
