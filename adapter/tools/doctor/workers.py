"""Several processes or machines, and a memory that each has for itself."""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path

from adapter._memory.urls import store_kind
from adapter._util import regular_files
from adapter._util.regular_files import Unreadable

from .findings import Environment, Finding

_WORKERS = re.compile(
    r"(?:gunicorn|uvicorn|hypercorn|fastapi|granian)\b.*?\s(?:--workers|-w)[ =]+(\d+)"
)
_REPLICAS = re.compile(r"^\s*replicas:\s*(\d+)", re.MULTILINE)
_MANIFESTS = (".", "k8s", "kubernetes", "deploy", "manifests")
_MAX_FILE_BYTES = 1 << 20


def memory(environment: Environment) -> Iterator[Finding]:
    """Compare the memory with the processes that would have to share it."""
    settings = environment.settings
    assert settings is not None
    if settings.carry_reasoning == "never":
        yield Finding("memory", "ok", "Nothing is remembered: `carry_reasoning` is never.")
        return
    kind = store_kind(settings.memory)
    several = list(workers(environment))
    many = list(machines(environment))
    if kind == "memory" and several:
        yield Finding(
            "memory", "warning",
            f"Each worker remembers for itself (memory://), and there are several: {'; '.join(several)}. Reasoning is lost when a "
            "conversation meets another worker.",
            'Set `memory = "sqlite:///…"` (one machine) or "redis://…" (many).',
        )  # fmt: skip
    elif kind in ("memory", "sqlite", "unix") and many:
        what = "this process" if kind == "memory" else "this machine"
        yield Finding(
            "memory", "note", f"What is remembered is known to {what} alone, and there may be several machines: {'; '.join(many)}.",
            'Where a conversation meets several of them, set `memory = "redis://…"`.',
        )  # fmt: skip
    else:
        yield Finding("memory", "ok", _SHARED_BY.get(kind, "A store that machines share."))


_SHARED_BY = {
    "memory": "Each process remembers for itself (memory://), and nothing here speaks of several.",
    "sqlite": "The processes of this machine share what is remembered.",
    "unix": "The processes of this machine share what is remembered.",
    "own": "A store of the program's own.",
}


def workers(environment: Environment) -> Iterator[str]:
    """Say where more than one worker is asked for: by the environment, gunicorn's configuration, a Procfile or a Dockerfile."""
    for name in ("WEB_CONCURRENCY", "UVICORN_WORKERS", "GRANIAN_WORKERS"):
        count = environment.number(name)
        if count is not None and count > 1:
            yield f"{name}={count}"
    count = _workers_in_arguments(environment.variables.get("GUNICORN_CMD_ARGS", ""))
    if count is not None and count > 1:
        yield f"GUNICORN_CMD_ARGS with {count} workers"
    found = _workers_in_gunicorn_config(environment.folder / "gunicorn.conf.py")
    if found:
        yield f"gunicorn.conf.py with {found}"
    for name in ("Procfile", "Dockerfile"):
        for match in _WORKERS.finditer(
            _text(environment.folder / name).replace('", "', " ").replace('","', " ")
        ):
            if int(match[1]) > 1:
                yield f"{name} with {match[1]} workers"


def _workers_in_arguments(text: str) -> int | None:
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, _, value = word.partition("=")
        if name in ("--workers", "-w"):
            value = value or following
        elif re.fullmatch(r"-w\d+", word):
            value = word[2:]
        else:
            continue
        return int(value) if value.isdecimal() else None
    return None


def _workers_in_gunicorn_config(path: Path) -> str:
    """Read `workers` from gunicorn's configuration without running it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(_text(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(one, ast.Name) and one.id == "workers" for one in node.targets
        ):
            if not isinstance(node.value, ast.Constant):
                return "workers that are computed"
            if isinstance(node.value.value, int) and node.value.value > 1:
                return f"{node.value.value} workers"
    return ""


def machines(environment: Environment) -> Iterator[str]:
    """Say what speaks for several machines: hints, no more."""
    if environment.variables.get("KUBERNETES_SERVICE_HOST"):
        yield "this runs in Kubernetes"
    for folder in _MANIFESTS:
        for path in sorted((environment.folder / folder).glob("*.y*ml"))[:50]:
            counts = [int(count) for count in _REPLICAS.findall(_text(path))]
            if any(count > 1 for count in counts):
                yield f"{path.relative_to(environment.folder)} with {max(counts)} replicas"


def _text(path: Path) -> str:
    try:
        return regular_files.read(path, _MAX_FILE_BYTES).decode(errors="replace")
    except Unreadable:
        return ""
