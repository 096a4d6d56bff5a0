"""Find the files of a scan, filter them by their bytes, and read them as modules."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import tokenize
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from adapter._routing.call_site import module_name
from adapter._util import regular_files
from adapter._util.regular_files import Unreadable

from .known_clients import HINT
from .notebooks import Notebook

SKIPPED = frozenset(
    {".eggs", ".git", ".hg", ".ipynb_checkpoints", ".lanes", ".mypy_cache", ".nox",
     ".pytest_cache", ".ruff_cache", ".svn", ".tox", ".venv", "__pycache__", "__pypackages__",
     "node_modules", "site-packages", "venv"}
)  # fmt: skip
"""Folders without the project's own code: skipped, unless a given path is inside one."""

CODE = frozenset({".py", ".pyi", ".pyw", ".ipynb"})
RECORDINGS = frozenset({".yaml", ".yml", ".json", ".jsonl"})
MAX_BYTES = 20 << 20
"""The largest size of a file that is read."""

ENDPOINT = b"/chat/completions"


@dataclass(frozen=True, slots=True)
class Source:
    """A module's text; for notebooks, `cells` has each line's cell and its line there, from 1."""

    text: str
    cells: tuple[tuple[int, int], ...] = ()

    def place(self, line: int) -> tuple[int | None, int]:
        """Return the cell (None in a module) and the line in the cell or module."""
        if not self.cells:
            return None, line
        return self.cells[min(line, len(self.cells)) - 1]


def find_files(
    paths: Iterable[Path],
    exclude: Iterable[str] = (),
    on_unreadable: Callable[[Path, str], object] = lambda _path, _why: None,
) -> Iterator[Path]:
    """Yield the files below paths, each once, in order; `exclude` are globs of names or paths.

    A link is left out if its target is found too. `on_unreadable` is called with each folder that
    can't be read, and the reason.
    """
    globs = tuple(exclude)
    found = [
        one
        for path in paths
        for one in (
            _files_below(path, globs, on_unreadable) if regular_files.is_folder(path) else [path]
        )
    ]
    # Not Path.resolve, which raises an error for circular links.
    real = {one: os.path.realpath(one) for one in found}
    seen = {real[one]: one for one in reversed(found)}
    seen |= {real[one]: one for one in reversed(found) if not one.is_symlink()}
    for one in dict.fromkeys(found):
        if seen[real[one]] == one:
            yield one


def _files_below(
    root: Path, globs: tuple[str, ...], on_unreadable: Callable[[Path, str], object]
) -> Iterator[Path]:
    skipped = SKIPPED - set(Path(os.path.realpath(root)).parts)

    def failed(error: OSError) -> None:
        on_unreadable(Path(error.filename or root), regular_files.reason_of(error))

    for folder, folders, names in os.walk(root, onerror=failed):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if name not in skipped
            and not _excluded(here / name, root, globs)
            and not regular_files.is_file(here / name / "pyvenv.cfg")
        )
        for name in sorted(names):
            path = here / name
            if path.suffix.lower() in CODE | RECORDINGS and not _excluded(path, root, globs):
                yield path


def _excluded(path: Path, root: Path, globs: tuple[str, ...]) -> bool:
    relative = path.relative_to(root).as_posix()
    return any(
        fnmatchcase(path.name, glob)
        or fnmatchcase(relative, glob.rstrip("/"))
        or fnmatchcase(relative, f"{glob.rstrip('/')}/*")
        for glob in globs
    )


def read_bytes(path: Path) -> bytes:
    """Read a file. Raises Unreadable."""
    return regular_files.read(path, MAX_BYTES)


def worth_parsing(raw: bytes) -> bool:
    """Return whether a file may contain a call."""
    return HINT.search(raw) is not None


_IMPORTED = re.compile(
    rb"^[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]*)"
    rb"|import[ \t]+([^\n#]+))",
    re.MULTILINE,
)


def imports_of(raw: bytes) -> list[tuple[int, str, str]]:
    """Return a module's imports, found without parsing: (dots, module, name).

    The name is empty for a whole module.
    """
    found = []
    for dots, module, names, plain in _IMPORTED.findall(raw):
        found += [
            (len(dots), module.decode(), "" if name == "*" else name) for name in _split(names)
        ]
        found += [(0, name, "") for name in _split(plain)]
    return found


def _split(names: bytes) -> list[str]:
    """Return the names in an import statement, without their aliases."""
    words = (one.split() for one in names.decode("ascii", "replace").strip("()\r\n ").split(","))
    return [one[0] for one in words if one]


_ASCII = bytes([9, 10, 13, *range(32, 127)])


