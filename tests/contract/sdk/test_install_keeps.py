"""`install` keeps patched methods, replaced resources, subclasses and held handles in force.

`uninstall` restores the client.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion

import adapter
from adapter import Record
from adapter._sdk.compat import SUPPORTED
from tests.support import tier
from tests.support.answers import CALL, CHAT, RESPONSES, Sdk, both, sdk, text_of
from tests.support.calls import Upstream, Way
from tests.support.http import helpers_of, needs
from tests.support.loopback import Reply, Request

__all__ = ["sdk"]

MODES = ("off", "on", "flipped", "off by rules", "rollout of 0")
Log = list[Any]


# What tracers do, by hand


def shown(value: Any) -> Any:
    """Return what must be as natively of an argument or result: its type, and its JSON."""
    kind = (type(value).__name__, type(value).__module__)
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if inspect.isclass(value) or hasattr(value, "__origin__"):
        return value
    if isinstance(value, dict):
        return {key: shown(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value), *map(shown, value)]
    if hasattr(value, "json_data"):
        return (*kind, value.method, value.url, shown(value.json_data))
    return kind


def tracing(
    log: Log, name: str, method: Callable[..., Any], *, skip: int = 0
) -> Callable[..., Any]:
    """Return a function that records a method's arguments, but the first `skip`, and its result."""

    def note(args: Any, kwargs: Any, result: Any) -> None:
        given = {
            key: shown(one)
            for key, one in kwargs.items()
            if key not in ("response", "data", "request")
        }
        log.append((name, [shown(one) for one in args[skip:]], given, shown(result)))

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def traced(*args: Any, **kwargs: Any) -> Any:
            result = await method(*args, **kwargs)
            note(args, kwargs, result)
            return result

        return traced

    @functools.wraps(method)
    def traced_now(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        if inspect.isawaitable(result):
            # LangSmith and others would take it for a sync function, which is a fault.
            log.append((name, "an awaitable of what is no coroutine function"))
        note(args, kwargs, result)
        return result

    return traced_now


class Wrapper:
    """A wrapper like wrapt's: a descriptor that replaces a function, and delegates to it."""

    def __init__(self, wrapped: Any, log: Log, name: str) -> None:
        self.__dict__.update(__wrapped__=wrapped, _log=log, _name=name)

    def __get__(self, instance: Any, owner: Any) -> Any:
        return Wrapper(self.__wrapped__.__get__(instance, owner), self._log, self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["__wrapped__"], name)

    @property
    def __class__(self) -> Any:
        return self.__dict__["__wrapped__"].__class__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return tracing(self._log, self._name, self.__wrapped__)(*args, **kwargs)


class Proxy:
    """An object around another one, with some attributes replaced."""

    def __init__(self, wrapped: Any, **own: Any) -> None:
        self.__dict__.update(_wrapped=wrapped, **own)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_wrapped"], name)


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "create": lambda c: c.chat.completions, "parse": helpers_of, "stream": helpers_of,
    "post": lambda c: c, "request": lambda c: c, "_prepare_options": lambda c: c,
    "_build_request": lambda c: c,
    "_prepare_request": lambda c: c, "_process_response": lambda c: c,
    "_process_response_data": lambda c: c,
}  # fmt: skip
"""Methods to patch, and their holders."""


def on_the_object(name: str) -> Callable[[Any, Log, Any], None]:
    def put(client: Any, log: Log, _: Any) -> None:
        holder = HOLDERS[name](client)
        setattr(holder, name, tracing(log, name, getattr(holder, name)))

    return put


def on_the_class(name: str, *, wrapper: bool) -> Callable[[Any, Log, Any], None]:
    def put(client: Any, log: Log, patch: pytest.MonkeyPatch) -> None:
        found = type(HOLDERS[name](client))
        owner = next(base for base in found.__mro__ if name in vars(base) and _is_sdks(base))
        native = vars(owner)[name]
        patch.setattr(
            owner,
            name,
            Wrapper(native, log, name) if wrapper else tracing(log, name, native, skip=1),
        )

    return put


def _is_sdks(cls: type) -> bool:
    """Return whether a class is the SDK's own, and no subclass that looks the same."""
    return (
        cls.__module__.partition(".")[0] == "openai"
        and not hasattr(cls, "_adapter_transport")
        and cls not in _fast_classes()
    )


