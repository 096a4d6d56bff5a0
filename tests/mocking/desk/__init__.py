"""A shop's help desk, written for Chat Completions: a sample for suites that mock HTTP."""
