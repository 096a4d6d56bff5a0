"""An SDK whose private parts have other names: adapted clients do without them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from adapter._sdk import compat
from tests.support import tier
from tests.support.answers import both
from tests.support.http import needs
from tests.support.loopback import Loopback, Reply, Request

RENAMED = {
    "_build_request": "_make_request",
    "_custom_headers": "_own_headers",
    "_iter_events": "_events",
    "_iterator": "_chunks",
    "_make_status_error_from_response": "_status_error",
    "_post": "_send_post",
    "_process_response_data": "_read_data",
    "_strict_response_validation": "_strict",
}
"""The names that the adapter looks for, as a made-up SDK calls them."""

PROGRAM = """
import asyncio, importlib.machinery, json, re, sys

renamed, base_url = json.loads(sys.argv[1]), sys.argv[2]
words = re.compile(r"\\b(%s)\\b" % "|".join(renamed))
get_code = importlib.machinery.SourceFileLoader.get_code

def renamed_code(loader, name):
    source = loader.get_source(name) if name.startswith("openai.") else ""
    if not words.search(source):
        return get_code(loader, name)
    return compile(words.sub(lambda found: renamed[found[1]], source), loader.path, "exec")

importlib.machinery.SourceFileLoader.get_code = renamed_code

import adapter, openai

given = dict(base_url=base_url, api_key="k", max_retries=0)
settings = dict(backend="responses", on_internal_error="raise")
call = dict(model="gpt-4.1", messages=[dict(role="user", content="Hi")])

def text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

def sync(client):
    create = client.chat.completions.create
    whole, stream = create(**call), create(**call, stream=True)
    try:
        client.with_options(base_url=base_url + "/refused").chat.completions.create(**call)
    except openai.AuthenticationError as error:
        failed = adapter.decision(error).backend
    return [adapter.decision(whole).backend, whole.choices[0].message.content, text(stream), failed]

async def coroutine(client):
    create = client.chat.completions.create
    whole, stream = await create(**call), await create(**call, stream=True)
    chunks = [chunk async for chunk in stream]
    await client.close()
    return [adapter.decision(whole).backend, whole.choices[0].message.content, text(chunks)]

found = [
    sync(adapter.OpenAI(**given, settings=settings)),
    sync(adapter.install(openai.OpenAI(**given), settings)),
    asyncio.run(coroutine(adapter.AsyncOpenAI(**given, settings=settings))),
    asyncio.run(coroutine(adapter.install(openai.AsyncOpenAI(**given), settings))),
]
print(json.dumps(found))
"""


def answer(request: Request) -> Reply:
    if "/refused/" in request.path:
        return Reply.of_json({"error": {"message": "no such key"}}, 401)
    return both(request)


CASES = {"all": RENAMED} | {old: {old: new} for old, new in RENAMED.items()}


@needs(compat.SUPPORTED, "parts that the adapter looks for")
@pytest.mark.parametrize("case", tier.pick([*CASES], ["all"]))
def test_clients_do_without_renamed_parts(case: str, loopback: Loopback) -> None:
    loopback.answer = answer
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(CASES[case]), loopback.base_url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = ["responses", "Hello there", "Hello there"]
    assert json.loads(done.stdout) == [[*answers, "responses"]] * 2 + [answers] * 2
    paths = {request.path for request in loopback.requests}
    assert paths == {"/v1/responses", "/v1/refused/responses"}