@functools.cache
def _fast_classes() -> frozenset[type]:
    if not SUPPORTED:
        return frozenset()
    from adapter._sdk.fast_messages import _FAST_CLASSES

    return frozenset(_FAST_CLASSES.values())


def replaced_chat(client: Any, log: Log, _: Any) -> None:
    completions = client.chat.completions
    traced = Proxy(completions, create=tracing(log, "create", completions.create))
    client.chat = Proxy(client.chat, completions=traced)


def replaced_completions(client: Any, log: Log, _: Any) -> None:
    completions = client.chat.completions
    client.chat.completions = Proxy(completions, create=tracing(log, "create", completions.create))


def patched_raw(client: Any, log: Log, _: Any) -> None:
    raw = client.chat.completions.with_raw_response
    raw.create = tracing(log, "raw create", raw.create)


def two_tracers(client: Any, log: Log, _: Any) -> None:
    for name in ("inner", "outer"):
        holder = client.chat.completions
        holder.create = tracing(log, name, holder.create)
        client.request = tracing(log, f"{name} request", client.request)


SITTING: dict[str, Callable[[Any, Log, Any], None]] = {
    **{f"{name} on the object": on_the_object(name) for name in HOLDERS},
    **{f"{name} on the class": on_the_class(name, wrapper=False) for name in HOLDERS},
    **{
        f"{name} on the class, wrapper": on_the_class(name, wrapper=True)
        for name in ("create", "parse", "post", "request")
    },
    "chat replaced": replaced_chat, "completions replaced": replaced_completions,
    "with_raw_response patched": patched_raw, "two tracers": two_tracers,
}  # fmt: skip


# Clients, settings, calls


class RecordList:
    """Collects the records of observers."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def __call__(self, record: Record) -> None:
        self.records.append(record)


def client_of(sdk: Sdk, upstream: Upstream, **more: Any) -> Any:
    return Way("install", sdk.mode == "async").client(upstream, None, **more)


def flaky(request: Request, seen: list[str] | None = None) -> Reply:
    return Reply.of_json({"error": {"message": "Busy."}}, 503, (("retry-after-ms", "1"),))


class Switch:
    """Settings of a mode, which can be flipped."""

    def __init__(self, mode: str, folder: Path, observers: Any = ()) -> None:
        self.mode, self.file = mode, folder / "adapter.toml"
        given: dict[str, Any] = {"on_bug": "raise", "observers": list(observers)}
        match mode:
            case "off" | "on":
                given["backend"] = "responses" if mode == "on" else "chat"
            case "flipped":
                self.file.write_text('backend = "chat"\n')
                given["config_file"] = self.file
            case "off by rules":
                given |= {
                    "backend": "responses",
                    "rules": [{"match": {"model": "*"}, "backend": "chat"}],
                }
            case _:
                given |= {"backend": "responses", "rollout": 0}
        self.settings = adapter.Settings(**given)

    def flip(self) -> None:
        if self.mode == "flipped":
            self.file.write_text('backend = "responses"\n')

    @property
    def path(self) -> str:
        """The path of calls after the flip."""
        return RESPONSES if self.mode in ("on", "flipped") else CHAT


def calls(sdk: Sdk, client: Any) -> list[Any]:
    """Call in all ways; return the types that callers see."""
    completions = client.chat.completions

    def helper() -> Any:
        if sdk.mode == "sync":
            with helpers_of(client).stream(**CALL) as events:
                return {type(event).__name__ for event in events}

        async def read() -> Any:
            async with helpers_of(client).stream(**CALL) as events:
                return {type(event).__name__ async for event in events}

        return sdk.run(read())

    whole = sdk.run(completions.create(**CALL))
    stream = sdk.run(completions.create(**CALL, stream=True))
    chunks = sdk.list(stream)
    raw = sdk.run(completions.with_raw_response.create(**CALL))
    parsed = sdk.run(helpers_of(client).parse(**CALL))
    return [
        type(whole),
        type(stream),
        {type(one) for one in chunks},
        type(raw),
        type(raw.parse()),
        type(parsed),
        helper(),
    ]


def is_alike(log: Log) -> Log:
    """Leave out repeated records of a stream's chunks, whose cuts differ."""
    return [one for at, one in enumerate(log) if at == 0 or one != log[at - 1]]


@functools.cache
def _sdk(mode: Any) -> Sdk:
    return Sdk(mode)


