"""Everything that is reachable from the globals of the adapter's modules."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Iterator
from typing import Any

_THROUGH = (types.ModuleType, types.FrameType, types.CodeType)


def held(package: str = "adapter") -> Iterator[tuple[str, Any]]:
    """Yield every object that a module of the package holds.

    With it comes the module's attribute that leads to it. Objects that are reachable only through
    other modules, their functions' globals, or classes outside the package are left out.
    """
    seen: set[int] = set()
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] != package:
            continue
        for attribute, value in list(vars(module).items()):
            if attribute.startswith("__"):
                continue
            pending = [value]
            while pending:
                one = pending.pop()
                if id(one) in seen or isinstance(one, _THROUGH):
                    continue
                seen.add(id(one))
                if isinstance(one, type) and one.__module__.partition(".")[0] != package:
                    continue
                yield f"{name}.{attribute}", one
                pending += _inside(one)


def _inside(one: Any) -> list[Any]:
    if isinstance(one, types.FunctionType):
        cells = [cell.cell_contents for cell in one.__closure__ or () if _is_filled(cell)]
        return [*cells, one.__defaults__, one.__kwdefaults__, one.__dict__]
    return gc.get_referents(one)


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def texts(value: Any) -> int:
    """Return the number of characters of a string or bytes; 0 for everything else."""
    return len(value) if isinstance(value, (str, bytes, bytearray)) else 0
