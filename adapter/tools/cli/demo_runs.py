"""Run the demo's programs on either API, and record their results, HTTP requests and decisions.

A program runs as a script, with the flag in its environment. HTTP requests are read from a
cassette: the committed one that is replayed, or a temporary one if a real server is asked.
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
    """One way to run a program: the value of the flag for each of its requests."""

    name: str
    flags: tuple[str, ...]

    @property
    def title(self) -> str:
        """The column's heading."""
        if len(set(self.flags)) > 1:
            return " → ".join(self.flags)
        return f"backend = {self.flags[0]}"


@dataclass(frozen=True, slots=True)
class Program:
    """A program and the two ways to run it."""

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
        "A tool loop whose flag changes during the conversation",
        (Side("chat", ("chat",) * 4), Side("flip", ("chat", "responses", "chat", "responses"))),
    ),
)


@dataclass(frozen=True, slots=True)
class RequestAndReply:
    """One request and its reply, as sent."""

    path: str
    request: dict[str, Any]
    status: int
    reply: str
    streamed: bool


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of one run; `failure` is the exception described in `error`."""

    printed: str = ""
    results: tuple[Any, ...] = ()
    decisions: tuple[Any, ...] = ()
    exchanges: tuple[RequestAndReply, ...] = field(default=())
    error: str | None = None
    failure: Exception | None = None

    @property
    def failure_reason(self) -> str:
        """Return why the program has no usable reply, empty if it has one."""
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
        """Describe the results in terms that don't depend on the model's wording."""
        return [_result_shape(result) for result in self.results]

    def agrees_with(self, other: RunResult, *, words: bool) -> bool:
        """Return whether two runs agree; `words` compares the printed text as well."""
        if self.error or other.error or self.shape != other.shape:
            return False
        return not words or self.printed == other.printed


def _result_shape(result: Any) -> str:
    # The SDK's own class: the adapter may return a subclass, which is equivalent for a call site.
    known = next(
        (cls for cls in type(result).__mro__ if cls.__module__.partition(".")[0] == "openai"),
        type(result),
    )
    name = known.__name__.partition("[")[0]  # without a generic's parameter
    choices = getattr(result, "choices", None)
    if not choices:
        return name
    calls = ", ".join(call.function.name for call in choices[0].message.tool_calls or [])
    return f"{name}, finish_reason={choices[0].finish_reason}" + (
        f", calls {calls}" if calls else ""
    )


@dataclass(frozen=True, slots=True)
class Source:
    """Where replies come from: the committed cassettes, a server, or the API of the environment."""

    live: bool = False
    url: str | None = None
    key: str | None = None

    @property
    def api_key(self) -> str:
        """The key to send to the server."""
        return (
            self.key or "unused" if self.url is not None else os.environ.get("OPENAI_API_KEY", "")
        )

    def redact(self, text: str) -> str:
        """Remove the key, and anything that looks like one, from a server's text."""
        return clean_text(text.replace(self.key, "…") if self.key else text)

    def environment(self, flag: str) -> dict[str, str | None]:
        """Return the changes to a program's environment; None removes a variable."""
        # The user's own settings must not change the demo.
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
    """Return the folder of the demo's cassettes: next to this file in a wheel, or the sources'."""
    here = Path(__file__).resolve()
    inside, outside = here.parent / "cassettes", here.parents[3] / "cassettes" / "demo"
    return inside if inside.is_dir() else outside


def run(program: Program, side: Side, source: Source, *, save_to: Path | None = None) -> RunResult:
    """Run a program in one way; `save_to` is a folder for the cassette of a live run."""
    name = f"{program.name}.{side.name}.yaml"
    if not source.live:
        path = cassette_folder() / name
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "the recording is missing", str(path))
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
    except OSError:  # of the cassette's file: the programs access no files
        raise
    except Exception as failure:  # noqa: BLE001 - any failure of a program is its result
        error = failure
    finally:
        _close_clients(left, error)
    recorded = [] if cassette is None else cassette.data
    exchanges = tuple(_exchange(request, response, source) for request, response in recorded)
    decisions = tuple(decision(result) for result in results)
    message = None if error is None else source.redact(f"{type(error).__name__}: {error}")
    return RunResult(printed.getvalue(), results, decisions, exchanges, message, error)


def _close_clients(module_globals: Mapping[str, Any], error: Exception | None) -> None:
    """Close the clients that a program left open, in its globals and its failure's frames."""
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


def _exchange(request: Any, response: Mapping[str, Any], source: Source) -> RequestAndReply:
    headers = {name.lower(): values for name, values in response["headers"].items()}
    kind, body = "".join(headers.get("content-type", "")), response["body"]["string"] or b""
    return RequestAndReply(
        path=request.path,
        request=json.loads(request.body or b"{}"),
        status=response["status"]["code"],
        # vcrpy converts it to text when it saves.
        reply=source.redact(body if isinstance(body, str) else body.decode("utf-8", "replace")),
        streamed=kind.startswith("text/event-stream"),
    )


@contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Change environment variables during the block."""
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
