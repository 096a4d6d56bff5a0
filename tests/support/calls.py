"""Every way into the adapter, in this process, and calls that together run most of the package."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import openai
import pydantic

import adapter
from adapter import Settings
from tests.support import rich
from tests.support.answers import (
    CHAT,
    RESPONSES,
    Sdk,
    both,
    call_item,
    error,
    event,
    message_item,
    opening,
    response,
)
from tests.support.http import NAME, SDK, arguments, helpers_of
from tests.support.loopback import Reply, Request

Kind = Literal["client", "install", "transport"]
Answer = Callable[[Request], Reply]


@functools.cache
def _body_of(library: str) -> Any:
    http = importlib.import_module(library)

    class Body(http.SyncByteStream, http.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, parts: Any, open_bodies: list[Any]) -> None:
            self._parts, self._open = [*parts], open_bodies
            open_bodies.append(self)

        def __iter__(self) -> Iterator[bytes]:
            yield from self._parts

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in self._parts:
                yield part

        def close(self) -> None:
            if self in self._open:
                self._open.remove(self)

        async def aclose(self) -> None:
            self.close()

    return Body


@dataclass
class Upstream:
    """A scripted upstream that records its requests and which of its replies are still open."""

    answer: Answer
    requests: list[Request] = field(default_factory=list)
    before: int = 0  # number of requests before the current call
    open: list[Any] = field(default_factory=list)

    def transport(self, library: str) -> Any:
        """Make a transport that sends to this upstream."""
        http = importlib.import_module(library)

        def handle(request: Any) -> Any:
            headers = tuple((key.decode(), value.decode()) for key, value in request.headers.raw)
            sent = Request(
                request.method,
                request.url.path,
                request.url.query.decode(),
                headers,
                request.content,
                0,
            )
            self.requests.append(sent)
            reply = self.answer(sent)
            return http.Response(
                reply.status,
                headers=reply.headers,
                stream=_body_of(library)(reply.parts, self.open),
            )

        return http.MockTransport(handle)


@dataclass(frozen=True)
class Way:
    """One way in: the adapter's client, an installed one, or a plain one over a transport.

    Sync or async, by one HTTP library.
    """

    kind: Kind
    asynchronous: bool
    library: str = NAME

    @property
    def name(self) -> str:
        """Return the name for test ids."""
        return f"{'async' if self.asynchronous else 'sync'}-{self.kind}-{self.library}"

    def client(self, upstream: Upstream, settings: Settings | None, **more: Any) -> Any:
        """Make a client; a plain one without settings."""
        http = importlib.import_module(self.library)
        of, plain, ours, way_in = (
            (http.AsyncClient, openai.AsyncOpenAI, adapter.AsyncOpenAI, adapter.AsyncTransport)
            if self.asynchronous
            else (http.Client, openai.OpenAI, adapter.OpenAI, adapter.Transport)
        )
        transport = upstream.transport(self.library)
        given = {"base_url": "http://server.test/v1", "api_key": "key", "max_retries": 0, **more}
        if settings is None or self.kind == "install":
            client = plain(**given, http_client=of(transport=transport, follow_redirects=True))
            return client if settings is None else adapter.install(client, settings)
        if self.kind == "client":
            return ours(
                **given,
                http_client=of(transport=transport, follow_redirects=True),
                settings=settings,
            )
        return plain(
            **given,
            http_client=of(transport=way_in(transport, settings=settings), follow_redirects=True),
        )


LIBRARIES = tuple(dict.fromkeys((NAME, "httpx") if SDK >= (3, 0) else (NAME,)))
WAYS = tuple(
    Way(kind, asynchronous, library)
    for library in LIBRARIES
    for kind in ("client", "install", "transport")
    for asynchronous in (False, True)
)


class Answered(pydantic.BaseModel):
    """The model passed to `parse`."""

    city: str = ""


def _text(text: str) -> Reply:
    return Reply.of_json(response(message_item(text)))


def _once(first: Callable[[Request], Reply | None]) -> Callable[[], Answer]:
    """Answer the first request with `first`, and later ones like tests.support.rich."""

    def make() -> Answer:
        seen: list[Request] = []

        def answer(request: Request) -> Reply:
            seen.append(request)
            made = first(request) if len(seen) == 1 else None
            return made or rich.answer(request)

        return answer

    return make


def _always(answer: Answer) -> Callable[[], Answer]:
    return lambda: answer


def _missing(request: Request) -> Reply:
    return error(404, "404") if request.path == RESPONSES else rich.answer(request)


def _rejecting(request: Request) -> Reply:
    return error(400) if request.path == RESPONSES else rich.answer(request)


def _json_for_parse(request: Request) -> Reply:
    return _text('{"city":"Oslo"}') if request.path == RESPONSES else rich.answer(request)


REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
CALL_ID = "call_aB3dE5gH7jK9mN1pQ3sT5v"


def _tool_turns(request: Request) -> Reply:
    if request.path != RESPONSES:
        return rich.answer(request)
    body = request.json()
    if any(item.get("type") == "function_call_output" for item in body["input"]):
        output = [REASONING, message_item("Cold.")]
    else:
        output = [REASONING, call_item() | {"call_id": CALL_ID}]
    if not body.get("stream"):
        return Reply.of_json(response(*output))
    parts = opening()[:2]
    for index, item in enumerate(output):
        parts.append(event("response.output_item.added", output_index=index, item=item))
        parts.append(event("response.output_item.done", output_index=index, item=item))
    return Reply.of_sse([*parts, event("response.completed", response=response(*output))])


@dataclass
class Session:
    """One call's client, and the code that runs its coroutines."""

    sdk: Sdk
    client: Any
    upstream: Upstream
    model: ClassVar[str] = "gpt-4o"

    def create(self, **more: Any) -> Any:
        """Call `create`, and read a stream to its end."""
        self.upstream.before = len(self.upstream.requests)
        made = self.sdk.run(
            self.client.chat.completions.create(**arguments({"model": self.model, **more}))
        )
        if not more.get("stream"):
            return made
        chunks = self.sdk.list(made)
        return made, chunks


