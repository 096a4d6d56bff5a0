"""Find replacements of a client or its methods in a module: test doubles and wrappers."""

from __future__ import annotations

import re

import libcst as cst

from .cst_walker import Walker
from .finder import Finder, Site, last_name
from .known_clients import CLIENTS, method_of
from .symbol import Symbol
from .symbols import Symbols, text_of

_REPLACED = "if create is replaced, the adapter isn't involved"
_NO_CLIENT = "if a client is replaced, nothing is sent"
_WRAPPED = "a wrapper of create sees the Chat call, whichever API answers it"

_PATCHES = frozenset({"delattr", "multiple", "object", "patch", "patch_object", "setattr"})
_WRAPS = frozenset({"patch_function_wrapper", "spy", "wrap_function_wrapper", "wrap_object"})
_MOCKS = frozenset(
    {"AsyncMock", "MagicMock", "Mock", "NonCallableMagicMock", "NonCallableMock", "create_autospec"}
)
_SPEC_KEYWORDS = frozenset({"autospec", "spec", "spec_set", "wraps"})
_MOCK_RESULTS = frozenset({"return_value", "side_effect"})
_CLIENT_CLASS = re.compile(r"(?:.*\.)?(?:Async)?(?:Azure)?OpenAI")
_DOUBLE_CLASS = re.compile(r"_*(?:Dummy|Fake|Mock|Stub)\w*(?:OpenAI|Client|Completions)")


def find_doubles(module: cst.Module, symbols: Symbols) -> list[tuple[Site, cst.CSTNode]]:
    """Return a site for each replacement, with its node."""
    finder = _Doubles(module, symbols)
    finder.walk(module)
    return list(zip(finder.sites, finder.nodes, strict=True))


