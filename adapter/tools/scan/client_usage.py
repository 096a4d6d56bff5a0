"""Find out what a module uses its clients for: perhaps chat calls, or other resources only."""

from __future__ import annotations

import re
from collections.abc import Sequence

import libcst as cst

from .cst_walker import Walker
from .finder import last_name
from .hosts import is_named_after_vendor, vendor_of
from .module_tree import ModuleTree
from .string_values import StringValues
from .symbols import Scope, Symbols

OTHER_RESOURCES = frozenset(
    {"admin", "audio", "batches", "completions", "containers", "content_provenance_checks",
     "conversations", "decisions", "embeddings", "evals", "files", "fine_tuning", "images",
     "live", "models", "moderations", "realtime", "responses", "safety", "skills", "uploads",
     "vector_stores", "videos", "webhooks"}
)  # fmt: skip
"""The resources of the SDK's clients other than chat."""

_BETA_RESOURCES = frozenset(
    {"agents", "assistants", "chatkit", "realtime", "responses", "threads", "vector_stores"}
)
_RAW = frozenset({"with_raw_response", "with_streaming_response"})
_COPIES = frozenset({"copy", "with_options"})
_NEUTRAL_ATTRIBUTES = frozenset(
    {"__aenter__", "__aexit__", "__class__", "__enter__", "__exit__", "_client", "aclose",
     "api_key", "auth_headers", "base_url", "close", "default_headers", "default_query",
     "is_closed", "max_retries", "organization", "project", "timeout", "user_agent",
     "webhook_secret"}
)  # fmt: skip
_URL_ARGUMENTS = frozenset({"base_url", "azure_endpoint"})
_CHAT_CLASS = re.compile(r"Chat|Like$|LLM")
_RETURNING_ARGUMENT = frozenset({"cast", "install", "track_openai", "wrap_openai"})
_INSPECTING_FUNCTIONS = frozenset(
    {
        "bool",
        "hasattr",
        "id",
        "instrument_openai",
        "isinstance",
        "len",
        "print",
        "repr",
        "str",
        "type",
    }
)

UsedResources = frozenset[str] | None
"""The resources that a client is used for; None if it may make a chat call."""

_UNUSED: frozenset[str] = frozenset()
_MAX_DEPTH = 8


