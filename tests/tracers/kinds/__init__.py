"""One module for each tracer: `start(collector, *, masked)` starts it.

It is told to export to `collector`, a server on the loopback, or to memory.
"""
