"""Transports of httpx2 and classic httpx."""
