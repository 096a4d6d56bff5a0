"""Find the places of one module that call Chat Completions, and what they give it."""

from __future__ import annotations

from dataclasses import dataclass, field

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from . import known
from .arguments import UNKNOWN, Arguments, Reader
from .symbols import Scope, Symbol, Symbols, text_of
from .walking import Walker


@dataclass(slots=True)
class Site:
    """One place: `line` and `column` from 1, what `kind` of call, its name in `call`, and what it is given.

    `owner` is its function, as `__qualname__`. `forced` is a verdict that no parameter changes, with `note` saying why; `wire` how the adapter gets under
    a framework's client.
    """

    line: int
    column: int
    kind: str
    call: str
    owner: str
    arguments: Arguments = field(default_factory=Arguments)
    messages: list[dict[str, object]] = field(default_factory=list)
    forced: str | None = None
    note: str = ""
    wire: str = ""


def find_sites(wrapper: MetadataWrapper) -> list[Site]:
    """List the sites of a module, in the order of its lines."""
    module = wrapper.module
    symbols = Symbols(module)
    finder = _Finder(module, symbols)
    finder.walk(module)
    finder.wrapped()
    finder.unused()
    positions = wrapper.resolve(PositionProvider) if finder.sites else {}  # they take longer than all of the above
    for site, node in zip(finder.sites, finder.nodes, strict=True):
        start = positions[node].start
        site.line, site.column = start.line, start.column + 1
    unique = {(site.line, site.column, site.kind): site for site in finder.sites}
    return [unique[key] for key in sorted(unique)]


class _Finder(Walker):
    def __init__(self, module: cst.Module, symbols: Symbols) -> None:
        super().__init__()
        self.sites: list[Site] = []
        self.nodes: list[cst.CSTNode] = []  # one for each site
        self._module = module
        self._symbols = symbols
        self._reader = Reader(symbols, module)
        self._scope = symbols.module
        self._calls: list[tuple[cst.Call, Scope, Symbol]] = []  # of this file's own functions
        self._wrappers: dict[int, tuple[Scope, Site]] = {}
        self._aliases: list[tuple[cst.BaseExpression, Scope, Symbol]] = []
        self._spent: set[int] = set()  # nodes that another site has told of

    # Where we are

    def _enter(self, node: cst.CSTNode) -> None:
        scope = self._symbols.scope_of(node)
        assert scope is not None
        self._scope = scope

    visit_ClassDef = visit_FunctionDef = visit_Lambda = _enter

    def _leave(self, node: cst.CSTNode) -> None:
        assert self._scope.parent is not None
        self._scope = self._scope.parent

    leave_ClassDef = leave_FunctionDef = leave_Lambda = _leave

    def _add(self, node: cst.CSTNode, kind: str, call: str, **more: object) -> Site:
        site = Site(0, 0, kind, call, self._scope.qualname, **more)  # type: ignore[arg-type]
        self.sites.append(site)
        self.nodes.append(node)
        return site

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
            self._add(node, "batch", "batches.create", forced="stays", note=_BATCH)
        elif endpoint is UNKNOWN and symbol.path.startswith(("openai", "adapter")):
            note = f"{_BATCH}; which endpoint it names isn't known here"
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
        if _last(node.func) in _LOOKS:
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

    # What isn't a call

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in (one.target for one in node.targets):
            if isinstance(target, cst.Attribute) and method_of(
                f"{self._symbols.of(target.value, self._scope).path}.{target.attr.value}"
            ):
                self._add(node, "test double", "assignment", forced="moves", note=_REPLACED)
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

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self._string(node, text_of(node) or "")

    def visit_FormattedStringText(self, node: cst.FormattedStringText) -> None:
        self._string(node, node.value)

    def _string(self, node: cst.CSTNode, text: str) -> None:
        if "chat.completions" in text:
            call = self._caller()
            if call is not None and _last(call.func) in ("patch", "setattr", "object", "wrap_function_wrapper"):
                self._add(
                    node,
                    "test double",
                    _last(call.func),
                    forced="moves",
                    note=_REPLACED,
                )
            return
        if known.ENDPOINT not in text or "\n" in text.strip() or self._is_docstring():
            return
        if self._is_batched():
            self._add(node, "batch", "input file", forced="stays", note=_BATCH)
            return
        call = self._caller()
        symbol = self._symbols.of(call.func, self._scope) if call is not None else Symbol()
        if known.BATCH.fullmatch(symbol.path):
            return  # told of as a call
        root = symbol.path.partition(".")[0].removesuffix("()")
        note = known.SENDERS.get(root, "a request that is made by hand: the adapter gets under httpx and httpx2 only")
        site = self._add(node, "http", _last(call.func) if call is not None else "text", note=note)
        site.forced = "unclear" if root not in known.SENDERS or root.startswith("httpx") else "stays"

    def _caller(self) -> cst.Call | None:
        for node in reversed(self.stack):
            if isinstance(node, cst.Call):
                return node
            if isinstance(node, (cst.BaseStatement, cst.BaseSmallStatement)):
                return None
        return None

    def _is_batched(self) -> bool:
        """Tell whether a string stands in a line of the Batch API's input file."""
        line = next((node for node in reversed(self.stack) if isinstance(node, cst.Dict)), None)
        keys = line.elements if line is not None else ()
        return any(isinstance(one, cst.DictElement) and text_of(one.key) == "custom_id" for one in keys)

    def _is_docstring(self) -> bool:
        return any(
            isinstance(node, cst.Expr) and isinstance(node.value, (cst.SimpleString, cst.ConcatenatedString))
            for node in self.stack[-3:]
        )

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
_BATCH = "the Batch API isn't moved: its input file is written for the endpoint that it names"
_REPLACED = "where create is replaced, the adapter steps aside"
_LOOKS = frozenset(
    {"callable", "getattr", "hasattr", "id", "iscoroutinefunction", "isinstance", "ismethod", "print", "repr", "signature", "wraps"}
)  # fmt: skip
_INSTRUCTORS = frozenset({"response_model", "max_retries", "validation_context", "context", "strict", "hooks", "mode"})


def method_of(path: str) -> str | None:
    """Return the method of Chat Completions that a symbol is, as the SDK's users write it."""
    found = known.METHOD.fullmatch(path)
    if found is not None:
        return f"{(found['beta'] or '')[1:]}{'.' if found['beta'] else ''}chat.completions{found['raw'] or ''}.{found['method']}"
    resource, _, method = path.rpartition(".")
    if method in ("create", "parse", "stream") and known.RESOURCE.fullmatch(resource):
        return f"chat.completions.{method}"
    if path in ("instructor.client().create", "instructor.from_openai().create", "instructor.from_provider().create"):
        return "create"
    return None


def _judge_vendor(site: Site, path: str) -> bool:
    """Tell whether a symbol is one of another vendor's client, and say so of its site."""
    vendor = path.partition(".")[0]
    if vendor not in known.VENDORS:
        return False
    site.kind, site.forced = "other client", "stays"
    site.note = f"a client of {vendor}, not of the OpenAI SDK: out of the adapter's reach"
    return True


def _last(node: cst.BaseExpression) -> str:
    return node.attr.value if isinstance(node, cst.Attribute) else node.value if isinstance(node, cst.Name) else "call"
