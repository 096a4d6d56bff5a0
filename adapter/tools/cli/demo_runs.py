"""Run the demo's programs on either side, and note what their call sites saw, what went out, and what was decided.

A program is run as the script that it is, with the flag in its environment. Under it lies a cassette: the committed one
that is replayed, or a throw-away one where a real server is asked; what went over the wire is read from there in both
cases.
"""

from __future__ import annotations

import errno
import importlib.util
import io
import json
import os
import runpy
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter._util import safe_names
from adapter.testing.cassettes import HOST, use_cassette
from adapter.testing.credentials import clean_text
from adapter.tools import connection_errors


@dataclass(frozen=True, slots=True)
class Side:
    """Name one way to run a program: what the flag says at each of its requests."""

    name: str
    flags: tuple[str, ...]

    @property
    def title(self) -> str:
        """Give the column's heading."""
        return " → ".join(self.flags) if len(set(self.flags)) > 1 else f"backend = {self.flags[0]}"


@dataclass(frozen=True, slots=True)
class Program:
    """Name a program and the two ways to run it."""

    name: str
    title: str
    sides: tuple[Side, Side]


_BOTH_BACKENDS = (Side("chat", ("chat",)), Side("responses", ("responses",)))
PROGRAMS: tuple[Program, ...] = (
    Program("backoff", "A completion with a developer message", _BOTH_BACKENDS),
    Program("runbook", "A streamed completion", _BOTH_BACKENDS),
    Program("query", "A parsed tool call", _BOTH_BACKENDS),
    Program(
        "tool_loop",
        "A tool loop whose flag is flipped in mid-conversation",
        (Side("chat", ("chat",) * 4), Side("flip", ("chat", "responses", "chat", "responses"))),
    ),
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Hold one request as it left and the reply as it came."""

    path: str
    request: dict[str, Any]
    status: int
    reply: str
    streamed: bool


@dataclass(frozen=True, slots=True)
class RunResult:
    """Hold what came of one run; `failure` is the exception behind `error`."""

    printed: str = ""
    results: tuple[Any, ...] = ()
    decisions: tuple[Any, ...] = ()
    exchanges: tuple[Exchange, ...] = field(default=())
    error: str | None = None
    failure: Exception | None = None

    @property
    def failure_reason(self) -> str:
        """Say why the program had no answer that it could use; nothing where it had one."""
        error = self.failure
        if error is None:
            return ""
        import openai

        if isinstance(error, openai.APIStatusError):
            code = safe_names.name(error.code) if isinstance(error.code, str) else ""
            return f"answered {error.status_code}" + (f" ({code})" if code else "")
        if isinstance(error, openai.APIConnectionError):
            return f"not reachable: {connection_errors.describe(error)}"
        return f"gave no answer that can be used ({type(error).__name__})"

    @property
    def shape(self) -> list[str]:
        """Say what the call site was handed, in terms that don't depend on what the model chose to say."""
        return [_result_shape(result) for result in self.results]

    def agrees_with(self, other: RunResult, *, words: bool) -> bool:
        """Tell whether two runs came out alike; `words` compares what was printed as well."""
        if self.error or other.error or self.shape != other.shape:
            return False
        return not words or self.printed == other.printed


def _result_shape(result: Any) -> str:
    # The SDK's own class: the adapter may hand out a subclass of it, which is the same to a call site.
    known = next(
        (cls for cls in type(result).__mro__ if cls.__module__.partition(".")[0] == "openai"),
        type(result),
    )
    name = known.__name__.partition("[")[0]  # a generic's parameter isn't the call site's business
    choices = getattr(result, "choices", None)
    if not choices:
        return name
    calls = ", ".join(call.function.name for call in choices[0].message.tool_calls or [])
    return f"{name}, finish_reason={choices[0].finish_reason}" + (
        f", calls {calls}" if calls else ""
    )


@dataclass(frozen=True, slots=True)
class Source:
    """Say who answers: the committed cassettes, a server, or (without a URL) the API that the environment names."""

    live: bool = False
    url: str | None = None
    key: str | None = None

    @property
    def api_key(self) -> str:
        """Give the key that goes to a server."""
        return (
            self.key or "unused" if self.url is not None else os.environ.get("OPENAI_API_KEY", "")
        )

    def redact(self, text: str) -> str:
        """Take the key, and what looks like one, out of what a server has said."""
        return clean_text(text.replace(self.key, "…") if self.key else text)

    def environment(self, flag: str) -> dict[str, str | None]:
        """Give the environment of a program; None takes a variable away."""
        # What a user's own settings decide must not change the demo.
        changes: dict[str, str | None] = {
            name: None for name in os.environ if name.startswith("ADAPTER_")
        }
        if not self.live or self.url is not None:
            changes |= {name: None for name in os.environ if name.startswith("OPENAI_")}
            changes |= {
                "OPENAI_BASE_URL": self.url or f"https://{HOST}/v1",
                "OPENAI_API_KEY": self.key or "unused",
            }
        return {**changes, "ADAPTER_BACKEND": flag}


def cassette_folder() -> Path:
    """Find the demo's cassettes: in the wheel beside this file, else in the repository."""
    here = Path(__file__).resolve()
    inside, outside = here.parent / "cassettes", here.parents[3] / "cassettes" / "demo"
    return inside if inside.is_dir() else outside


def run(program: Program, side: Side, source: Source, *, save_to: Path | None = None) -> RunResult:
    """Run a program on one side; `save_to` keeps the cassette of a live run in that folder."""
    name = f"{program.name}.{side.name}.yaml"
    if not source.live:
        path = cassette_folder() / name
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "the recording isn't there", str(path))
        return _run(program, side, source, path)
    if save_to is not None:
        return _run(program, side, source, save_to / name)
    with tempfile.TemporaryDirectory() as folder:
        return _run(program, side, source, Path(folder, name))


