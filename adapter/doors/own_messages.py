"""Long histories: messages that are JSON already are spared the SDK's transform, which costs more for each than anything else.

`create` and `parse` of the SDK run as they are; `messages` go through them in a wrapper that the transform doesn't look into, and come out
of it in the client's `post`. Equal results, since the transform does nothing to plain JSON: it lists iterables, dumps Pydantic
objects, leaves out what wasn't given, and renames keys that have an alias (none has one here, which is looked up once). Messages that
are anything but dicts of plain JSON or the SDK's own objects go the SDK's way, and so do all calls where somebody has patched
the method, or where it isn't certain by the settings alone that the call goes to the Responses API.
"""

from __future__ import annotations

from functools import cache, wraps
from pathlib import Path
from types import FunctionType
from typing import Any, get_args, get_type_hints, is_typeddict

import openai
from openai._compat import model_dump  # private, in all versions: it is what the SDK's transform calls
from openai._models import BaseModel
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.types.chat import ChatCompletionMessageParam

from adapter.routing import overrides
from adapter.routing.decide import HEADER

from .own_reading import Ready

_CLIENTS = "adapter.doors.client"
_SDK = str(Path(openai.__file__).parent)


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
    if type(messages) is not list or not _is_sdks(method) or not _has_no_alias():
        return given
    post = getattr(resource._post, "__func__", None)
    if post is not type(client).post or post.__module__ != _CLIENTS:  # somebody's own, who would see the wrapper
        return given
    headers = given.get("extra_headers")
    if headers and any(str(name).lower() == HEADER for name in headers):
        return given
    try:
        mapped = _mapped(messages)
    except RecursionError:  # the SDK has an error for what holds itself
        return given
    return given if mapped is None else {**given, "messages": Ready(mapped)}


def _mapped(messages: list[Any]) -> list[Any] | None:
    """Return what the SDK's transform makes of messages; None where only the transform itself can tell."""
    out = []
    for message in messages:
        if type(message) is dict:
            if not _is_json(message):
                return None
            out.append(message)
        elif isinstance(message, BaseModel):
            exclude = getattr(message, "__api_exclude__", None)
            out.append(model_dump(message, exclude_unset=True, mode="json", exclude=exclude))
        else:
            return None
    return out


_SCALARS = frozenset({str, int, float, bool, type(None)})


def _is_json(value: Any) -> bool:
    """Tell whether a dict or list holds nothing but JSON, in Python's own types."""
    if type(value) is dict:
        for key, one in value.items():
            if type(key) is not str or not (type(one) in _SCALARS or _is_json(one)):
                return False
        return True
    return type(value) is list and all(type(one) in _SCALARS or _is_json(one) for one in value)


def _is_sdks(method: Any) -> bool:
    """Tell whether a method is the SDK's own, and not what somebody (tracing does) has put in its place."""
    # The type first: wrapt's wrappers are equal to what they wrap, and would be found in its place.
    return type(method) is FunctionType and _is_from_sdk(method)


@cache
def _is_from_sdk(method: Any) -> bool:
    while type(method) is FunctionType and method.__code__.co_filename.startswith(_SDK):
        inner = getattr(method, "__wrapped__", None)
        if inner is None:
            return True
        method = inner
    return False


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


def _own(cls: Any) -> Any:
    """Make a resource like the SDK's."""

    class Own(cls):  # type: ignore[misc]  # a base that is known at run time
        @wraps(cls.create)
        def create(self, *args: Any, **kwargs: Any) -> Any:
            return super().create(*args, **(kwargs if _is_off(self) else _wrapping(self, cls.create, kwargs)))

        @wraps(cls.parse)
        def parse(self, *args: Any, **kwargs: Any) -> Any:
            return super().parse(*args, **(kwargs if _is_off(self) else _wrapping(self, cls.parse, kwargs)))

    Own.__name__, Own.__qualname__, Own.__doc__ = cls.__name__, cls.__qualname__, cls.__doc__
    return Own


_OWN = {cls: _own(cls) for cls in (Completions, AsyncCompletions)}


def adopted(chat: Any) -> Any:
    """Let a client's `chat` resource have our completions; one that is something else stays what it is."""
    own = _OWN.get(type(chat.completions))
    if own is not None:
        chat.completions.__class__ = own
    return chat
