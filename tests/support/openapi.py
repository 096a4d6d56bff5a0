"""Check the body of a `POST /responses` against the public OpenAPI document, more strictly than it.

Where a schema lists properties, others are refused. The document isn't part of this repository:
where it is absent, `available()` is False and `needs_document` skips.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import service
from tests.support.shapes import (
    AnyOf,
    Anything,
    Choice,
    Later,
    ListOf,
    MapOf,
    Record,
    Scalar,
    Shape,
    problems_of,
)

DOCUMENT = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "openapi.json"

Schema = dict[str, Any]

_ROOT = "CreateResponse"

_WAIVED = {
    "OutputMessage": service.OUTPUT_MESSAGE_WAIVED,
    "OutputTextContent": service.OUTPUT_TEXT_WAIVED,
    "ReasoningItem": service.REASONING_WAIVED,
}

# Keys that the SDK knows and this older document doesn't, by schema. The SDK's types check their
# values.
_NEWER_FIELDS: dict[str, tuple[str, ...]] = {
    _ROOT: ("access_programs", "background_options", "image"),
    "PromptCacheOptionsParam": ("comparison_response_id", "prewarm"),
    "PromptCacheBreakpointParam": ("ttl",),
    "PromptCacheBreakpointConfig": ("ttl",),
    "FunctionTool": ("async",),
    "FunctionToolParam": ("async",),
    "CustomToolParam": ("async",),
    "FunctionToolCall": ("async",),
    "CustomToolCall": ("async",),
}
_NEWER_VALUES: dict[str, tuple[str, ...]] = {"PromptCacheTTLEnum": ("12h",)}
_NEWER_ITEMS = ("configuration_update",)


def available() -> bool:
    """Return whether the document exists on this machine."""
    return DOCUMENT.is_file()


needs_document = pytest.mark.skipif(
    not available(),
    reason="the OpenAPI document is not beside this repository (shared/reference/openapi.json)",
)


def problems_of_openapi_body(body: dict[str, Any]) -> list[str]:
    """List the problems of a `POST /responses` body by the document; empty means none."""
    return problems_of(_compiler().named(_ROOT), body) + service.refusals(body)


@functools.cache
def _compiler() -> _Compiler:
    return _Compiler(json.loads(DOCUMENT.read_bytes())["components"]["schemas"])


class _Compiler:
    def __init__(self, schemas: dict[str, Schema]) -> None:
        self._schemas = schemas
        self._named: dict[str, Shape] = {}

    def named(self, name: str) -> Shape:
        if name not in self._named:
            self._named[name] = Later(name, functools.partial(self._compile_named, name))
        return self._named[name]

    def _compile_named(self, name: str) -> Shape:
        shape = self._compile(self._schemas[name], name)
        if name == "InputItem":
            newer = [
                Record(one, {"type": Choice((one,))}, frozenset({"type"}), rest=Anything())
                for one in _NEWER_ITEMS
            ]
            return AnyOf([shape, *newer])
        return shape

    def _compile(self, schema: Schema, name: str) -> Shape:
        """Compile one schema; `name` is that of the nearest enclosing named one."""
        if "$ref" in schema:
            return self.named(schema["$ref"].rpartition("/")[2])
        if "$recursiveRef" in schema:  # always "#"; each anchor is a named schema
            return self.named(name)
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return self._nullable(
                    schema, AnyOf([self._compile(option, name) for option in schema[union]])
                )
        if "enum" in schema or "const" in schema:
            values = tuple(schema.get("enum", ())) or (schema["const"],)
            return self._nullable(schema, Choice((*values, *_NEWER_VALUES.get(name, ()))))
        # Empty `properties` mean "any object" in this document.
        if "allOf" in schema or schema.get("properties"):
            return self._nullable(schema, self._record(schema, name))
        return self._nullable(schema, self._plain(schema, name))

    def _plain(self, schema: Schema, name: str) -> Shape:
        kind = schema.get("type")
        if kind is None:
            return Anything()
        if isinstance(kind, list):
            return AnyOf([self._plain({**schema, "type": one}, name) for one in kind])
        if kind == "array":
            item = self._compile(schema.get("items", {}), name)
            return ListOf(item, schema.get("minItems", 0), schema.get("maxItems"))
        if kind == "object":
            rest = schema.get("additionalProperties", True)
            return MapOf(
                self._compile(rest, name) if isinstance(rest, dict) else Anything(),
                max_items=schema.get("maxProperties") if rest is not False else 0,
                max_key_length=schema.get("propertyNames", {}).get("maxLength"),
            )
        return Scalar(
            kind,
            minimum=schema.get("minimum"),
            maximum=schema.get("maximum"),
            min_length=schema.get("minLength"),
            max_length=schema.get("maxLength"),
            pattern=re.compile(schema["pattern"]) if "pattern" in schema else None,
        )

    def _record(self, schema: Schema, name: str) -> Record:
        properties, required, rest = self._gather(schema, name)
        fields = {key: self._compile(one, name) for key, one in properties.items()}
        # A schema nested in a named one has that name here, so the tables below must name leaves or
        # roots.
        if schema is self._schemas.get(name):
            fields |= {key: Anything() for key in _NEWER_FIELDS.get(name, ())}
            required -= _WAIVED.get(name, frozenset())
        return Record(
            name,
            fields,
            frozenset(required),
            self._compile(rest, name) if rest is not None else None,
        )

    def _gather(
        self, schema: Schema, name: str
    ) -> tuple[dict[str, Schema], set[str], Schema | None]:
        """Merge an `allOf` tree to one list of properties.

        Each part alone would refuse those of the others.
        """
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            schema = self._schemas[name]
        properties: dict[str, Schema] = dict(schema.get("properties", {}))
        required = set(schema.get("required", ()))
        extra = schema.get("additionalProperties")
        rest: Schema | None = extra if isinstance(extra, dict) else {} if extra is True else None
        unknown = {"anyOf", "oneOf", "not"} & schema.keys()
        if unknown:
            msg = f"{name}: {unknown} beside properties: teach {__name__} about it"
            raise TypeError(msg)
        for part in schema.get("allOf", ()):
            more_properties, more_required, more_rest = self._gather(part, name)
            properties |= more_properties
            required |= more_required
            rest = more_rest if rest is None else rest
        return properties, required, rest

    @staticmethod
    def _nullable(schema: Schema, shape: Shape) -> Shape:
        return AnyOf([shape, Scalar("null")]) if schema.get("nullable") else shape
