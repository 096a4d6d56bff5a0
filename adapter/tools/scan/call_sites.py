"""Find the call sites of Chat Completions in one module, with their arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from . import known_clients, tracing_clients
from .argument_reader import ArgumentReader
from .arguments import Arguments, ParameterSource, Unknown
from .doubles import find_doubles
from .finder import Finder, Site, last_name
from .known_clients import method_of
from .raw_requests import BATCH_STAYS, find_requests
from .scopes import Place, Scope
from .substitution import substitute_arguments
from .symbol import UNKNOWN, Symbol
from .symbols import Symbols

Wrapper = tuple[Scope, Site]
"""A function that passes its own parameters on to Chat Completions, and the site where it does."""

WrapperLookup = Callable[[Scope], Wrapper | None]


def find_sites(wrapper: MetadataWrapper) -> list[Site]:
    """Return the sites of a single module, in the order of its lines."""
    return find_module_sites(
        wrapper, wrapper.module.code, Symbols(wrapper.module), {}, lambda _: None
    )


def find_module_sites(
    wrapper: MetadataWrapper,
    text: str,
    symbols: Symbols,
    wrappers: dict[int, Wrapper],
    find_wrapper: WrapperLookup,
) -> list[Site]:
    """Return the sites of a module of a project, in the order of its lines.

    Adds the module's wrappers to `wrappers`, by the ids of their functions' scopes. `find_wrapper`
    looks up wrappers of other modules.
    """
    module = wrapper.module
    finder = _CallFinder(module, symbols, wrappers, find_wrapper)
    finder.walk(module)
    finder.add_wrapper_calls()
    finder.add_unused_aliases()
    found = list(zip(finder.sites, finder.nodes, strict=True))
    if "completions" in text:
        found += find_requests(module, symbols)
    found += find_doubles(module, symbols)
    # Only if needed: computing positions takes longer than everything above.
    positions = wrapper.resolve(PositionProvider) if found else {}
    for site, node in found:
        start = positions[node].start
        site.line, site.column = start.line, start.column + 1
    unique = {(site.line, site.column, site.kind): site for site, _ in found}
    return [unique[key] for key in sorted(unique)]


@dataclass(frozen=True, slots=True)
class _ProjectCall:
    """A call of a function of the project."""

    node: cst.Call
    scope: Scope
    symbol: Symbol
    place: Place | None


class _CallFinder(Finder):
    def __init__(
        self,
        module: cst.Module,
        symbols: Symbols,
        wrappers: dict[int, Wrapper],
        find_wrapper: WrapperLookup,
    ) -> None:
        super().__init__(module, symbols)
        self._wrappers = wrappers
        self._find_wrapper = find_wrapper
        self._reader = ArgumentReader(symbols, module)
        self._calls: list[_ProjectCall] = []
        self._aliases: list[tuple[cst.BaseExpression, Scope, Symbol]] = []
        self._reported: set[int] = set()  # ids of nodes that another site covers
        # Whether the module replaces a method: then a method it keeps is there to be restored.
        self._replaces_method = False

    # Calls

    def visit_Call(self, node: cst.Call) -> None:
        symbol = self._symbols.of(node.func, self._scope)
        method = method_of(symbol.path)
        if method is not None:
            self._add_chat_call(node, symbol, method)
            return
        if known_clients.LEGACY.fullmatch(symbol.path):
            name = "ChatCompletion." + symbol.path.rpartition(".")[2]
            note = (
                "an API of SDK 0.x: migrate to a client's chat.completions first (openai migrate)"
            )
            self._add(
                node,
                "legacy",
                name,
                arguments=self._arguments_of(node, symbol),
                forced="stays",
                note=note,
            )
            return
        if known_clients.BATCH.fullmatch(symbol.path) and self._add_batch(node, symbol):
            return
        framework = known_clients.framework(symbol.path)
        if framework is not None and self._is_openai_model(node, framework):
            self._add_framework_call(node, symbol, framework)
            return
        if symbol.defined is not None and symbol.defined.kind == "function":
            self._calls.append(
                _ProjectCall(node, self._scope, symbol, self._symbols.place_of(node))
            )
        self._add_passed_on(node, symbol)

    def _arguments_of(self, node: cst.Call, symbol: Symbol) -> Arguments:
        found = self._preset(symbol)
        found.update(self._reader.read(node.args, self._scope, self._symbols.place_of(node)))
        return found

    def _preset(self, symbol: Symbol) -> Arguments:
        found = Arguments()
        for arg, scope in symbol.presets:
            found.update(self._reader.read([arg], scope))
        return found

    def _add_chat_call(self, node: cst.Call, symbol: Symbol, method: str) -> None:
        if not symbol.path.startswith(("openai.", "adapter.")):
            found = self._symbols.resolve_in_all_files(node.func, self._scope)
            if (
                found.defined is not None
                and found.defined.kind == "function"
                and not method_of(found.path)
            ):
                # The project's own client, which has methods of the same names.
                self._calls.append(
                    _ProjectCall(node, self._scope, found, self._symbols.place_of(node))
                )
                return
            symbol = found if method_of(found.path) else symbol
        given = self._arguments_of(node, symbol)
        if method.endswith("stream"):
            given.assign("stream", True)
        messages = self._reader.messages(node.args, self._scope)
        if symbol.path.startswith("instructor."):
            site = self._add(node, "instructor", method, arguments=given, messages=messages)
            site.wire = "make its client from adapter.OpenAI()"
            for name in _INSTRUCTOR_ARGUMENTS:
                given.drop(name)
            return
        site = self._add(node, "chat", method, arguments=given, messages=messages)
        site.unknown_client_note = _unknown_client_note(node.func, symbol)
        if not _mark_other_client(site, symbol.path, self._symbols):
            self._keep_wrapper(self._scope, site)

    def _keep_wrapper(self, scope: Scope, site: Site) -> None:
        """Record the function whose parameter is passed on at a site, if there is one."""
        sources = {one.function for one in site.arguments.sources if one.parameter}
        owner: Scope | None = scope
        while owner is not None and owner.kind == "function":
            if id(owner) in sources:
                self._wrappers.setdefault(id(owner), (owner, site))
                return
            owner = owner.parent

    def _add_batch(self, node: cst.Call, symbol: Symbol) -> bool:
        """Add a batch of chat requests; return False if the batch is for another endpoint."""
        given = self._arguments_of(node, symbol)
        endpoint = given.values.get("endpoint", Unknown() if given.sources else None)
        if endpoint == _CHAT_ENDPOINT:
            self._add(node, "batch", "batches.create", forced="stays", note=BATCH_STAYS)
        elif isinstance(endpoint, Unknown) and symbol.path.startswith(("openai", "adapter")):
            note = f"{BATCH_STAYS}; the endpoint isn't known here"
            self._add(node, "batch", "batches.create", forced="unclear", note=note)
        else:
            return False
        return True

    def _is_openai_model(self, node: cst.Call, framework: known_clients.Framework) -> bool:
        if not framework.model_prefixes:
            return True
        given = [
            arg.value
            for arg in node.args
            if (arg.keyword is None and not arg.star)
            or (arg.keyword and arg.keyword.value in ("model", "model_name"))
        ]
        value = (
            self._reader.value(given[0], self._scope, self._symbols.place_of(node))
            if given
            else None
        )
        return isinstance(value, str) and value.startswith(framework.model_prefixes)

    def _add_framework_call(
        self, node: cst.Call, symbol: Symbol, framework: known_clients.Framework
    ) -> None:
        given = self._arguments_of(node, symbol)
        if given.values.get("use_responses_api") is True:
            return
        name = symbol.path.rpartition(".")[2]
        if name in ("from_openai", "patch", "apatch", "from_provider", "set_default_openai_api"):
            given = Arguments()  # their arguments aren't request parameters
        for arg in node.args:
            if arg.keyword is not None and arg.keyword.value in known_clients.PARAMETER_ARGUMENTS:
                given.update(
                    self._reader.dictionary(arg.value, self._scope, self._symbols.place_of(node))
                )
        self._add(node, framework.kind, name, arguments=given, wire=framework.wire)

    def _add_passed_on(self, node: cst.Call, symbol: Symbol) -> None:
        """Add methods that are passed to another function, such as a retry or a thread pool."""
        if symbol.path in ("functools.partial", "functools.partialmethod"):
            return  # reported where the partial is called
        if last_name(node.func) in _INSPECTING_FUNCTIONS or id(node) in self._reported:
            return
        for k, arg in enumerate(node.args):
            value = self._symbols.of(arg.value, self._scope)
            framework = (
                known_clients.framework(value.path)
                if isinstance(arg.value, (cst.Name, cst.Attribute))
                else None
            )
            if framework is not None and framework.kind == "litellm":
                others = [*node.args[:k], *node.args[k + 1 :]]
                given = self._reader.read(others, self._scope, self._symbols.place_of(node))
                name = value.path.rpartition(".")[2]
                self._add(arg.value, framework.kind, name, arguments=given, wire=framework.wire)
                continue
            method = method_of(value.path)
            if method is None or (isinstance(arg.value, cst.Call) and not value.presets):
                continue
            given = self._preset(value)
            others = [*node.args[:k], *node.args[k + 1 :]] if arg.keyword is None else []
            given.update(self._reader.read(others, self._scope, self._symbols.place_of(node)))
            callee = symbol.path if symbol.path != UNKNOWN else "a function"
            if not {"messages", "model"} & given.values.keys():
                given = Arguments(
                    sources=[
                        *given.sources,
                        ParameterSource(f"the arguments {_short_name(callee)} passes"),
                    ]
                )
            site = self._add(arg.value, "passed on", method, arguments=given)
            if not _mark_other_client(site, value.path, self._symbols):
                self._keep_wrapper(self._scope, site)
            self._reported.add(id(arg.value))

    # Methods bound to another name

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in (one.target for one in node.targets if isinstance(one.target, cst.Attribute)):
            owner = self._symbols.of(target.value, self._scope).path
            if method_of(f"{owner}.{target.attr.value}"):
                self._replaces_method = True
                self._reported.add(id(node.value))  # a test double or a wrapper
        symbol = self._symbols.of(node.value, self._scope)
        if method_of(symbol.path) and not (isinstance(node.value, cst.Call) and not symbol.presets):
            self._aliases.append((node.value, self._scope, symbol))

    def visit_Return(self, node: cst.Return) -> None:
        if (
            node.value is not None
            and not isinstance(node.value, cst.Call)
            and method_of(self._symbols.of(node.value, self._scope).path)
        ):
            self._aliases.append(
                (node.value, self._scope, self._symbols.of(node.value, self._scope))
            )

    # Sites that are known only after the whole module has been read

    def add_wrapper_calls(self) -> None:
        """Add the calls of wrappers, and of wrappers of wrappers."""
        for _ in range(_MAX_WRAPPERS):
            before = len(self._wrappers)
            remaining = []
            for one in self._calls:
                found = self._wrapper_of(one.symbol)
                if found is None:
                    remaining.append(one)
                else:
                    self._add_wrapper_call(one, *found)
            done = len(remaining) == len(self._calls)
            self._calls = remaining
            if done or (len(self._wrappers) == before and not remaining):
                return

    def _wrapper_of(self, symbol: Symbol) -> Wrapper | None:
        assert symbol.defined is not None
        return self._wrappers.get(id(symbol.defined)) or self._find_wrapper(symbol.defined)

    def _add_wrapper_call(self, called: _ProjectCall, wrapper: Scope, inner: Site) -> None:
        before, self._scope = self._scope, called.scope
        args = [*(arg for arg, _ in called.symbol.presets), *called.node.args]
        given = substitute_arguments(
            self._reader, inner.arguments, wrapper, args, called.scope, called.place
        )
        site = self._add(
            called.node, "wrapper", wrapper.name, arguments=given, messages=inner.messages
        )
        site.call_chain = (*inner.call_chain, (wrapper.root().file, inner.owner))[:_MAX_CALLERS]
        site.forced, site.note, site.wire, site.unknown_client_note = (
            inner.forced,
            inner.note,
            inner.wire,
            inner.unknown_client_note,
        )
        self._keep_wrapper(called.scope, site)
        self._scope = before

    def add_unused_aliases(self) -> None:
        """Add methods bound to a name that nothing in this module calls."""
        for node, scope, symbol in self._aliases:
            if (
                self._replaces_method
                or id(node) in self._symbols.used
                or id(node) in self._reported
            ):
                continue
            before, self._scope = self._scope, scope
            given = self._preset(symbol)
            given.sources.append(ParameterSource("the arguments passed under its other name"))
            self._add(node, "passed on", method_of(symbol.path) or "", arguments=given)
            self._scope = before


_MAX_WRAPPERS = 6  # levels of wrappers that are followed
_MAX_CALLERS = 24  # functions between a site and the SDK that rules may match
_CHAT_ENDPOINT = "/v1/chat/completions"
_INSPECTING_FUNCTIONS = frozenset(
    {"callable", "getattr", "hasattr", "id", "iscoroutinefunction", "isinstance", "ismethod",
     "print", "repr", "signature", "wraps"}
)  # fmt: skip
_INSTRUCTOR_ARGUMENTS = frozenset(
    {"response_model", "max_retries", "validation_context", "context", "strict", "hooks", "mode"}
)


def _mark_other_client(site: Site, path: str, symbols: Symbols) -> bool:
    """Mark a site whose client is another vendor's or a tracing package's; return whether it is."""
    traced = tracing_clients.tracer_of_method(path)
    if traced is not None and not tracing_clients.is_wired(symbols):
        site.kind, site.forced, site.note, site.wire = (
            "traced client",
            "stays",
            f"it is {traced.what}",
            traced.wire,
        )
        site.unknown_client_note = ""
        return True
    vendor = path.partition(".")[0]
    if vendor not in known_clients.VENDORS:
        return False
    site.kind, site.forced = "other client", "stays"
    site.note = f"a client of {vendor}, not of the OpenAI SDK: not supported by the adapter"
    return True


def _unknown_client_note(func: cst.BaseExpression, symbol: Symbol) -> str:
    """Return a note on a client that isn't known to be the SDK's, or an empty string."""
    if symbol.path.startswith(("openai.", "adapter.")):
        return ""
    node = func
    while isinstance(node, (cst.Attribute, cst.Call)):
        inner = node.value if isinstance(node, cst.Attribute) else node.func
        if isinstance(node, cst.Attribute) and node.attr.value in ("chat", "beta"):
            node = inner
            break
        node = inner
    name = cst.Module([]).code_for_node(node) if isinstance(node, (cst.Name, cst.Attribute)) else ""
    return (
        f"the client is created elsewhere ({name})"
        if 0 < len(name) <= 40
        else "the client is created elsewhere"
    )


def _short_name(path: str) -> str:
    return path.rpartition(".")[2].removeprefix("function:").removesuffix("()") or "a function"
