"""Change the imports of files: the new text of each, its diff, and an atomic write."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from adapter import regular
from adapter.regular import Unreadable

from . import sources

_HINT = b"openai"


@dataclass(slots=True)
class Change:
    """One file: its text before and after, as bytes; or why it was left, and what is to be looked at, each by line."""

    path: Path
    before: bytes = b""
    after: bytes | None = None
    left: list[tuple[int, str]] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)

    @property
    def encoding(self) -> str:
        """Return the file's encoding."""
        found = sources.decode(self.before)[1]
        return "utf-8" if found == "utf-8-sig" else found  # the mark stays a character of the first line

    def diff(self) -> str:
        """Return the change as a unified diff."""
        if self.after is None:
            return ""
        encoding = self.encoding
        old, new = (_lines(raw.decode(encoding)) for raw in (self.before, self.after))
        name = self.path.as_posix()
        lines = difflib.unified_diff(old, new, f"a/{name.lstrip('/')}", f"b/{name.lstrip('/')}")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def write(self) -> None:
        """Write the new text in place: the file keeps its owner, its mode and its other names.

        Raises Unreadable for what isn't to be written: a link, a file that nobody may write or that has changed since it was read; and
        where writing fails, which puts back what stood there.
        """
        assert self.after is not None
        if self.path.is_symlink():
            raise Unreadable("a symbolic link: name what it leads to")
        with writable(self.path) as file:
            if file.read(len(self.before) + 1) != self.before:
                raise Unreadable("it has changed since it was read")
            try:
                _fill(file, self.after)
            except BaseException as error:
                _fill(file, self.before)  # there is room for it: it was there
                if isinstance(error, OSError):
                    raise Unreadable(f"it can't be written: {regular.why(error)}") from None
                raise


def writable(path: Path) -> IO[bytes]:
    """Open a regular file to be read and written, unbuffered. Raises Unreadable."""
    try:
        mode = os.lstat(path)
        regular.check(mode)
        if not mode.st_mode & 0o222:  # a superuser may write it all the same
            raise Unreadable("it is read-only")
        handle = os.open(
            path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
    except OSError as error:
        raise Unreadable(regular.why(error)) from None
    try:
        regular.check(os.fstat(handle))
        return os.fdopen(handle, "r+b", buffering=0)
    except BaseException:
        os.close(handle)
        raise


def _fill(file: IO[bytes], data: bytes) -> None:
    file.seek(0)
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
    file.truncate()
    os.fsync(file.fileno())


def _lines(text: str) -> list[str]:
    """Split into lines as editors do: a form feed ends none."""
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def changes(
    paths: Sequence[Path], exclude: Iterable[str] = (), advance: Callable[[int], None] = lambda _: None
) -> Iterator[Change]:
    """Give the files whose imports change, were left, or have something to be looked at."""
    import libcst as cst

    from .imports import fix_imports

    refused: list[tuple[Path, str]] = []
    for path in sources.find_files(paths, exclude, lambda path, why: refused.append((path, why))):
        advance(1)
        if path.suffix.lower() not in sources.CODE:
            continue
        change = Change(path)
        try:
            change.before = sources.read_bytes(path)
            if _HINT not in change.before:
                continue
            if path.suffix.lower() == ".ipynb":
                if b"import OpenAI" in change.before or b"openai.OpenAI(" in change.before:
                    change.left = [(1, "a notebook: change its import by hand")]
                    yield change
                continue
            text, encoding = sources.decode(change.before)
            sources.check_depth(text)
            fixed = fix_imports(text, shadowed=_shadow(path), package=path.name == "__init__.py")
        except Unreadable as error:
            change.left = [(1, str(error))]
            yield change
            continue
        except cst.ParserSyntaxError as error:
            change.left = [(error.raw_line, "a syntax error")]
            yield change
            continue
        except RecursionError:
            change.left = [(1, "nested too deeply")]
            yield change
            continue
        except Exception as error:  # noqa: BLE001  # one file's fault, or ours, isn't the end of all
            change.left = [(1, f"can't be read ({type(error).__name__})")]
            yield change
            continue
        change.left, change.notes = fixed.left, fixed.notes
        if fixed.text is not None:
            change.after = fixed.text.encode(encoding)
        if change.after is not None and path.is_symlink():
            change.after, change.left = None, [*change.left, (1, "a symbolic link: name what it leads to")]
        if change.after is not None or change.left or change.notes:
            yield change
    yield from (Change(path, left=[(1, why)]) for path, why in refused)


def _shadow(path: Path) -> str | None:
    """Return a module of the project's own that is called adapter, where it would come first."""
    import adapter

    ours = Path(adapter.__file__).resolve().parent
    folder = path.resolve().parent
    above = folder
    while regular.is_file(above / "__init__.py"):
        above = above.parent
    for home in dict.fromkeys((folder, above)):
        if regular.is_file(home / "adapter.py"):
            return "adapter.py"
        if regular.is_file(home / "adapter" / "__init__.py") and (home / "adapter").resolve() != ours:
            return "adapter/__init__.py"
    return None