@functools.cache
def natively(mode: str, what: str) -> tuple[Any, Log]:
    """Return what callers and patches see of a client that isn't installed."""
    log: Log = []
    with pytest.MonkeyPatch.context() as patch:
        client = client_of(_sdk(mode), Upstream(both))
        SITTING[what](client, log, patch)
        got = calls(_sdk(mode), client)
    assert log, "nothing is traced natively"
    return got, is_alike(log)


@pytest.mark.parametrize(
    ("when", "mode"),
    tier.pick(
        [
            ("before", "off"),
            ("before", "flipped"),
            ("after", "flipped"),
            ("constructed", "flipped"),
        ],
        [("before", "flipped")],
    ),
)
@pytest.mark.parametrize("what", SITTING)
def test_patches_see_what_they_see_natively(
    sdk: Sdk, what: str, when: str, mode: str, tmp_path: Path
) -> None:
    switch, upstream, log = Switch(mode, tmp_path), Upstream(both), []
    with pytest.MonkeyPatch.context() as patch:
        client = client_of(sdk, upstream)
        if when == "before":
            SITTING[what](client, log, patch)
        if when == "constructed":
            client = Way("client", sdk.mode == "async").client(upstream, switch.settings)
        adapter.install(client, switch.settings)
        if when != "before":
            SITTING[what](client, log, patch)
        rounds = ["off", "on"] if mode == "flipped" else ["off"]
        for now in rounds:
            if now == "on":
                switch.flip()
            log.clear()
            assert (calls(sdk, client), is_alike(log)) == natively(sdk.mode, what)
            assert upstream.requests[-1].path == (RESPONSES if now == "on" else CHAT)


@pytest.mark.parametrize(
    ("when", "mode"),
    tier.pick(
        [("before", "on"), ("before", "flipped"), ("before", "off"), ("after", "on")],
        [("after", "on")],
    ),
)
@pytest.mark.parametrize(
    "what",
    [name for name in SITTING if name.endswith("object") or "replaced" in name or "two" in name],
)
def test_a_call_is_one_record_with_its_retries_whatever_is_patched(
    sdk: Sdk, what: str, when: str, mode: str, tmp_path: Path
) -> None:
    observer = RecordList()
    switch = Switch(mode, tmp_path, [observer])
    busy = iter([True, False, True, True, True])
    upstream = Upstream(lambda request: flaky(request) if next(busy, False) else both(request))
    client = client_of(sdk, upstream, max_retries=2)
    client.chat.completions  # noqa: B018  # it has been used
    put = partial(SITTING[what], client, [], None)
    if when == "before":
        put()
    adapter.install(client, switch.settings)
    if when == "after":
        put()
    switch.flip()
    made = sdk.run(client.chat.completions.create(**CALL))
    with pytest.raises(openai.InternalServerError) as caught:
        sdk.run(client.chat.completions.create(**CALL))
    backend = "responses" if switch.path == RESPONSES else "chat"
    assert [(one.status, one.backend) for one in observer.records] == [
        (200, backend),
        (503, backend),
    ]
    assert {request.path for request in upstream.requests} == {switch.path}
    assert [one.backend for one in map(adapter.decision, (made, caught.value)) if one] == [
        backend,
        backend,
    ]


# Handles from before


def _create(completions: Any, **given: Any) -> Any:
    return completions.create(**given)


HELD: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "create": lambda c: c.chat.completions.create,
    "completions": lambda c: partial(_create, c.chat.completions),
    "a partial": lambda c: partial(c.chat.completions.create, **CALL),
    "raw": lambda c: c.chat.completions.with_raw_response.create,
    "the client's raw": lambda c: c.with_raw_response.chat.completions.create,
    "parse": lambda c: helpers_of(c).parse,
    "an own resource": lambda c: type(c.chat.completions)(c).create,
    "post": lambda c: partial(c.post, "/chat/completions", cast_to=ChatCompletion),
}  # fmt: skip


