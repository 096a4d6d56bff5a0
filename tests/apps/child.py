"""The process of one application in one mode.

`python -m tests.apps.child NAME MODE FILE` writes a report of what the application did.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import importlib
import importlib.metadata
import inspect
import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.apps.harness import KEY, App, Scenario, Text, Wired, plain
from tests.apps.server import Scripted


class Guard:
    """Restrict this process to the scripted server; any other connection is recorded."""

    def __init__(self) -> None:
        self.port = 0
        self.refused: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            address = arguments[1]
            if isinstance(address, tuple) and not (
                address[0] in ("127.0.0.1", "::1") and address[1] == self.port
            ):
                self._refuse(f"connect {address[0]}:{address[1]}")
        elif event == "socket.getaddrinfo" and arguments[0] not in (
            None,
            "127.0.0.1",
            "localhost",
            "::1",
            "",
        ):
            self._refuse(f"look up {arguments[0]}")
        elif event == "socket.sendto" and isinstance(arguments[1], tuple):
            self._refuse(f"send to {arguments[1][0]}")

    def _refuse(self, what: str) -> None:
        self.refused.append(what)
        msg = f"no network in this process: {what}"
        raise OSError(msg)


def run(app: App, mode: str, server: Scripted, home: Path) -> dict[str, Any]:
    """Run each scenario; return the outcomes."""
    records: list[Any] = []
    report = {}
    with _observed(records) if mode != "native" else contextlib.nullcontext():
        for each in app.scenarios:
            records.clear()
            server.play(*each.script)
            here = home / "work" / each.name
            here.mkdir(parents=True)
            os.chdir(here)
            outcome = _play(each, Wired(mode, server.base_url))
            outcome["files"] = _files(here)
            places = {
                str(here): "<here>",
                str(home): "<home>",
                server.base_url: "<base_url>",
                f":{server.port}": ":<port>",
            }
            seen = plain(outcome, places)
            del outcome
            gc.collect()  # a stream that was left is recorded when it is collected
            report[each.name] = {
                "outcome": seen,
                "asked": [dataclasses.asdict(asked) for asked in server.asked],
                "records": [dataclasses.asdict(record) for record in records],
            }
    return report


def _play(each: Scenario, wired: Wired) -> dict[str, Any]:
    outcome: dict[str, Any] = {}
    out, err = Text(), Text()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            result = each.run(wired)
            outcome["result"] = asyncio.run(result) if inspect.iscoroutine(result) else result
        except Exception as error:  # noqa: BLE001  # it is what its user sees
            outcome["raised"] = error
            if os.environ.get("APPS_TRACEBACK"):
                traceback.print_exc(file=sys.__stderr__)
    return {**outcome, "notes": wired.notes, "stdout": out.getvalue(), "stderr": err.getvalue()}


def _files(folder: Path) -> dict[str, str]:
    found = (
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and ".git" not in file.relative_to(folder).parts
    )
    return {
        str(file.relative_to(folder)): file.read_bytes().decode(errors="replace") for file in found
    }


@contextlib.contextmanager
def _observed(into: list[Any]) -> Iterator[None]:
    """Collect the adapter's records, and keep its log out of the application's output."""
    from adapter.telemetry.observers import observing

    log = logging.getLogger("adapter")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    with observing(into.append):
        yield


def main() -> None:
    """Run one application in one mode, and write a report."""
    name, mode, written = sys.argv[1:]
    guard = Guard()
    server = Scripted()
    guard.port = server.port
    os.environ |= {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_BASE": server.base_url,
    }
    home = Path(os.environ["HOME"])
    module = importlib.import_module(f"tests.apps.programs.{name.replace('-', '_')}")
    app: App = module.APP
    report = {
        "app": {
            "wired": app.wired,
            "private": app.private,
            "but": {each.name: dict(each.but) for each in app.scenarios},
        },
        "versions": {each: importlib.metadata.version(each) for each in (*app.shows, "openai")},
        "scenarios": run(app, mode, server, home),
        "refused": guard.refused,
    }
    Path(written).write_text(json.dumps(report), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)  # an application may leave threads behind


if __name__ == "__main__":
    main()
