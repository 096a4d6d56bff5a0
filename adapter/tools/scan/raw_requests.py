"""Find hand-written requests to Chat Completions: over HTTP, or for a batch.

A string counts as a URL only if it reaches a function that sends: as an argument, or concatenated
and passed on by names, also through functions of the same module that send their arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import libcst as cst

from . import known_clients
from .cst_walker import Walker
from .finder import Finder, Site, last_name
from .http_libraries import Sender, is_double, sender
from .string_values import StringValues
from .symbol import Symbol, parts_of
from .symbols import Scope, Symbols, text_of

BATCH_STAYS = "the Batch API isn't moved: its input file is written for the endpoint that it names"
_ENDPOINT_DOUBLE_NOTE = (
    "a test double of the endpoint: add one for /responses, or use the fixture adapter_chat_mocks"
)
_URL_ARGUMENTS = frozenset({"api_url", "endpoint", "full_url", "path", "target", "uri", "url"})
_ROUNDS = 3  # levels of functions that call functions that send
_String = cst.BaseString | cst.FormattedStringText


def find_requests(module: cst.Module, symbols: Symbols) -> list[tuple[Site, cst.CSTNode]]:
    """Return a site for each request, with its node: the string that names the endpoint."""
    finder = _Requests(module, symbols)
    strings = _Strings(module, symbols)
    strings.walk(module)
    if strings.mentions_endpoint:
        finder.walk(module)
        finder.add_forwarded()
    return [
        *zip(finder.sites, finder.nodes, strict=True),
        *zip(strings.sites, strings.nodes, strict=True),
    ]


class _Strings(Finder):
    """Find out whether the endpoint is named, and find lines of the Batch API's input files."""

    mentions_endpoint = False

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self._string(node, node.value)

    def visit_FormattedStringText(self, node: cst.FormattedStringText) -> None:
        self._string(node, node.value)

    def _string(self, node: cst.CSTNode, text: str) -> None:
        self.mentions_endpoint |= "completions" in text
        if known_clients.ENDPOINT in text and self._is_batched():
            self._add(node, "batch", "input file", forced="stays", note=BATCH_STAYS)

    def _is_batched(self) -> bool:
        line = next((node for node in reversed(self.stack) if isinstance(node, cst.Dict)), None)
        keys = line.elements if line is not None else ()
        return any(
            isinstance(one, cst.DictElement) and text_of(one.key) == "custom_id" for one in keys
        )


