"""Which names the modules of a tree take from one another, as far as their imports tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from adapter._util.regular_files import Unreadable

from . import sources

_FROM = re.compile(
    rb"^[ \t]*from[ \t]+\.*([\w.]*)[ \t]+import[ \t]*(\([^)]*\)|[^\n#]*)", re.MULTILINE
)
_IMPORT = re.compile(rb"^[ \t]*import[ \t]+([^\n#]*)", re.MULTILINE)
_NAME = re.compile(rb"\w+(?:\.\w+)*")


class ImportedNames:
    """Read the imports of files, once one is asked for."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = [one for one in files if one.suffix.lower() in sources.CODE]
        self._by_name: set[tuple[str, str]] | None = None
        self._module_imports: dict[
            str, list[bytes]
        ] = {}  # the texts that import a module, by its last name

    def may_import(self, path: Path, name: str) -> bool:
        """Tell whether another file may take a name from the module that a file is."""
        if self._by_name is None:
            self._by_name = set()
            for one in self._files:
                self._read(one, self._by_name)
        stem = path.parent.resolve().name if path.stem == "__init__" else path.stem
        if {(stem, name), (stem, "*")} & self._by_name:
            return True
        used = re.compile(rb"\.%b\b" % re.escape(name.encode()))
        return any(used.search(text) for text in self._module_imports.get(stem, ()))

    def _read(self, path: Path, into: set[tuple[str, str]]) -> None:
        try:
            raw = sources.read_bytes(path)
        except Unreadable:
            return
        whole: set[str] = set()
        for found in _FROM.finditer(raw):
            module = found[1].decode("ascii", "replace").rpartition(".")[2]
            if found[2].strip() == b"*":
                into.add((module, "*"))
            names = [
                one.decode("ascii", "replace")
                for one in _NAME.findall(re.sub(rb"#[^\n]*", b"", found[2]))
            ]
            into |= {(module, one) for one in names}
            whole |= set(names)  # which may be modules
        for found in _IMPORT.finditer(raw):
            whole |= {
                one.decode("ascii", "replace").rpartition(".")[2] for one in _NAME.findall(found[1])
            }
        for stem in whole:
            self._module_imports.setdefault(stem, []).append(raw)