@pytest.mark.parametrize("what", HELD)
@pytest.mark.parametrize("made", ["before", "while installed"])
def test_what_is_held_belongs_to_the_same_call(sdk: Sdk, what: str, made: str) -> None:
    observer = RecordList()
    busy = iter([True])
    upstream = Upstream(lambda request: flaky(request) if next(busy, False) else both(request))
    client = client_of(sdk, upstream, max_retries=2)
    held = HELD[what](client) if made == "before" else None
    adapter.install(
        client, adapter.Settings(backend="responses", on_bug="raise", observers=[observer])
    )
    held = held or HELD[what](client)
    given = {"body": CALL} if what == "post" else {} if what == "a partial" else CALL
    got = sdk.run(held(**given))
    assert [one.status for one in observer.records] == [200]
    assert [request.path for request in upstream.requests] == [RESPONSES] * 2
    found = adapter.decision(got)
    assert found is not None
    assert found.backend == "responses"
    adapter.uninstall(client)
    sdk.run(held(**given))
    assert upstream.requests[-1].path == CHAT
    assert len(observer.records) == 1


# Subclasses with resources of their own


def subclasses(sdk: Sdk, log: Log) -> dict[str, Any]:
    def wrapped(chat: Any) -> Any:
        completions = chat.completions
        return Proxy(
            chat, completions=Proxy(completions, create=tracing(log, "create", completions.create))
        )

    class ByProperty(sdk.plain):  # type: ignore[misc,name-defined]
        @property
        def chat(self) -> Any:
            return wrapped(
                openai.resources.Chat(self)
                if sdk.mode == "sync"
                else openai.resources.AsyncChat(self)
            )

    class ByCachedProperty(sdk.plain):  # type: ignore[misc,name-defined]
        @cached_property
        def chat(self) -> Any:
            return wrapped(
                openai.resources.Chat(self)
                if sdk.mode == "sync"
                else openai.resources.AsyncChat(self)
            )

    class InConstructor(sdk.plain):  # type: ignore[misc,name-defined]
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            self._original_chat = self.chat
            self.chat = wrapped(self._original_chat)

    return {
        "property": ByProperty,
        "cached_property": ByCachedProperty,
        "constructor": InConstructor,
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", ["property", "cached_property", "constructor"])
def test_a_subclass_with_its_own_chat(sdk: Sdk, what: str, mode: str, tmp_path: Path) -> None:
    if what != "constructor" and not hasattr(openai.OpenAI, "chat"):
        pytest.skip("this SDK sets `chat` in its constructor")
    switch, upstream = Switch(mode, tmp_path), Upstream(both)
    log: Log = []
    client = of_class(sdk, subclasses(sdk, log)[what], upstream)
    before = dict(vars(client))
    adapter.install(client, switch.settings)
    switch.flip()
    for one in (client, client.with_options(timeout=3)):
        log.clear()
        sdk.run(one.chat.completions.create(**CALL))
    assert {entry[0] for entry in log} == {"create"}
    assert {request.path for request in upstream.requests} == {switch.path}
    if what == "property":
        assert client.chat is not client.chat
    elif what == "cached_property":
        assert client.chat is client.chat
    else:
        assert client.chat is before["chat"]


def of_class(sdk: Sdk, cls: Any, upstream: Upstream, **more: Any) -> Any:
    plain = client_of(sdk, upstream)
    return cls(
        base_url=plain.base_url, api_key="key", max_retries=0, http_client=plain._client, **more
    )


def test_a_subclass_that_copies_in_its_own_way(sdk: Sdk) -> None:
    class Mine(sdk.plain):  # type: ignore[misc,name-defined]
        def copy(self, *, team: str = "", **given: Any) -> Any:
            made = super().copy(**given)
            made.team = team
            return made

        def with_options(self, *, timeout: float) -> Any:
            return Mine(
                base_url=self.base_url,
                api_key="key",
                max_retries=0,
                http_client=self._client,
                timeout=timeout,
            )

    upstream = Upstream(both)
    client = adapter.install(of_class(sdk, Mine, upstream), adapter.Settings(backend="responses"))
    copied, derived = client.copy(team="blue"), client.with_options(timeout=7)
    assert (copied.team, derived.timeout) == ("blue", 7)
    for one in (copied, derived, copied.copy(settings=adapter.Settings(backend="chat"))):
        assert isinstance(one, Mine)
        sdk.run(one.chat.completions.create(**CALL))
    assert [request.path for request in upstream.requests] == [RESPONSES, RESPONSES, CHAT]


def test_a_subclass_of_an_adapted_class_need_not_call_the_hook_it_overrides(sdk: Sdk) -> None:
    class Sync(adapter.OpenAI):
        def _prepare_request(
            self, request: Any
        ) -> None:  # the SDK documents it as a hook that does nothing
            request.headers["x-team"] = "blue"

    class Async(adapter.AsyncOpenAI):
        async def _prepare_request(self, request: Any) -> None:
            request.headers["x-team"] = "blue"

    upstream = Upstream(both)
    client = of_class(
        sdk, sdk.pick(Sync, Async), upstream, settings=adapter.Settings(backend="responses")
    )
    sdk.run(client.chat.completions.create(**CALL))
    assert [(one.path, one.header("x-team")) for one in upstream.requests] == [(RESPONSES, "blue")]


@pytest.mark.parametrize("name", ["request", "post"])
@pytest.mark.parametrize("backend", ["chat", "responses"])
def test_a_method_of_a_subclass_may_call_again_with_another_model(
    sdk: Sdk, name: str, backend: str
) -> None:
    def other(given: Any) -> Any:
        given["body"] = {**given["body"], "model": "gpt-4o-mini"}
        return given

    class Sync(openai.OpenAI):
        def request(self, cast_to: Any, options: Any, **given: Any) -> Any:
            try:
                return super().request(cast_to, options, **given)
            except openai.InternalServerError:
                if name != "request":
                    raise
                options.json_data["model"] = "gpt-4o-mini"
                return super().request(cast_to, options, **given)

        def post(self, path: str, **given: Any) -> Any:
            try:
                return super().post(path, **given)
            except openai.InternalServerError:
                return super().post(path, **other(given))

    class Async(openai.AsyncOpenAI):
        async def request(self, cast_to: Any, options: Any, **given: Any) -> Any:
            try:
                return await super().request(cast_to, options, **given)
            except openai.InternalServerError:
                if name != "request":
                    raise
                options.json_data["model"] = "gpt-4o-mini"
                return await super().request(cast_to, options, **given)

        async def post(self, path: str, **given: Any) -> Any:
            try:
                return await super().post(path, **given)
            except openai.InternalServerError:
                return await super().post(path, **other(given))

    upstream = Upstream(
        lambda request: both(request) if "mini" in request.json()["model"] else flaky(request)
    )
    client = adapter.install(
        of_class(sdk, sdk.pick(Sync, Async), upstream), adapter.Settings(backend=backend)
    )
    made = sdk.run(client.chat.completions.create(**{**CALL, "model": "gpt-4o"}))
    assert [request.json()["model"] for request in upstream.requests] == ["gpt-4o", "gpt-4o-mini"]
    found = adapter.decision(made)
    assert found is not None
    assert found.backend == backend


def test_a_call_inside_a_call_is_its_own(sdk: Sdk) -> None:
    """A client's hook makes a call of another one, whose `request` was patched before `install`."""
    upstream = Upstream(both)
    inner = client_of(sdk, upstream)
    inner.request = tracing([], "request", inner.request)
    adapter.install(inner, adapter.Settings(backend="responses"))

    def asked(options: Any) -> Any:
        options.json_data["user"] = "u"
        return options

    class Sync(openai.OpenAI):
        def _prepare_options(self, options: Any) -> Any:
            inner.chat.completions.create(**{**CALL, "model": "inner"})
            return asked(super()._prepare_options(options))

    class Async(openai.AsyncOpenAI):
        async def _prepare_options(self, options: Any) -> Any:
            await inner.chat.completions.create(**{**CALL, "model": "inner"})
            return asked(await super()._prepare_options(options))

    outer = adapter.install(
        of_class(sdk, sdk.pick(Sync, Async), upstream), adapter.Settings(backend="chat")
    )
    sdk.run(outer.chat.completions.create(**{**CALL, "model": "outer"}))
    assert [(request.path, request.json()["model"]) for request in upstream.requests] == [
        (RESPONSES, "inner"),
        (CHAT, "outer"),
    ]


# Uninstalling


REMEMBERED = {"chat replaced", "completions replaced", "post on the class, wrapper"}
"""Here resources that the SDK makes later look like patches, and stay: behind a proxy, and around
what a wrapper returns."""

USES = [
    (None, "not used"),
    (None, "used before"),
    *((what, "used before") for what in SITTING),
    (None, "used while installed"),
    *((what, "used while installed") for what in SITTING if what not in REMEMBERED),
]


@pytest.mark.parametrize(
    ("what", "when"), tier.pick(USES, [use for use in USES if use[1] == "used before"])
)
def test_uninstall_restores_the_client(sdk: Sdk, what: str | None, when: str) -> None:
    if when == "used while installed" and not hasattr(openai.OpenAI, "chat"):
        pytest.skip("this SDK makes `chat` with the client, and keeps in it what it makes later")
    with pytest.MonkeyPatch.context() as patch:
        client = client_of(sdk, Upstream(both))
        if what is not None:
            SITTING[what](client, [], patch)
        if when == "used before":
            calls(sdk, client)
        before = contents(client)
        for _ in range(2):
            adapter.install(client, adapter.Settings(backend="responses", on_bug="raise"))
            if when != "not used":
                calls(sdk, client)
            adapter.uninstall(client)
        after = contents(client)
        assert after.keys() == before.keys()
        assert [path for path in before if before[path] is not after[path]] == []
        calls(sdk, client)


def contents(client: Any) -> dict[str, Any]:
    """List the classes and attributes of a client, its HTTP client and its resources."""
    found: dict[str, Any] = {"http": client._client, "transport": client._client._transport}
    seen: set[int] = set()

    def look(path: str, thing: Any) -> None:
        seen.add(id(thing))
        found[f"{path}.__class__"] = type(thing)
        for name, value in vars(thing).items():
            if name == "_platform":  # the SDK sets it in the first call
                continue
            found[f"{path}.{name}"] = value
            if id(value) not in seen and type(value).__module__.startswith(
                ("openai.resources", __name__)
            ):
                look(f"{path}.{name}", value)

    look("client", client)
    return found


@needs(SUPPORTED, "resources of a class of their own")
@pytest.mark.parametrize("wrapper", [False, True])
def test_what_was_put_on_a_resource_while_installed_stays_when_the_client_is_uninstalled(
    sdk: Sdk, wrapper: bool
) -> None:
    log: Log = []
    client = adapter.install(client_of(sdk, Upstream(both)), adapter.Settings(backend="responses"))
    completions = client.chat.completions
    method = completions.create
    completions.create = (
        Wrapper(method, log, "create") if wrapper else tracing(log, "create", method)
    )
    adapter.uninstall(client)
    assert client.chat.completions is completions
    assert type(completions).__mro__[1].__module__ == "openai._resource"
    sdk.run(client.chat.completions.create(**CALL))
    assert {entry[0] for entry in log} == {"create"}


# Proxies around clients


def a_proxy(package: str, name: str, attribute: str) -> Callable[[Any], Any]:
    def around(client: Any) -> Any:
        def find(self: Any, wanted: str) -> Any:
            return getattr(client, wanted)

        base = type(name, (), {"__module__": f"{package}.somewhere", "__getattr__": find})
        made = type("Around", (base,), {"__module__": "wrappers"})()
        made.__dict__[attribute] = client
        return made

    return around


PROXIES: dict[str, Callable[[Any], Any]] = {
    "braintrust": a_proxy("braintrust", "NamedWrapper", "_NamedWrapper__wrapped"),
    "instructor": a_proxy("instructor", "Instructor", "client"),
    "wrapt": a_proxy("wrapt", "ObjectProxy", "__wrapped__"),
    "one in another": lambda client: PROXIES["wrapt"](PROXIES["braintrust"](client)),
}


@pytest.mark.parametrize("kind", PROXIES)
def test_the_client_in_a_known_proxy_is_installed(sdk: Sdk, kind: str) -> None:
    upstream = Upstream(both)
    client = client_of(sdk, upstream)
    proxy = PROXIES[kind](client)
    assert adapter.install(proxy, adapter.Settings(backend="responses")) is proxy
    assert text_of(sdk.run(proxy.chat.completions.create(**CALL))) == "Hello there"
    assert adapter.uninstall(proxy) is proxy
    assert type(client) is sdk.plain


class Pretending:
    """A proxy that passes for a client."""

    def __init__(self, client: Any) -> None:
        self.__dict__["inner"] = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["inner"], name)

    @property
    def __class__(self) -> Any:
        return self.__dict__["inner"].__class__