class _Requests(Finder):
    def __init__(self, module: cst.Module, symbols: Symbols) -> None:
        super().__init__(module, symbols)
        self._texts = StringValues(module, symbols)
        # Calls of this module's functions, each with its scope and the function.
        self._calls: list[tuple[cst.Call, Scope, Scope]] = []
        # Functions that send, by the function and its parameter with the URL.
        self._sending: dict[tuple[int, str], Sender] = {}

    def visit_Decorator(self, node: cst.Decorator) -> bool:
        return False  # a route of a server, or a test double for one function

    def visit_Call(self, node: cst.Call) -> None:
        symbol = self._symbols.of(node.func, self._scope)
        found = self._sender(node.func, symbol)
        if found is not None:
            self._add_request(node, _url_candidates(node.args), last_name(node.func), found)
            return
        if is_double(symbol.path, _receiver(node.func), last_name(node.func)):
            self._add_double(node)
            return
        for k, arg in enumerate(node.args):  # threads, partials, retries
            passed = None
            if isinstance(arg.value, (cst.Name, cst.Attribute)):
                passed = self._sender(arg.value, self._symbols.of(arg.value, self._scope))
            if passed is not None:
                self._add_request(
                    node, _url_candidates(node.args[k + 1 :]), last_name(arg.value), passed
                )
                return
        if symbol.defined is not None and symbol.defined.kind == "function":
            self._calls.append((node, self._scope, symbol.defined))

    def _sender(self, func: cst.BaseExpression, symbol: Symbol) -> Sender | None:
        path = symbol.path
        if path.startswith("?") and isinstance(func, cst.Attribute):
            path = f"{self._annotated(func.value)}.{func.attr.value}"
        return sender(path, _receiver(func), last_name(func))

    def _annotated(self, node: cst.BaseExpression) -> str:
        """Return the class that an object's annotation names if its instances send, else `?`."""
        name = last_name(node)
        owner = self._scope.enclosing_class() if isinstance(node, cst.Attribute) else None
        bindings = (
            self._symbols.lookup(name, self._scope)
            if isinstance(node, cst.Name)
            else [*owner.attributes.get(name, ()), *owner.bindings.get(name, ())]
            if owner is not None
            else []
        )
        for one in bindings:
            for part in parts_of(one.annotation):
                path = self._symbols.of(part, one.scope).path
                if sender(f"{path}().post", None, "post") is not None:
                    return f"{path}()"
        return "?"

    def _add_request(
        self, node: cst.Call, urls: Sequence[cst.BaseExpression], call: str, found: Sender
    ) -> None:
        for url in urls:
            texts = [
                one for one in self._texts.of(url, self._scope) if known_clients.ENDPOINT in one
            ]
            # A test's client of the project's own server gets paths instead of URLs.
            own = self._scope.name.startswith("test") and all(one.startswith("/") for one in texts)
            if texts and not (
                "own client" not in found.note and found.verdict == "unclear" and own
            ):
                for string in self._endpoint_strings(url, self._scope):
                    self._add(string, "http", call, forced=found.verdict, note=found.note)
                return
            function = self._function()
            for name in function.parameters if function is not None else ():
                if function is not None and self._depends_on(url, name):
                    self._sending.setdefault((id(function), name), found)

    def _add_double(self, node: cst.Call) -> None:
        for url in [*_url_candidates(node.args), *(arg.value for arg in node.args[2:3])]:
            if any(known_clients.ENDPOINT in one for one in self._texts.of(url, self._scope)):
                for string in self._endpoint_strings(url, self._scope):
                    self._add(
                        string,
                        "test double",
                        last_name(node.func),
                        forced="unclear",
                        note=_ENDPOINT_DOUBLE_NOTE,
                    )
                return

    def _endpoint_strings(self, url: cst.BaseExpression, scope: Scope) -> Iterable[cst.CSTNode]:
        """Return the strings that name the endpoint."""
        strings = {id(one): one for one in self._texts.strings(url, scope)}
        whole = [one for one in strings.values() if known_clients.ENDPOINT in _text_in(one)]
        part = [one for one in strings.values() if "completions" in _text_in(one)]
        return whole or part or [url]

    def _function(self) -> Scope | None:
        scope: Scope | None = self._scope
        while scope is not None and scope.name == "<lambda>":
            scope = scope.parent
        return scope if scope is not None and scope.kind == "function" else None

    def _depends_on(self, url: cst.BaseExpression, name: str) -> bool:
        finder = _NameReads(name)
        finder.walk(url)
        if finder.found:
            return True
        values = (
            [one.value for one in self._symbols.lookup(url.value, self._scope)]
            if isinstance(url, cst.Name)
            else []
        )
        for value in values:
            if value is not None:
                finder.walk(value)
        return finder.found

    def add_forwarded(self) -> None:
        """Add the calls of this module's functions that send to a URL they are given."""
        for _ in range(_ROUNDS):
            before = len(self._sending)
            for node, scope, function in self._calls:
                here, self._scope = self._scope, scope
                for name in function.parameters:
                    found = self._sending.get((id(function), name))
                    given = _argument_for(node, function, name) if found is not None else None
                    if found is not None and given is not None:
                        self._add_request(node, [given], function.name, found)
                self._scope = here
            if len(self._sending) == before:
                return


class _NameReads(Walker):
    """Find out whether an expression reads a name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.found = False
        self._name = name

    def visit_Name(self, node: cst.Name) -> None:
        self.found |= node.value == self._name


def _url_candidates(args: Sequence[cst.Arg]) -> list[cst.BaseExpression]:
    """Return the arguments that may be a URL: the first two positional ones, and by keyword."""
    placed = [arg.value for arg in args if arg.keyword is None and not arg.star][:2]
    return placed + [
        arg.value for arg in args if arg.keyword is not None and arg.keyword.value in _URL_ARGUMENTS
    ]


def _argument_for(node: cst.Call, function: Scope, name: str) -> cst.BaseExpression | None:
    """Return the argument of a call for one of the function's parameters."""
    for arg in node.args:
        if arg.keyword is not None and arg.keyword.value == name:
            return arg.value
    place = function.parameters.index(name)
    if isinstance(node.func, cst.Attribute) and function.parameters[:1] in (("self",), ("cls",)):
        place -= 1
    placed = [arg.value for arg in node.args if arg.keyword is None and not arg.star]
    return placed[place] if 0 <= place < len(placed) else None


def _receiver(func: cst.BaseExpression) -> str | None:
    if not isinstance(func, cst.Attribute):
        return None
    value = func.value
    return last_name(value.func if isinstance(value, cst.Call) else value)


def _text_in(node: _String) -> str:
    return node.value if isinstance(node, (cst.SimpleString, cst.FormattedStringText)) else ""
