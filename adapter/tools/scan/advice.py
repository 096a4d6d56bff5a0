"""What `--fix` doesn't change, and the owner of the code should know of."""

from __future__ import annotations

import libcst as cst
from libcst import helpers

from .known_clients import CLIENTS
from .module_tree import Tree
from .symbols import Collector, text_of

OTHER_NAMES = {"Client": "OpenAI", "AsyncClient": "AsyncOpenAI"}
"""What the SDK calls its clients besides; the adapter doesn't."""

_OWN = ("openai.chat.completions.", "openai.beta.chat.completions.")
_TAKES_TYPES = frozenset({"isinstance", "issubclass", "cast", "TypeVar", "NewType"})
_OF_MOCKS = frozenset({"spec", "spec_set", "autospec"})


def other_name(name: str) -> str | None:
    """Say of a client under its other name what to write instead."""
    ours = OTHER_NAMES.get(name)
    return None if ours is None else f"{name} is the SDK's other name of {ours}: write {ours}, and run this again"


def hands_on(tree: Tree, node: cst.BaseExpression) -> bool:
    """Tell of a class that is named whether it is given to somebody who may make a client of it."""
    above = tree.value(node)[1]
    if isinstance(above, cst.Arg):
        if above.keyword is not None and above.keyword.value in _OF_MOCKS:
            return False
        call = tree.above(above)
        return isinstance(call, cst.Call) and _last(call.func) not in _TAKES_TYPES
    return isinstance(
        above, (cst.Assign, cst.AnnAssign, cst.Return, cst.DictElement, cst.Element, cst.Lambda, cst.Param)
    )


def own_client(node: cst.Call) -> str | None:
    """Say of a call of the module-level client, where openai is the SDK, how it comes along."""
    name = helpers.get_full_name_for_node(node.func) or ""
    if not name.startswith(_OWN):
        return None
    return (
        "calls the SDK's module-level client, which no import changes: adapter.install(openai), once it is configured"
    )


def by_name(module: cst.Module, node: cst.Call) -> str | None:
    """Say of a call that gets the SDK, or a client's class, by its name as text that no import is there to change."""
    texts = [text_of(arg.value) for arg in node.args[:2]]
    last = _last(node.func)
    if last in ("import_module", "__import__") and texts[:1] == ["openai"]:
        if not any(f".{one}" in module.code for one in CLIENTS):
            return None
    elif last != "getattr" or len(texts) < 2 or texts[1] not in CLIENTS:
        return None
    return "gets the SDK, or its client, by name as text: no import is there to change"


def _last(node: cst.BaseExpression) -> str:
    return (helpers.get_full_name_for_node(node) or "").rpartition(".")[2]


def names_another(module: cst.Module, name: str) -> list[tuple[cst.CSTNode, str]]:
    """Say where a module calls something else by a module's name."""
    finder = _Names(name)
    finder.walk(module)
    return [(node, f"{name} names something else here") for node in finder.found[:1]]


class _Names(Collector):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.found: list[cst.CSTNode] = []
        self._name = name

    def visit_Name(self, node: cst.Name) -> None:
        """Take note of the name, but for attributes and keywords."""
        above = self.stack[-1]
        if (
            node.value != self._name
            or (isinstance(above, cst.Attribute) and above.attr is node)
            or (isinstance(above, cst.Arg) and above.keyword is node)
        ):
            return
        if {one.dotted for one in self.module.bindings.get(self._name, [])} != {self._name}:
            self.found.append(node)