class _Doubles(Finder):
    def __init__(self, module: cst.Module, symbols: Symbols) -> None:
        super().__init__(module, symbols)
        self._saved: set[str] = set()  # names that the original method is bound to
        self._functions: dict[str, cst.FunctionDef] = {}

    def _add_double(self, node: cst.CSTNode, call: str, note: str = _REPLACED) -> None:
        self._add(node, "test double", call, forced="moves", note=note)

    def _add_wrapper(self, node: cst.CSTNode, call: str) -> None:
        self._add(node, "instrumentation", call, forced="moves", note=_WRAPPED)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._functions[node.name.value] = node
        self._enter(node)

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._enter(node)
        if _DOUBLE_CLASS.fullmatch(node.name.value) and {"chat", "create", "completions"} & {
            *self._scope.bindings, *self._scope.attributes,
        }:  # fmt: skip
            self._add_double(node, node.name.value, _NO_CLIENT)

    # Assignments

    def visit_Assign(self, node: cst.Assign) -> None:
        value = self._symbols.of(node.value, self._scope)
        for target in (one.target for one in node.targets):
            if isinstance(target, (cst.Name, cst.Attribute, cst.Subscript)) and _is_method(
                node.value, value
            ):
                self._saved.add(
                    last_name(target.value if isinstance(target, cst.Subscript) else target)
                )
            if not isinstance(target, cst.Attribute):
                continue
            owner, name = self._symbols.of(target.value, self._scope).path, target.attr.value
            if name in _MOCK_RESULTS and method_of(owner):
                self._add_double(node, name)
            elif method_of(f"{owner}.{name}"):
                self._add_replacement(node, value)
            elif owner == "openai" and name in CLIENTS:
                self._add_double(node, "assignment", _NO_CLIENT)

    def _add_replacement(self, node: cst.Assign, value: Symbol) -> None:
        kept = node.value.value if isinstance(node.value, cst.Subscript) else node.value
        if _is_method(node.value, value) or last_name(kept) in self._saved:
            return  # the original method is restored
        if self._wraps(node.value):
            self._add_wrapper(node, "assignment")
        else:
            self._add_double(node, "assignment")

    def _wraps(self, value: cst.BaseExpression) -> bool:
        """Return whether a replacement calls the method that it replaces.

        It does if it is made from the method, or is a function that reads it.
        """
        if isinstance(value, cst.Name):
            made = [one.value for one in self._symbols.lookup(value.value, self._scope)]
            if any(self._wraps(one) for one in made if isinstance(one, cst.Call)):
                return True
        if isinstance(value, cst.Call):
            given = [one.value for one in value.args]
            if last_name(value.func) in _MOCKS:
                return False
            return any(
                method_of(self._symbols.of(one, self._scope).path) or last_name(one) in self._saved
                for one in given
            )
        function = self._functions.get(last_name(value))
        if function is None:
            return False
        finder = _NamesRead()
        finder.walk(function)
        return bool(finder.names & self._saved)

    # Calls

    def visit_Call(self, node: cst.Call) -> None:
        name = last_name(node.func)
        if name in _MOCKS:
            specs = [
                one.value
                for one in node.args
                if one.keyword is not None and one.keyword.value in _SPEC_KEYWORDS
            ]
            specs += [one.value for one in node.args[:1] if one.keyword is None]
            if any(self._symbols.of(one, self._scope).path in _MOCKED_CLASSES for one in specs):
                self._add_double(node, name, _NO_CLIENT)
        elif name == "SimpleNamespace" and _holds_create(node):
            self._add_double(node, name, _NO_CLIENT)
        elif name in _PATCHES | _WRAPS and len(node.args) > 1:
            self._add_patched(node, name)

    def _add_patched(self, node: cst.Call, name: str) -> None:
        """Add `patch.object(owner, "name")` and the like."""
        owner = self._symbols.of(node.args[0].value, self._scope).path
        names = [text_of(node.args[1].value)] if node.args[1].keyword is None else []
        names += (
            [one.keyword.value for one in node.args if one.keyword is not None]
            if name == "multiple"
            else []
        )
        for one in names:
            if one is not None and method_of(f"{owner}.{one}"):
                (self._add_wrapper if name in _WRAPS else self._add_double)(node, name)
            elif owner == "openai" and one in CLIENTS:
                self._add_double(node, name, _NO_CLIENT)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self._string(node, text_of(node) or "")

    def visit_FormattedStringText(self, node: cst.FormattedStringText) -> None:
        self._string(node, node.value)

    def _string(self, node: cst.CSTNode, text: str) -> None:
        """Add a method or class that is patched by its name in a string."""
        call = self._enclosing_call()
        name = last_name(call.func) if call is not None else ""
        if name in _WRAPS and "chat.completions" in text:
            self._add_wrapper(node, name)
        elif name in _PATCHES and "chat.completions" in text:
            self._add_double(node, name)
        elif (
            name in _PATCHES
            and call is not None
            and call.args[0].value is node
            and _CLIENT_CLASS.fullmatch(text)
            and "." in text
        ):
            self._add_double(node, name, _NO_CLIENT)


_MOCKED_CLASSES = frozenset(
    {
        *(f"openai.{name}" for name in CLIENTS),
        "openai.resources.chat.Completions",
        "openai.resources.chat.completions.Completions",
        "openai.resources.chat.completions.AsyncCompletions",
        "openai.resources.chat.AsyncCompletions",
    }
)


class _NamesRead(Walker):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def visit_Name(self, node: cst.Name) -> None:
        self.names.add(node.value)


def _is_method(node: cst.BaseExpression, symbol: Symbol) -> bool:
    return not isinstance(node, cst.Call) and method_of(symbol.path) is not None


def _holds_create(node: cst.Call) -> bool:
    """Return whether a call is `SimpleNamespace(chat=SimpleNamespace(completions=…))`."""
    given = {one.keyword.value: one.value for one in node.args if one.keyword is not None}
    chat = given.get("chat")
    return isinstance(chat, cst.Call) and any(
        one.keyword is not None and one.keyword.value == "completions" for one in chat.args
    )
