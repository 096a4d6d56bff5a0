"""The pictures of the documents are current, legible in both schemes, and load nothing."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import plot
from tests.docs import pictures
from tests.docs.pictures import svg

DRAWN = pictures.drawn()
PAGES = [*sorted((pictures.ROOT / "docs").rglob("*.md")), pictures.ROOT / "bench" / "RESULTS.md"]
NAMESPACE = "{http://www.w3.org/2000/svg}"
BEHIND = {"light": "#ffffff", "dark": "#1e2129"}
"""The colour of the site's page."""

each_file = pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.name)
each_scheme = pytest.mark.parametrize("scheme", svg.SCHEMES)


@each_file
def test_it_is_current(path: Path) -> None:
    current = path.is_file() and path.read_text(encoding="utf-8") == DRAWN[path]
    assert current, "run: make docs-tables"


def test_no_other_file_is_there() -> None:
    assert sorted(pictures.FOLDER.iterdir()) == sorted(DRAWN)


@each_file
def test_it_loads_nothing_and_has_a_title(path: Path) -> None:
    text = DRAWN[path]
    root = ET.fromstring(text)
    assert re.sub(r'xmlns="[^"]+"', "", text).count("//") == 0
    assert not re.search(r"@import|@font-face|<image|<script|href=", text)
    assert (root.findtext(f"{NAMESPACE}title") or "").strip()
    assert root.get("role") == "img"


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_a_page_shows_it_in_both_schemes(name: str) -> None:
    shown = [page for page in PAGES if f"pictures/{name}." in page.read_text(encoding="utf-8")]
    assert shown
    for page in shown:
        text = page.read_text(encoding="utf-8")
        for scheme in svg.SCHEMES:
            assert text.count(f"pictures/{name}.{scheme}.svg#only-{scheme})") == 1


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@each_scheme
def test_text_has_contrast(scheme: str) -> None:
    colours, bars = svg.SCHEMES[scheme], plot.SCHEMES[scheme]
    behind = {"page": BEHIND[scheme]} | {name: fill for name, (fill, _) in colours.boxes.items()}
    for name, fill in behind.items():
        for text in (colours.text, colours.quiet):
            assert contrast(text, fill) >= 4.5, (name, text, fill)
    for text in (bars.text, bars.quiet):
        assert contrast(text, BEHIND[scheme]) >= 4.5
    for bar in (bars.ours, bars.under, bars.off):
        assert contrast(bar, BEHIND[scheme]) >= 3, bar


@each_scheme
def test_the_terminals_text_has_contrast(scheme: str) -> None:
    text = DRAWN[pictures.FOLDER / f"demo.{scheme}.svg"]
    (behind,) = set(re.findall(r'<rect fill="(#\w+)" stroke=', text))
    fills = re.findall(r"\.demo-r\d+ \{ fill: (#\w+)", text)
    assert len(fills) >= 5
    assert [fill for fill in fills if contrast(fill, behind) < 4.5] == []


@each_file
def test_no_text_leaves_the_picture(path: Path) -> None:
    """Letters are counted with room to spare; a terminal's have a fixed width."""
    root = ET.fromstring(DRAWN[path])
    _, _, width, height = (float(part) for part in str(root.get("viewBox")).split())
    for text in root.iter(f"{NAMESPACE}text"):
        words = "".join(text.itertext())
        letter = svg.WIDE_MONO if "mono" in str(text.get("font-family")) else 7.3
        long = float(text.get("textLength") or len(words) * letter)
        left = float(text.get("x") or 0)
        if text.get("text-anchor") == "end":
            left -= long
        elif text.get("text-anchor") == "middle":
            left -= long / 2
        assert left >= 0, words
        assert left + long <= width + 1, words
        assert float(text.get("y") or 0) <= height


def test_the_demo_is_the_commands() -> None:
    words = DRAWN[pictures.FOLDER / "demo.light.svg"].replace("&#160;", " ")
    for expected in ("POST /v1/responses", "same outcome on both sides", "What next"):
        assert expected in words


def test_what_stays_is_the_tables() -> None:
    stays = DRAWN[pictures.FOLDER / "moves.light.svg"].partition("Stays on Chat Completions")[2]
    assert "logit_bias" in stays
    assert "tool_choice" not in stays


def test_the_rows_of_the_benchmark_are_read_again() -> None:
    page = (pictures.ROOT / "bench" / "RESULTS.md").read_text(encoding="utf-8")
    rows = plot.rows_of(page)
    assert len(rows) == page.count("\n| ") - 1
    assert (rows[0].who, rows[0].ratio, rows[0].unit) == ("native chat", 1.0, "µs")
