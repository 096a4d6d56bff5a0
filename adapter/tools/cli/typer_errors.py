"""Word the mistakes that typer finds in a command line, each in one line.

The line begins with the option or the argument.
"""

from __future__ import annotations

import re
from typing import Any

from .commands import suggestion

_EXTRA_ARGUMENT = re.compile(r"unexpected extra argument(?:s|\(s\))? \((?P<which>.*)\)", re.DOTALL)
_SIMPLIFICATIONS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), plain)
    for pattern, plain in (  # as typer words it with Pydantic; and as it did with click
        (r"^value error, ", ""),
        (r"^input should be (?:a valid )?", "expected "),
        (r", unable to parse .*", ""),
        (r"^'.*' is not a valid (?P<kind>integer|float|boolean)\b.*", r"expected \g<kind>"),
        (r"^.* is not in the range ", "expected "),
    )
)


def error_message(error: Any) -> str:
    """Word an error of typer's (its ClickException and the classes below it, which may be click's own)."""
    context, message = getattr(error, "ctx", None), str(getattr(error, "message", error)).strip()
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        of = "" if context is None else f" of {context.info_name}"
        return f"{option}: no such option{of}{suggestion(option, _options(context))}"
    if option is not None:
        return f"{option}: {_simplified(re.sub(r'^Option .*? (?=requires|does|takes|expect)', '', message))}"
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
    return [one for parameter in context.command.get_params(context) for one in (*parameter.opts, *parameter.secondary_opts)
            if one.startswith("--")]  # fmt: skip


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