def _create(**more: Any) -> Callable[[Session], Any]:
    def run(session: Session) -> Any:
        made = session.create(**{**rich.PLAIN, **more})
        if isinstance(made, tuple):
            return made[1]
        adapter.decision(made)
        return made

    return run


def _broken_off(session: Session) -> Any:
    """Read one chunk, and close."""
    sdk = session.sdk
    made = sdk.run(
        session.client.chat.completions.create(model="gpt-4o", **rich.PLAIN, stream=True)
    )
    first = sdk.run(anext(made)) if sdk.mode == "async" else next(made)
    sdk.run(made.close())
    return [first]


def _parse(session: Session) -> Any:
    return session.sdk.run(
        helpers_of(session.client).parse(model="gpt-4o", **rich.PLAIN, response_format=Answered)
    )


def _helper(session: Session) -> Any:
    def read(stream: Any) -> Any:
        if session.sdk.mode == "async":

            async def read_all() -> Any:
                async for _ in stream:
                    pass
                return await stream.get_final_completion()

            return read_all()
        for _ in stream:
            pass
        return stream.get_final_completion()

    return session.sdk.inside(helpers_of(session.client).stream(model="gpt-4o", **rich.PLAIN), read)


def _raw(session: Session) -> Any:
    completions = session.client.chat.completions
    made = session.sdk.run(completions.with_raw_response.create(model="gpt-4o", **rich.PLAIN))
    adapter.decision(made)
    return made.parse()


def _streaming_response(session: Session) -> Any:
    def read(reply: Any) -> Any:
        if session.sdk.mode == "async":

            async def read_all() -> Any:
                return json.loads(b"".join([piece async for piece in reply.iter_bytes()]))

            return read_all()
        return json.loads(b"".join(reply.iter_bytes()))

    manager = session.client.chat.completions.with_streaming_response.create(
        model="gpt-4o", **rich.PLAIN
    )
    return session.sdk.inside(manager, read)


