"""Check whether several processes or machines share the memory."""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path

from adapter._memory.stores import STORES
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
    """Compare the store of the memory with the processes that have to share it."""
    settings = environment.settings
    assert settings is not None
    if settings.carry_reasoning == "never":
        yield Finding("memory", "ok", "Nothing is remembered: `carry_reasoning` is never.")
        return
    kind = store_kind(settings.memory)
    shared_by = STORES[kind].shared_by if kind in STORES else "own"
    several = list(workers(environment))
    many = list(machines(environment))
    if shared_by == "process" and several:
        yield Finding(
            "memory",
            "warning",
            "Each worker has its own memory (memory://), "
            f"and there are several: {'; '.join(several)}. "
            "Reasoning is lost when a conversation reaches another worker.",
            'Set `memory = "sqlite:///…"` (one machine) or "redis://…" (many).',
        )
    elif shared_by in ("process", "machine") and many:
        yield Finding(
            "memory",
            "note",
            f"Each {shared_by} has its own memory, and there may be several machines: "
            f"{'; '.join(many)}.",
            'If a conversation reaches several of them, set `memory = "redis://…"`.',
        )
    else:
        yield Finding("memory", "ok", _SHARED_BY[shared_by])


_SHARED_BY = {
    "process": "Each process has its own memory (memory://), with no sign of several workers.",
    "machine": "The processes of this machine share the memory.",
    "machines": "A store that machines share.",
    "own": "The program's own store.",
}


def workers(environment: Environment) -> Iterator[str]:
    """Yield where more than one worker is configured.

    Looks at the environment, gunicorn's configuration, a Procfile and a Dockerfile.
    """
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
    """Read `workers` from gunicorn's configuration file, without running the file."""
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
                return "computed workers"
            if isinstance(node.value.value, int) and node.value.value > 1:
                return f"{node.value.value} workers"
    return ""


def machines(environment: Environment) -> Iterator[str]:
    """Yield hints of several machines."""
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