class ClientUsage:
    """Find reasons why the clients that a module creates don't need the adapter."""

    def __init__(self, module: cst.Module, symbols: Symbols, tree: ModuleTree) -> None:
        self._symbols = symbols
        self._tree = tree
        self._strings = StringValues(module, symbols)
        self.relevant_names: set[str] = set()  # module names that the last result depends on

    def reason_to_keep(self, call: cst.Call, scope: Scope) -> str | None:
        """Return why a new client can't make a chat call to OpenAI; None if it may."""
        vendor = self._vendor(call, scope)
        if vendor is not None:
            return f"its client is another vendor's ({vendor})"
        return self.used_for(call)

    def used_for(self, call: cst.BaseExpression) -> str | None:
        """Return a text on a client's use if that is known and isn't chat, else None."""
        self.relevant_names = set()
        found = self._usage_of(call, set(), 0)
        return f"its client is used for {', '.join(sorted(found))} only" if found else None

    # The vendor

    def _vendor(self, call: cst.Call, scope: Scope) -> str | None:
        for arg in call.args:
            if arg.keyword is not None and arg.keyword.value in _URL_ARGUMENTS:
                texts = self._strings.of(arg.value, scope)
            elif arg.star == "**":
                texts = self._strings.item(arg.value, "base_url", scope)
            else:
                continue
            vendor = vendor_of(texts)
            if (
                vendor is None
                and arg.keyword is not None
                and not any("://" in one for one in texts)
            ):
                vendor = self._vendor_of_enclosing_class(arg.value, call)
            if vendor is not None:
                return vendor
            named = arg.keyword is not None and not any("://" in one for one in texts)
            if named and is_named_after_vendor(_words(arg.value)):
                return "by the name that its base URL is read from"
        return None

    def _vendor_of_enclosing_class(self, node: cst.BaseExpression, call: cst.Call) -> str | None:
        """Return the vendor of a base URL that an enclosing class passes to a base `__init__`."""
        inside = next(
            (one for one in self._tree.ancestors(call) if isinstance(one, cst.ClassDef)), None
        )
        if inside is None or not isinstance(node, cst.Attribute):
            return None
        finder = _Inits()
        finder.walk(inside.body)
        for init in finder.found:
            function = self._tree.enclosing_function(init)
            scope = self._symbols.scope_of(function) if function is not None else None
            for arg in init.args if scope is not None else ():
                vendor = (
                    vendor_of(self._strings.of(arg.value, scope)) if scope is not None else None
                )
                if vendor is not None:
                    return vendor
        return None

    def subclass_of_vendor(self, node: cst.ClassDef, scope: Scope) -> str | None:
        """Return a text on a subclass whose `__init__` sets a vendor's base URL, else None."""
        finder = _Inits()
        finder.walk(node.body)
        for call in finder.found:
            function = self._tree.enclosing_function(call)
            inner = self._symbols.scope_of(function) if function is not None else None
            vendor = self._vendor(call, inner or scope)
            if vendor is not None:
                return f"its client is another vendor's ({vendor})"
        return None

    # The resources

    def _usage_of(self, node: cst.BaseExpression, seen: set[object], depth: int) -> UsedResources:
        if depth > _MAX_DEPTH:
            return None
        found: UsedResources = _UNUSED
        here: cst.CSTNode = node
        above = self._tree.parent(node)
        while True:  # up to the outermost expression that is the same client
            if isinstance(above, cst.NamedExpr) and above.value is here:
                found = _union(found, self._usage_of_target(above.target, above, seen, depth))
            elif isinstance(above, cst.IfExp) and above.test is here:
                return found
            elif not isinstance(above, (cst.IfExp, cst.BooleanOperation, cst.Await)):
                break
            here, above = above, self._tree.parent(above)
        return _union(found, self._usage_in_parent(here, above, seen, depth))

    def _usage_in_parent(
        self, node: cst.CSTNode, parent: cst.CSTNode | None, seen: set[object], depth: int
    ) -> UsedResources:
        match parent:
            case cst.Attribute():
                return self._usage_of_attribute(parent, seen, depth)
            case cst.Assign():
                found: UsedResources = _UNUSED
                for target in parent.targets:
                    found = _union(found, self._usage_of_target(target.target, parent, seen, depth))
                return found
            case cst.Element():
                return self._usage_of_unpacked(parent, seen, depth)
            case cst.AnnAssign():
                return self._usage_of_target(parent.target, parent, seen, depth)
            case cst.WithItem():
                return (
                    _UNUSED
                    if parent.asname is None
                    else self._usage_of_target(parent.asname.name, parent, seen, depth)
                )
            case cst.Arg():
                call = self._tree.parent(parent)
                if not isinstance(call, cst.Call):
                    return None
                name = last_name(call.func)
                if name in _RETURNING_ARGUMENT:
                    return self._usage_of(call, seen, depth + 1)
                return (
                    _UNUSED
                    if name in _INSPECTING_FUNCTIONS
                    else self._usage_of_argument(call, parent, seen, depth)
                )
            case (
                cst.Comparison()
                | cst.ComparisonTarget()
                | cst.If()
                | cst.While()
                | cst.UnaryOperation()
                | cst.Assert()
                | cst.Expr()
            ):
                return _UNUSED
            case cst.Return():
                return self._usage_of_returned(parent, seen, depth)
        return None

    def _usage_of_unpacked(self, node: cst.Element, seen: set[object], depth: int) -> UsedResources:
        """Return the usage of a client in a tuple that is unpacked in the same statement."""
        values = self._tree.parent(node)
        at = self._tree.parent(values) if values is not None else None
        if isinstance(at, cst.AssignTarget):
            return _UNUSED  # the name itself is rebound
        if not isinstance(values, (cst.Tuple, cst.List)) or not isinstance(at, cst.Assign):
            return None
        k = next(k for k, one in enumerate(values.elements) if one is node)
        found: UsedResources = _UNUSED
        for target in (one.target for one in at.targets):
            if not isinstance(target, (cst.Tuple, cst.List)) or len(target.elements) != len(
                values.elements
            ):
                return None
            if any(
                isinstance(one, cst.StarredElement) for one in (*target.elements, *values.elements)
            ):
                return None
            found = _union(found, self._usage_of_target(target.elements[k].value, at, seen, depth))
        return found

    def _usage_of_attribute(
        self, node: cst.Attribute, seen: set[object], depth: int
    ) -> UsedResources:
        name = node.attr.value
        above = self._tree.parent(node)
        if isinstance(above, cst.AssignTarget):
            return _UNUSED  # an attribute of the client is set
        if name in OTHER_RESOURCES:
            return frozenset({name})
        if name in _RAW and isinstance(above, cst.Attribute):
            return self._usage_of_attribute(above, seen, depth)
        if (
            name == "beta"
            and isinstance(above, cst.Attribute)
            and above.attr.value in _BETA_RESOURCES
        ):
            return frozenset({f"beta.{above.attr.value}"})
        if name in _COPIES and isinstance(above, cst.Call):
            return self._usage_of(above, seen, depth + 1)
        return _UNUSED if name in _NEUTRAL_ATTRIBUTES else None

    def _usage_of_argument(
        self, call: cst.Call, arg: cst.Arg, seen: set[object], depth: int
    ) -> UsedResources:
        """Return the usage of a client that is passed to a function or class of this module."""
        place = next(
            (
                one
                for one in map(self._symbols.scope_of, self._tree.ancestors(call))
                if one is not None
            ),
            None,
        )
        scope = place or self._symbols.module
        own = isinstance(call.func, cst.Name) and call.func.value == "cls"
        function = scope.enclosing_class() if own else self._symbols.of(call.func, scope).defined
        method = isinstance(call.func, cst.Attribute)
        if function is not None and function.kind == "class":
            inits = [one.defined for one in function.bindings.get("__init__", ())]
            function, method = (inits[0] if inits else None), True
        if function is None or function.kind != "function":
            return None
        names = function.parameters[
            bool(method and function.parameters[:1] in (("self",), ("cls",))) :
        ]
        placed = [one for one in call.args if one.keyword is None and one.star != "**"]
        if arg.keyword is not None:
            name = arg.keyword.value
        elif any(one.star for one in placed) or placed.index(arg) >= len(names):
            return None
        else:
            name = names[placed.index(arg)]
        reads = [
            one
            for one in self._tree.names.get(name, ())
            if any(self._symbols.scope_of(each) is function for each in self._tree.ancestors(one))
        ]
        return (
            self._usage_of_reads(reads, (id(function), name), seen, depth)
            if reads and name in names
            else None
        )

    def _is_for_chat(self, name: str, node: cst.CSTNode) -> bool:
        """Return whether a base class that is named after chat may use a public name of a class."""
        if name.startswith("_"):
            return False
        inside = next(
            (one for one in self._tree.ancestors(node) if isinstance(one, cst.ClassDef)), None
        )
        return inside is not None and any(
            _CHAT_CLASS.search(last_name(one.value)) for one in inside.bases
        )

    def _standalone_class(self, node: cst.Attribute) -> cst.ClassDef | None:
        """Return the class whose `self` has an attribute, if no other class shares attributes."""
        if not isinstance(node.value, cst.Name) or node.value.value != "self":
            return None
        inside = next(
            (one for one in self._tree.ancestors(node) if isinstance(one, cst.ClassDef)), None
        )
        if inside is None or inside.bases or inside.name.value.endswith("Mixin"):
            return None
        above = (self._tree.parent(one) for one in self._tree.names.get(inside.name.value, ()))
        derived = any(
            isinstance(one, cst.Arg) and isinstance(self._tree.parent(one), cst.ClassDef)
            for one in above
        )
        return None if derived else inside

    def _usage_of_target(
        self, target: cst.BaseExpression, at: cst.CSTNode, seen: set[object], depth: int
    ) -> UsedResources:
        """Return the usage of the name or attribute that a client is bound to."""
        if isinstance(target, cst.Attribute):
            if self._is_for_chat(target.attr.value, at):
                return None
            owner = self._standalone_class(target)
            reads: Sequence[cst.BaseExpression] = [
                one
                for one in self._tree.attributes.get(target.attr.value, ())
                if owner is None or self._standalone_class(one) in (None, owner)
            ]
            return self._usage_of_reads(
                reads, ("attribute", target.attr.value, id(owner)), seen, depth
            )
        if not isinstance(target, cst.Name):
            return None
        name = target.value
        inside = next(
            (
                one
                for one in self._tree.ancestors(at)
                if isinstance(one, (cst.FunctionDef, cst.ClassDef))
            ),
            None,
        )
        reads = self._tree.names.get(name, ())
        if isinstance(inside, cst.ClassDef):
            reads = [*reads, *self._tree.attributes.get(name, ())]
        elif isinstance(inside, cst.FunctionDef) and name not in self._tree.shared:
            reads = [one for one in reads if inside in self._tree.ancestors(one)]
            return self._usage_of_reads(reads, (id(inside), name), seen, depth)
        if name in self._tree.exported:
            return None
        self.relevant_names.add(name)
        return self._usage_of_reads(reads, ("name", name), seen, depth)

    def _usage_of_reads(
        self, reads: Sequence[cst.BaseExpression], key: object, seen: set[object], depth: int
    ) -> UsedResources:
        if key in seen:
            return _UNUSED
        seen.add(key)
        found: UsedResources = _UNUSED
        for one in reads:
            found = _union(found, self._usage_of(one, seen, depth + 1))
            if found is None:
                return None
        return found

    def _usage_of_returned(self, node: cst.Return, seen: set[object], depth: int) -> UsedResources:
        """Return the usage of a client that is returned by a function of this module."""
        function = self._tree.enclosing_function(node)
        if not isinstance(function, cst.FunctionDef):
            return None
        name = function.name.value
        reads: list[cst.BaseExpression] = [
            *self._tree.names.get(name, ()),
            *self._tree.attributes.get(name, ()),
        ]
        if not any(last_name(one.decorator).endswith("property") for one in function.decorators):
            calls = [self._tree.parent(one) for one in reads]
            reads = [one for one in calls if isinstance(one, cst.Call) and one.func in reads]
            if len(reads) < len(calls):
                return None
        if not reads or name in self._tree.exported or self._is_for_chat(name, function):
            return None  # may be used by other modules or classes
        if not any(isinstance(one, cst.ClassDef) for one in self._tree.ancestors(function)):
            self.relevant_names.add(name)
        return self._usage_of_reads(reads, ("function", name), seen, depth)


class _Inits(Walker):
    """Find the calls of `super().__init__`."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[cst.Call] = []

    def visit_Call(self, node: cst.Call) -> None:
        if last_name(node.func) == "__init__":
            self.found.append(node)


def _union(one: UsedResources, other: UsedResources) -> UsedResources:
    return None if one is None or other is None else one | other


class _Words(Walker):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def visit_Name(self, node: cst.Name) -> None:
        self.found.append(node.value)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self.found.append(node.raw_value)


def _words(node: cst.BaseExpression) -> list[str]:
    finder = _Words()
    finder.walk(node)
    return finder.found