def _run(program: Program, side: Side, source: Source, path: Path) -> RunResult:
    from adapter import decision

    printed, cassette = io.StringIO(), None
    left: dict[str, Any] = {}
    results: tuple[Any, ...] = ()
    error: Exception | None = None
    try:
        with (
            use_cassette(path, record=source.live) as cassette,
            _environment(source.environment(side.flags[0])),
            redirect_stdout(printed),
        ):
            left = runpy.run_path(str(_program_file(program)))
            if "converse" in left:
                results = tuple(left["converse"](side.flags))
            else:
                results = (left["completion"] if "completion" in left else left["stream"],)
    except OSError:  # of the cassette's file: no program touches one
        raise
    except Exception as failure:  # noqa: BLE001 - whatever goes wrong in a program is its outcome, and shown
        error = failure
    finally:
        _close_clients(left, error)
    went = [] if cassette is None else cassette.data
    exchanges = tuple(_exchange(request, response, source) for request, response in went)
    decisions = tuple(decision(result) for result in results)
    said = None if error is None else source.redact(f"{type(error).__name__}: {error}")
    return RunResult(printed.getvalue(), results, decisions, exchanges, said, error)


def _close_clients(module_globals: Mapping[str, Any], error: Exception | None) -> None:
    """Close what a program leaves open, as the end of its process would: in its globals, and in the frames of its failure."""
    from adapter import OpenAI

    frames = [
        frame for frame, _ in traceback.walk_tb(None if error is None else error.__traceback__)
    ]
    local = [one.f_locals for one in frames if one.f_globals.get("__name__") == "<run_path>"]
    for value in [value for namespace in (module_globals, *local) for value in namespace.values()]:
        if isinstance(value, OpenAI):
            value.close()


def _program_file(program: Program) -> Path:
    spec = importlib.util.find_spec(f"adapter.tools.cli.programs.{program.name}")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def _exchange(request: Any, response: Mapping[str, Any], source: Source) -> Exchange:
    headers = {name.lower(): values for name, values in response["headers"].items()}
    kind, body = "".join(headers.get("content-type", "")), response["body"]["string"] or b""
    return Exchange(
        path=request.path,
        request=json.loads(request.body or b"{}"),
        status=response["status"]["code"],
        # vcrpy makes text of it when it saves
        reply=source.redact(body if isinstance(body, str) else body.decode("utf-8", "replace")),
        streamed=kind.startswith("text/event-stream"),
    )


@contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Change environment variables for a while."""
    before = {name: os.environ.get(name) for name in changes}

    def put(values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    put(changes)
    try:
        yield
    finally:
        put(before)
