"""A support desk's triage, written for Chat Completions: a sample for the pytest plugin.

Only an import in `clients.py` names the adapter.
"""