@pytest.mark.parametrize(
    "wrap", [Proxy, Pretending, lambda _: None, type], ids=["proxy", "pretending", "None", "class"]
)
def test_anything_but_a_client_is_an_error_that_says_what_to_do(sdk: Sdk, wrap: Any) -> None:
    client = client_of(sdk, Upstream(both))
    for function in (adapter.install, adapter.uninstall):
        with pytest.raises(
            adapter.AdapterError,
            match=r"install the client first.*wrap\(adapter\.install\(client\)\)",
        ):
            function(wrap(client))
    assert type(client) is sdk.plain


def test_a_class_is_no_client() -> None:
    with pytest.raises(adapter.AdapterError, match=r"got the class OpenAI\."):
        adapter.install(openai.OpenAI)


# Messages that skip the SDK's transform


@needs(SUPPORTED, "messages that skip the transform")
@pytest.mark.parametrize("name", ["create", "parse"])
@pytest.mark.parametrize(
    "place",
    [
        "post of a subclass",
        "post of a subclass, named like the adapter's",
        "completions._post",
        "request",
    ],
)
def test_no_method_sees_messages_in_the_wrapper(sdk: Sdk, name: str, place: str) -> None:
    log: Log = []
    upstream = Upstream(both)

    class Sync(adapter.OpenAI):
        @functools.wraps(adapter.OpenAI.post)
        def post(self, *args: Any, **given: Any) -> Any:
            return tracing(log, "post", super().post)(*args, **given)

    class Async(adapter.AsyncOpenAI):
        @functools.wraps(adapter.AsyncOpenAI.post)
        async def post(self, *args: Any, **given: Any) -> Any:
            return await tracing(log, "post", super().post)(*args, **given)

    cls = sdk.pick(Sync, Async) if place.startswith("post") else sdk.adapted
    client = of_class(
        sdk, cls, upstream, settings=adapter.Settings(backend="responses", on_bug="raise")
    )
    if place == "completions._post":
        client.chat.completions._post = tracing(log, "post", client.chat.completions._post)
    if place == "request":
        client.request = tracing(log, "request", client.request)
    sdk.run(getattr(client.chat.completions, name)(**CALL))
    assert "_PreparedMessages" not in repr(log)
    assert repr(log).count("'role': 'user'") == 1