def _turns(*, stream: bool = False) -> Callable[[Session], Any]:
    def run(session: Session) -> Any:
        messages: list[Any] = [{"role": "user", "content": "How cold is it?"}]
        tools = [{"type": "function", "function": rich.FUNCTION}]
        asked: dict[str, Any] = {"model": "o4-mini", "tools": tools, "stream": stream}
        session.create(**asked, messages=messages)
        function = {"name": "get_weather", "arguments": '{"city":"Oslo"}'}
        call = {"id": CALL_ID, "type": "function", "function": function}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": CALL_ID, "content": "4"},
        ]
        made = session.create(**asked, messages=messages)
        return made[1] if stream else made

    return run


def _used(session: Session) -> Any:
    with adapter.use(
        backend="responses", tag="t", drop=["seed"], conversation="c", unsupported="drop"
    ):
        return session.create(**rich.PLAIN, seed=1)


def _named(session: Session) -> Any:
    return session.create(**rich.PLAIN, extra_headers={"x-adapter-backend": "responses"})


def _derived(session: Session) -> Any:
    client = session.client.with_options(timeout=5)
    return Session(session.sdk, client, session.upstream).create(**rich.PLAIN)


def _stored(name: str) -> Callable[[Session], Any]:
    def run(session: Session) -> Any:
        completions = session.client.chat.completions
        method = completions.messages.list if name == "messages" else getattr(completions, name)
        return session.sdk.run(method("chatcmpl-resp_1"))

    return run


def _long(session: Session) -> Any:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": f"message {k}"}]} for k in range(5)
    ]
    return session.create(messages=messages)


class Shelf:
    """A store written by a user."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def get(self, names: Any) -> dict[str, bytes]:
        """Return the entries that exist."""
        return {name: self.kept[name] for name in names if name in self.kept}

    def put(self, name: str, value: bytes) -> None:
        """Store an entry."""
        self.kept[name] = value

    def delete(self, names: Any) -> None:
        """Delete entries."""
        for name in names:
            self.kept.pop(name, None)

    def forget(self, _: str) -> int:
        """Delete all entries."""
        self.kept.clear()
        return 0

    async def aget(self, names: Any) -> dict[str, bytes]:
        """Return the entries that exist."""
        return self.get(names)

    async def aput(self, name: str, value: bytes) -> None:
        """Store an entry."""
        self.put(name, value)

    async def adelete(self, names: Any) -> None:
        """Delete entries."""
        self.delete(names)

    async def aforget(self, pattern: str) -> int:
        """Delete all entries."""
        return self.forget(pattern)


class _Details:
    value, error_code = "responses", None


class Provider:
    """A stand-in for an OpenFeature client."""

    provider = None

    def get_string_details(self, *_: Any) -> Any:
        """Return the flag's details."""
        return _Details()


ON: Mapping[str, Any] = {
    "backend": "responses",
    "drop": ("seed", "max_tokens"),
    "emulate": ("n", "stop", "web_search_options"),
}
RULES = (
    {"match": {"call_site": "nowhere:*"}, "backend": "chat"},
    {
        "match": {"model": "x", "tag": "y", "format": "text", "stream": True, "azure": True},
        "backend": "chat",
    },
    {"match": {"model": "gpt-*", "stream": False}, "backend": "responses", "drop": ("seed",)},
)


_RICHLY = _always(rich.answer)


@dataclass(frozen=True)
class Call:
    """A call, its settings and its answers.

    `sent` is the number of requests that it takes.
    """

    run: Callable[[Session], Any]
    settings: Mapping[str, Any] = field(default_factory=lambda: ON)
    answer: Callable[[], Answer] = _RICHLY
    retries: int = 0
    fails: bool = False

    @functools.cached_property
    def made(self) -> Settings:
        """Return the settings."""
        return Settings(**self.settings)


def _wish(name: str) -> Callable[[], Answer]:
    """Answer like tests.support.rich does to a request with that wish header."""

    def answer(request: Request) -> Reply:
        headers = (*request.headers, ("x-wish", name))
        return rich.answer(
            Request(request.method, request.path, request.query, headers, request.body, 0)
        )

    return _always(answer)


