"""`adapter schema`: the JSON schema of the settings file."""

from __future__ import annotations

import json

from adapter._settings.json_schema import settings_schema


def schema() -> None:
    """Print the JSON schema of the settings file, for editors."""
    print(json.dumps(settings_schema(), indent=2))
