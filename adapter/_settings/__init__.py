"""What can be configured: every setting, and where its value comes from."""
