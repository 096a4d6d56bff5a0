# The clients as type checkers see them: the signatures of the SDK that is installed, and
# `settings`.
#
# A ParamSpec can't be given a keyword, but a method may have parameters of its own before those
# of its class's ParamSpec, and they keep their names. So `_WithSettings` is made with the SDK's
# parameters, and its method `settings` has the signature that a constructor has here. The first
# parameter can't be given: the SDK's constructors take nothing by position. For an overloaded
# constructor a checker infers an overloaded `_signature_of(…)`, whose call picks an overload.

from collections.abc import Callable
from typing import Any, Concatenate, Generic, Never, ParamSpec, Self, TypeVar, overload

import openai

from adapter._settings.coercion import SettingsLike

_Client = TypeVar("_Client")
_P = ParamSpec("_P")

class _WithSettings(Generic[_P]):
    def settings(
        self,
        by_name_only: Never = ...,
        /,
        settings: SettingsLike = None,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> None: ...

def _signature_of(
    native: Callable[Concatenate[Any, _P], Any],
) -> Callable[_P, _WithSettings[_P]]: ...
def _init(
    with_settings: Callable[_P, None],
) -> Callable[[Any], Callable[Concatenate[Any, _P], None]]: ...
def _copy(
    with_settings: Callable[_P, None],
) -> Callable[[Callable[[_Client], _Client]], Callable[Concatenate[_Client, _P], _Client]]: ...

_azure = _signature_of(openai.AzureOpenAI.__init__)
_async_azure = _signature_of(openai.AsyncAzureOpenAI.__init__)

class OpenAI(openai.OpenAI):
    @_init(_signature_of(openai.OpenAI.__init__)().settings)
    def __init__(self) -> None: ...
    @_copy(_signature_of(openai.OpenAI.copy)().settings)
    def copy(self) -> Self: ...
    with_options = copy

class AsyncOpenAI(openai.AsyncOpenAI):
    @_init(_signature_of(openai.AsyncOpenAI.__init__)().settings)
    def __init__(self) -> None: ...
    @_copy(_signature_of(openai.AsyncOpenAI.copy)().settings)
    def copy(self) -> Self: ...
    with_options = copy

class AzureOpenAI(openai.AzureOpenAI):
    @overload
    @_init(_azure(azure_endpoint="").settings)
    def __init__(self) -> None: ...
    @overload
    @_init(_azure().settings)
    def __init__(self) -> None: ...
    @overload
    @_init(_azure(base_url="").settings)
    def __init__(self) -> None: ...
    @_copy(_signature_of(openai.AzureOpenAI.copy)().settings)
    def copy(self) -> Self: ...
    with_options = copy

class AsyncAzureOpenAI(openai.AsyncAzureOpenAI):
    @overload
    @_init(_async_azure(azure_endpoint="").settings)
    def __init__(self) -> None: ...
    @overload
    @_init(_async_azure().settings)
    def __init__(self) -> None: ...
    @overload
    @_init(_async_azure(base_url="").settings)
    def __init__(self) -> None: ...
    @_copy(_signature_of(openai.AsyncAzureOpenAI.copy)().settings)
    def copy(self) -> Self: ...
    with_options = copy
