"""Check committed cassettes: each is used, readable, and without secrets, machine paths and hosts.

    python -m adapter.testing.cassette_check cassettes tests adapter

The first folder holds the cassettes; the others hold the files that use them. Prints one finding a
line, and exits with 1 if there are any.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter._util import regular_files
from adapter._util.safe_names import printable

from . import credentials
from .cassette_bodies import from_form
from .credentials import PATTERNS, REMOVED

HARMLESS_HOSTS = (
    r"recorded\.invalid|(?:[\w-]+\.)*openai\.com|(?:[\w-]+\.)*example\.(?:com|org|net)"
    r"|json-schema\.org|errors\.pydantic\.dev"
)
"""The placeholder, the API's hosts and those of documentation.

Pydantic's is in the errors that libraries send back to the model.
"""

_HEADER = "a header that carries credentials or identities"
_IDENTIFYING_WORDS = frozenset({
    "authorization", "auth", "cookie", "token", "key", "apikey", "secret", "session", "signature",
    "credential", "credentials", "password", "organization", "project", "account", "tenant", "user",
    "subscription", "principal", "azureml", "apim",
})  # fmt: skip
"""Words in the name of such a header."""

FORBIDDEN: tuple[tuple[str, re.Pattern[str]], ...] = (
    *((kind, pattern) for kind, pattern, _ in PATTERNS),
    (
        _HEADER,
        re.compile(
            r"^\s*-?\s*['\"]?(?:(?:proxy-|x-)?authorization|(?:set-)?cookie|"
            r"(?:x-|x-goog-)?api-key|x-amz-[\w-]+|(?:ocp-)?apim-[\w-]+|azureml-[\w-]+|"
            r"x-ms-[\w-]+|x-forwarded-[\w-]+|(?:x-)?(?:auth|access)-token|"
            r"(?:openai|anthropic)-(?:organization|project)(?:-id)?)['\"]?:"
            rf"(?!\s*(?:['\"]?{REMOVED}['\"]?|''|\"\"|null)\s*$)",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
    (
        "a path of a machine",
        re.compile(r"(?<![\w.])/(?:home|root|Users|tmp|work|mnt|var/folders)/[\w.-]+"),
    ),
    ("a path of a machine", re.compile(r"\b[A-Za-z]:\\\\?(?:Users|Temp)\\")),
    ("a network address", re.compile(r"\b(?:localhost|(?:\d{1,3}\.){3}\d{1,3}):\d+")),
    # Package registries, internal hosts and the like.
    ("a host", re.compile(rf"\bhttps?://(?!(?:{HARMLESS_HOSTS})(?![\w.-]))[\w.-]+")),
)

LARGEST = 64 << 20
"""The largest cassette that is read, in bytes."""

NAMING_SUFFIXES = frozenset({".py", ".toml", ".yaml", ".yml", ".json"})
"""The files that can name a cassette; a cassette that only a document names is unused."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a file; `line` is 0 if it concerns the whole file."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        path = printable(self.path)
        return f"{path}:{self.line}: {self.what}" if self.line else f"{path}: {self.what}"


def secrets_in(path: Path, text: str) -> Iterator[Finding]:
    """Find text that a cassette must not contain; a finding doesn't quote it."""
    for what, pattern in FORBIDDEN:
        for match in pattern.finditer(text):
            yield Finding(path, text.count("\n", 0, match.start()) + 1, f"holds {what}")


def hidden_secrets_in(path: Path, text: str) -> Iterator[Finding]:
    """Find what a text search misses: URLs, headers and JSON by their keys, compressed bodies."""
    import yaml

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        interactions = yaml.load(text, Loader=loader)["interactions"]  # noqa: S506  # both are safe
        for number, each in enumerate(interactions):
            for side in ("request", "response"):
                for where, what in _hidden(each[side]):
                    yield Finding(path, 0, f"interactions[{number}].{side}.{where}: holds {what}")
    except (
        yaml.YAMLError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ) as error:
        yield Finding(path, 0, f"is not a cassette of this format ({type(error).__name__})")


