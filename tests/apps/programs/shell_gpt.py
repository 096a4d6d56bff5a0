"""shell-gpt, a command line that makes one SDK client when it is imported and streams each answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, say

FUNCTION = '''
from pydantic import BaseModel, Field


class Function(BaseModel):
    """Tell the weather in a city."""

    city: str = Field(..., description="The city.")

    @classmethod
    def execute(cls, city: str) -> str:
        with open("weather.log", "a") as file:
            file.write(city)
        return f"Rain in {city}"

    @classmethod
    def openai_schema(cls):
        return {"type": "function", "function": {"name": "get_weather", "description": cls.__doc__, "parameters": cls.model_json_schema()}}
'''
_functions = Path.home() / ".config" / "shell_gpt" / "functions"
_functions.mkdir(parents=True)
(_functions / "weather.py").write_text(FUNCTION)

import sgpt.app  # noqa: E402
from sgpt.handlers import handler  # noqa: E402

APP = App(shows=("shell-gpt",), wired="install(sgpt.handlers.handler.client)")


def run(wired: Wired, *arguments: str, stdin: str = "") -> Any:
    """Run the command as a user does."""
    wired.install(handler.client)
    return wired.command(sgpt.app.entry_point, "sgpt", *arguments, stdin=stdin)


@APP.scenario(say("Hello there,\nhow are you?"))
def prompt(wired: Wired) -> Any:
    return run(wired, "--no-functions", "Say hello.")


@APP.scenario(say("# Title\n\nSome *text*.\n\n```python\nprint(1)\n```\n"))
def markdown(wired: Wired) -> Any:
    return run(
        wired,
        "--md",
        "Write markdown.",
        "--temperature",
        "0.7",
        "--top-p",
        "0.9",
        stdin="From a pipe.",
    )


@APP.scenario(say("ls -la"), say("Lists all files."))
def shell(wired: Wired) -> Any:
    return run(wired, "--shell", "--no-interaction", "List all files."), run(wired, "-d", "ls -la")


@APP.scenario(say("print('hello')"))
def code(wired: Wired) -> Any:
    return run(wired, "--code", "Say hello in Python.", "--model", "gpt-4o")


@APP.scenario(say("You are Ann."), say("Ann, as you said."), say("Still Ann."), say("And?"))
def chat(wired: Wired) -> Any:
    # It shows what was said, and then asks for an answer to nothing: the fourth.
    for text in ("I am Ann.", "Who am I?", "Are you sure?"):
        wired.note(run(wired, "--chat", "names", "--no-functions", text))
    return run(wired, "--show-chat", "names")


@APP.scenario(say("", call("get_weather", city="Oslo")), say("It rains in Oslo."))
def function(wired: Wired) -> Any:
    return run(wired, "How is the weather in Oslo?", "--no-cache")


@APP.scenario(say("Let me look. ", call("get_weather", city="Rome")), say("It rains in Rome."))
def function_after_words(wired: Wired) -> Any:
    return run(wired, "How is the weather in Rome?", "--model", "gpt-4o")


@APP.scenario(say("Once."))
def cached(wired: Wired) -> Any:
    return run(wired, "Only once.", "--no-functions"), run(wired, "Only once.", "--no-functions")


@APP.scenario(fail(401, "Incorrect API key provided.", code="invalid_api_key"))
def refused(wired: Wired) -> Any:
    return run(wired, "Let me in.")


@APP.scenario(fail(500, "Try later.", kind="server_error"), say("At last."))
def tried_again(wired: Wired) -> Any:
    return run(wired, "Hurry.")
