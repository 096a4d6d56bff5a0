"""Read dictionaries made from the project's classes: Pydantic models, dataclasses, TypedDicts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import libcst as cst

from .arguments import UNKNOWN, Arguments, ParameterSource
from .finder import last_name
from .literals import Literals
from .scopes import Place, Scope, text_of

_MAX_DEPTH = 24
_OMITTING_OPTIONS = ("exclude_none", "exclude_unset", "exclude_defaults")

DUMP_METHODS = frozenset({"model_dump", "dict", "_asdict", "asdict", "to_dict"})
"""Methods that return an object's fields as a dictionary."""

DUMP_FUNCTIONS = frozenset({"dataclasses.asdict", "attrs.asdict", "attr.asdict", "vars"})
"""Functions that return an object's fields as a dictionary."""


class ModelFields(Literals):
    """Read the fields of model objects."""

    @abstractmethod
    def read(self, args: Sequence[cst.Arg], scope: Scope, place: Place | None = None) -> Arguments:
        """Read a call's arguments."""

    def _dumped_fields(
        self,
        node: cst.BaseExpression,
        call: cst.Call,
        scope: Scope,
        place: Place | None,
        depth: int,
    ) -> Arguments:
        """Return the fields that a dump of a model object gives."""
        fields = self._model(node, scope, place, depth)
        if fields is None:
            return Arguments(sources=[ParameterSource(f"**{self._code(call.func)}()")])
        given = {arg.keyword.value: arg.value for arg in call.args if arg.keyword is not None}
        if any(
            name in given and self.value(given[name], scope, place) is not False
            for name in _OMITTING_OPTIONS
        ):
            fields = fields.as_optional()
        keys = self._names_in(given["include"], scope, place, depth) if "include" in given else None
        without = (
            self._names_in(given["exclude"], scope, place, depth) if "exclude" in given else None
        )
        return fields.limited(keys, without or ())

    def _model(
        self, node: cst.BaseExpression, scope: Scope, place: Place | None, depth: int
    ) -> Arguments | None:
        made = node
        if isinstance(node, (cst.Name, cst.Attribute)):
            found = self.definitions(node, scope, place)
            reaching = found.reaching()[0] if found is not None else []
            if len(reaching) == 1 and isinstance(reaching[0].value, cst.Call):
                made, scope_of, place = reaching[0].value, reaching[0].scope, reaching[0].place
                owner = self._symbols.follow(self._symbols.of(made.func, scope_of))
                if (
                    owner.defined is not None
                    and owner.defined.kind == "class"
                    and not owner.path.endswith("()")
                ):
                    return self._constructed(owner.defined, made, scope_of, place, depth)
        if isinstance(made, cst.Call):
            owner = self._symbols.follow(self._symbols.of(made.func, scope))
            if (
                owner.defined is not None
                and owner.defined.kind == "class"
                and not owner.path.endswith("()")
            ):
                return self._constructed(owner.defined, made, scope, place, depth)
        owner = self._symbols.follow(self._symbols.of(node, scope))
        if owner.defined is None or owner.defined.kind != "class":
            return None
        fields = self._fields(owner.defined, depth)
        if fields is not None:
            fields.values = dict.fromkeys(fields.values, UNKNOWN)
        return fields

    def _constructed(
        self, owner: Scope, call: cst.Call, scope: Scope, place: Place | None, depth: int
    ) -> Arguments | None:
        fields = self._fields(owner, depth)
        if fields is None:
            return None
        given = self.read(call.args, scope, place)
        for name, arg in zip(
            fields.values,
            [one for one in call.args if one.keyword is None and not one.star],
            strict=False,
        ):
            given.assign(name, self.value(arg.value, scope, place))
        fields.update(given.limited(None if fields.sources else frozenset(fields.values)))
        return fields

    def _fields(self, owner: Scope | None, depth: int) -> Arguments | None:
        """Return a class's annotated fields with their defaults; None if it has none."""
        if owner is None or depth > _MAX_DEPTH:
            return None
        found = Arguments()
        for base in owner.bases:
            above = self._symbols.follow(self._symbols.of(base, owner.parent or owner)).defined
            if above is not None and above is not owner and above.kind == "class":
                inherited = self._fields(above, depth + 1)
                if inherited is not None:
                    found.update(inherited)
        for name, bindings in owner.bindings.items():
            for one in bindings:
                if (
                    one.annotation is not None
                    and not name.startswith("_")
                    and name != "model_config"
                ):
                    value = self.value(one.value, owner, None) if one.value is not None else UNKNOWN
                    found.values[name] = value
        if self._allows_extra(owner):
            found.sources.append(ParameterSource(f"more fields of {owner.qualname}"))
        return found if found.values or found.sources else None

    def _allows_extra(self, owner: Scope) -> bool:
        """Return whether a Pydantic model keeps unknown fields."""
        for one in owner.bindings.get("model_config", []):
            if one.value is not None and "allow" in self._module.code_for_node(one.value):
                return True
        return False

    def _typed_dict_class(
        self, annotation: cst.BaseExpression | None, scope: Scope
    ) -> Scope | None:
        """Return the TypedDict of the project that an annotation names."""
        match annotation:
            case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=inner))]):
                name = annotation.value
                return (
                    self._typed_dict_class(inner, scope)
                    if last_name(name) in ("Unpack", "Optional", "Annotated")
                    else None
                )
            case cst.SimpleString():
                text = text_of(annotation) or ""
                return (
                    self._typed_dict_class(cst.Name(text), scope) if text.isidentifier() else None
                )
            case cst.Name() | cst.Attribute():
                found = self._symbols.follow(self._symbols.of(annotation, scope)).defined
                return (
                    found
                    if found is not None and found.kind == "class" and self._is_typed_dict(found)
                    else None
                )
        return None

    def _is_typed_dict(self, owner: Scope, depth: int = 0) -> bool:
        for base in owner.bases if depth < 8 else ():
            above = self._symbols.follow(self._symbols.of(base, owner.parent or owner)).defined
            if last_name(base) == "TypedDict" or (
                above is not None and above is not owner and self._is_typed_dict(above, depth + 1)
            ):
                return True
        return False

    def _names_in(
        self, node: cst.BaseExpression, scope: Scope, place: Place | None, depth: int
    ) -> frozenset[str] | None:
        if isinstance(node, cst.Name):
            found = self.definitions(node, scope, place)
            reaching = found.reaching()[0] if found is not None and not found.changes else []
            if len(reaching) != 1 or reaching[0].value is None or depth > _MAX_DEPTH:
                return None
            return self._names_in(
                reaching[0].value, reaching[0].scope, reaching[0].place, depth + 1
            )
        if isinstance(node, cst.Call) and len(node.args) == 1:  # frozenset({…})
            return self._names_in(node.args[0].value, scope, place, depth + 1)
        if isinstance(node, cst.Dict):
            names = [
                text_of(one.key) if isinstance(one, cst.DictElement) else None
                for one in node.elements
            ]
        elif isinstance(node, (cst.Set, cst.List, cst.Tuple)):
            names = [text_of(one.value) for one in node.elements]
        else:
            names = [text_of(node)]
        found_names = frozenset(one for one in names if one is not None)
        return found_names if len(found_names) == len(names) else None

    def _code(self, node: cst.BaseExpression) -> str:
        code = " ".join(self._module.code_for_node(node).split())
        return (
            code
            if isinstance(node, (cst.Name, cst.Attribute)) and len(code) <= 40
            else "an expression"
        )
