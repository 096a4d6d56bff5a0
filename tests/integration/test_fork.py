"""Fork after use: the child, and the parent afterwards, work as they do natively."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import answers
from tests.support.http import NAME
from tests.support.http2 import Http2Loopback
from tests.support.loopback import Loopback, Reply, Request
from tests.support.tls import TlsLoopback, make_certificate
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


def attempt(use):
    try:
        return use()
    except Exception as error:
        return type(error).__name__


def in_child(use):
    readable, writable = os.pipe()
    if os.fork() == 0:
        os.write(writable, json.dumps(attempt(use)).encode())
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        outcome = json.loads(pipe.read())
    os.wait()
    return outcome


client = module.OpenAI(**given, **settings)
whole = lambda: client.chat.completions.create(**call).choices[0].message.content
streamed = lambda: text(client.chat.completions.create(**call, stream=True))
seen = [attempt(streamed), in_child(streamed), in_child(whole), attempt(streamed)]
open_stream = client.chat.completions.create(**call, stream=True)
next(open_stream)
seen += [in_child(streamed), attempt(lambda: text(open_stream)), attempt(whole)]

shared = module.AsyncOpenAI(**given, **settings)


async def use():
    stream = await shared.chat.completions.create(**call, stream=True)
    return text([chunk async for chunk in stream])


async def use_and_close():
    async with shared:
        return await use()


seen += [attempt(lambda: asyncio.run(use_and_close()))]
shared = module.AsyncOpenAI(**given, **settings)
closing = lambda: asyncio.run(use_and_close())
seen += [in_child(closing), attempt(closing)]
print(json.dumps(seen))
client.close()  # else CPython may finalise an idle connection before its client, natively too
"""


def test_fork_after_use_is_as_natively() -> None:
    seen = {}
    with Upstream() as upstream:
        for kind in ("plain", "adapted"):
            command = [sys.executable, "-W", "error", "-c", FORK, kind, upstream.base_url]
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
                cwd=Path(__file__).parents[2],
            )
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
            seen[kind] = json.loads(done.stdout)
    print(f"\nfork: {seen['adapted']}")
    assert seen["adapted"] == seen["plain"]
    assert seen["adapted"][0] == TEXT.replace("@@", "x")


CHILDREN = 8

CHILDS = """
import asyncio, importlib, json, os, sys
import adapter, openai

CHILDREN, http = int(sys.argv[1]), importlib.import_module(sys.argv[2])
on, off = adapter.Settings(backend="responses"), adapter.Settings()


def call(prompt, **more):
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], **more}


def make(way, asynchronous, base_url, protocol, certificate):
    import ssl
    given = {"base_url": base_url, "api_key": "key", "max_retries": 0, "timeout": 20}
    trust = ssl.create_default_context(cafile=certificate) if protocol == "tls" else False
    versions = {"http1": protocol != "http2", "http2": protocol == "http2"}
    adapted = adapter.AsyncOpenAI if asynchronous else adapter.OpenAI
    native = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    kind = http.AsyncClient if asynchronous else http.Client
    inner_class = http.AsyncHTTPTransport if asynchronous else http.HTTPTransport
    if way != "transport":
        # A custom transport around the library's, as programs write them to retry or to log.
        inner = inner_class(verify=trust, **versions)
        arounds = {"around": Around, "slots": InSlots}
        given["http_client"] = kind(transport=arounds.get(way, lambda inner: inner)(inner))
        if way == "install":
            return adapter.install(native(**given), on)
        return adapted(**given, settings=off if way == "off" else on)
    inner = inner_class(verify=trust, **versions)
    wrapped = (adapter.AsyncTransport if asynchronous else adapter.Transport)(inner, settings=on)
    return native(**given, http_client=kind(transport=wrapped))


class Around(http.BaseTransport, http.AsyncBaseTransport):
    def __init__(self, inner):
        self.inner = inner
    def handle_request(self, request):
        return self.inner.handle_request(request)
    async def handle_async_request(self, request):
        return await self.inner.handle_async_request(request)
    def close(self):
        self.inner.close()
    async def aclose(self):
        await self.inner.aclose()


class InSlots:
    __slots__ = ("inners",)
    def __init__(self, inner):
        self.inners = {"all://": [inner]}
    def handle_request(self, request):
        return self.inners["all://"][0].handle_request(request)
    def close(self):
        self.inners["all://"][0].close()


def text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


class Sync:
    run = staticmethod(lambda work: work())
    def __init__(self, client):
        self.create, self.close = client.chat.completions.create, client.close
    def whole(self, prompt):
        return self.create(**call(prompt)).choices[0].message.content
    def begun(self, prompt):
        stream = self.create(**call(prompt, stream=True))
        next(stream)
        return stream
    def rest(self, stream):
        return text(stream)
    def streamed(self, prompt):
        return text(self.create(**call(prompt, stream=True)))
    in_child = run


class Async(Sync):
    def __init__(self, client):
        self.loop = asyncio.new_event_loop()
        self.create, self._close = client.chat.completions.create, client.close
    def close(self):
        self.loop.run_until_complete(self._close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
    def in_child(self, work):
        self.loop = asyncio.new_event_loop()
        return work()
    def whole(self, prompt):
        return self.loop.run_until_complete(self.create(**call(prompt))).choices[0].message.content
    def begun(self, prompt):
        async def begin():
            stream = await self.create(**call(prompt, stream=True))
            await anext(stream)
            return stream
        return self.loop.run_until_complete(begin())
    def rest(self, stream):
        async def read():
            return [chunk async for chunk in stream]
        return text(self.loop.run_until_complete(read()))
    def streamed(self, prompt):
        return self.rest(self.loop.run_until_complete(self.create(**call(prompt, stream=True))))


def attempt(use):
    try:
        return use()
    except Exception as error:
        return repr(error)


def fork(use):
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writable, json.dumps(attempt(use)).encode())
        os._exit(0)
    os.close(writable)
    return child, readable


seen = {}
for case, *arguments in json.loads(sys.argv[3]):
    client = make(*arguments)
    user = (Async if arguments[1] else Sync)(client)
    results = {"warm": attempt(lambda: user.streamed(f"{case}/warm"))}
    stream = user.begun(f"{case}/open")
    # The open stream has a connection of its own, so that another is idle at the fork (HTTP/1.1).
    results["warm again"] = attempt(lambda: user.streamed(f"{case}/warm again"))
    children = [
        fork(lambda: user.in_child(lambda: user.whole(f"{case}/child {k}")))
        for k in range(CHILDREN)
    ]
    for k, (child, readable) in enumerate(children):
        with os.fdopen(readable) as pipe:
            results[f"child {k}"] = json.loads(pipe.read())
        os.waitpid(child, 0)
    results["after"] = attempt(lambda: user.whole(f"{case}/after"))
    results["open"] = attempt(lambda: user.rest(stream))
    user.close()
    seen[case] = results
print(json.dumps(seen))
"""

