"""Translate a Chat Completions request to a Responses request."""
