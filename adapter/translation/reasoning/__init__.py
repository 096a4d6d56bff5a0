"""Remembered reasoning: what is kept of a turn, and where it belongs in a history."""
