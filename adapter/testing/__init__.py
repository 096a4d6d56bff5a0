"""Help to test code that talks to either API: cassettes that people can read, streams cut anew, a hygiene check.

Nothing is imported here, because each module has its own optional dependencies; the extra `kit` installs all of them.
"""
