"""A shop's help desk that asks a model, as a team would write it for Chat Completions: the sample for suites that mock HTTP."""
