"""Draw the layers from the import contract: `python -m tests.docs.layers` writes the pictures.

A layer is one of the contract in `pyproject.toml`; a box is a package or module of `adapter`,
with the first sentence of its docstring. `tests/docs/pictures/` has it among the other pictures.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from .pictures.svg import MARGIN, SCHEMES, WIDTH, Drawing

ROOT = Path(__file__).resolve().parents[2]
TITLE = "The layers of adapter: a file imports only from the layers below it"
GAP = 8


def layers() -> list[list[str]]:
    """Return the names on each layer of the contract that exist, from the top."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    contract = next(one["layers"] for one in contracts if one.get("containers") == ["adapter"])
    named = [[name.strip(" ()") for name in layer.split("|")] for layer in contract]
    return [there for names in named if (there := [name for name in names if _file(name)])]


def sentence(name: str) -> str:
    """Return the first sentence of a package's docstring."""
    path = _file(name)
    assert path is not None
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0].rstrip(".") if text else ""


def _file(name: str) -> Path | None:
    package = ROOT / "adapter" / name
    candidates = (package / "__init__.py", package.with_suffix(".py"))
    return next((path for path in candidates if path.exists()), None)


def picture(scheme: str) -> str:
    """Draw the layers, from the top; public packages look different."""
    it = Drawing(TITLE, SCHEMES[scheme])
    for names in layers():
        each = (WIDTH - 2 * MARGIN - GAP * (len(names) - 1)) / len(names)
        tall = 0.0
        for place, name in enumerate(names):
            kind = "theirs" if name.startswith("_") else "ours"
            # A citation is for readers of the code.
            words = sentence(name).partition(" (docs/")[0].replace("`", "")
            left = MARGIN + place * (each + GAP)
            tall = max(tall, it.box(kind, name, [(words, False)], left=left, width=each))
        it.height += int(tall) + GAP
    return it.svg()


if __name__ == "__main__":
    for colours in SCHEMES:
        path = ROOT / "docs" / "pictures" / f"layers.{colours}.svg"
        path.write_text(picture(colours), encoding="utf-8")
