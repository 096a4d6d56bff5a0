"""Find the places of one module that call Chat Completions, and what they give it."""

from __future__ import annotations

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from . import known, tracers
from .arguments import UNKNOWN, Arguments, Reader
from .by_hand import BATCH_STAYS, find_requests
from .doubles import find_doubles
from .known import method_of
from .site import Finder, Site, last_name
from .symbols import Scope, Symbol, Symbols


def find_sites(wrapper: MetadataWrapper) -> list[Site]:
    """List the sites of a module, in the order of its lines."""
    module = wrapper.module
    symbols = Symbols(module)
    finder = _Finder(module, symbols)
    finder.walk(module)
    finder.wrapped()
    finder.unused()
    found = [
        *zip(finder.sites, finder.nodes, strict=True),
        *find_requests(module, symbols),
        *find_doubles(module, symbols),
    ]
    positions = wrapper.resolve(PositionProvider) if found else {}  # they take longer than all of the above
    for site, node in found:
        start = positions[node].start
        site.line, site.column = start.line, start.column + 1
    unique = {(site.line, site.column, site.kind): site for site, _ in found}
    return [unique[key] for key in sorted(unique)]


class _Finder(Finder):
    def __init__(self, module: cst.Module, symbols: Symbols) -> None:
        super().__init__(module, symbols)
        self._reader = Reader(symbols, module)
        self._calls: list[tuple[cst.Call, Scope, Symbol]] = []  # of this file's own functions
        self._wrappers: dict[int, tuple[Scope, Site]] = {}
        self._aliases: list[tuple[cst.BaseExpression, Scope, Symbol]] = []
        self._spent: set[int] = set()  # nodes that another site has told of

    # Calls

    def visit_Call(self, node: cst.Call) -> None:
        symbol = self._symbols.of(node.func, self._scope)
        method = method_of(symbol.path)
        if method is not None:
            self._method(node, symbol, method)
            return
        if known.LEGACY.fullmatch(symbol.path):
            name = "ChatCompletion." + symbol.path.rpartition(".")[2]
            note = "the SDK of the 0.x days: move to a client's chat.completions first (openai migrate)"
            self._add(node, "legacy", name, arguments=self._given(node, symbol), forced="stays", note=note)
            return
        if known.BATCH.fullmatch(symbol.path) and self._batch(node, symbol):
            return
        framework = known.framework(symbol.path)
        if framework is not None and self._is_openais(node, framework):
            self._framework(node, symbol, framework)
            return
        if symbol.defined is not None and symbol.defined.kind == "function":
            self._calls.append((node, self._scope, symbol))
        self._passed_on(node, symbol)

    def _given(self, node: cst.Call, symbol: Symbol) -> Arguments:
        found = Arguments()
        for arg, scope in symbol.presets:
            self._reader.read([arg], scope, found)
        own = self._reader.read(node.args, self._scope)
        found.values.update(own.values)  # a call's own beat the partial's
        found.open += own.open
        return found

    def _method(self, node: cst.Call, symbol: Symbol, method: str) -> None:
        given = self._given(node, symbol)
        if method.endswith("stream"):
            given.values["stream"] = True
        if symbol.path.startswith("instructor."):
            site = self._add(
                node, "instructor", method, arguments=given, messages=self._reader.messages(node.args, self._scope)
            )
            site.wire = "make its client from adapter.OpenAI()"
            given.values = {name: value for name, value in given.values.items() if name not in _INSTRUCTORS}
            return
        messages = self._reader.messages(node.args, self._scope)
        site = self._add(node, "chat", method, arguments=given, messages=messages)
        if _judge_vendor(site, symbol.path):
            return
        owner: Scope | None = self._scope
        while owner is not None and owner.kind == "function":
            if owner.keywords is not None and any(one.startswith(f"**{owner.keywords}: ") for one in given.open):
                self._wrappers[id(owner)] = (owner, site)
                break
            owner = owner.parent

    def _batch(self, node: cst.Call, symbol: Symbol) -> bool:
        """Tell of a batch of chat requests; False where it is one of another endpoint."""
        given = self._given(node, symbol)
        endpoint = given.values.get("endpoint", UNKNOWN if given.open else None)
        if endpoint == _BATCHED:
            self._add(node, "batch", "batches.create", forced="stays", note=BATCH_STAYS)
        elif endpoint is UNKNOWN and symbol.path.startswith(("openai", "adapter")):
            note = f"{BATCH_STAYS}; which endpoint it names isn't known here"
            self._add(node, "batch", "batches.create", forced="unclear", note=note)
        else:
            return False
        return True

    def _is_openais(self, node: cst.Call, framework: known.Framework) -> bool:
        if not framework.first:
            return True
        given = [
            arg.value
            for arg in node.args
            if (arg.keyword is None and not arg.star) or (arg.keyword and arg.keyword.value in ("model", "model_name"))
        ]
        value = self._reader.value(given[0], self._scope) if given else UNKNOWN
        return isinstance(value, str) and value.startswith(framework.first)

    def _framework(self, node: cst.Call, symbol: Symbol, framework: known.Framework) -> None:
        given = self._given(node, symbol)
        if given.values.get("use_responses_api") is True:
            return
        name = symbol.path.rpartition(".")[2]
        if name in ("from_openai", "patch", "apatch", "from_provider", "set_default_openai_api"):
            given = Arguments()  # these take no parameters of the request
        self._add(node, framework.kind, name, arguments=given, wire=framework.wire)

    def _passed_on(self, node: cst.Call, symbol: Symbol) -> None:
        """Tell of methods that are handed to somebody else: retries, threads, partials that leave the file."""
        if symbol.path in ("functools.partial", "functools.partialmethod"):
            return  # told of where it is called
        if last_name(node.func) in _LOOKS:
            return
        for k, arg in enumerate(node.args):
            value = self._symbols.of(arg.value, self._scope)
            method = method_of(value.path)
            if method is None or (isinstance(arg.value, cst.Call) and not value.presets):
                continue
            inner = (
                self._reader.read([*node.args[:k], *node.args[k + 1 :]], self._scope)
                if arg.keyword is None
                else Arguments()
            )
            given = Arguments(inner.values, inner.open)
            for preset, scope in value.presets:
                self._reader.read([preset], scope, given)
            taker = symbol.path if symbol.path != "?" else "a function"
            if not {"messages", "model"} & given.values.keys():
                given.values = {}
                given.open.append(f"handed to {taker.rpartition('.')[2].removeprefix('function:')}")
            site = self._add(arg.value, "passed on", method, arguments=given)
            _judge_vendor(site, value.path)
            self._spent.add(id(arg.value))

    # Methods that are kept under another name

    def visit_Assign(self, node: cst.Assign) -> None:
        symbol = self._symbols.of(node.value, self._scope)
        if method_of(symbol.path) and not (isinstance(node.value, cst.Call) and not symbol.presets):
            self._aliases.append((node.value, self._scope, symbol))

    def visit_Return(self, node: cst.Return) -> None:
        if (
            node.value is not None
            and not isinstance(node.value, cst.Call)
            and method_of(self._symbols.of(node.value, self._scope).path)
        ):
            self._aliases.append((node.value, self._scope, self._symbols.of(node.value, self._scope)))

    # What is known at the end only

    def wrapped(self) -> None:
        """Add the calls of functions that pass their keywords on, and of those that call these."""
        for _ in range(3):
            before = len(self._wrappers)
            for node, scope, symbol in self._calls:
                found = self._wrappers.get(id(symbol.defined))
                if found is not None:
                    self._wrapped_call(node, scope, *found)
            self._calls = [one for one in self._calls if id(one[2].defined) not in self._wrappers]
            if len(self._wrappers) == before:
                return

    def _wrapped_call(self, node: cst.Call, scope: Scope, wrapper: Scope, inner: Site) -> None:
        own = self._reader.read(node.args, scope)
        passed = {name: value for name, value in own.values.items() if name not in wrapper.parameters}
        given = Arguments(
            {**inner.arguments.values, **passed},
            [one for one in inner.arguments.open if not one.startswith(f"**{wrapper.keywords}: ")],
        )
        given.open += own.open
        before, self._scope = self._scope, scope
        site = self._add(node, "wrapper", wrapper.name, arguments=given, messages=inner.messages)
        self._scope = before
        if scope.keywords is not None and any(one.startswith(f"**{scope.keywords}: ") for one in own.open):
            self._wrappers[id(scope)] = (scope, site)

    def unused(self) -> None:
        """Add methods that were given a name which nothing here calls."""
        for node, scope, symbol in self._aliases:
            if id(node) in self._symbols.used or id(node) in self._spent:
                continue
            before, self._scope = self._scope, scope
            given = Arguments(open=["kept under another name, called elsewhere"])
            for preset, where in symbol.presets:
                self._reader.read([preset], where, given)
            self._add(node, "passed on", method_of(symbol.path) or "", arguments=given)
            self._scope = before


_BATCHED = "/v1/chat/completions"
_LOOKS = frozenset(
    {"callable", "getattr", "hasattr", "id", "iscoroutinefunction", "isinstance", "ismethod", "print", "repr", "signature", "wraps"}
)  # fmt: skip
_INSTRUCTORS = frozenset({"response_model", "max_retries", "validation_context", "context", "strict", "hooks", "mode"})


def _judge_vendor(site: Site, path: str) -> bool:
    """Tell whether a symbol is one of another vendor's client, or a tracing package's, and say so of its site."""
    traced = tracers.owner(path)
    if traced is not None:
        site.kind, site.forced, site.note, site.wire = "traced client", "stays", f"it is {traced.what}", traced.wire
        return True
    vendor = path.partition(".")[0]
    if vendor not in known.VENDORS:
        return False
    site.kind, site.forced = "other client", "stays"
    site.note = f"a client of {vendor}, not of the OpenAI SDK: out of the adapter's reach"
    return True
