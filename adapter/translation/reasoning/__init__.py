"""Remembered reasoning: turns, how a history finds them, and how a request gets them."""
