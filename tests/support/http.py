"""The HTTP library that the tests speak: the one of the installed SDK, or the one that a lane asks for.

`LANE_HTTP=httpx` runs everything on classic httpx with an SDK that would take httpx2 by itself.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import openai

SDK = tuple(int(part) for part in openai.VERSION.split(".")[:2])
NAME = os.environ.get("LANE_HTTP") or ("httpx2" if SDK >= (3, 0) else "httpx")
http: Any = importlib.import_module(NAME)
