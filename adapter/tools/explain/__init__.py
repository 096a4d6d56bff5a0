"""Explain one request: its backend, the conversion and the losses."""
