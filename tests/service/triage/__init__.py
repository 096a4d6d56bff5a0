"""A support desk's ticket triage, as a team would write it for Chat Completions: the sample for the pytest plugin.

Only the import of `clients.py` knows of the adapter.
"""
