"""Substitute a call's arguments for the parameters that a function passes on to Chat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import libcst as cst

from .arguments import ABSENT, UNKNOWN, Arguments, ParameterSource, Unknown, merge_sources
from .scopes import Place, Scope


class Reader(Protocol):
    """The parts of an ArgumentReader that are needed here."""

    def value(self, node: cst.BaseExpression, scope: Scope, place: Place | None = None) -> Any:
        """Return a literal's value, ABSENT, or Unknown."""

    def dictionary(
        self, node: cst.BaseExpression, scope: Scope, place: Place | None = None, depth: int = 0
    ) -> Arguments:
        """Return what is known of a dictionary."""

    def set_in(
        self,
        found: Arguments,
        key: str | None,
        value: cst.BaseExpression | None,
        scope: Scope,
        place: Place | None,
    ) -> None:
        """Set a key of a dictionary."""


def substitute_arguments(  # noqa: PLR0917
    reader: Reader,
    inner: Arguments,
    function: Scope,
    args: Sequence[cst.Arg],
    scope: Scope,
    place: Place | None,
    depth: int = 0,
) -> Arguments:
    """Return the arguments with the function's parameters replaced by what a call gives them."""
    given = _CallArguments(reader, function, args, scope, place, depth)
    found = Arguments()
    for one in inner.sources:
        if one.function != id(function):
            found.update(Arguments(sources=[one]))
            continue
        more = (
            given.rest() if one.parameter == function.keywords else given.dictionary(one.parameter)
        )
        more = more.limited(one.keys, one.without)
        found.update(more.as_optional() if one.weak else more)
    for name, value in inner.values.items():
        is_optional = name in inner.optional
        if isinstance(value, Unknown) and value.function == id(function):
            parameter = value.parameter
            value, may_be_missing, others = given.value(parameter)  # noqa: PLW2901
            is_optional = is_optional or may_be_missing
            if others:
                found.replaceable.add(name)
                found.sources = merge_sources(
                    [*found.sources, *(each.limited(frozenset({parameter})) for each in others)]
                )
        if name in inner.replaceable and name in found.values:
            continue
        replaceable = found.replaceable
        found.update(
            Arguments(
                {} if value is ABSENT else {name: value}, optional={name} if is_optional else set()
            )
        )
        found.replaceable |= replaceable & {name}
    return found


class _CallArguments:
    """The arguments that one call gives the parameters of a function."""

    def __init__(  # noqa: PLR0917
        self,
        reader: Reader,
        function: Scope,
        args: Sequence[cst.Arg],
        scope: Scope,
        place: Place | None,
        depth: int,
    ) -> None:
        self._reader = reader
        self._function = function
        self._context = (scope, place)
        self._depth = depth
        self._spread = Arguments()
        self._nodes: dict[str, cst.BaseExpression] = {}
        names = list(function.parameters[: function.positional])
        if function.is_bound():
            names = names[1:]
        starred = False
        for arg in args:
            if arg.keyword is not None:
                self._nodes[arg.keyword.value] = arg.value
            elif arg.star == "**":
                self._spread.update(reader.dictionary(arg.value, scope, place, depth))
            elif arg.star or starred:
                starred = True
            elif names:
                self._nodes[names.pop(0)] = arg.value

    def value(self, parameter: str) -> tuple[Any, bool, list[ParameterSource]]:
        """Return a parameter's value, whether it may be missing, and other sources of it."""
        if parameter in self._nodes:
            return self._reader.value(self._nodes[parameter], *self._context), False, []
        if parameter in self._spread.values:
            return self._spread.values[parameter], parameter in self._spread.optional, []
        more = [one for one in self._spread.sources if one.may_give(parameter)]
        default = self._function.defaults.get(parameter)
        if default is None:
            return UNKNOWN, False, more
        return self._reader.value(default, self._function.parent or self._function), False, more

    def dictionary(self, parameter: str) -> Arguments:
        """Return the dictionary that is given for a parameter."""
        if parameter in self._nodes:
            return self._reader.dictionary(self._nodes[parameter], *self._context, self._depth)
        default = self._function.defaults.get(parameter)
        if default is None or any(one.may_give(parameter) for one in self._spread.sources):
            return Arguments(
                sources=[ParameterSource(f"**{parameter} of {self._function.qualname}")]
            )
        return self._reader.dictionary(
            default, self._function.parent or self._function, None, self._depth
        )

    def rest(self) -> Arguments:
        """Return the arguments that go to the function's `**` parameter."""
        found = self._spread.copy()
        for name, node in self._nodes.items():
            if name not in self._function.parameters:
                self._reader.set_in(found, name, node, *self._context)
        return found.limited(None, self._function.parameters)
