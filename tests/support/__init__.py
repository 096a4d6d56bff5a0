"""What the tests are made with: validators, recordings, cuts, a loopback server, strategies."""
