"""Programs written for Chat Completions, as their authors wrote them, but for one import.

`backoff`, `runbook` and `query` are the published examples that this project started from: a
completion with a developer message, a streamed one, and a parsed tool call. Their call sites are
verbatim, oddities included, and so these files are left out of formatting and style checks.
`tool_loop` is ours.
"""
