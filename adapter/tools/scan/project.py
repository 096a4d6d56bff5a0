"""The files of a scan as modules of one project: resolve imports, and parse files on demand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper

from adapter._util.regular_files import Unreadable

from . import known_clients, sources
from .call_sites import Wrapper, find_module_sites
from .finder import Site
from .scopes import Scope
from .symbol import Symbol
from .symbols import Symbols

_MAX_PARSED_FILES = 400  # parsed files kept in memory
_MAX_NAME_PARTS = 6  # parts of a module's dotted name that are indexed


class ModuleIndex:
    """The files of a scan by the names under which they may be imported; a file is a number.

    `paths` are absolute, with slashes; a file's number is its index there.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self._by_path: dict[str, int] = {}
        self._by_name: dict[str, list[int]] = {}
        for k, path in enumerate(paths):
            stem, dot, suffix = path.rpartition(".")
            if dot + suffix != ".py":
                continue
            self._by_path[path] = k
            parts = stem.removesuffix("/__init__").split("/")
            for start in range(max(0, len(parts) - _MAX_NAME_PARTS), len(parts)):
                self._by_name.setdefault(".".join(parts[start:]), []).append(k)

    def module_at(self, folder: str, parts: Sequence[str]) -> int | None:
        """Return the module with this path below a folder."""
        path = "/".join([folder, *parts])
        found = self._by_path.get(f"{path}.py") if parts else None
        return self._by_path.get(f"{path}/__init__.py") if found is None else found

    def find_module(self, module: str, near: str) -> int | None:
        """Return the module that an absolute import names; of several, the nearest to a file."""
        found = self.module_at(_folder(near), module.split("."))
        if found is not None:
            return found
        candidates = [k for k in self._by_name.get(module, ()) if "." in module or self._is_top(k)]
        return max(candidates, key=lambda k: _common_folders(self.paths[k], near), default=None)

    def _is_top(self, k: int) -> bool:
        folder = _folder(self.paths[k])
        return (
            f"{_folder(folder) if self._is_package(k) else folder}/__init__.py" not in self._by_path
        )

    @lru_cache(maxsize=100_000)  # noqa: B019  # one for each scan
    def resolve(self, near: str, dots: int, module: str, name: str) -> str:
        """Return what `from module import name` means in the file `near`.

        That is `@3.name` if the module is file 3, else the dotted name as written.
        """
        written = "." * dots + module + ("." if module and name else "") + name
        if not dots and module.partition(".")[0] in known_clients.EXTERNAL_PACKAGES:
            return written
        if dots:
            folder = near
            for _ in range(dots):
                folder = _folder(folder)
            parts = module.split(".") if module else []
            inner = self.module_at(folder, [*parts, name]) if name else None
            found = self.module_at(folder, parts)
        else:
            inner = self.find_module(f"{module}.{name}", near) if name else None
            found = self.find_module(module, near)
        own = self._by_path.get(near)
        if inner is not None and inner != own and (found is None or self._is_package(found)):
            return f"@{inner}"
        if found is not None and found != own:
            return f"@{found}.{name}" if name else f"@{found}"
        return written

    def imports(
        self, file: int, written: Iterable[tuple[int, str, str]]
    ) -> frozenset[tuple[int, str]]:
        """Return a file's imports from the project as (file, name); no name for a whole module."""
        found = (self.resolve(self.paths[file], *one) for one in written)
        return frozenset(_split(one) for one in found if one.startswith("@"))

    def _is_package(self, k: int) -> bool:
        return self.paths[k].endswith("/__init__.py")


def _split(path: str) -> tuple[int, str]:
    file, _, name = path[1:].partition(".")
    return int(file), name


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _common_folders(one: str, other: str) -> int:
    """Return the number of leading folders that two paths share."""
    return next(
        (
            k
            for k, (a, b) in enumerate(zip(one.split("/"), other.split("/"), strict=False))
            if a != b
        ),
        0,
    )


