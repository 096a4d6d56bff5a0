"""Helpers that know nothing of the adapter: JSON, server-sent events, threads, files, safe names."""
