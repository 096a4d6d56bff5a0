"""Transports of httpx2 and classic httpx, and their HTTP messages."""
