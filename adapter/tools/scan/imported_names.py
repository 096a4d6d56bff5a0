"""Find which names the modules of a source tree import from one another."""

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
    """The imports of all files, read at the first query."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = [one for one in files if one.suffix.lower() in sources.CODE]
        self._by_name: set[tuple[str, str]] | None = None
        # The sources that import a module, by the last part of the module's name.
        self._module_imports: dict[str, list[bytes]] = {}

    def may_import(self, path: Path, name: str) -> bool:
        """Return whether another file may import a name from the module at `path`."""
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
            whole |= set(names)  # the names may be modules
        for found in _IMPORT.finditer(raw):
            whole |= {
                one.decode("ascii", "replace").rpartition(".")[2] for one in _NAME.findall(found[1])
            }
        for stem in whole:
            self._module_imports.setdefault(stem, []).append(raw)
