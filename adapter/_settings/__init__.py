"""The settings, and the sources of their values (docs/decisions.md#settings)."""
