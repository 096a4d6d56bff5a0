"""Long histories: messages that are JSON already are spared the SDK's transform, which costs more for each than anything else.

`create` and `parse` of the SDK run as they are, for a twin of the resource, whose `messages` are in a wrapper that the transform
doesn't look into, and come out of it before the resource's own `post` is called: nobody's code but the SDK's sees it. Equal results,
since the transform does nothing to plain JSON: it lists iterables, dumps Pydantic objects, leaves out what wasn't given, and renames
keys that have an alias (none has one here, which is looked up once). Messages that are anything but dicts of plain JSON or
the SDK's own objects go the SDK's way, and so do all calls where somebody has patched the method, or where it isn't certain by the
settings alone that the call goes to the Responses API.

The class of a resource of the SDK's is changed for that, and of nothing else that may be in its place; `released` changes it back.
"""

from __future__ import annotations

import inspect
from functools import cache
from types import MethodType
from typing import Any, get_args, get_type_hints, is_typeddict
from weakref import WeakKeyDictionary, WeakSet

from openai._compat import (
    model_dump,
)  # private, in all versions: it is what the SDK's transform calls
from openai._models import BaseModel
from openai.resources.chat import AsyncChat, Chat
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.types.chat import ChatCompletionMessageParam

from adapter._http.client_transports import INSTALL_LOCK
from adapter._routing import overrides
from adapter._routing.router import HEADER
from adapter._runtime.internal_errors import raises_bugs

from .resources import FastResource, inherited
from .response_processing import is_sdk_function
from .signatures import mirrored, with_signature_of


class _PreparedMessages:
    """Messages on their way through the SDK's method, which need nothing done to them, and the `post` that they come out for."""

    __slots__ = ("_messages", "_post")

    def __init__(self, messages: list[Any], post: Any) -> None:
        self._messages, self._post = messages, post

    def post(self, path: str, **kwargs: Any) -> Any:
        return self._post(
            path, **{**kwargs, "body": {**kwargs["body"], "messages": self._messages}}
        )


def _always_responses(resource: Any) -> bool:
    """Tell whether all calls of a resource's client go to the Responses API by the settings alone."""
    reloader = resource._client.__dict__.get("_adapter_live")
    if reloader is None:
        return False
    fixed_route = reloader.router.fixed_route
    return fixed_route is not None and fixed_route.backend == "responses"


def _prepared_call(
    cls: Any, resource: Any, method: Any, given: dict[str, Any]
) -> tuple[Any, dict[str, Any]] | None:
    """Return what a method is to be called with, a twin of its resource and its arguments with wrapped messages; or None."""
    if overrides.current_overrides() is not overrides.NO_OVERRIDES or not _always_responses(
        resource
    ):
        return None
    messages = given.get("messages")
    if type(messages) is not list or not is_sdk_function(method) or not _has_no_alias():
        return None
    headers = given.get("extra_headers")
    if headers and any(str(name).lower() == HEADER for name in headers):
        return None
    try:
        mapped = _transformed(messages)
    except RecursionError:  # the SDK has an error for what holds itself
        return None
    if mapped is None:
        return None
    ready = _PreparedMessages(mapped, resource._post)
    resource_copy = object.__new__(cls)
    resource_copy.__dict__.update(resource.__dict__)
    resource_copy._post = ready.post
    return resource_copy, {**given, "messages": ready}


def _transformed(messages: list[Any]) -> list[Any] | None:
    """Return what the SDK's transform makes of messages; None where only the transform itself can tell."""
    out = []
    for message in messages:
        if type(message) is dict:
            copied = _copy_json(message)
            if copied is _NOT_JSON:
                return None
            out.append(copied)
        elif isinstance(message, BaseModel):
            exclude = getattr(message, "__api_exclude__", None)
            out.append(model_dump(message, exclude_unset=True, mode="json", exclude=exclude))
        else:
            return None
    return out


_SCALARS = frozenset({str, int, float, bool, type(None)})
_NOT_JSON: Any = object()


def _copy_json(value: Any) -> Any:
    """Copy a dict or list that holds nothing but JSON, in Python's own types; _OTHER where it holds anything else.

    What is sent is fixed at the call, as the SDK's transform does it: the caller may change its messages before they are sent again.
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


@cache
def _has_no_alias() -> bool:
    """Tell whether messages are sent under the names that they are written with."""
    seen: set[Any] = set()

    def aliased(annotation: Any) -> bool:
        if getattr(annotation, "alias", None) is not None:
            return True
        if is_typeddict(annotation):
            if annotation in seen:
                return False
            seen.add(annotation)
            return any(
                aliased(one) for one in get_type_hints(annotation, include_extras=True).values()
            )
        inside = (*get_args(annotation), *getattr(annotation, "__metadata__", ()))
        return any(aliased(one) for one in inside)

    try:
        return not aliased(ChatCompletionMessageParam)
    except Exception:  # noqa: BLE001  # then only the SDK can tell
        return False


class _FastMethod:
    """A method of the SDK's resource: the very same where somebody has put his own in its place, else one that spares the transform."""

    def __init__(self, native: Any) -> None:
        def quick(resource: Any, *args: Any, **kwargs: Any) -> Any:
            method, held = getattr(self._cls, self._name), resource
            try:
                held, kwargs = _prepared_call(self._cls, resource, method, kwargs) or (
                    resource,
                    kwargs,
                )
            except Exception:  # the SDK transforms them itself
                if raises_bugs(resource._client):
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
        except Exception:  # the SDK's does the same
            if raises_bugs(resource._client):
                raise
        return inherited(self._owner, resource, self._name)


def _subclass(cls: Any, **attributes: Any) -> Any:
    """Make the class of a resource like the SDK's."""
    named = {name: getattr(cls, name) for name in ("__qualname__", "__doc__", "__module__")}
    return type(cls.__name__, (cls,), {**named, **attributes})


_FAST_CLASSES: dict[type, Any] = {
    cls: _subclass(cls, create=_FastMethod(cls.create), parse=_FastMethod(cls.parse))
    for cls in (Completions, AsyncCompletions)
}
_FAST_CLASSES |= {cls: _subclass(cls, completions=FastResource()) for cls in (Chat, AsyncChat)}
_CHANGED: WeakKeyDictionary[Any, WeakSet[Any]] = WeakKeyDictionary()


def use_fast_resource(resource: Any) -> None:
    """Let a client's `chat` or its `completions` be of a class of ours; what isn't the SDK's own stays what it is.

    Where nothing will ever be moved it stays what it is as well, and costs nothing.
    """
    own = _FAST_CLASSES.get(type(resource))
    if own is None:
        return
    client = resource._client
    with INSTALL_LOCK:
        reloader = client.__dict__.get("_adapter_live")
        if reloader is None or reloader.always_chat:  # or uninstalled meanwhile
            return
        resource.__class__ = own
        _CHANGED.setdefault(client, WeakSet()).add(resource)
    if "completions" in resource.__dict__:
        use_fast_resource(resource.__dict__["completions"])


def restore_resources(client: Any) -> None:
    """Give all that was adopted of a client's its class back."""
    for resource in _CHANGED.pop(client, ()):
        if type(resource) in _FAST_CLASSES.values():
            resource.__class__ = type(resource).__base__
