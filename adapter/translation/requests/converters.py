"""The registry of converters: each is registered by name, next to its code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .builder import RequestBuilder

Converter = Callable[[RequestBuilder, Any, dict[str, Any]], None]
"""Writes a parameter's value to the builder; gets the value and the whole Chat body."""

CONVERTERS: dict[str, Converter] = {}
"""The functions for parameters with `Conversion.CONVERT`, by the parameter's name."""


def converter(name: str) -> Callable[[Converter], Converter]:
    """Register the function that converts this parameter.

    `chat_to_responses` imports every module that has one.
    """

    def register(function: Converter) -> Converter:
        CONVERTERS[name] = function
        return function

    return register
