"""Symbols: what expressions stand for, as paths from an import.

A symbol's path is written as code would reach it: `openai.OpenAI().chat.completions.create`. A name
of another file of the project begins with that file's number (`@3.LLM().ask`); what isn't known is
`?`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from .known_clients import CLIENT
from .scopes import Scope

UNKNOWN = "?"
ANY = "*"  # an attribute whose name is known only at run time


@dataclass(frozen=True, slots=True)
class Symbol:
    """What an expression stands for.

    `presets` are the arguments of a partial; `defined` is a function or class of the project.
    """

    path: str = UNKNOWN
    presets: tuple[tuple[cst.Arg, Scope], ...] = ()
    defined: Scope | None = None


UNKNOWN_SYMBOL = Symbol()


def file_of(path: str) -> int | None:
    """Return the number of a symbol's file; None for a call of a module, which is meaningless."""
    number = path[1:].partition(".")[0]
    return int(number) if number.isdecimal() else None


def best_of(found: list[Symbol]) -> Symbol | None:
    """Return the best known symbol: a client first, then a known path, then any attribute."""
    known = [one for one in found if one.path != UNKNOWN]
    return next(
        (one for one in known if CLIENT.match(one.path)),
        next(
            (one for one in known if not one.path.startswith(UNKNOWN)),
            known[0] if known else None,
        ),
    )


def parts_of(annotation: cst.BaseExpression | None) -> Iterator[cst.BaseExpression]:
    """Yield the names in an annotation, also inside unions and subscripts."""
    match annotation:
        case cst.BinaryOperation():
            yield from parts_of(annotation.left)
            yield from parts_of(annotation.right)
        case cst.Subscript():
            for element in annotation.slice:
                if isinstance(element.slice, cst.Index):
                    yield from parts_of(element.slice.value)
        case cst.Name() | cst.Attribute():
            yield annotation
