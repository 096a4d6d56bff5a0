"""Published applications, run unchanged natively and through the adapter: results must be equal."""