def _hidden(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the place and kind of what recording would have removed from a message."""
    found: list[str] = []
    if "uri" in message:
        credentials.clean_url(str(message["uri"]), None, found.append)
        yield from (("uri", what) for what in dict.fromkeys(found))
    for name, values in (message.get("headers") or {}).items():
        found.clear()
        if not _IDENTIFYING_WORDS.isdisjoint(re.split("[-_]", name.lower())):
            found.append(_HEADER)
        for value in values if isinstance(values, list) else [values]:
            text = str(value)
            if name.lower() == "location":
                credentials.clean_url(text, None, found.append)
            else:
                credentials.clean_text(text, found.append)
        yield from (("headers", what) for what in dict.fromkeys(found))
    found.clear()
    form = message["body"]
    raw = from_form(form) or b""  # raises for a form that can't be replayed
    credentials.clean_body(raw, found.append)
    if form and "base64" in form:
        shown = credentials.decompressed(raw).decode(errors="replace")
        found += [what for what, pattern in FORBIDDEN if pattern.search(shown)]
    yield from (("body", what) for what in dict.fromkeys(found))


def names_in(folders: Iterable[Path]) -> str:
    """Return the joined texts of all files that could name a cassette."""
    files = [
        file for folder in folders for file in _files(folder) if file.suffix in NAMING_SUFFIXES
    ]
    return "\n".join(text for file in files if (text := _text(file)[0]) is not None)


def _files(folder: Path) -> list[Path]:
    """List the files below a folder; links to folders aren't followed."""
    return sorted(Path(here) / name for here, _, names in os.walk(folder) for name in names)


def _text(path: Path) -> tuple[str | None, str]:
    """Return a file's text; or None, and why it can't be read."""
    try:
        return regular_files.read(path, LARGEST).decode("utf-8", "surrogateescape"), ""
    except regular_files.Unreadable as error:
        return None, f"can't be read: {error}"


def is_named(cassette: Path, root: Path, names: str) -> bool:
    """Return whether a text names a cassette: by its path below the root, or by all of its parts.

    Tests and the demo build names from parts (`f"{server}/{scenario}.{side}.yaml"`). So a cassette
    `vllm/text.responses.yaml` counts as named if each of its parts, `vllm`, `text` and `responses`,
    occurs as a separate string.
    """
    relative = cassette.relative_to(root)
    if relative.as_posix() in names:
        return True
    parts = [*relative.parent.parts, *relative.name.removesuffix(".yaml").split(".")]
    return all(re.search(rf"[\"'/]{re.escape(part)}[\"'/.]", names) for part in parts)


def check(cassettes: Path, users: Sequence[Path]) -> list[Finding]:
    """List the problems of the cassettes in a folder; `users` are the folders that name them."""
    findings: list[Finding] = []
    names = names_in(users)
    below = _files(cassettes)
    files = [path for path in below if path.suffix == ".yaml"]
    if not files:
        return [Finding(cassettes, 0, "holds no cassette")]
    for path in files:
        text, why = _text(path)
        if text is None:
            findings.append(Finding(path, 0, why))
            continue
        in_text = list(secrets_in(path, text))
        kinds = {one.what for one in in_text}
        findings += in_text
        # The text search gives line numbers, so the same kind isn't reported again without one.
        findings += [
            one
            for one in hidden_secrets_in(path, text)
            if one.what.rpartition(": ")[2] not in kinds
        ]
        if users and not is_named(path, cassettes, names):
            findings.append(Finding(path, 0, "is unused: nothing names it"))
    findings += [
        Finding(path, 0, "is neither a cassette nor a README")
        for path in below
        if path.suffix != ".yaml" and path.name != "README.md" and not path.name.startswith(".")
    ]
    return findings


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the folders named on the command line and print the findings."""
    folders = [Path(each) for each in (sys.argv[1:] if arguments is None else arguments)] or [
        Path("cassettes")
    ]
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing:
        print(f"{missing[0]}: no such folder")
        return 2
    findings = check(folders[0], folders[1:])
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings in {len(list(folders[0].rglob('*.yaml')))} cassettes")
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
