"""Change the imports of files: the new text of each, its diff, and an atomic write."""

from __future__ import annotations

import difflib
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from adapter._util import regular_files
from adapter._util.regular_files import Unreadable

from . import sources
from .imported_names import ImportedNames
from .notebooks import Notebook
from .sources import Source

_HINT = b"openai"


@dataclass(slots=True)
class FileChange:
    """One file before and after, as bytes.

    `left` lists what wasn't changed, with reasons, and `notes` what to check by hand, each by line.
    """

    path: Path
    before: bytes = b""
    after: bytes | None = None
    left: list[tuple[int, str]] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    places: tuple[tuple[int, int], ...] = ()  # of a notebook: each line's cell and line in it

    def place(self, line: int) -> tuple[int | None, int]:
        """Return the cell (None in a module) and the line in the cell or module."""
        return Source("", self.places).place(line)

    @property
    def encoding(self) -> str:
        """Return the file's encoding."""
        found = "utf-8" if self.path.suffix.lower() == ".ipynb" else sources.decode(self.before)[1]
        # The byte order mark stays a character of the first line.
        return "utf-8" if found == "utf-8-sig" else found

    def diff(self) -> str:
        """Return the change as a unified diff."""
        if self.after is None:
            return ""
        return self.patch().decode(self.encoding, "replace")

    def patch(self) -> bytes:
        """Return the change as a unified diff for `git apply`, in the file's own encoding."""
        if self.after is None:
            return b""
        old, new = _lines(self.before), _lines(self.after)
        name = self.path.as_posix().lstrip("/")
        lines = difflib.diff_bytes(
            difflib.unified_diff, old, new, _quoted(f"a/{name}"), _quoted(f"b/{name}")
        )
        return b"".join(
            line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"
            for line in lines
        )

    def write(self) -> None:
        """Write the new text in place; the file keeps its owner, its mode and its hard links.

        Raises Unreadable for a link, a read-only file, and a file that has changed since it was
        read; also if writing fails, after the old contents have been restored.
        """
        assert self.after is not None
        if self.path.is_symlink():
            raise Unreadable("a symbolic link: name its target")
        with writable(self.path) as file:
            found = file.read(max(len(self.before), len(self.after)) + 1)
            if found == self.after:
                return  # written already through another hard link
            if found != self.before:
                raise Unreadable("it has changed since it was read")
            with _signals_blocked():
                try:
                    _overwrite(file, self.after)
                except BaseException as error:
                    _overwrite(file, self.before)  # fits on the disk, as it did before
                    if isinstance(error, OSError):
                        raise Unreadable(
                            f"it can't be written: {regular_files.reason_of(error)}"
                        ) from None
                    raise


def writable(path: Path) -> IO[bytes]:
    """Open a regular file for reading and writing, unbuffered. Raises Unreadable."""
    try:
        mode = os.lstat(path)
        regular_files.check_regular(mode)
        if not mode.st_mode & 0o222:  # a superuser could write it nevertheless
            raise Unreadable("it is read-only")
        handle = os.open(
            path,
            os.O_RDWR
            | getattr(os, "O_NOFOLLOW", 0)
            | getattr(os, "O_NONBLOCK", 0)
            | getattr(os, "O_BINARY", 0),
        )
    except OSError as error:
        raise Unreadable(regular_files.reason_of(error)) from None
    try:
        regular_files.check_regular(os.fstat(handle))
        return os.fdopen(handle, "r+b", buffering=0)
    except BaseException:
        os.close(handle)
        raise


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals that end the process while a file is written, if the platform supports it."""
    mask = getattr(signal, "pthread_sigmask", None)
    if mask is None:
        yield
        return
    before = mask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)


def _overwrite(file: IO[bytes], data: bytes) -> None:
    file.seek(0)
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
    file.truncate()
    os.fsync(file.fileno())


def _lines(raw: bytes) -> list[bytes]:
    """Split into lines as editors do: a form feed doesn't end a line."""
    parts = raw.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _quoted(name: str) -> bytes:
    """Return a file's name as in git's patches: quoted if it has control characters or quotes."""
    if name.isprintable() and not set(name) & {'"', "\\"}:
        return name.encode()
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}"
        for byte in os.fsencode(name)
    )
    return f'"{"".join(plain)}"'.encode()


def find_changes(
    paths: Sequence[Path],
    exclude: Iterable[str] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[FileChange]:
    """Yield the files with imports that change or were left, or with notes."""
    import libcst as cst

    from .imports import fix_imports

    unreadable: list[tuple[Path, str]] = []
    files = list(
        sources.find_files(paths, exclude, lambda path, why: unreadable.append((path, why)))
    )
    imported = ImportedNames(files)
    linked = [one for one in paths if _is_linked(one)]
    for path in files:
        advance(1)
        if path.suffix.lower() not in sources.CODE:
            continue
        change = FileChange(path)
        try:
            change.before = sources.read_bytes(path)
            if _HINT not in change.before:
                continue
            book = Notebook(change.before) if path.suffix.lower() == ".ipynb" else None
            text, encoding = (
                (book.text, "utf-8") if book is not None else sources.decode(change.before)
            )
            change.places = book.places if book is not None else ()
            sources.check_depth(text)
            if book is None and text.encode(encoding) != change.before:
                raise Unreadable("can't be written back exactly")
            fixed = fix_imports(
                text,
                shadowed=_shadowing_module(path),
                is_package=path.name == "__init__.py",
                is_imported_elsewhere=partial(imported.may_import, path),
            )
            if fixed.text is not None:
                change.after = (
                    fixed.text.encode(encoding) if book is None else book.changed(fixed.edits)
                )
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
        except Exception as error:  # noqa: BLE001  # one file, or a bug, must not stop the scan
            change.left = [(1, f"can't be read ({type(error).__name__})")]
            yield change
            continue
        change.left, change.notes = fixed.left, fixed.notes
        if change.after is not None and (
            path.is_symlink() or any(path.is_relative_to(one) for one in linked)
        ):
            change.after, change.left = (
                None,
                [*change.left, (1, "a symbolic link: name its target")],
            )
        if change.after is not None or change.left or change.notes:
            yield change
    yield from (FileChange(path, left=[(1, why)]) for path, why in unreadable)


def _is_linked(path: Path) -> bool:
    """Return whether a path goes through a symbolic link below the working directory."""
    here = Path.cwd()
    try:
        steps = (here / path).relative_to(here).parts
    except ValueError:  # outside of the working directory: only the path itself counts
        return path.is_symlink()
    return any(here.joinpath(*steps[: k + 1]).is_symlink() for k in range(len(steps)))


def _shadowing_module(path: Path) -> str | None:
    """Return the project's own module `adapter` if it would be imported instead, else None."""
    import adapter

    package = Path(adapter.__file__).resolve().parent
    folder = path.resolve().parent
    above = folder
    while regular_files.is_file(above / "__init__.py"):
        above = above.parent
    for home in dict.fromkeys((folder, above)):
        if regular_files.is_file(home / "adapter.py"):
            return "adapter.py"
        if (
            regular_files.is_file(home / "adapter" / "__init__.py")
            and (home / "adapter").resolve() != package
        ):
            return "adapter/__init__.py"
    return None
