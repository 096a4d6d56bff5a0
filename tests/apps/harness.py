"""How an application is wired and what it does, and how its outcome is made comparable.

A module of `tests/apps/programs` wires its application and defines its scenarios:

    APP = App(shows=("llm",), wired="…")

    @APP.scenario(say("Let me look.", call("get_weather", city="Oslo")), say("It rains."))
    def tools(wired):
        return the_application(wired.base_url).answer("How is the weather?")

A scenario's script is what the model does; its return value is the outcome. Whatever is printed,
raised, noted (`wired.note`) and written to the working directory belongs to the outcome as well. A
scenario may be `async`. Each mode is a process of its own, and each scenario begins in an empty
directory. The settings come from the environment, as they would for a user: whatever is wired
(`adapter.OpenAI()`, `adapter.install(client)`, `adapter.Transport()`) finds them there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import re
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from tests.apps.server import Step

KEY = "fake-key"


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One task of an application."""

    name: str
    run: Callable[[Wired], Any]
    script: tuple[Step, ...]
    but: Mapping[str, str]


@dataclasses.dataclass
class App:
    """An application: the distributions whose versions are shown, and how it is wired.

    `private` is the private attribute that the wiring needed, if any.
    """

    shows: tuple[str, ...]
    wired: str
    private: str = ""
    scenarios: list[Scenario] = dataclasses.field(default_factory=list)

    def scenario(self, *script: Step, but: Mapping[str, str] | None = None) -> Callable[[Any], Any]:
        """Add a scenario.

        `but` names permitted differences from the native run: `MODE $.path` as a glob, and the
        reason.
        """

        def add(run: Callable[[Wired], Any]) -> Callable[[Wired], Any]:
            self.scenarios.append(Scenario(run.__name__, run, script, but or {}))
            return run

        return add


_KEPT: list[Any] = []
"""Async clients: a collected one closes itself in whatever loop runs then, and warns if it is
another."""


@dataclasses.dataclass
class Wired:
    """The argument of a scenario: the server's address, and clients.

    The clients have the adapter or, natively, don't.
    """

    mode: str
    base_url: str
    api_key: str = KEY
    model: str = "gpt-4o"
    notes: list[Any] = dataclasses.field(default_factory=list)

    @property
    def adapted(self) -> bool:
        """Return whether the adapter is present, on or off."""
        return self.mode != "native"

    @property
    def where(self) -> dict[str, str]:
        """Return the server's address and a key as arguments of the SDK's constructor."""
        return {"base_url": self.base_url, "api_key": self.api_key}

    def note(self, *what: Any) -> None:
        """Record an event, such as a tool that ran: events are compared in order."""
        self.notes.append(list(what))

    def openai(self, **options: Any) -> Any:
        """Return a client, for an application that accepts one."""
        return _classes(self.adapted).OpenAI(**self.where, **options)

    def async_openai(self, **options: Any) -> Any:
        """Return the same for asyncio."""
        client = _classes(self.adapted).AsyncOpenAI(**self.where, **options)
        _KEPT.append(client)
        return client

    def install(self, client: Any) -> Any:
        """Install the adapter on a client that the application made."""
        if not self.adapted:
            return client
        import adapter

        return adapter.install(client)

    def http_client(self, **options: Any) -> Any:
        """Return an HTTP client of the SDK's library, for an application that accepts one.

        Natively it is a plain one.
        """
        return self._http("Client", "Transport", options)

    def async_http_client(self, **options: Any) -> Any:
        """Return the same for asyncio."""
        return self._http("AsyncClient", "AsyncTransport", options)

    def replace(self, owner: Any, *names: str) -> None:
        """Replace the SDK's classes that an application imported (`OpenAI`, …) by the adapter's."""
        for name in names if self.adapted else ():
            setattr(owner, name, getattr(_classes(adapted=True), name))

    def command(self, main: Callable[[], Any], *arguments: str, stdin: str = "") -> dict[str, Any]:
        """Run an application's command line in this process.

        Returns its exit code, its output and its errors.
        """
        out, err, code = Text(), Text(), 0
        kept = sys.argv, sys.stdin
        sys.argv, sys.stdin = list(arguments), Text(stdin)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                result = main()
                code = result if isinstance(result, int) else 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
            err.write(left.code if isinstance(left.code, str) else "")
        finally:
            sys.argv, sys.stdin = kept
        return {"exit": code, "stdout": out.getvalue(), "stderr": err.getvalue()}

    def _http(self, kind: str, transport: str, options: dict[str, Any]) -> Any:
        import openai

        names = [base.__module__.partition(".")[0] for base in openai.DefaultHttpxClient.__mro__]
        family = importlib.import_module(
            next(name for name in names if name in {"httpx2", "httpx"})
        )
        if self.adapted:
            import adapter

            options = {"transport": getattr(adapter, transport)(), **options}
        return getattr(family, kind)(**{"timeout": 60, **options})


class Text(io.TextIOWrapper):
    """Text in memory with a `buffer` beneath, like a terminal's streams.

    Command lines write to it.
    """

    def __init__(self, given: str = "") -> None:
        super().__init__(
            io.BytesIO(given.encode()), encoding="utf-8", write_through=True, newline=""
        )

    def getvalue(self) -> str:
        """Return all that was written."""
        self.flush()
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined]


def _classes(adapted: bool) -> Any:
    import openai

    if not adapted:
        return openai
    import adapter

    return adapter


# --- making outcomes comparable

CLOCKS = re.compile(
    r"^_?(?:created|created_at|timestamp|time|duration|started_at|ended_at|start_time|end_time|elapsed|latency|.*_ms)$"
)
"""Keys whose values are times."""
_VARIES = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b|\b0x[0-9a-f]{6,}\b"
    r"|\b01[0-9a-hjkmnp-tv-z]{24}\b|\b\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?"
    r"|\b\d+\.\d+ ?(?:ms|s|sec|seconds)\b"
)
"""Values in a text that vary: UUIDs, memory addresses, ULIDs, times, durations."""


def plain(value: Any, places: Mapping[str, str]) -> Any:
    """Return an outcome as JSON: no times, and this machine's paths replaced by placeholders."""
    if hasattr(value, "model_dump") and not isinstance(
        value, type
    ):  # pydantic's models, of any version
        value = {"": type(value).__name__, **dict(value)}
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            each.name: getattr(value, each.name) for each in dataclasses.fields(value) if each.repr
        }
        value = {"": type(value).__name__, **fields}
    elif isinstance(value, BaseException):
        fields_of_error = {
            key: getattr(value, key, None)
            for key in ("status_code", "code", "type", "param", "request_id")
        }
        cause = value.__cause__ or value.__context__
        value = {
            "": type(value).__name__,
            "message": str(value),
            **fields_of_error,
            "cause": None if cause is None else type(cause).__name__,
        }
    if isinstance(value, Enum):
        return plain(value.value, places)
    if isinstance(value, Mapping):
        return {
            str(key): plain(each, places)
            for key, each in value.items()
            if not CLOCKS.match(str(key))
        }
    if isinstance(value, list | tuple):
        return [plain(each, places) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(each, places) for each in value), key=repr)
    if isinstance(value, bool | int | float | None):
        return value
    text = value if isinstance(value, str) else repr(value)
    for place, name in places.items():
        text = text.replace(place, name)
    return _VARIES.sub("<varies>", text)
