"""Overriding methods, and wrappers of the SDK's, see the same natively, off and on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import openai
import pytest
from openai._base_client import AsyncAPIClient, SyncAPIClient
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.types.chat import ChatCompletion, ChatCompletionChunk

import adapter
from tests.support.answers import MESSAGES, Sdk, _certificates, both, sdk, text_of
from tests.support.http import default_client, helpers_of
from tests.support.loopback import Loopback

__all__ = ["sdk"]

CLIENT_METHODS = (
    "post", "request", "_request", "_prepare_options", "_build_request", "_build_headers",
    "_prepare_request",
    "_should_stream_response_body", "_maybe_override_cast_to", "_make_sse_decoder",
    "_process_response",
    "_process_response_data",
)  # fmt: skip
"""Methods of a client that a chat call uses, and that can be overridden; not all SDKs have all."""

SHOWN = (type, bool, str, int, float, type(None))
Records = list[Any]


def shown(value: Any) -> Any:
    """Return what can be compared of an argument or result."""
    if isinstance(value, SHOWN) or hasattr(value, "__origin__"):
        return value
    if hasattr(value, "json_data"):  # a request's options
        return ("options", value.method, value.url, value.json_data)
    if isinstance(value, dict):
        return {key: shown(one) for key, one in value.items()}
    return type(value).__name__


def recording(seen: Records, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that records its arguments and result."""

    def note(arguments: dict[str, Any], result: Any) -> None:
        given = {
            key: shown(one)
            for key, one in arguments.items()
            if key not in ("data", "response", "request")
        }
        record = (name, given, type(result), getattr(type(result), "__module__", None))
        if record not in seen[-1:]:  # the cuts of a stream's chunks differ
            seen.append(record)

    if inspect.iscoroutinefunction(method):

        async def recorded(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = await method(self, *args, **kwargs)
            note({**dict(enumerate(args)), **kwargs}, result)
            return result

        return recorded

    def recorded_now(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        note({**dict(enumerate(args)), **kwargs}, result)
        return result

    return recorded_now


def subclass(cls: Any, seen: Records) -> Any:
    """Make a client class in which every method records."""

    def over(name: str) -> Any:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            return getattr(super(made, self), name)(*args, **kwargs)

        async def acall(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await getattr(super(made, self), name)(*args, **kwargs)

        coroutine = inspect.iscoroutinefunction(getattr(cls, name))
        return recording(seen, name, acall if coroutine else call)

    made = type("Mine", (cls,), {})
    for name in CLIENT_METHODS:
        if hasattr(cls, name):
            setattr(made, name, over(name))
    return made


def calls(sdk: Sdk) -> dict[str, Callable[[Any], Any]]:
    """Return the ways to call; each returns the types of its results."""
    body: dict[str, Any] = {"model": "gpt-4o", "messages": MESSAGES}

    def whole(client: Any) -> Any:
        return type(sdk.create(client))

    def stream(client: Any) -> Any:
        got = sdk.create(client, stream=True)
        chunks = sdk.list(got)
        assert text_of(chunks)
        return type(got), {type(chunk) for chunk in chunks}

    def parse(client: Any) -> Any:
        return type(sdk.run(helpers_of(client).parse(**body)))

    def raw(client: Any) -> Any:
        got = sdk.run(client.chat.completions.with_raw_response.create(**body))
        return type(got), type(got.parse())

    def raw_stream(client: Any) -> Any:
        got = sdk.run(client.chat.completions.with_raw_response.create(**body, stream=True))
        parsed = got.parse()
        return type(got), type(parsed), {type(chunk) for chunk in sdk.list(parsed)}

    def streaming(client: Any) -> Any:
        manager = client.chat.completions.with_streaming_response.create(**body)
        return sdk.inside(manager, lambda got: got.parse()).__class__

    def helper(client: Any) -> Any:
        if sdk.mode == "sync":
            with helpers_of(client).stream(**body) as events:
                return {type(event).__name__ for event in events}

        async def read() -> Any:
            async with helpers_of(client).stream(**body) as events:
                return {type(event).__name__ async for event in events}

        return sdk.run(read())

    def request(client: Any) -> Any:
        options = openai._models.FinalRequestOptions.construct(
            method="post", url="/chat/completions", json_data=body
        )
        return type(sdk.run(client.request(ChatCompletion, options)))

    def post(client: Any) -> Any:
        return type(sdk.run(client.post("/chat/completions", cast_to=ChatCompletion, body=body)))

    def post_stream(client: Any) -> Any:
        cls = sdk.pick(openai.Stream, openai.AsyncStream)[ChatCompletionChunk]
        got = sdk.run(
            client.post(
                "/chat/completions", cast_to=ChatCompletionChunk, body={**body, "stream": True},
                stream=True, stream_cls=cls
            )
        )  # fmt: skip
        return type(got), {type(chunk) for chunk in sdk.list(got)}

    return {
        "create": whole, "stream": stream, "parse": parse, "raw": raw, "raw stream": raw_stream,
        "streaming": streaming,
        "helper": helper, "request": request, "post": post, "post, streamed": post_stream,
    }  # fmt: skip


CALLS = tuple(calls(Sdk("sync")))
BACKENDS = ("native", "chat", "responses")


def client_of(sdk: Sdk, cls: Any, loopback: Loopback, **more: Any) -> Any:
    """Make a client of a class, closed at the end."""
    http_client = default_client(asynchronous=sdk.mode == "async", verify=_certificates())
    made = cls(
        base_url=loopback.base_url, api_key="key", max_retries=0, http_client=http_client, **more
    )
    sdk._clients.append(made)
    return made


@pytest.fixture
def answering(loopback: Loopback) -> Loopback:
    loopback.answer = both
    return loopback


def made_by(sdk: Sdk, way: str, backend: str, loopback: Loopback, seen: Records) -> Any:
    """Make a client of a recording class, adapted in some way."""
    if backend == "native":
        return client_of(sdk, subclass(sdk.plain, seen), loopback)
    settings = adapter.Settings(backend=backend, on_bug="raise")
    if way == "subclass of an adapted class":
        return client_of(sdk, subclass(sdk.adapted, seen), loopback, settings=settings)
    return adapter.install(client_of(sdk, subclass(sdk.plain, seen), loopback), settings)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("way", ["subclass of an adapted class", "install"])
def test_a_subclass_sees_what_it_sees_natively(
    sdk: Sdk, answering: Loopback, way: str, call: str
) -> None:
    results: dict[str, Any] = {}
    for backend in BACKENDS:
        seen: Records = []
        got = calls(sdk)[call](made_by(sdk, way, backend, answering, seen))
        results[backend] = got, seen
    assert len(results["native"][1]) > 5
    for backend in BACKENDS[1:]:
        assert results[backend][0] == results["native"][0]
        assert results[backend][1] == results["native"][1]
    paths = [request.path.rpartition("/v1")[2] for request in answering.requests]
    assert paths == ["/chat/completions", "/chat/completions", "/responses"]


def places(sdk: Sdk) -> list[tuple[Any, str]]:
    """List the methods that tracers wrap, of classes."""
    cls = sdk.plain
    base = sdk.pick(SyncAPIClient, AsyncAPIClient)
    found = [(cls, "request"), (base, "request"), (base, "post"), (base, "_process_response")]
    found += [(base, "_process_response_data"), (base, "_prepare_options")]
    return [
        *found,
        *((sdk.pick(Completions, AsyncCompletions), name) for name in ("create", "parse")),
    ]


PLACES = range(len(places(Sdk("sync"))))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "place", PLACES, ids=[f"{cls.__name__}.{name}" for cls, name in places(Sdk("sync"))]
)
def test_a_wrapper_sees_what_it_sees_natively(
    sdk: Sdk, answering: Loopback, monkeypatch: pytest.MonkeyPatch, place: int, when: str
) -> None:
    cls, name = places(sdk)[place]
    if not hasattr(cls, name):
        pytest.skip(f"this SDK has no {name}")
    results = {}
    for backend in BACKENDS:
        seen: Records = []
        with monkeypatch.context() as patched:
            wrap = partial(patched.setattr, cls, name, recording(seen, name, getattr(cls, name)))
            if when == "before":
                wrap()
            client = client_of(sdk, sdk.plain, answering)
            if backend != "native":
                adapter.install(client, adapter.Settings(backend=backend, on_bug="raise"))
            if when == "after":
                client.chat  # noqa: B018  # so that its resources exist
                wrap()
            results[backend] = (
                [calls(sdk)[call](client) for call in ("create", "stream", "parse")],
                seen,
            )
    assert results["chat"] == results["native"]
    assert results["responses"] == results["native"]


def test_a_method_put_on_the_client_itself(sdk: Sdk, answering: Loopback) -> None:
    results = {}
    for backend in BACKENDS:
        seen: Records = []
        client = client_of(sdk, sdk.plain, answering)
        if backend != "native":
            adapter.install(client, adapter.Settings(backend=backend, on_bug="raise"))
        for name in ("request", "_process_response_data"):
            bound = getattr(client, name)
            method = recording(seen, name, _unbound(bound))
            setattr(client, name, partial(method, client))
        results[backend] = [calls(sdk)[call](client) for call in ("create", "stream")], seen
    assert results["chat"] == results["native"]
    assert results["responses"] == results["native"]


def _unbound(bound: Any) -> Any:
    if inspect.iscoroutinefunction(bound):

        async def acall(_: Any, *args: Any, **kwargs: Any) -> Any:
            return await bound(*args, **kwargs)

        return acall
    return lambda _, *args, **kwargs: bound(*args, **kwargs)


def test_what_a_subclass_changes_in_place_is_not_the_callers(sdk: Sdk, answering: Loopback) -> None:
    def redacted(options: Any) -> Any:
        for message in options.json_data["messages"]:
            message["content"] = "[redacted]"
        return options

    class Sync(openai.OpenAI):
        def _prepare_options(self, options: Any) -> Any:
            return redacted(super()._prepare_options(options))

    class Async(openai.AsyncOpenAI):
        async def _prepare_options(self, options: Any) -> Any:
            return redacted(await super()._prepare_options(options))

    client = adapter.install(
        client_of(sdk, sdk.pick(Sync, Async), answering),
        adapter.Settings(backend="responses", on_bug="raise"),
    )
    messages = [{"role": "user", "content": "my card"}]
    sdk.create(client, messages=messages)
    assert messages == [{"role": "user", "content": "my card"}]
    assert answering.requests[0].json()["input"][0]["content"] == "[redacted]"


# What inspection sees

RESOURCE_METHODS = ("create", "parse", "stream")


def looks(method: Any) -> dict[str, Any]:
    """Return what inspection gives for a method."""
    inner = getattr(method, "__wrapped__", None)
    return {
        "coroutine": inspect.iscoroutinefunction(method),
        "coroutine inside": inspect.iscoroutinefunction(inner),
        "inside": inner,
        "signature": inspect.signature(method),
        "name": (method.__name__, method.__qualname__, method.__module__),
        "doc": method.__doc__,
        "annotations": method.__annotations__,
        "class": type(method),
    }


def switched(backend: str, tmp_path: Any) -> adapter.Settings:
    """Make settings that are on, or off in one of several ways."""
    file = tmp_path / "adapter.toml"
    file.write_text('backend = "chat"\n')
    match backend:
        case "off by file":
            return adapter.Settings(config_file=file)
        case "off by rules":
            return adapter.Settings(
                backend="responses", rules=[{"match": {"model": "*"}, "backend": "chat"}]
            )
        case "off by rollout":
            return adapter.Settings(rollout=0)
        case _:
            return adapter.Settings(backend=backend)


@pytest.mark.parametrize(
    "backend", ["chat", "responses", "off by file", "off by rules", "off by rollout"]
)
@pytest.mark.parametrize("way", ["constructed", "install", "install, used before"])
def test_methods_look_as_they_look_natively(
    sdk: Sdk, answering: Loopback, way: str, backend: str, tmp_path: Any
) -> None:
    native = client_of(sdk, sdk.plain, answering)
    settings = switched(backend, tmp_path)
    if way == "constructed":
        client = client_of(sdk, sdk.adapted, answering, settings=settings)
    else:
        client = client_of(sdk, sdk.plain, answering)
        if way == "install, used before":
            sdk.create(client)
        adapter.install(client, settings)
    resources = [(client.chat.completions, native.chat.completions)]
    resources += [(client.beta.chat.completions, native.beta.chat.completions)]
    for adapted_one, native_one in resources:
        assert (type(adapted_one).__name__, type(adapted_one).__module__) == (
            type(native_one).__name__,
            type(native_one).__module__,
        )
        for name in RESOURCE_METHODS:
            if hasattr(native_one, name):
                assert looks(getattr(adapted_one, name)) == looks(getattr(native_one, name)), name
                assert getattr(type(adapted_one), name) is getattr(type(native_one), name)
        for kind in ("with_raw_response", "with_streaming_response"):
            for name in ("create", "parse"):
                method, other = (
                    getattr(getattr(one, kind), name, None) for one in (adapted_one, native_one)
                )
                if other is not None:
                    assert inspect.iscoroutinefunction(method) == inspect.iscoroutinefunction(other)
                    assert inspect.signature(method) == inspect.signature(other)
    for name in CLIENT_METHODS:
        if hasattr(native, name):
            ours_look, theirs_look = looks(getattr(client, name)), looks(getattr(native, name))
            assert ours_look == theirs_look, name


@pytest.mark.parametrize("name", ["copy", "with_options", "__init__"])
def test_copying_takes_the_settings_beside_what_it_takes_natively(sdk: Sdk, name: str) -> None:
    adapted_one, native = (
        inspect.signature(getattr(cls, name)).parameters for cls in (sdk.adapted, sdk.plain)
    )
    assert {*adapted_one} - {*native} == {"settings"}
    assert [one for one in adapted_one.values() if one.name != "settings"] == [*native.values()]


@pytest.fixture
def traced(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> Any:
    cls = sdk.pick(Completions, AsyncCompletions)
    native = cls.create

    async def acreate(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await native(self, *args, **kwargs)

    def create(self: Any, *args: Any, **kwargs: Any) -> Any:
        return native(self, *args, **kwargs)

    own: FunctionType = sdk.pick(create, acreate)
    monkeypatch.setattr(cls, "create", own)
    return own


def test_a_patched_method_stays_patched(sdk: Sdk, answering: Loopback, traced: Any) -> None:
    client = client_of(sdk, sdk.adapted, answering, settings=adapter.Settings(backend="responses"))
    assert client.chat.completions.create.__func__ is traced
    assert inspect.iscoroutinefunction(client.chat.completions.create) == (sdk.mode == "async")
    assert text_of(sdk.create(client)) == "Hello there"
