"""One module for each application: how it is wired, and what it is asked to do."""
