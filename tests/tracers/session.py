"""Make all calls with one tracer, and write what it exported of each, as JSON.

    python -m tests.tracers.session TRACER before|after whole|masked FILE

`before`: the tracer is started first, and wraps a client before `install` does; `after`: the
reverse. With `masked` the tracer is configured to omit contents.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import importlib
import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import network
from tests.support.loopback import Loopback, Reply
from tests.tracers.tracer import Tracer

if TYPE_CHECKING:
    from tests.tracers.calls import Call

ROOT = Path(__file__).resolve().parents[2]
REFUSED: list[str] = []
"""Connections to other machines that the process attempted."""


def _refuse(host: object) -> None:
    REFUSED.append(str(host))
    msg = f"only the loopback may be reached, not {host!r}"
    raise OSError(msg)


if __name__ == "__main__":
    network.block(_refuse)  # before a tracer is imported
    # Installed packages precede the repository: the adapter as users have it (conftest.py).
    sys.path.sort(key=lambda entry: (entry or str(Path.cwd())) == str(ROOT))

WAYS_IN = ("import", "install", "transport")
SIDES = ("off", "on")


def columns() -> list[tuple[str, str]]:
    """List the ways in, each with the flag off and on; the first is the SDK alone."""
    return [("native", "off"), *((way_in, side) for way_in in WAYS_IN for side in SIDES)]


Column = tuple[str, str]
Key = tuple[str, str, str]


class Session:
    """The clients of a session, and the exports of their calls."""

    def __init__(self, start: Callable[[], Tracer], when: str, upstream: Loopback) -> None:
        self.upstream = upstream
        self.given: dict[str, Any] = {
            "base_url": upstream.base_url,
            "api_key": "key",
            "max_retries": 2,
        }
        self.found: dict[str, dict[str, Any]] = {}
        self.marks: dict[str, float] = {}
        keys: list[Key] = [(*column, mode) for column in columns() for mode in ("sync", "async")]
        if when == "before":
            self.tracer = start()
            made = {key: self.made(key) for key in keys}
            self.clients = {
                key: self.installed(key, self.tracer.wrap(client)) for key, client in made.items()
            }
        else:
            self.tracer = Tracer(list)
            made = {key: self.installed(key, self.made(key)) for key in keys}
            self.tracer = start()
            if self.tracer.make is not Tracer(list).make:  # its classes exist only now
                made = {key: self.installed(key, self.made(key)) for key in keys}
            self.clients = {key: self.tracer.wrap(client) for key, client in made.items()}

    def made(self, key: Key) -> Any:
        """Make a client; adapted where the way in does that in the constructor."""
        way_in, side, mode = key
        asynchronous = mode == "async"
        if way_in in ("native", "install"):
            return self.tracer.make(asynchronous=asynchronous, **self.given)
        import adapter
        from tests.support.http import http

        if way_in == "import":
            return (adapter.AsyncOpenAI if asynchronous else adapter.OpenAI)(
                **self.given, settings=_settings(side)
            )
        if asynchronous:
            http_client = http.AsyncClient(
                transport=adapter.AsyncTransport(settings=_settings(side))
            )
        else:
            http_client = http.Client(transport=adapter.Transport(settings=_settings(side)))
        return self.tracer.make(asynchronous=asynchronous, **self.given, http_client=http_client)

    def installed(self, key: Key, client: Any) -> Any:
        """Install the adapter, for that way in."""
        if key[0] != "install":
            return client
        import adapter

        return adapter.install(client, _settings(key[1]))

    def run(self) -> None:
        """Make all calls."""
        self.tracer.read()
        gc.freeze()  # makes collecting garbage after each call cheap
        context = contextvars.copy_context()
        for key in self.clients:
            # A context for each: some tracers never reset theirs.
            context.copy().run(self.calls if key[2] == "sync" else self.calls_in_a_loop, key)
            self.note_all()

    def calls(self, key: Key) -> None:
        """Make a sync client's calls."""
        from tests.tracers.calls import CALLS, drive

        completions = self.clients[key].chat.completions
        for name, call in CALLS.items():
            try:
                with self.about_to(key, name, call):
                    outcome = drive(call.steps(completions))
            except Exception as error:  # noqa: BLE001  # it is what the caller sees
                outcome = error
            self.note(key, name, outcome)

    def calls_in_a_loop(self, key: Key) -> None:
        """Make an async client's calls."""
        asyncio.run(self.acalls(key))

    async def acalls(self, key: Key) -> None:
        """Make an async client's calls."""
        from tests.tracers.calls import CALLS, adrive

        completions = self.clients[key].chat.completions
        for name, call in CALLS.items():
            try:
                with self.about_to(key, name, call):
                    outcome = await adrive(call.steps(completions))
            except Exception as error:  # noqa: BLE001  # as above
                outcome = error
            gc.collect()
            for _ in range(10):
                await asyncio.sleep(0)  # the loop closes dropped streams
            self.note(key, name, outcome)
        await asyncio.sleep(0.2)  # threads may still be exporting
        await self.clients[key].close()

    def about_to(self, key: Key, name: str, call: Call) -> AbstractContextManager[Any]:
        """Prepare a call; yield the application's span around it, if it has one."""
        self.upstream.answer = call.answer
        if self.tracer.begun is not None:
            time.sleep(0.003)  # clocks of some tracers are coarse
        self.marks["/".join((*key, name))] = int(time.time() * 1000) / 1000
        return self.tracer.inside("application") if call.nested else nullcontext()

    def note(self, key: Key, call: str, outcome: Any) -> None:
        """Record the exports of a call."""
        paths = [request.path.removeprefix("/v1/") for request in self.upstream.requests]
        self.upstream.requests.clear()
        gc.collect()  # some tracers end a span when its stream is collected
        records = self.tracer.read() if self.tracer.begun is None else []
        self.found["/".join((*key, call))] = {
            "outcome": _shown(outcome),
            "paths": paths,
            "records": records,
        }

    def note_all(self) -> None:
        """Record the exports of all calls of a client, where the tracer is read once."""
        if self.tracer.begun is not None:
            for record in self.tracer.read():
                began = self.tracer.begun(record)
                name = max(
                    (one for one in self.marks if self.marks[one] <= began),
                    key=self.marks.__getitem__,
                )
                self.found[name]["records"].append(record)
        self.marks.clear()


