"""Long histories: messages that are JSON already skip the SDK's transform.

See docs/performance.md#messages for what that saves. The SDK's `create` and `parse` run on a copy
of the resource, with the messages in a wrapper that the transform doesn't look into, and that is
removed before the resource's `post` is called: no code but the SDK's sees it. In the same way the
model's name is added there, where the SDK writes it first. Results are equal,
since the transform does nothing to plain JSON: it lists iterables, dumps Pydantic objects, leaves
out what wasn't given, and renames keys that have an alias (messages have none, which is verified
once).

The SDK transforms messages that are anything but dicts of plain JSON and its own objects, and all
messages of calls whose method is patched, or that the settings alone don't route to Responses.

For this the class of the SDK's own resources is changed, and of nothing else in their place;
`restore_resources` changes it back.
"""

from __future__ import annotations

import inspect
from types import MethodType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import openai
from openai.resources.chat import AsyncChat, Chat
from openai.resources.chat.completions import AsyncCompletions, Completions

from adapter._http.client_transports import INSTALL_LOCK
from adapter._routing import overrides
from adapter._routing.router import HEADER
from adapter._runtime.internal_errors import raises_bugs

from .compat import (
    CLIENT,
    POST,
    client_of,
    dump_message,
    is_sdk_function,
    messages_have_no_alias,
    writes_model_first,
)
from .fast_resource import FastResource, inherited
from .signatures import mirrored, with_signature_of


class _PreparedMessages:
    """Messages that skip the transform, and the resource's `post` that gets them.

    `first` are the fields in front of the body, which skip it as well.
    """

    __slots__ = ("_first", "_messages", "_post")

    def __init__(self, messages: list[Any], first: dict[str, Any], post: Any) -> None:
        self._messages, self._first, self._post = messages, first, post

    def post(self, path: str, **kwargs: Any) -> Any:
        body = {**self._first, **kwargs["body"], "messages": self._messages}
        return self._post(path, **{**kwargs, "body": body})


def _always_responses(resource: Any) -> bool:
    """Return whether the settings alone route all calls of a resource's client to Responses."""
    reloader = client_of(resource).__dict__.get("_adapter_live")
    if reloader is None:
        return False
    fixed_route = reloader.router.fixed_route
    return fixed_route is not None and fixed_route.backend == "responses"


def _prepared_call(
    cls: Any, resource: Any, method: Any, given: dict[str, Any]
) -> tuple[Any, dict[str, Any]] | None:
    """Return a copy of a resource and arguments with wrapped messages; None to call it as it is."""
    if overrides.current_overrides() is not overrides.NO_OVERRIDES or not _always_responses(
        resource
    ):
        return None
    messages, post = given.get("messages"), getattr(resource, POST, None)
    if type(messages) is not list or not is_sdk_function(method) or not messages_have_no_alias():
        return None
    if post is None:
        return None
    headers = given.get("extra_headers")
    if headers and any(str(name).lower() == HEADER for name in headers):
        return None
    try:
        mapped = _transformed(messages)
    except RecursionError:  # the SDK has an error for messages that hold themselves
        return None
    if mapped is None:
        return None
    first = {}
    if type(given.get("model")) is str and writes_model_first(method):
        first, given = {"model": given["model"]}, {**given, "model": openai.NOT_GIVEN}
    ready = _PreparedMessages(mapped, first, post)
    resource_copy = object.__new__(cls)
    resource_copy.__dict__.update(resource.__dict__)
    resource_copy.__dict__[POST] = ready.post
    return resource_copy, {**given, "messages": ready}


def _transformed(messages: list[Any]) -> list[Any] | None:
    """Return what the SDK's transform makes of messages; None if only the SDK can tell."""
    out = []
    for message in messages:
        if type(message) is dict:
            copied = _copy_json(message)
            if copied is _NOT_JSON:
                return None
            out.append(copied)
        else:
            dumped = dump_message(message)
            if dumped is None:
                return None
            out.append(dumped)
    return out


_SCALARS = frozenset({str, int, float, bool, type(None)})
_NOT_JSON: Any = object()


