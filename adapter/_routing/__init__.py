"""Choosing the backend of a call (docs/decisions.md#precedence)."""