def _settings(side: str) -> Any:
    import adapter

    return adapter.Settings(
        backend="responses" if side == "on" else "chat", emulate=("n",), on_bug="raise"
    )


def run(name: str, when: str, *, masked: bool) -> dict[str, Any]:
    """Make all calls; return the exports by way in, side, mode and call."""
    if when == "after":
        importlib.import_module("adapter")
    kind = importlib.import_module(f"tests.tracers.kinds.{name}")
    with Loopback() as collector, Loopback() as upstream:
        collector.answer = getattr(kind, "answer", lambda _: Reply.of_json({}))
        session = Session(lambda: kind.start(collector, masked=masked), when, upstream)
        session.run()
    return {"calls": session.found, "refused": REFUSED}


def _shown(outcome: Any) -> Any:
    """Return what a caller got: texts, or the error."""
    if isinstance(outcome, Exception):
        return [type(outcome).__name__, getattr(outcome, "status_code", None), str(outcome)]
    if isinstance(outcome, list):
        return [type(one).__name__ for one in outcome]
    choices = getattr(outcome, "choices", [])
    return [type(outcome).__name__, [choice.message.to_dict() for choice in choices]]


def main(name: str, when: str, contents: str, file: str) -> None:
    """Write the exports of a session."""
    found = run(name, when, masked=contents == "masked")
    Path(file).write_text(json.dumps(found, default=repr))


if __name__ == "__main__":
    main(*sys.argv[1:])
