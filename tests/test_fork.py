"""Fork after use: the child, and the parent afterwards, fare as they do natively."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.upstream import TEXT, Upstream

FORK = """
import asyncio, json, os, sys
import adapter, openai

kind, base_url = sys.argv[1:]
call = {"model": "pieces", "messages": [{"role": "user", "content": "x"}]}
given = {"base_url": base_url, "api_key": "key", "max_retries": 0, "timeout": 20}
settings = {} if kind == "plain" else {"settings": adapter.Settings(backend="responses")}
module = openai if kind == "plain" else adapter


def text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def tell(use):
    try:
        return use()
    except Exception as error:
        return type(error).__name__


def in_child(use):
    readable, writable = os.pipe()
    if os.fork() == 0:
        os.write(writable, json.dumps(tell(use)).encode())
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        said = json.loads(pipe.read())
    os.wait()
    return said


client = module.OpenAI(**given, **settings)
whole = lambda: client.chat.completions.create(**call).choices[0].message.content
streamed = lambda: text(client.chat.completions.create(**call, stream=True))
seen = [tell(streamed), in_child(streamed), in_child(whole), tell(streamed)]
open_stream = client.chat.completions.create(**call, stream=True)
next(open_stream)
seen += [in_child(streamed), tell(lambda: text(open_stream)), tell(whole)]

shared = module.AsyncOpenAI(**given, **settings)


async def use():
    stream = await shared.chat.completions.create(**call, stream=True)
    return text([chunk async for chunk in stream])


async def use_and_close():
    async with shared:
        return await use()


seen += [tell(lambda: asyncio.run(use_and_close()))]
shared = module.AsyncOpenAI(**given, **settings)
seen += [in_child(lambda: asyncio.run(use_and_close())), tell(lambda: asyncio.run(use_and_close()))]
print(json.dumps(seen))
client.close()  # else CPython, at its exit, may finalise an idle connection before the client that would close it; the SDK's as well
"""


def test_fork_after_use_is_as_natively() -> None:
    seen = {}
    with Upstream() as upstream:
        for kind in ("plain", "adapted"):
            command = [sys.executable, "-W", "error", "-c", FORK, kind, upstream.base_url]
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=120, check=False, cwd=Path(__file__).parents[1]
            )
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
            seen[kind] = json.loads(done.stdout)
    print(f"\nfork: {seen['adapted']}")
    assert seen["adapted"] == seen["plain"]
    assert seen["adapted"][0] == TEXT.replace("@@", "x")
