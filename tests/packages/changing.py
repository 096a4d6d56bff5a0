"""Change the imports of a copy of a package, and check that nothing else has changed."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import symtable
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

CLIENTS = frozenset({"OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI"})
_PACKAGES = ("openai", "adapter")

_IMPORT = """
import importlib, json, os, sys, warnings
warnings.simplefilter("ignore")
fine = []
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        fine.append(name)
    except BaseException:
        pass
print("\\n" + json.dumps(fine), flush=True)
os._exit(0)
"""


@dataclass(slots=True)
class Changing:
    """The effect of `--fix`: changed files, files left with reasons, broken files with reasons."""

    changed: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    imports: str = "none changed"


def check_changes(
    folder: Path,
    copy: Path,
    adapter: Callable[..., dict[str, Any]],
    python: Path | None,
) -> Changing:
    """Change a copy of a folder with the command `adapter`; import it, if a Python is given."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    report = adapter("scan", "--fix", "--yes", ".", cwd=copy)
    done = Changing([one["file"] for one in report["changed"]])
    for one in [*report["left"], *report["notes"]]:
        done.left.setdefault(one["file"], one.get("why") or one["note"])
    for file in done.changed:
        why = difference((folder / file).read_bytes(), (copy / file).read_bytes())
        if why:
            done.broken[file] = why
    if done.changed:
        for one in adapter("scan", "--fix", "--yes", *done.changed, cwd=copy)["changed"]:
            done.broken[one["file"]] = "a second run changes it again"
        done.imports = "not tried" if python is None else _imports(done, folder, copy, python)
    return done


def compiles(file: Path) -> bool:
    """Return whether a file is valid Python."""
    try:
        ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return False
    return True


def difference(before: bytes, after: bytes) -> str:
    """Return how a changed module differs apart from its clients' package; "" if it doesn't."""
    try:
        old, new = ast.parse(before), ast.parse(after)
        compile(after, "changed", "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"doesn't compile: {error.msg}"
    if _names(old) != _names(new):
        return "has other names"
    if ast.dump(_Normalizer(old).visit(old)) != ast.dump(_Normalizer(new).visit(new)):
        return "does something else"
    return ""


def _names(module: ast.Module) -> set[str]:
    table = symtable.symtable(ast.unparse(module), "module", "exec")
    return set(table.get_identifiers()) - {"adapter"}


class _Normalizer(ast.NodeTransformer):
    """Normalise a module: clients become `openai.X`, and each import has one name."""

    def __init__(self, module: ast.Module) -> None:
        self._modules: set[str] = set()
        self._classes: dict[str, str] = {}  # imported clients by their names in the module
        for node in ast.walk(module):
            if isinstance(node, ast.Import):
                modules = [one for one in node.names if one.name.partition(".")[0] in _PACKAGES]
                self._modules |= {one.asname or one.name for one in modules}
            elif _is_from_package(node):
                clients = [one for one in node.names if one.name in CLIENTS]
                self._classes |= {one.asname or one.name: one.name for one in clients}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | list[ast.AST]:
        if not _is_from_package(node):
            return node
        home = dict.fromkeys(CLIENTS, "openai")
        return [ast.ImportFrom(home.get(one.name, node.module), [one], 0) for one in node.names]

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        return None if [one.name for one in node.names] == ["adapter"] else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        owner = node.value
        if node.attr in CLIENTS and isinstance(owner, ast.Name) and owner.id in self._modules:
            owner.id = "openai"
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        client = self._classes.get(node.id)
        if client is None:
            return node
        return ast.Attribute(ast.Name("openai", node.ctx), client, node.ctx)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Sort consecutive imports of the SDK in each block."""
        super().generic_visit(node)
        for name, block in ast.iter_fields(node):
            if isinstance(block, list) and any(map(_is_from_package, block)):
                setattr(node, name, list(_sorted(block)))
        return node


def _is_from_package(node: ast.AST) -> TypeGuard[ast.ImportFrom]:
    return isinstance(node, ast.ImportFrom) and not node.level and node.module in _PACKAGES


def _sorted(block: list[ast.AST]) -> Iterable[ast.AST]:
    run: list[ast.AST] = []
    for node in [*block, ast.Pass()]:
        if _is_from_package(node):
            run.append(node)
            continue
        yield from sorted(run, key=ast.dump)
        run = []
        yield node


def _imports(done: Changing, folder: Path, copy: Path, python: Path) -> str:
    """Import the changed modules before and after; those that no longer import are broken."""
    modules = {
        file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): file
        for file in done.changed
        if file.endswith(".py")
    }
    top = {module.partition(".")[0] for module in modules}
    wanted = sorted(top | set(modules))
    before, after = (_importable(python, where, wanted) for where in (folder, copy))
    for module in before - after:
        done.broken[modules.get(module, module)] = "can't be imported any more"
    return f"of {len(wanted)} modules {len(before)} before, {len(after)} after"


def _importable(python: Path, folder: Path, modules: list[str]) -> set[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(python), "-c", _IMPORT, *modules],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()
    return set(json.loads(last[-1])) if last else set()
