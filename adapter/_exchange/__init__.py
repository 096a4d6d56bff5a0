"""One call as a generator of effects; no I/O."""