class Module:
    """One parsed file, which resolves names through the other files of the project."""

    def __init__(self, project: Project, file: int, wrapper: MetadataWrapper, text: str) -> None:
        self._project = project
        self._path = project.files.paths[file]
        self._wrapper = wrapper
        self._text = text
        self.imports: set[tuple[int, str]] = set()
        """The imports from other files as (file, name); the name is empty for a whole module."""
        self.symbols = Symbols(wrapper.module, self)
        self.symbols.module.file = self._path
        self.wrappers: dict[int, Wrapper] = {}
        self._found: list[Site] | None = None
        # Whether other files must know of a function or class, by its scope's id.
        self._informative: dict[int, bool] = {}

    @property
    def always_followed(self) -> frozenset[int]:
        """The files whose names are always followed."""
        return self._project.always_followed

    def resolve(self, dots: int, module: str, name: str) -> str:
        """Return what `from module import name` means in this file."""
        found = self._project.files.resolve(self._path, dots, module, name)
        if found.startswith("@"):
            self.imports.add(_split(found))
        return found

    def load(self, file: int) -> Scope | None:
        """Return the scope of another file."""
        module = self._project.module(file)
        return module.symbols.module if module is not None else None

    def find_sites(self) -> list[Site]:
        """Return the file's sites; they are computed once, also if files import one another."""
        if self._found is None:
            self._found = []
            self._found = find_module_sites(
                self._wrapper, self._text, self.symbols, self.wrappers, self._project.wrapper
            )
        return self._found

    def exports(self) -> frozenset[str]:
        """Return the names that other files must follow.

        They are wrappers, methods and resources of Chat, and functions and classes with one inside.
        """
        found = set()
        for name, bindings in self.symbols.module.bindings.items():
            imported = {one.dotted for one in bindings if one.dotted is not None}
            if any(self._is_informative_import(one) for one in imported) or any(
                self._is_informative(self.symbols.bound(one))
                for one in bindings
                if one.dotted is None
            ):
                found.add(name)
        stars = (one for one in self.symbols.module.stars if one.startswith("@"))
        return frozenset(found).union(
            *(self._project.exported_names.get(int(one[1:]), ()) for one in stars)
        )

    def _is_informative_import(self, dotted: str) -> bool:
        file, _, name = dotted[1:].partition(".")
        if not dotted.startswith("@"):
            framework = known_clients.framework(dotted)
            return framework is not None and framework.kind == "litellm"
        return name in self._project.exported_names.get(int(file), ())

    def _is_informative(self, symbol: Symbol) -> bool:
        if known_clients.method_of(symbol.path) or known_clients.RESOURCE_OF.search(symbol.path):
            return True
        scope = symbol.defined
        if scope is None:
            return False
        known = self._informative.get(id(scope))
        if known is None:
            self._informative[id(scope)] = False  # for circular definitions
            known = self._informative[id(scope)] = (
                self._is_informative_function(scope)
                if scope.kind == "function"
                else self._is_informative_class(scope)
            )
        return known

    def _is_informative_function(self, scope: Scope) -> bool:
        return self.find_wrapper(scope) or (
            bool(scope.returns) and self._is_informative(self.symbols.returned(scope))
        )

    def _is_informative_class(self, scope: Scope) -> bool:
        for bindings in (*scope.bindings.values(), *scope.attributes.values()):
            for one in bindings[-8:]:
                if one.defined is not None and one.defined.kind == "function":
                    if self.find_wrapper(one.defined):
                        return True
                elif self._is_informative(self.symbols.bound(one)):
                    return True
        return any(
            self._is_informative(self.symbols.of(base, scope.parent or scope))
            for base in scope.bases
        )

    def find_wrapper(self, scope: Scope) -> bool:
        """Return whether a function, or one inside it, passes its parameters on to Chat."""
        return self._project.wrapper(scope) is not None


class Project:
    """The files of a scan, parsed on demand; `exported_names` has what they export, by number."""

    def __init__(self, files: ModuleIndex, exported_names: Mapping[int, frozenset[str]]) -> None:
        self.files = files
        self.exported_names = exported_names
        self.always_followed = frozenset(exported_names)
        self._modules: dict[int, Module | None] = {}
        self._file_of_scope: dict[int, int] = {}  # the file of a module's scope, by the scope's id

    def is_full(self) -> bool:
        """Return whether it keeps too many files; it may be replaced only between two files."""
        return len(self._modules) > _MAX_PARSED_FILES

    def module(self, file: int) -> Module | None:
        """Return a parsed file; None if it can't be read or parsed."""
        if file not in self._modules:
            self._modules[file] = None
            with contextlib.suppress(Unreadable, cst.ParserSyntaxError, RecursionError, ValueError):
                self.add(file, *parse_file(Path(self.files.paths[file])))
        return self._modules[file]

    def add(self, file: int, wrapper: MetadataWrapper, source: sources.Source) -> Module:
        """Add a file that has been parsed."""
        module = self._modules[file] = Module(self, file, wrapper, source.text)
        self._file_of_scope[id(module.symbols.module)] = file
        return module

    def wrapper(self, function: Scope) -> Wrapper | None:
        """Return the wrapper that a function of any file is, or None."""
        module = self._modules.get(self._file_of_scope.get(id(function.root()), -1))
        if module is None:
            return None
        module.find_sites()
        return module.wrappers.get(id(function))


def parse_file(path: Path) -> tuple[MetadataWrapper, sources.Source]:
    """Read and parse a file. Raises Unreadable, ParserSyntaxError, RecursionError."""
    source = sources.read_source(path, sources.read_bytes(path))
    sources.check_depth(source.text)
    return MetadataWrapper(cst.parse_module(source.text), unsafe_skip_copy=True), source
