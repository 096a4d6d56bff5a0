"""Draw `docs/floors.svg` from the import contract: `python -m tests.docs.floors` writes it.

A floor is a layer of the contract in `pyproject.toml`; a box is a package or module of `adapter`,
with the first sentence of its docstring. A test compares the file with what is drawn here.
"""

from __future__ import annotations

import ast
import textwrap
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "floors.svg"

WIDTH, FLOOR, GAP, MARGIN = 880, 62, 8, 12


def floors() -> list[list[str]]:
    """Return the names on each floor of the contract that exist, from the top."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one.get("containers") == ["adapter"])
    named = [[name.strip(" ()") for name in layer.split("|")] for layer in layers]
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


def picture() -> str:
    """Return the picture as SVG."""
    rows = floors()
    height = MARGIN * 2 + len(rows) * (FLOOR + GAP) - GAP
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
        '     font-family="system-ui, sans-serif">',
        "  <title>The floors of adapter: a file imports only from the floors below it</title>",
        f'  <rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, names in enumerate(rows):
        top = MARGIN + number * (FLOOR + GAP)
        each = (WIDTH - 2 * MARGIN - GAP * (len(names) - 1)) / len(names)
        for place, name in enumerate(names):
            out += _box(MARGIN + place * (each + GAP), top, each, name)
    return "\n".join([*out, "</svg>", ""])


def _box(left: float, top: float, width: float, name: str) -> list[str]:
    fill, edge = ("#eef2f7", "#9aa8bb") if name.startswith("_") else ("#e6f4ea", "#7fb08d")
    lines = textwrap.wrap(sentence(name), int((width - 24) / 6.4))[:2]
    return [
        f'  <rect x="{left:g}" y="{top}" width="{width:g}" height="{FLOOR}" rx="6"',
        f'        fill="{fill}" stroke="{edge}"/>',
        f'  <text x="{left + 12:g}" y="{top + 20}" font-size="14" font-weight="600">{name}</text>',
        *(
            f'  <text x="{left + 12:g}" y="{top + 37 + 15 * row}" font-size="12" fill="#444">'
            f"{escape(line)}</text>"
            for row, line in enumerate(lines)
        ),
    ]


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
