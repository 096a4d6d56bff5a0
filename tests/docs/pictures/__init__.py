"""Draw the pictures of the documents, each in light and dark colours, from the code.

    python -m tests.docs.pictures       writes docs/pictures/NAME.SCHEME.svg; a test compares

A page shows both files, `NAME.light.svg#only-light` and `NAME.dark.svg#only-dark`, and the site's
theme hides one. The diagrams and plots are narrow, so that a phone shows their text large enough;
the terminal scrolls. Nothing in a picture has an outside address.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.plot import SCHEMES, plot, rows_of

from . import call, moves, terminal

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "docs" / "pictures"


def results(scheme: str) -> str:
    """Draw the committed figures of the benchmark."""
    text = (ROOT / "bench" / "RESULTS.md").read_text(encoding="utf-8")
    return plot(rows_of(text), scheme)


def _layers(scheme: str) -> str:
    from tests.docs import layers  # it draws with this package

    return layers.picture(scheme)


PICTURES: dict[str, Callable[[str], str]] = {
    "layers": _layers,
    "call": call.picture,
    "moves": moves.picture,
    "demo": terminal.picture,
    "results": results,
}
"""The drawing of each picture, by name; it takes a colour scheme."""


def drawn() -> dict[Path, str]:
    """Return each file as it should be."""
    return {
        FOLDER / f"{name}.{scheme}.svg": draw(scheme)
        for name, draw in PICTURES.items()
        for scheme in SCHEMES
    }