def _copy_json(value: Any) -> Any:
    """Copy a dict or list of plain JSON; _NOT_JSON if it holds any other type.

    A copy, as the SDK's transform makes one: the caller may change messages between retries
    (docs/edge-cases.md#changes-between-retries).
    """
    if type(value) is dict:
        made: Any = value.copy()
        for key, one in made.items():
            if type(key) is not str:
                return _NOT_JSON
            if type(one) not in _SCALARS:
                made[key] = copied = _copy_json(one)
                if copied is _NOT_JSON:
                    return _NOT_JSON
        return made
    if type(value) is not list:
        return _NOT_JSON
    made = value.copy()
    for index, one in enumerate(made):
        if type(one) not in _SCALARS:
            made[index] = copied = _copy_json(one)
            if copied is _NOT_JSON:
                return _NOT_JSON
    return made


class _FastMethod:
    """A method of the SDK's resource that skips the transform, unless it is patched."""

    def __init__(self, native: Any) -> None:
        def quick(resource: Any, *args: Any, **kwargs: Any) -> Any:
            method, held = getattr(self._cls, self._name), resource
            try:
                held, kwargs = _prepared_call(self._cls, resource, method, kwargs) or (
                    resource,
                    kwargs,
                )
            except Exception:  # the SDK transforms them itself
                if raises_bugs(resource.__dict__[CLIENT]):
                    raise
            return method(held, *args, **kwargs)

        async def quick_coroutine(resource: Any, *args: Any, **kwargs: Any) -> Any:
            return await quick(resource, *args, **kwargs)

        if not hasattr(native, "__wrapped__"):
            self._fast = mirrored(native, quick)
        else:
            self._fast = with_signature_of(native)(
                quick_coroutine if inspect.iscoroutinefunction(native) else quick
            )

    def __set_name__(self, owner: Any, name: str) -> None:
        self._owner, self._cls, self._name = owner, owner.__base__, name

    def __get__(self, resource: Any, owner: Any = None) -> Any:
        if resource is None:
            return getattr(self._cls, self._name)
        try:
            if _always_responses(resource) and is_sdk_function(getattr(self._cls, self._name)):
                return MethodType(self._fast, resource)
        except Exception:  # the SDK's method does the same
            if raises_bugs(resource.__dict__[CLIENT]):
                raise
        return inherited(self._owner, resource, self._name)


def _subclass(cls: Any, **attributes: Any) -> Any:
    """Make a subclass of a resource's class that looks like it."""
    named = {name: getattr(cls, name) for name in ("__qualname__", "__doc__", "__module__")}
    return type(cls.__name__, (cls,), {**named, **attributes})


_CHANGED: WeakKeyDictionary[Any, WeakSet[Any]] = WeakKeyDictionary()


def use_fast_resource(resource: Any) -> None:
    """Give a client's `chat`, or its `completions`, a faster class, if it is the SDK's own.

    A client that can never use the Responses API keeps its resources, at no cost.
    """
    own = _FAST_CLASSES.get(type(resource))
    if own is None:
        return
    client = getattr(resource, CLIENT, None)
    if client is None:
        return
    with INSTALL_LOCK:
        reloader = client.__dict__.get("_adapter_live")
        if reloader is None or reloader.is_off:  # or uninstalled meanwhile
            return
        resource.__class__ = own
        _CHANGED.setdefault(client, WeakSet()).add(resource)
    if "completions" in resource.__dict__:
        use_fast_resource(resource.__dict__["completions"])


def restore_resources(client: Any) -> None:
    """Give the SDK's class back to all resources of a client that got another."""
    for resource in _CHANGED.pop(client, ()):
        if type(resource) in _FAST_CLASSES.values():
            resource.__class__ = type(resource).__base__


_FAST_CLASSES: dict[type, Any] = {
    cls: _subclass(cls, create=_FastMethod(cls.create), parse=_FastMethod(cls.parse))
    for cls in (Completions, AsyncCompletions)
}
_FAST_CLASSES |= {
    cls: _subclass(cls, completions=FastResource(use_fast_resource)) for cls in (Chat, AsyncChat)
}