WAYS = ("client", "install", "transport", "around", "off")
CASES = [
    *((way, asynchronous, "plain") for way in WAYS for asynchronous in (False, True)),
    ("slots", False, "plain"),
    *(
        ("client", asynchronous, protocol)
        for protocol in ("tls", "http2")
        for asynchronous in (False, True)
    ),
]


def _name(way: str, asynchronous: bool, protocol: str) -> str:
    return f"{way}-{'async' if asynchronous else 'sync'}-{protocol}"


def _prompt_of(request: Request) -> str:
    body = request.json()
    asked = body.get("messages") or body["input"]
    content = asked[-1]["content"]
    return content if isinstance(content, str) else str(content[0]["text"])


class _Answering:
    """Answers with the prompt; a stream named `open` waits for all children's requests."""

    def __init__(self) -> None:
        self.server: Loopback

    def __call__(self, request: Request) -> Reply:
        prompt, chat = _prompt_of(request), request.path.endswith("/chat/completions")
        if not request.json().get("stream"):
            if "/child" in prompt:  # together
                self._all(prompt)
            made: Any = (
                answers.completion(prompt)
                if chat
                else answers.response(answers.message_item(prompt))
            )
            return Reply.of_json(made)
        parts = answers.chat_events(prompt, "!") if chat else answers.events(prompt, "!")
        return Reply.of_sse(self._held(parts, prompt) if prompt.endswith("/open") else parts)

    def _held(self, parts: list[bytes], prompt: str) -> Iterator[bytes]:
        yield from parts[:-2]
        self._all(prompt)
        yield from parts[-2:]

    def _all(self, prompt: str) -> None:
        begin = prompt.partition("/")[0] + "/child"
        self.server.wait_for(
            lambda it: (
                sum(_prompt_of(one).startswith(begin) for one in list(it.requests)) == CHILDREN
            )
        )


@pytest.fixture(scope="module")
def forked(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[dict[str, str], dict[str, int]]]:
    """For each case, each process's answer and connection."""
    certificate = make_certificate(tmp_path_factory.mktemp("tls"))
    with ExitStack() as stack:
        servers: dict[str, Loopback] = {}
        TlsLoopback.context = certificate.context()
        for protocol, kind in (("plain", Loopback), ("tls", TlsLoopback), ("http2", Http2Loopback)):
            answering = _Answering()
            servers[protocol] = answering.server = stack.enter_context(kind(answering))
        cases = [
            (
                _name(way, asynchronous, protocol),
                way,
                asynchronous,
                servers[protocol].base_url,
                protocol,
                str(certificate.certificate),
            )
            for way, asynchronous, protocol in CASES
        ]
        command = [
            sys.executable,
            "-W",
            "error",
            "-c",
            CHILDS,
            str(CHILDREN),
            NAME,
            json.dumps(cases),
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=Path(__file__).parents[2],
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        connections: dict[str, dict[str, int]] = {}
        for protocol, server in servers.items():
            for request in server.requests:
                case, _, who = _prompt_of(request).partition("/")
                assert case.endswith(protocol)
                connections.setdefault(case, {})[who] = request.connection
        return {case: (got, connections[case]) for case, got in json.loads(done.stdout).items()}


@pytest.mark.parametrize("case", [_name(*case) for case in CASES])
def test_children_leave_their_parents_connections_alone(
    case: str, forked: dict[str, tuple[dict[str, str], dict[str, int]]]
) -> None:
    answered, connections = forked[case]
    assert answered.pop("open").endswith("!")
    streamed = {"warm", "warm again"}
    expected = {who: f"{case}/{who}" + "!" * (who in streamed) for who in answered}
    assert answered == expected
    children = {connections[who] for who in connections if who.startswith("child")}
    assert len(children) == CHILDREN, "each has its own"
    assert not children & {connections[who] for who in ("warm", "open", "warm again")}
    if not case.startswith("off"):  # the SDK's own streams cost their connection in some versions
        assert connections["after"] == connections["warm again"], "the parent's is as it was"
