"""Support for the tests: validators, recordings, cuts of streams, a loopback server, strategies."""
