"""The memory: reasoning kept between the turns of a tool loop (docs/decisions.md#continuity)."""
