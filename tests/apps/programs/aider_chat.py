"""aider, which edits the files of a repository as the model says; it asks through a litellm of its own version."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

os.environ |= {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "AIDER_ANALYTICS": "false",
    "AIDER_CHECK_UPDATE": "false",
    "AIDER_SHOW_RELEASE_NOTES": "false",
    "AIDER_SHOW_MODEL_WARNINGS": "false",
    "AIDER_YES_ALWAYS": "true",
    "AIDER_PRETTY": "false",
    "AIDER_FANCY_INPUT": "false",
    "AIDER_GITIGNORE": "false",
    "AIDER_MAP_TOKENS": "0",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}

import litellm
import litellm.llms.openai.openai as the_module
from aider.main import main

from tests.apps.harness import App, Wired
from tests.apps.server import fail, say

APP = App(shows=("aider-chat",), wired="OpenAI and AsyncOpenAI replaced in litellm's module")

# It reads prices from the network once a day: this is the list that litellm itself brings.
_prices = Path.home() / ".aider" / "caches" / "model_prices_and_context_window.json"
_prices.parent.mkdir(parents=True)
_prices.write_text(json.dumps(litellm.model_cost))

EDIT = """I'll change it.

hello.py
```python
<<<<<<< SEARCH
print("hello")
=======
print("goodbye")
>>>>>>> REPLACE
```
"""
NEW = """A new file.

new.py
```python
<<<<<<< SEARCH
=======
print("new")
>>>>>>> REPLACE
```
"""
WRONG = EDIT.replace('"hello"', '"good day"')
WHOLE = "All of it.\n\nhello.py\n```\nprint('all new')\n```\n"
DIFF = """```diff
--- hello.py
+++ hello.py
@@ ... @@
-print("hello")
+print("by a diff")
```
"""


def run(wired: Wired, *arguments: str, git: bool = False) -> Any:
    """Run the command as a user does, on a file or in a repository."""
    wired.replace(the_module, "OpenAI", "AsyncOpenAI")
    Path("hello.py").write_text('print("hello")\n')
    if git:
        for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "The first")):
            identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
            subprocess.run(["git", *identity, *words], check=True, capture_output=True)
        for key, value in (("user.name", "Ann"), ("user.email", "ann@example.com")):
            subprocess.run(["git", "config", key, value], check=True)
    given = ["--model", f"openai/{wired.model}", *(() if git else ("--no-git",)), *arguments]
    done = wired.command(
        lambda: main(given, force_git_root=str(Path.cwd()) if git else None), "aider"
    )
    if git:
        log = ["git", "log", "--format=%an %s%n%b", "--stat"]
        done["log"] = subprocess.run(log, check=True, capture_output=True, text=True).stdout
    return done


@APP.scenario(say(EDIT))
def edit(wired: Wired) -> Any:
    return run(wired, "--message", "Say goodbye.", "--edit-format", "diff", "hello.py")


@APP.scenario(say(EDIT))
def edit_whole_reply(wired: Wired) -> Any:
    return run(
        wired, "--message", "Say goodbye.", "--edit-format", "diff", "--no-stream", "hello.py"
    )


@APP.scenario(say(EDIT), say("fix: say goodbye"))
def edit_and_commit(wired: Wired) -> Any:
    return run(wired, "--message", "Say goodbye.", "--edit-format", "diff", "hello.py", git=True)


@APP.scenario(say(NEW))
def new_file(wired: Wired) -> Any:
    return run(wired, "--message", "Add a file.", "--edit-format", "diff", "hello.py")


@APP.scenario(say(WRONG), say(EDIT))
def edit_that_fails_once(wired: Wired) -> Any:
    return run(wired, "--message", "Say goodbye.", "--edit-format", "diff", "hello.py")


@APP.scenario(say(WHOLE))
def whole_file(wired: Wired) -> Any:
    return run(wired, "--message", "Write it anew.", "--edit-format", "whole", "hello.py")


@APP.scenario(say(DIFF))
def unified_diff(wired: Wired) -> Any:
    return run(wired, "--message", "Change it.", "--edit-format", "udiff", "hello.py")


@APP.scenario(say("It prints hello."))
def ask(wired: Wired) -> Any:
    return run(wired, "--message", "What does it do?", "--edit-format", "ask", "hello.py")


@APP.scenario(say("Let me print goodbye."), say(EDIT))
def architect(wired: Wired) -> Any:
    more = (
        "--architect",
        "--editor-model",
        f"openai/{wired.model}",
        "--editor-edit-format",
        "editor-diff",
    )
    return run(wired, "--message", "Say goodbye.", *more, "hello.py")


@APP.scenario(say("It was cut", finish="length"))
def cut_short(wired: Wired) -> Any:
    return run(wired, "--message", "Talk.", "--edit-format", "ask", "hello.py")


@APP.scenario(fail(401, "Incorrect API key provided.", code="invalid_api_key"))
def refused(wired: Wired) -> Any:
    return run(wired, "--message", "Let me in.", "hello.py")


@APP.scenario(fail(500, "Broken.", kind="server_error"), say("At last."))
def tried_again(wired: Wired) -> Any:
    return run(wired, "--message", "Hurry.", "--edit-format", "ask", "hello.py")