def _keeps_ascii(encoding: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _ASCII.decode(encoding) == _ASCII.decode()


def decode(raw: bytes) -> tuple[str, str]:
    """Return a module's text, line endings kept, and its encoding.

    The encoding is `utf-8-sig` if there is a byte order mark. Raises Unreadable.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        if encoding not in ("utf-8", "utf-8-sig") and not _keeps_ascii(encoding):
            # Others aren't source encodings, and decoding punycode may take minutes.
            raise Unreadable("an encoding incompatible with ASCII")
        return raw.decode(encoding), encoding
    except UnicodeDecodeError as error:
        raise Unreadable(f"not {error.encoding}") from None
    except UnicodeError:
        raise Unreadable("an encoding incompatible with ASCII") from None
    except (SyntaxError, LookupError) as error:
        # `detect_encoding` reads the first lines as UTF-8 to find a declaration.
        raise Unreadable(
            "an unknown encoding" if "unknown" in str(error) else "not utf-8"
        ) from None


def check_depth(text: str) -> None:
    """Raise Unreadable for code nested too deeply for Python: LibCST's parser would crash."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (RecursionError, MemoryError):
        raise Unreadable("nested too deeply") from None
    except (SyntaxError, ValueError):
        # LibCST reports syntax errors itself, and may know syntax newer than this Python's.
        if _depth(text) > _MAX_DEPTH:
            raise Unreadable("nested too deeply") from None


_MAX_DEPTH = 100  # nested brackets; Python's limit is 200


def _depth(text: str) -> int:
    """Return the depth of nested brackets, counting those in strings and comments too."""
    deepest = depth = 0
    for found in re.finditer(r"[(\[{]|[)\]}]", text):
        depth = depth + 1 if found[0] in "([{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def read_source(path: Path, raw: bytes) -> Source:
    """Return the text of a file to parse; a notebook is one module. Raises Unreadable."""
    if path.suffix.lower() != ".ipynb":
        return Source(decode(raw)[0])
    found = Notebook(raw)
    return Source(found.text, found.places)


def module_of(path: Path) -> str:
    """Return the dotted name under which a file is imported.

    Below the `src` folder of a project, packages may be namespace packages.
    """
    name = module_name(path)
    if name == "__main__":
        return name
    parts = path.resolve().parts
    for k in range(len(parts) - 2, 0, -1):
        home = Path(*parts[:k])
        if parts[k] == "src" and any(
            regular_files.is_file(home / one) for one in ("pyproject.toml", "setup.py", "setup.cfg")
        ):
            inside = [*parts[k + 1 : -1], *([] if path.stem == "__init__" else [path.stem])]
            return (
                ".".join(inside) if inside and all(one.isidentifier() for one in inside) else name
            )
    return name


_KEY = re.compile(rb"""[\w/{}.-]*["']?[ ]*:(?=[ {\r]|$)""")
_ITEM = re.compile(rb"""(?:^[ ]*-?|[\[,])[ ]*["']?[\w/]*$""")
_CONTEXT_BYTES = 80  # bytes around the endpoint's name that are examined


def recorded_lines(raw: bytes) -> list[int]:
    """Return the lines (from 1) of a recording that name the endpoint."""
    lines = enumerate(raw.split(b"\n"), 1)
    return [number for number, line in lines if ENDPOINT in line and _is_recorded(line)]


def _is_recorded(line: bytes) -> bool:
    """Return whether a line records a request.

    It doesn't if the endpoint is in a comment, a key of an API description, or a list of endpoints.
    """
    if line.lstrip().startswith(b"#"):
        return False
    for found in re.finditer(re.escape(ENDPOINT), line):
        before = line[max(0, found.start() - _CONTEXT_BYTES) : found.start()]
        after = line[found.end() : found.end() + _CONTEXT_BYTES]
        is_item = _ITEM.search(before) and re.match(rb"""["']?[ ]*(?:[,\]\r]|$)""", after)
        if not is_item and not _KEY.match(after):
            return True
    return False


def is_batch(path: Path, raw: bytes) -> bool:
    """Return whether a file that names the endpoint is a batch's input, by its first line."""
    try:
        first = json.loads(raw.lstrip(b"\xef\xbb\xbf").lstrip().split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return False
    return (
        path.suffix.lower() == ".jsonl"
        and isinstance(first, dict)
        and {"custom_id", "url", "body"} <= first.keys()
    )


def is_test(path: Path) -> bool:
    """Return whether a file belongs to tests, judged by its path."""
    return (
        path.name.startswith("test_")
        or path.stem.endswith("_test")
        or path.name == "conftest.py"
        or "tests" in path.parts
        or "test" in path.parts
    )
