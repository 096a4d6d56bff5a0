"""Check a built site: nothing is loaded from elsewhere, and the API pages show what they name.

Standard library only: `python -m tests.docs.site_check build/site`. The theme's script would load
a polyfill for browsers before 2020, and a library for diagrams in Mermaid, which no page may hold.
"""

from __future__ import annotations

import argparse
import re
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LOADED = {
    "link": ("href",),
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "iframe": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "input": ("src",),
    "use": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
}
"""The attributes from which a browser loads something by itself; a plain link isn't one."""

_ELSEWHERE = re.compile(r"(?:https?:)?//[\w.-]+", re.IGNORECASE)
_IN_STYLE = re.compile(
    r"(?:url\(\s*['\"]?|@import\s+['\"])((?:https?:)?//[^'\")\s]+)", re.IGNORECASE
)


class _Loaded(HTMLParser):
    """Collect what a page loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "mermaid" in (given.get("class") or "").split():
            self.found.append("a diagram in Mermaid, whose script isn't on the site")
        if tag == "link" and given.get("rel") in {"canonical", "alternate", "next", "prev"}:
            return
        for name in LOADED.get(tag, ()):
            if _ELSEWHERE.match((given.get(name) or "").strip()):
                self.found.append(f"<{tag} {name}={given[name]!r}>")
        self.found += _IN_STYLE.findall(given.get("style") or "")


def loaded(file: Path) -> list[str]:
    """List what a file of the site would load from elsewhere."""
    if file.suffix not in {".html", ".css", ".svg"}:
        return []
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".html":
        page = _Loaded()
        page.feed(text)
        styles = re.findall(r"<style\b[^>]*>(.*?)</style>", text, re.DOTALL)
        return page.found + [one for style in styles for one in _IN_STYLE.findall(style)]
    return _IN_STYLE.findall(text)


def shown_objects(page: str) -> list[str]:
    """List the objects that a page takes from docstrings; of a module, its members."""
    found = []
    for block in re.findall(r"^::: (.+(?:\n    .*)*)", page, re.MULTILINE):
        name, _, options = block.partition("\n")
        members = re.search(r"^ +members: \[(.*)\]$", options, re.MULTILINE)
        whole = "heading: false" not in options
        found += [name] if whole else []
        if members is not None and not whole:
            found += [f"{name}.{member}" for member in members[1].split(", ")]
    return found


def not_shown(site: Path) -> list[str]:
    """List the objects of the API pages that the built site lacks: those without a docstring."""
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    there = {line.split()[0] for line in zlib.decompress(inventory).decode().splitlines()}
    pages = sorted((ROOT / "docs" / "reference").rglob("*.md"))
    named = [name for page in pages for name in shown_objects(page.read_text(encoding="utf-8"))]
    return [f"the API pages don't show {name}" for name in named if name not in there]


def problems(site: Path) -> list[str]:
    """List what is wrong with a built site."""
    files = sorted(path for path in site.rglob("*") if path.is_file())
    if site / "index.html" not in files:
        return [f"{site} has no start page"]
    wrong = [f"{file.relative_to(site)}: {one}" for file in files for one in loaded(file)]
    return wrong + not_shown(site)


def main() -> int:
    """Check a site, and print what is wrong."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("site", type=Path)
    site = parser.parse_args().site
    wrong = problems(site)
    pages = len(list(site.rglob("*.html")))
    print("\n".join(wrong) or f"{pages} pages; nothing is loaded from elsewhere", flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
