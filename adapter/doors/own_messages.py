"""Long histories: messages that are JSON already are spared the SDK's transform, which costs more for each than anything else.

`create` and `parse` of the SDK run as they are; `messages` go through them in a wrapper that the transform doesn't look into, and come out
of it in the client's `post`. Equal results, since the transform does nothing to plain JSON: it lists iterables, dumps Pydantic
objects, leaves out what wasn't given, and renames keys that have an alias (none has one here, which is looked up once). Messages that
are anything but dicts of plain JSON or the SDK's own objects go the SDK's way, and so do all calls where somebody has patched
the method, or where it isn't certain by the settings alone that the call goes to the Responses API.
"""

from __future__ import annotations

import inspect
from functools import cache
from types import MethodType
from typing import Any, get_args, get_type_hints, is_typeddict

from openai._compat import model_dump  # private, in all versions: it is what the SDK's transform calls
from openai._models import BaseModel
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.types.chat import ChatCompletionMessageParam

from adapter.routing import overrides
from adapter.routing.decide import HEADER

from .internal_errors import raises
from .own_reading import BASE, Ready, is_sdks
from .signatures import like


def _is_off(resource: Any) -> bool:
    own = resource._client.__dict__.get("_adapter_live")
    return own is None or own.router.quiet


def _wrapping(resource: Any, method: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call, with its messages in the wrapper where they may be."""
    client = resource._client
    surely = client._adapter_live.router.surely
    if surely is None or surely.backend != "responses" or overrides.current() is not overrides.NONE:
        return given
    messages = given.get("messages")
    if type(messages) is not list or not is_sdks(method) or not _has_no_alias():
        return given
    if not _is_ours(client, resource._post):
        return given
    headers = given.get("extra_headers")
    if headers and any(str(name).lower() == HEADER for name in headers):
        return given
    try:
        mapped = _mapped(messages)
    except RecursionError:  # the SDK has an error for what holds itself
        return given
    return given if mapped is None else {**given, "messages": Ready(mapped)}


def _is_ours(client: Any, post: Any) -> bool:
    """Tell whether a `post` is the client's own of ours, which unwraps; anybody else's would see the wrapper."""
    found = getattr(post, "__func__", None)
    return found is type(client).post and hasattr(found, BASE)


def _mapped(messages: list[Any]) -> list[Any] | None:
    """Return what the SDK's transform makes of messages; None where only the transform itself can tell."""
    out = []
    for message in messages:
        if type(message) is dict:
            copied = _copied(message)
            if copied is _OTHER:
                return None
            out.append(copied)
        elif isinstance(message, BaseModel):
            exclude = getattr(message, "__api_exclude__", None)
            out.append(model_dump(message, exclude_unset=True, mode="json", exclude=exclude))
        else:
            return None
    return out


_SCALARS = frozenset({str, int, float, bool, type(None)})
_OTHER: Any = object()


def _copied(value: Any) -> Any:
    """Copy a dict or list that holds nothing but JSON, in Python's own types; _OTHER where it holds anything else.

    What is sent is fixed at the call, as the SDK's transform does it: the caller may change its messages before they are sent again.
    """
    if type(value) is dict:
        made: Any = value.copy()
        for key, one in made.items():
            if type(key) is not str:
                return _OTHER
            if type(one) not in _SCALARS:
                made[key] = copied = _copied(one)
                if copied is _OTHER:
                    return _OTHER
        return made
    if type(value) is not list:
        return _OTHER
    made = value.copy()
    for index, one in enumerate(made):
        if type(one) not in _SCALARS:
            made[index] = copied = _copied(one)
            if copied is _OTHER:
                return _OTHER
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
            return any(aliased(one) for one in get_type_hints(annotation, include_extras=True).values())
        inside = (*get_args(annotation), *getattr(annotation, "__metadata__", ()))
        return any(aliased(one) for one in inside)

    try:
        return not aliased(ChatCompletionMessageParam)
    except Exception:  # noqa: BLE001  # then only the SDK can tell
        return False


class _Method:
    """A method of the SDK's resource: the very same where somebody has put his own in its place, else one that spares the transform."""

    def __init__(self, native: Any) -> None:
        @like(native)
        def quick(resource: Any, *args: Any, **kwargs: Any) -> Any:
            method = getattr(self._cls, self._name)
            try:
                if not _is_off(resource):
                    kwargs = _wrapping(resource, method, kwargs)
            except Exception:  # the SDK transforms them itself
                if raises(resource._client):
                    raise
            return method(resource, *args, **kwargs)

        @like(native)
        async def quick_coroutine(resource: Any, *args: Any, **kwargs: Any) -> Any:
            return await quick(resource, *args, **kwargs)

        self._quick = quick_coroutine if inspect.iscoroutinefunction(native) else quick

    def __set_name__(self, owner: Any, name: str) -> None:
        self._owner, self._cls, self._name = owner, owner.__base__, name

    def __get__(self, resource: Any, owner: Any = None) -> Any:
        if resource is None:
            return getattr(self._cls, self._name)
        try:
            if is_sdks(getattr(self._cls, self._name)):
                return MethodType(self._quick, resource)
        except Exception:  # the SDK's does the same
            if raises(resource._client):
                raise
        return getattr(super(self._owner, resource), self._name)


def _own(cls: Any) -> Any:
    """Make a resource like the SDK's."""

    class Own(cls):  # type: ignore[misc]  # a base that is known at run time
        create = _Method(cls.create)
        parse = _Method(cls.parse)

    Own.__name__, Own.__qualname__, Own.__doc__, Own.__module__ = (
        cls.__name__,
        cls.__qualname__,
        cls.__doc__,
        cls.__module__,
    )
    return Own


_OWN = {cls: _own(cls) for cls in (Completions, AsyncCompletions)}


def adopted(chat: Any) -> Any:
    """Let a client's `chat` resource have our completions; one that is something else stays what it is."""
    own = _OWN.get(type(chat.completions))
    if own is not None:
        chat.completions.__class__ = own
    return chat
