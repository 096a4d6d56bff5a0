"""Check committed cassettes: every one is used, readable, and free of secrets, machine paths and hosts.

    python -m adapter.testing.cassette_check cassettes tests adapter

The first folder holds the cassettes, the others the files that should name them. Prints what is wrong, one finding a
line, and exits with 1 where there is something.
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

HARMLESS_HOSTS = r"recorded\.invalid|(?:[\w-]+\.)*openai\.com|(?:[\w-]+\.)*example\.(?:com|org|net)|json-schema\.org|errors\.pydantic\.dev"
"""The stand-in, the API's own, documentation's; Pydantic's is in the errors that libraries send back to the model."""

_HEADER = "a header that carries credentials or identities"
_IDENTIFYING_WORDS = frozenset({
    "authorization", "auth", "cookie", "token", "key", "apikey", "secret", "session", "signature", "credential", "credentials", "password",
    "organization", "project", "account", "tenant", "user", "subscription", "principal", "azureml", "apim",
})  # fmt: skip
"""Words in the name of such a header."""

FORBIDDEN: tuple[tuple[str, re.Pattern[str]], ...] = (
    *((kind, pattern) for kind, pattern, _ in PATTERNS),
    (
        _HEADER,
        re.compile(
            r"^\s*-?\s*['\"]?(?:(?:proxy-|x-)?authorization|(?:set-)?cookie|(?:x-|x-goog-)?api-key|x-amz-[\w-]+|(?:ocp-)?apim-[\w-]+|"
            r"azureml-[\w-]+|x-ms-[\w-]+|x-forwarded-[\w-]+|(?:x-)?(?:auth|access)-token|(?:openai|anthropic)-(?:organization|project)(?:-id)?)['\"]?:"
            rf"(?!\s*(?:['\"]?{REMOVED}['\"]?|''|\"\"|null)\s*$)",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
    (
        "a path of some machine",
        re.compile(r"(?<![\w.])/(?:home|root|Users|tmp|work|mnt|var/folders)/[\w.-]+"),
    ),
    ("a path of some machine", re.compile(r"\b[A-Za-z]:\\\\?(?:Users|Temp)\\")),
    ("an address of a network", re.compile(r"\b(?:localhost|(?:\d{1,3}\.){3}\d{1,3}):\d+")),
    # Package registries, internal hosts and the like: whatever isn't the stand-in, documentation or the API's own.
    ("a host", re.compile(rf"\bhttps?://(?!(?:{HARMLESS_HOSTS})(?![\w.-]))[\w.-]+")),
)

LARGEST = 64 << 20
"""Bytes beyond which a cassette isn't read."""

NAMING_SUFFIXES = frozenset({".py", ".toml", ".yaml", ".yml", ".json"})
"""The kinds of files that can name a cassette. Not prose: what only a README names is used by nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Say what is wrong where; `line` is 0 where the whole file is meant."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        path = printable(self.path)
        return f"{path}:{self.line}: {self.what}" if self.line else f"{path}: {self.what}"


def secrets_in(path: Path, text: str) -> Iterator[Finding]:
    """Find what must not stand in a cassette; the finding doesn't repeat it."""
    for what, pattern in FORBIDDEN:
        for match in pattern.finditer(text):
            yield Finding(path, text.count("\n", 0, match.start()) + 1, f"holds {what}")


def hidden_secrets_in(path: Path, text: str) -> Iterator[Finding]:
    """Find what a search of the text doesn't: in addresses, headers and JSON by their keys, and in packed bodies."""
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
        yield Finding(path, 0, f"is not a cassette of ours ({type(error).__name__})")


def _hidden(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give what recording would have taken out of a request or a response, and the place."""
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
    raw = from_form(form) or b""  # fails where the form isn't one that replays
    credentials.clean_body(raw, found.append)
    if form and "base64" in form:
        shown = credentials.decompressed(raw).decode(errors="replace")
        found += [what for what, pattern in FORBIDDEN if pattern.search(shown)]
    yield from (("body", what) for what in dict.fromkeys(found))


def names_in(folders: Iterable[Path]) -> str:
    """Join the texts of all files that could name a cassette."""
    files = [
        file for folder in folders for file in _files(folder) if file.suffix in NAMING_SUFFIXES
    ]
    return "\n".join(text for file in files if (text := _text(file)[0]) is not None)


def _files(folder: Path) -> list[Path]:
    """List what is below a folder and is none itself; links to folders aren't followed."""
    return sorted(Path(here) / name for here, _, names in os.walk(folder) for name in names)


def _text(path: Path) -> tuple[str | None, str]:
    """Read a file as text; or give None, and why it can't be."""
    try:
        return regular_files.read(path, LARGEST).decode("utf-8", "surrogateescape"), ""
    except regular_files.Unreadable as error:
        return None, f"can't be read: {error}"


def is_named(cassette: Path, root: Path, names: str) -> bool:
    """Tell whether a text names a cassette: by its path below the root, or by its scenario and side apart.

    Tests and the demo build names from parts (`f"{server}/{scenario}.{side}.yaml"`). So a cassette
    `vllm/text.responses.yaml` counts as named where each of its parts, `vllm`, `text` and `responses`, stands as a
    string of its own.
    """
    relative = cassette.relative_to(root)
    if relative.as_posix() in names:
        return True
    parts = [*relative.parent.parts, *relative.name.removesuffix(".yaml").split(".")]
    return all(re.search(rf"[\"'/]{re.escape(part)}[\"'/.]", names) for part in parts)


def check(cassettes: Path, users: Sequence[Path]) -> list[Finding]:
    """List everything that is wrong with the cassettes of a folder."""
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
        shown = list(secrets_in(path, text))
        said = {one.what for one in shown}
        findings += shown
        # What the text shows has a line, and is said once.
        findings += [
            one for one in hidden_secrets_in(path, text) if one.what.rpartition(": ")[2] not in said
        ]
        if users and not is_named(path, cassettes, names):
            findings.append(Finding(path, 0, "is an orphan: nothing names it"))
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
