"""Helpers that don't depend on the rest of the package: JSON, SSE, threads, files, safe names."""
