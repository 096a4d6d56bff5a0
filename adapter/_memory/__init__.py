"""The memory: what was remembered of replies with tool calls, in a store of this process, of this machine or of many."""
