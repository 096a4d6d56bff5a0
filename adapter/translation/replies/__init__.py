"""Translate a Response, or an error, to Chat Completions."""
