"""Bring files from outside docs/ into the site, and lead links between files to their pages.

MkDocs loads this file (see mkdocs.yml). Pages are written for two places: a code host, where a
link is a path in the repository, and the site, which has docs/ and the files listed here.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]

PAGES = {
    "MIGRATION.md": "guides/migration.md",
    "CHANGELOG.md": "reference/changelog.md",
    "bench/RESULTS.md": "explanation/results.md",
    "bench/PROFILES.md": "explanation/profiles.md",
    "SECURITY.md": "contributing/security.md",
    "cassettes/README.md": "contributing/cassettes.md",
    "requirements/README.md": "contributing/requirements.md",
}
"""Files outside docs/, and the pages that they become."""

INSTEAD = {"README.md": "index.md"}
"""Files that the site doesn't have, and the page that a link to one leads to."""

_FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!\!)\[(?P<text>[^\[\]]*)\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")
_PICTURE = re.compile(r"!\[(?P<text>[^\[\]]*)\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        if (ROOT / source).is_file():
            files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Lead the links of a page to pages of the site."""
    return site_links(markdown, page.file.src_uri)


def site_links(markdown: str, page: str) -> str:
    """Return a page's text with links to the site's pages instead of the repository's files.

    A link to a file that the site doesn't have becomes plain text. A link to nothing stays, and
    the strict build refuses it.
    """
    sources = {target: source for source, target in PAGES.items()}
    source = sources.get(page, f"docs/{page}")

    def led(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found["path"]))
        if target in PAGES or target in INSTEAD:
            uri = PAGES.get(target) or INSTEAD[target]
            # Sections of a file that the site doesn't have aren't those of the page instead.
            anchor = (found["anchor"] or "") if target in PAGES else ""
        elif target.startswith("docs/"):
            uri, anchor = target.removeprefix("docs/"), found["anchor"] or ""
        else:
            return found["text"] if (ROOT / target).exists() else found[0]
        start = "!" if found[0].startswith("!") else ""
        return f"{start}[{found['text']}]({posixpath.relpath(uri, posixpath.dirname(page) or '.')}{anchor})"

    def outside_fences(text: str) -> str:
        return _PICTURE.sub(led, _LINK.sub(led, text))

    parts, at = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [outside_fences(markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, outside_fences(markdown[at:])])
