"""The tables of Chat's parameters."""

from __future__ import annotations

import json
from typing import get_args

from adapter.translation.parameters import (
    CHAT_PARAMETERS,
    UNSUPPORTED_MESSAGE_FIELDS,
    Conversion,
    Emulated,
)

from . import code, codes, table


def parameters() -> str:
    """Return one row for each parameter: what it becomes, and how well."""
    rows = [
        (code(rule.name), code(rule.target) if rule.target else "–", rule.support, rule.note)
        for rule in sorted(CHAT_PARAMETERS.values(), key=lambda rule: rule.name)
    ]
    return table(("parameter", "on the Responses API", "support", "what becomes of it"), rows)


def choices() -> str:
    """Return one row for each parameter about which a policy decides: values, and what each does."""
    rows = []
    for rule in sorted(CHAT_PARAMETERS.values(), key=lambda rule: rule.name):
        emulated = rule.name in get_args(Emulated)
        if rule.conversion is not Conversion.REFUSE and not emulated:
            continue
        if not rule.droppable:
            dropped = "not possible: the call is refused"
        elif rule.breaks_if_dropped:
            dropped = "the answer lacks what the program reads"
        else:
            dropped = "a nuance or a cost changes"
        neutral = codes(["null", *map(json.dumps, rule.neutral)])
        rows.append((code(rule.name), neutral, "yes" if emulated else "–", dropped))
    heads = ("parameter", "values without effect", "can be emulated", "if it is dropped")
    return table(heads, rows)


def by_support() -> str:
    """Return the names of the parameters by how well each is supported."""
    meanings = {
        "exact": "carried over with the same meaning",
        "emulated": "reproduced by the adapter; those that change cost only where `emulate` names them",
        "lossy": "carried over or left out with a nuance lost; needs a setting where it is left out",
        "impossible": "keeps the call on Chat Completions, unless a setting drops it",
    }
    rows = [
        (
            support,
            meaning,
            codes(sorted(one.name for one in CHAT_PARAMETERS.values() if one.support == support)),
        )
        for support, meaning in meanings.items()
    ]
    assert {one.support for one in CHAT_PARAMETERS.values()} == meanings.keys()
    others = codes(sorted(UNSUPPORTED_MESSAGE_FIELDS))
    fields = f"\n\nFields inside messages and tools that a policy can name as well: {others}."
    return table(("support", "what it means", "parameters"), rows) + fields
