"""Notes on code that `adapter scan --fix` doesn't change, for the code's owner."""

from __future__ import annotations

import libcst as cst
from libcst import helpers

from .known_clients import CLIENTS
from .module_tree import ModuleTree
from .symbols import Collector, text_of

CLIENT_ALIASES = {"Client": "OpenAI", "AsyncClient": "AsyncOpenAI"}
"""The SDK's aliases of its clients, which the adapter doesn't export."""

_MODULE_CLIENT = ("openai.chat.completions.", "openai.beta.chat.completions.")
_TAKES_TYPES = frozenset({"isinstance", "issubclass", "cast", "TypeVar", "NewType"})
_SPEC_KEYWORDS = frozenset({"spec", "spec_set", "autospec"})


def alias_note(name: str) -> str | None:
    """Return a note on an alias of a client, or None if the name is no alias."""
    client = CLIENT_ALIASES.get(name)
    return (
        None
        if client is None
        else f"{name} is the SDK's alias of {client}: use {client} and run this again"
    )


def passes_class_on(tree: ModuleTree, node: cst.BaseExpression) -> bool:
    """Return whether a reference passes the class to code that may instantiate it."""
    above = tree.outermost_value(node)[1]
    if isinstance(above, cst.Arg):
        if above.keyword is not None and above.keyword.value in _SPEC_KEYWORDS:
            return False
        call = tree.parent(above)
        return isinstance(call, cst.Call) and _last(call.func) not in _TAKES_TYPES
    return isinstance(
        above,
        (
            cst.Assign,
            cst.AnnAssign,
            cst.Return,
            cst.DictElement,
            cst.Element,
            cst.Lambda,
            cst.Param,
        ),
    )


def module_client_note(node: cst.Call) -> str | None:
    """Return a note on a call of the SDK's module-level client, or None for any other call."""
    name = helpers.get_full_name_for_node(node.func) or ""
    if not name.startswith(_MODULE_CLIENT):
        return None
    return (
        "calls the SDK's module-level client, which no import can change: "
        "call adapter.install(openai) once it is configured"
    )


def text_reference_note(module: cst.Module, node: cst.Call) -> str | None:
    """Return a note on a call that gets the SDK or a client class by a name in a string, or None.

    There is no import statement that `--fix` could change.
    """
    texts = [text_of(arg.value) for arg in node.args[:2]]
    last = _last(node.func)
    if last in ("import_module", "__import__") and texts[:1] == ["openai"]:
        if not any(f".{one}" in module.code for one in CLIENTS):
            return None
    elif last != "getattr" or len(texts) < 2 or texts[1] not in CLIENTS:
        return None
    return "gets the SDK or its client by a name in a string: there is no import to change"


def _last(node: cst.BaseExpression) -> str:
    return (helpers.get_full_name_for_node(node) or "").rpartition(".")[2]


def name_conflicts(module: cst.Module, name: str) -> list[tuple[cst.CSTNode, str]]:
    """Return the first place where `name` isn't the module of that name, with a note."""
    finder = _NameConflicts(name)
    finder.walk(module)
    return [(node, f"{name} is bound to something else here") for node in finder.found[:1]]


class _NameConflicts(Collector):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.found: list[cst.CSTNode] = []
        self._name = name

    def visit_Name(self, node: cst.Name) -> None:
        """Record the name, unless it is an attribute or a keyword."""
        above = self.stack[-1]
        if (
            node.value != self._name
            or (isinstance(above, cst.Attribute) and above.attr is node)
            or (isinstance(above, cst.Arg) and above.keyword is node)
        ):
            return
        if {one.dotted for one in self.module.bindings.get(self._name, [])} != {self._name}:
            self.found.append(node)
