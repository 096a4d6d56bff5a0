"""llm, Simon Willison's command line: it makes an SDK client for each prompt, and logs what came to SQLite."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import llm
import openai
import sqlite_utils
from llm.cli import cli

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, say, say_json

APP = App(shows=("llm",), wired="openai.OpenAI and AsyncOpenAI replaced")

TOOLS = '''
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Rain in {city}"
'''


def run(wired: Wired, *arguments: str, stdin: str = "") -> dict[str, Any]:
    """Run the command as a user does, with its models' address in its own configuration file."""
    wired.replace(openai, "OpenAI", "AsyncOpenAI")
    os.environ["LLM_USER_PATH"] = str(Path.home() / "llm" / Path.cwd().name)
    model = {
        "model_id": "there",
        "model_name": wired.model,
        "api_base": wired.base_url,
        "api_key_name": "openai",
    }
    more = {"supports_schema": True, "supports_tools": True, "vision": True}
    (llm.user_dir() / "extra-openai-models.yaml").write_text(json.dumps([{**model, **more}]))
    return wired.command(cli, "llm", *arguments, stdin=stdin) | {"logged": logged()}


def logged() -> dict[str, Any]:
    """Read what it has logged: prompts, answers, tokens, tool calls."""
    database = sqlite_utils.Database(llm.user_dir() / "logs.db")
    tables = ("threads", "turns", "messages", "parts", "tool_instantiations", "schemas")
    found = {name: [dict(row) for row in database[name].rows] for name in tables}
    return {
        name: [{key: _json(value) for key, value in row.items()} for row in rows]
        for name, rows in found.items()
    }


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[") else value


@APP.scenario(say("Hello there, how are you?"))
def prompt_whole(wired: Wired) -> Any:
    return run(
        wired, "prompt", "-m", "there", "--no-stream", "-s", "Be brief.", "Say hello.", "--usage"
    )


@APP.scenario(say("Hello there,\nhow are you?"))
def prompt_streamed(wired: Wired) -> Any:
    return run(
        wired,
        "prompt",
        "-m",
        "there",
        "Say hello.",
        "-o",
        "temperature",
        "0.5",
        "-o",
        "max_tokens",
        "100",
        stdin="Piped in.",
    )


@APP.scenario(say("My name is Ann."), say("You asked for my name."))
def conversation_continued(wired: Wired) -> Any:
    return run(wired, "-m", "there", "What is your name?"), run(wired, "-c", "What did I ask?")


@APP.scenario(
    say("", call("get_weather", city="Oslo"), call("get_weather", city="Rome")),
    say("It rains in both."),
)
def tools_streamed(wired: Wired) -> Any:
    Path("tools.py").write_text(TOOLS)
    return run(
        wired,
        "-m",
        "there",
        "--functions",
        "tools.py",
        "How is the weather in Oslo and Rome?",
        "--td",
    )


@APP.scenario(say("Let me look.", call("get_weather", city="Oslo")), say("It rains."))
def tools_whole(wired: Wired) -> Any:
    return run(
        wired, "-m", "there", "--functions", TOOLS, "How is the weather in Oslo?", "--no-stream"
    )


@APP.scenario(say_json({"name": "Rex", "age": 3}))
def schema(wired: Wired) -> Any:
    return run(wired, "-m", "there", "--schema", "name, age int", "Invent a dog.")


@APP.scenario(say_json({"ok": True}))
def json_object(wired: Wired) -> Any:
    return run(wired, "-m", "there", "-o", "json_object", "1", "Answer in JSON.")


@APP.scenario(say("A red square."))
def image(wired: Wired) -> Any:
    Path("red.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(24))
    return run(wired, "-m", "there", "-a", "red.png", "What is this?")


@APP.scenario(say("One two STOP three"), say("Again."))
def options_of_chat_alone(wired: Wired) -> Any:
    stopped = run(wired, "-m", "there", "-o", "stop", "STOP", "Count.")
    return stopped, run(
        wired, "-m", "there", "-o", "seed", "7", "-o", "frequency_penalty", "0.5", "Again."
    )


@APP.scenario(fail(400, "This model is asleep.", code="asleep"))
def refused(wired: Wired) -> Any:
    return run(wired, "-m", "there", "Wake up.")


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
def tried_again(wired: Wired) -> Any:
    return run(wired, "-m", "there", "Hurry.")


@APP.scenario(say("An answer that is too", finish="length"))
def cut_short(wired: Wired) -> Any:
    return run(wired, "-m", "there", "-o", "max_tokens", "16", "Talk.")


@APP.scenario(say("Hello from asyncio."), say("And streamed."))
async def python_async(wired: Wired) -> Any:
    wired.replace(openai, "AsyncOpenAI")
    model = llm.get_async_model("gpt-4o")
    whole = await model.prompt("Say hello.", stream=False, key=wired.api_key).text()
    response = model.prompt("Stream.", key=wired.api_key)
    return whole, [piece async for piece in response], await response.usage()


@APP.scenario(say("As ever."), say("", call("llm_version")), say("Done."))
def written_for_responses(wired: Wired) -> Any:
    # Of newer models it asks the Responses API itself.
    first = run(wired, "-m", "gpt-5-mini", "Say hello.", "--no-stream", "--key", wired.api_key)
    return first, run(
        wired, "-m", "gpt-5-mini", "Which version?", "-T", "llm_version", "--key", wired.api_key
    )
