"""Published applications, run unchanged natively and through the adapter: what they do must be the same."""