@needs(SUPPORTED, "messages that skip the transform")
@pytest.mark.parametrize("made", ["constructed", "installed", "installed, used before"])
@pytest.mark.parametrize("name", ["create", "parse"])
def test_messages_skip_the_transform(
    sdk: Sdk, made: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapter._sdk import fast_messages

    taken: list[int] = []
    native = fast_messages._transformed
    monkeypatch.setattr(
        fast_messages, "_transformed", lambda messages: taken.append(1) or native(messages)
    )
    settings, upstream = adapter.Settings(backend="responses", on_bug="raise"), Upstream(both)
    if made == "constructed":
        client = of_class(sdk, sdk.adapted, upstream, settings=settings)
    else:
        client = client_of(sdk, upstream)
        if made == "installed, used before":
            client.chat.completions  # noqa: B018
        adapter.install(client, settings)
    sdk.run(getattr(client.chat.completions, name)(**CALL))
    assert taken == [1]


@pytest.mark.parametrize("backend", ["chat", "rules", "use"])
def test_a_method_is_the_sdks_own_if_the_settings_alone_route_to_chat(
    sdk: Sdk, backend: str
) -> None:
    given: dict[str, Any] = {"backend": "chat"}
    if backend == "rules":
        given = {"backend": "responses", "rules": [{"match": {"model": "x"}, "backend": "chat"}]}
    client = adapter.install(client_of(sdk, Upstream(both)), adapter.Settings(**given))
    completions = client.chat.completions
    for name in ("create", "stream", "parse"):
        if hasattr(completions, name):
            method = getattr(completions, name)
            assert method.__self__ is completions
            assert method.__func__ is getattr(
                type(client_of(sdk, Upstream(both)).chat.completions), name
            )


class Unsigned:
    """Replaces a method, and has no signature."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else partial(self.wrapped, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.wrapped(*args, **kwargs)


@pytest.mark.parametrize("name", ["request", "_process_response", "copy", "__init__"])
def test_a_method_without_a_signature_is_accepted(sdk: Sdk, name: str) -> None:
    def signature(_: Any) -> Any:
        raise ValueError

    unsigned = type("Unsigned", (Unsigned,), {"__signature__": property(signature)})
    upstream = Upstream(both)
    cls = type("Patched", (sdk.plain,), {name: unsigned(getattr(sdk.plain, name))})
    client = adapter.install(of_class(sdk, cls, upstream), adapter.Settings(backend="responses"))
    assert text_of(sdk.run(client.chat.completions.create(**CALL))) == "Hello there"
    assert upstream.requests[-1].path == RESPONSES
