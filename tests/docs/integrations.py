"""Write what the pages of docs/integrations/ take from the lanes: versions, and what was measured.

    python -m tests.docs.integrations       writes it; a test compares

The versions are those of the lists in requirements/, the measurements those that the modules of
tests/tracers/kinds/ declare and `make tracers` holds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests import isolated
from tests.frameworks.suite import SUITE
from tests.support.page_programs import FOLDER, ROOT, page_of
from tests.tracers.calls import CALLS
from tests.tracers.differing import DIFFERENT

KINDS = ROOT / "tests" / "tracers" / "kinds"
PROGRAMS = ROOT / "tests" / "apps" / "programs"


def lanes(kind: str) -> list[str]:
    """List the lanes of a kind: `frameworks`, `tracers`, `apps`."""
    return isolated.names(kind)


@cache
def installed(kind: str, lane: str) -> Mapping[str, str]:
    """Return the versions on a lane's list, by package."""
    text = (ROOT / "requirements" / kind / f"{lane}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+?)(?:\[[\w,-]+\])?==([^\s;\\]+)", text, re.MULTILINE))


def shown(kind: str, lane: str) -> list[str]:
    """List the packages that a lane is about, each with its version."""
    names = SUITE.shown.get(lane, ()) if kind == "frameworks" else ()
    versions = installed(kind, lane)
    return [f"{name} {versions[name]}" for name in names or (isolated._first(kind, lane),)]


def tested(lane: str) -> str:
    """Return the sentences about a lane's versions; OpenTelemetry has a lane of each kind."""
    kinds = [kind for kind in ("frameworks", "tracers") if lane in lanes(kind)]
    sentences = []
    for kind in kinds:
        versions = installed(kind, lane)
        family = "httpx2" if "httpx2" in versions else "httpx"
        packages = ", ".join(shown(kind, lane))
        sentences.append(
            f"Tested with {packages}, on openai {versions['openai']} and {family} "
            f"{versions[family]} (`requirements/{kind}/{lane}.txt`)."
        )
    return "\n".join(dict.fromkeys(sentences))


def _declared(lane: str) -> dict[str, Any]:
    """Read the constants that a module of kinds/ declares, without importing its tracer."""
    tree = ast.parse((KINDS / f"{lane}.py").read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value: ast.expr = node.value
            if isinstance(value, ast.Call) and ast.unparse(value.func) == "frozenset":
                value = value.args[0]
            try:
                found[node.targets[0].id] = ast.literal_eval(value)
            except ValueError:  # not a constant
                continue
    return found


def measured(lane: str) -> str:
    """Return the table of what `make tracers` holds for one tracer."""
    declared = _declared(lane)
    ways = {
        "import": "the adapter's clients",
        "install": "`install`",
        "transport": "an HTTP client",
    }
    impossible: Mapping[str, str] = declared.get("NOT_POSSIBLE", {})
    rows = [
        ("calls compared", f"{len(CALLS)} kinds, sync and async, with the flag off and on"),
        ("through", ", ".join(each for way, each in ways.items() if way not in impossible)),
        ("order", "started before and after the adapter: the same records"),
    ]
    rows += [(f"not through {ways[way]}", why) for way, why in impossible.items()]
    if unseen := declared.get("UNSEEN"):
        rows.append(("not exported, natively either", _listed(unseen)))
    rows += [
        (f"not compared: {call}", f"{why}, natively too")
        for call, why in declared.get("UNCERTAIN", {}).items()
    ]
    if declared.get("MASKS", True):
        through = declared.get("LETS_THROUGH")
        rows.append(
            (
                "masking on",
                f"lets through what it lets through natively: {_listed(through)}"
                if through
                else "no contents in any record, natively or through the adapter",
            )
        )
    rows += [(f"differs: `{key}`", why) for key, why in DIFFERENT["*"].items()]
    reason = ""
    for key, why in DIFFERENT.get(lane, {}).items():
        reason = reason if why == "same" else why
        rows.append((f"not compared: `{key}`", reason))
    return "\n".join(["| | |", "|---|---|", *(f"| {what} | {result} |" for what, result in rows)])


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))


def _between(text: str, name: str, content: str) -> str:
    return re.sub(
        rf"(<!-- {name} -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{content}\n{found[2]}",
        text,
        flags=re.DOTALL,
    )


def _index(text: str) -> str:
    """Write the versions into the rows of the overview."""
    for kind in ("tracers", "frameworks"):
        for lane in lanes(kind):
            if lane == "opentelemetry" and kind == "tracers":
                continue
            page = re.escape(page_of(lane).name)
            versions = "<br>".join(shown(kind, lane))
            text = re.sub(
                rf"^(\| \[[^\]]+\]\({page}\) \|)[^|]*\|",
                lambda found, versions=versions: f"{found[1]} {versions} |",
                text,
                flags=re.MULTILINE,
            )
    return text


def _applications(text: str) -> str:
    """Write the versions into the rows of the applications."""
    for lane in lanes("apps"):
        versions = installed("apps", lane)
        sdk = ".".join(versions["openai"].split(".")[:2])
        text = re.sub(
            rf"^\| {re.escape(lane)} [\d.]+\w*([^|]*)\|[^|]*\|",
            lambda found, lane=lane, versions=versions, sdk=sdk: (
                f"| {lane} {versions[lane]}{found[1]}| {sdk} |"
            ),
            text,
            flags=re.MULTILINE,
        )
    return text


def written() -> dict[Path, str]:
    """Return each page as it should be."""
    pages = {page: page.read_text(encoding="utf-8") for page in sorted(FOLDER.glob("*.md"))}
    for lane in {*lanes("frameworks"), *lanes("tracers")}:
        page = page_of(lane)
        pages[page] = _between(pages[page], "versions", tested(lane))
        if lane in lanes("tracers"):
            pages[page] = _between(pages[page], "measured", measured(lane))
    index, applications = FOLDER / "index.md", FOLDER / "applications.md"
    pages[index] = _index(pages[index])
    pages[applications] = _applications(pages[applications])
    return pages


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