def _observed(**more: Any) -> Mapping[str, Any]:
    return {**ON, "observers": (adapter.Counters(), _seen), **more}


def _seen(_: Any) -> None:
    """Call under an observer."""


def calls() -> dict[str, Call]:
    """Return the calls by name."""
    made: dict[str, Call] = {}
    for name, body in rich.CALLS.items():
        made[name] = Call(_create(**body))
    for name in rich.FAILING:
        more = {"stream": True} if name == "error event" else {}
        made[name] = Call(_create(**more), answer=_wish(name), fails=True)
    for name in rich.STORED:
        made[name] = Call(_stored(name))
    server_error = _once(lambda _: error(500, headers=(("retry-after-ms", "1"),)))
    moved = _once(lambda request: Reply.redirect(request.path.replace("/v1", "/v2"), 307))
    made |= {
        "parse": Call(_parse, answer=_always(_json_for_parse)),
        "helper": Call(_helper, settings={"backend": "responses"}, answer=_always(both)),
        "raw": Call(_raw),
        "streaming response": Call(_streaming_response),
        "broken off": Call(_broken_off),
        "long": Call(_long),
        "off": Call(_create(), settings={}),
        "off stream": Call(_create(stream=True), settings={}),
        "off observed": Call(_create(), settings={"observers": (_seen,)}),
        "off observed stream": Call(_create(stream=True), settings={"observers": (_seen,)}),
        "off derived": Call(_derived, settings={}),
        "observed": Call(_create(), settings=_observed()),
        "observed stream": Call(_create(stream=True), settings=_observed()),
        "observed several": Call(_create(n=2), settings=_observed()),
        "observed several stream": Call(_create(n=2, stream=True), settings=_observed()),
        "observed failing": Call(
            _create(), settings=_observed(), answer=_wish("error body"), fails=True
        ),
        "rule": Call(_create(), settings={"rules": RULES}),
        "rollout": Call(_create(), settings={"rollout": 99.9999}),
        "rollout user": Call(_create(user="u"), settings={"rollout": 99.9999, "sticky_by": "user"}),
        "use": Call(_used, settings={}),
        "header": Call(_named, settings={}),
        "derived": Call(_derived),
        "turns": Call(_turns(), answer=_always(_tool_turns)),
        "turns stream": Call(_turns(stream=True), answer=_always(_tool_turns)),
        "held": Call(
            _create(audio={"format": "wav", "voice": "alloy"}, modalities=["text", "audio"])
        ),
        "refused": Call(
            _create(seed=1), settings={"backend": "responses", "unsupported": "error"}, fails=True
        ),
        "missing": Call(_create(), answer=_always(_missing)),
        "missing stream": Call(_create(stream=True), answer=_always(_missing)),
        "rejected": Call(
            _create(), settings={**ON, "fallback": ("rejected",)}, answer=_always(_rejecting)
        ),
        "retried": Call(_create(), answer=server_error, retries=2),
        "retried stream": Call(_create(stream=True), answer=server_error, retries=2),
        "redirected": Call(_create(), answer=moved),
        "redirected stream": Call(_create(stream=True), answer=moved),
        "store": Call(
            _turns(),
            answer=_always(_tool_turns),
            settings={**ON, "memory": Shelf(), "memory_timeout": 1},
        ),
    }
    try:
        import openfeature  # noqa: F401
    except ImportError:
        pass
    else:
        made["flag"] = Call(_create(), settings={"flags": Provider(), "flag_timeout": 0.5})
    return made


CALLS = calls()


def plain(value: Any) -> Any:
    """Return the comparable part of a call's result."""
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, Exception):
        return (
            type(value).__name__,
            getattr(value, "status_code", None),
            getattr(value, "code", None),
        )
    if inspect.isgenerator(value):
        return [plain(one) for one in value]
    data = getattr(value, "data", None)
    return plain(data) if isinstance(data, list) else value


__all__ = [
    "CALLS",
    "CHAT",
    "LIBRARIES",
    "RESPONSES",
    "WAYS",
    "Call",
    "Session",
    "Upstream",
    "Way",
    "plain",
]
