"""Change the imports of files: the new text of each, its diff, and an atomic write."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from . import sources
from .sources import Unreadable

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
        """Write the new text in one step, with the file's mode kept; a symbolic link goes on leading where it led. Raises OSError."""
        assert self.after is not None
        target = self.path.resolve()
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self.after)
            Path(name).chmod(target.stat().st_mode)
            Path(name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


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

    for path in sources.find_files(paths, exclude):
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
        if change.after is not None or change.left or change.notes:
            yield change


def _shadow(path: Path) -> str | None:
    """Return a module of the project's own that is called adapter, where it would come first."""
    import adapter

    ours = Path(adapter.__file__).resolve().parent
    folder = path.resolve().parent
    above = folder
    while (above / "__init__.py").is_file():
        above = above.parent
    for home in dict.fromkeys((folder, above)):
        if (home / "adapter.py").is_file():
            return "adapter.py"
        if (home / "adapter" / "__init__.py").is_file() and (home / "adapter").resolve() != ours:
            return "adapter/__init__.py"
    return None
